/* SPDX-License-Identifier: Apache-2.0 */
/* Reading dead letters: by the page and by what an operator looks for, and
 * the history of one. */
#include "journal/dead.h"

#include "base/invariant.h"
#include "journal/internal.h"

static bool
contains(struct span text, struct span part)
{
	for (size_t i = 0; i + part.len <= text.len; i++)
		if (span_equal_nocase((struct span){ text.at + i, part.len },
				      part))
			return true;
	return false;
}

static bool
passes(const struct journal_dead_filter *f, const struct journal_letter *l)
{
	int64_t at = l->dead.last_us;

	return (!f->since_us || at >= f->since_us) &&
	       (!f->until_us || at < f->until_us) &&
	       journal_filter_type(f->type, l->type) &&
	       journal_filter_subject(f->subject, l->subject) &&
	       (!f->reason || contains(span_of(l->dead.reason),
				       span_of(f->reason)));
}

static void
letter_fill(sqlite3_stmt *s, struct journal_letter *l)
{
	*l = (struct journal_letter){
		.dead = { .id = sqlite3_column_int64(s, 0),
			  .group = journal_column_str(s, 1),
			  .sequence = sqlite3_column_int64(s, 2),
			  .attempts = (unsigned)sqlite3_column_int64(s, 3),
			  .first_us = sqlite3_column_int64(s, 4),
			  .last_us = sqlite3_column_int64(s, 5),
			  .reason = journal_column_str(s, 6),
			  .consumer = journal_column_str(s, 7) },
		.type = journal_column_span(s, 8),
		.subject = journal_column_span(s, 9),
		.time_us = sqlite3_column_int64(s, 10),
	};
}

static sqlite3_stmt *
page_bind(struct journal_reader *r, const struct journal_dead_filter *f,
	  const struct journal_dead_page *page)
{
	sqlite3_stmt *s = r->stmts[f->group ? STMT_DEAD_PAGE_GROUP
					    : STMT_DEAD_PAGE];

	INVARIANT(!sqlite3_stmt_busy(s));	/* called from a callback */
	sqlite3_bind_int64(s, 1, page->after);
	sqlite3_bind_int64(s, 2, page->upto ? page->upto : INT64_MAX);
	sqlite3_bind_int64(s, 3, (int64_t)page->scan_limit);
	if (f->group &&
	    sqlite3_bind_text(s, 4, f->group, -1, SQLITE_STATIC) != SQLITE_OK)
		return NULL;
	return s;
}

int
journal_read_letters(struct journal_reader *r,
		     const struct journal_dead_filter *f,
		     struct journal_dead_page *page,
		     void (*fn)(void *arg, const struct journal_letter *l),
		     void *arg)
{
	sqlite3_stmt *s;
	struct journal_letter l;
	size_t looked = 0, given = 0;
	int rc = SQLITE_ERROR;

	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	s = page_bind(r, f, page);
	while (s && given < page->max &&
	       (rc = sqlite3_step(s)) == SQLITE_ROW) {
		letter_fill(s, &l);
		page->after = l.dead.id;
		looked++;
		if (!passes(f, &l))
			continue;
		given++;
		fn(arg, &l);
	}
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	page->more = given == page->max || looked == page->scan_limit;
	if (page->max && rc != SQLITE_ROW && rc != SQLITE_DONE)
		return journal_reader_failed(r, "read dead letters");
	return (int)given;
}

/* A statement of one row with one number: 1, 0 (none) or -1. */
static int
read_number(struct journal_reader *r, enum stmt stmt, const char *key,
	    int64_t *number)
{
	sqlite3_stmt *s = r->stmts[stmt];
	int rc;

	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	if (key &&
	    sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC) != SQLITE_OK)
		return journal_reader_failed(r, "bind a key");
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		*number = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return journal_reader_failed(r, "look for a dead letter");
	return rc == SQLITE_ROW;
}

int
journal_read_newest_letter(struct journal_reader *r, int64_t *id)
{
	return read_number(r, STMT_DEAD_NEWEST, NULL, id) == 1 ? 0 : -1;
}

int
journal_read_oldest_letter(struct journal_reader *r, const char *group,
			   int64_t *last_us)
{
	return read_number(r, STMT_DEAD_OLDEST, group, last_us);
}

int
journal_read_attempts(struct journal_reader *r, const char *group,
		      int64_t sequence,
		      void (*fn)(void *arg, const struct journal_attempt *a),
		      void *arg)
{
	sqlite3_stmt *s = r->stmts[STMT_ATTEMPT_LIST];
	int rc;

	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	INVARIANT(!sqlite3_stmt_busy(s));
	if (sqlite3_bind_text(s, 1, group, -1, SQLITE_STATIC) != SQLITE_OK)
		return journal_reader_failed(r, "bind a key");
	sqlite3_bind_int64(s, 2, sequence);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		const struct journal_attempt a = {
			.attempt = (unsigned)sqlite3_column_int64(s, 0),
			.time_us = sqlite3_column_int64(s, 1),
			.consumer = journal_column_str(s, 2),
			.reason = journal_column_str(s, 3),
		};

		fn(arg, &a);
	}
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return rc == SQLITE_DONE ? 0
				 : journal_reader_failed(r, "read a history");
}
