/* SPDX-License-Identifier: Apache-2.0 */
/* Events that belong together: by correlation id, over its index.
 *
 * Ids of events have no index: each index costs every event, and this would be
 * asked once a week. A UUIDv7 says when it was made, so that a look around
 * that time finds it; what is not there is looked for everywhere. */
#include "journal/find.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "journal/internal.h"

#define ID_CHARACTERS 36
#define HEX_DIGITS 32
/* An event's id is made before its time or after it, by a clock that may
 * have been set meanwhile. */
#define AROUND_US 120000000
#define US_PER_MS 1000

/* ---- ids between two ---- */

struct id_range {
	struct id first, last;
};

static int
digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0'
				    : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False: the text is no beginning of an id. */
static bool
range_of(const char *text, struct id_range *range)
{
	unsigned n = 0;

	memset(&range->first, 0, sizeof(range->first));
	memset(&range->last, 0xff, sizeof(range->last));
	for (size_t i = 0; text[i]; i++) {
		bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
		int value = digit(text[i]), shift = n % 2 ? 0 : 4;

		if (i >= ID_CHARACTERS || (text[i] == '-') != hyphen)
			return false;
		if (hyphen)
			continue;
		if (value < 0)
			return false;
		range->first.bytes[n / 2] |= (uint8_t)(value << shift);
		range->last.bytes[n / 2] &=
			(uint8_t)(value << shift | (shift ? 0x0f : 0xf0));
		n++;
	}
	return true;
}

static int64_t
time_of(const struct id *id)
{
	int64_t ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id->bytes[i];
	return ms < INT64_MAX / US_PER_MS ? ms * US_PER_MS : INT64_MAX;
}

/* ---- correlation ids ---- */

static int
find_correlations(struct journal_reader *r, const char *text, size_t max,
		  struct journal_found *out)
{
	sqlite3_stmt *s = r->stmts[STMT_CORRELATIONS];
	char end[ID_TEXT_SIZE + 1];
	size_t n = 0;
	int rc;

	snprintf(end, sizeof(end), "%s~", text);	/* beyond all ids */
	sqlite3_bind_text(s, 1, text, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 2, end, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 3, (int64_t)max);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW && n < max) {
		out[n] = (struct journal_found){ .sequence = 0 };
		snprintf(out[n++].correlation, sizeof(out->correlation), "%s",
			 journal_column_str(s, 0));
	}
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		journal_reader_failed(r, "find a correlation id");
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? (int)n : -1;
}

/* ---- ids of events ---- */

struct places {
	int64_t first, last;	/* sequences */
};

static bool
is_there(const struct journal_found *out, size_t n, const char *correlation)
{
	for (size_t i = 0; *correlation && i < n; i++)
		if (strcmp(out[i].correlation, correlation) == 0)
			return true;
	return false;
}

static int
find_events(struct journal_reader *r, const struct id_range *ids,
	    const struct places *at, size_t max, struct journal_found *out)
{
	sqlite3_stmt *s = r->stmts[STMT_EVENT_BY_ID];
	size_t n = 0;
	int rc;

	sqlite3_bind_int64(s, 1, at->first);
	sqlite3_bind_int64(s, 2, at->last);
	sqlite3_bind_blob(s, 3, &ids->first, sizeof(ids->first),
			  SQLITE_STATIC);
	sqlite3_bind_blob(s, 4, &ids->last, sizeof(ids->last), SQLITE_STATIC);
	sqlite3_bind_int64(s, 5, id_equal(&ids->first, &ids->last) ? 1 : -1);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW && n < max) {
		const char *correlation = journal_column_str(s, 1);

		if (is_there(out, n, correlation))
			continue;
		out[n] = (struct journal_found){
			.sequence = *correlation ? 0
						 : sqlite3_column_int64(s, 0)
		};
		snprintf(out[n++].correlation, sizeof(out->correlation), "%s",
			 correlation);
	}
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		journal_reader_failed(r, "find an event");
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? (int)n : -1;
}

static int
find_around(struct journal_reader *r, const struct id_range *ids, size_t max,
	    struct journal_found *out)
{
	int64_t from = time_of(&ids->first), to = time_of(&ids->last);
	struct places at;

	if (journal_find_time(r, from > AROUND_US ? from - AROUND_US : 0,
			      &at.first) < 0 ||
	    journal_find_time(r, to < INT64_MAX - AROUND_US ? to + AROUND_US
							    : to,
			      &at.last) < 0)
		return -1;
	return find_events(r, ids, &at, max, out);
}

int
journal_find(struct journal_reader *r, const char *text, size_t max,
	     struct journal_found *out)
{
	static const struct places anywhere = { 0, INT64_MAX };
	struct id_range ids;
	int n;

	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	if (strlen(text) < JOURNAL_FIND_LEAST || !range_of(text, &ids))
		return 0;
	n = find_correlations(r, text, max, out);
	if (n == 0)
		n = find_around(r, &ids, max, out);
	if (n == 0 && id_equal(&ids.first, &ids.last))
		n = find_events(r, &ids, &anywhere, max, out);
	return n;
}

/* ---- all of one ---- */

struct sequences {
	int64_t *at;
	size_t count, room;
};

static bool
add_sequence(struct sequences *list, int64_t sequence)
{
	size_t room = list->room ? list->room * 2 : 64;
	int64_t *more;

	if (list->count == list->room) {
		more = realloc(list->at, room * sizeof(*more));
		if (!more)
			return false;
		list->at = more;
		list->room = room;
	}
	list->at[list->count++] = sequence;
	return true;
}

static int
list_correlated(struct journal_reader *r, const char *correlation, size_t max,
		struct sequences *list)
{
	sqlite3_stmt *s = r->stmts[STMT_CORRELATED];
	bool fits = true;
	int rc;

	sqlite3_bind_text(s, 1, correlation, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, (int64_t)max);
	while (fits && (rc = sqlite3_step(s)) == SQLITE_ROW)
		fits = add_sequence(list, sqlite3_column_int64(s, 0));
	if (fits && rc != SQLITE_DONE)
		fits = journal_reader_failed(r, "list a correlation id") == 0;
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return fits ? 0 : -1;
}

int
journal_read_correlated(struct journal_reader *r, const char *correlation,
			size_t max,
			bool (*fn)(void *arg, const struct journal_row *row),
			void *arg)
{
	struct sequences list = { 0 };
	int n = 0, rc;

	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	rc = list_correlated(r, correlation, max, &list);
	for (size_t i = 0; rc >= 0 && i < list.count; i++) {
		rc = journal_read_one(r, list.at[i], fn, arg);
		n += rc > 0;
	}
	free(list.at);
	return rc < 0 ? -1 : n;
}

int
journal_is_open(struct journal_reader *r, const char *correlation)
{
	sqlite3_stmt *s = r->stmts[STMT_IS_OPEN];
	int rc;

	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	sqlite3_bind_text(s, 1, correlation, -1, SQLITE_STATIC);
	rc = sqlite3_step(s);
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return journal_reader_failed(r, "look for an open exchange");
	return rc == SQLITE_ROW;
}

/* ---- what became of one ---- */

int
journal_read_fates(struct journal_reader *r, int64_t sequence,
		   void (*fn)(void *arg, const struct journal_fate *f),
		   void *arg)
{
	sqlite3_stmt *s = r->stmts[STMT_FATES];
	int rc;

	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	INVARIANT(!sqlite3_stmt_busy(s));	/* called from a callback */
	sqlite3_bind_int64(s, 1, sequence);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		const struct journal_fate f = {
			.letter = sqlite3_column_int64(s, 0),
			.group = journal_column_str(s, 1),
			.attempts = (unsigned)sqlite3_column_int64(s, 2),
			.first_us = sqlite3_column_int64(s, 3),
			.last_us = sqlite3_column_int64(s, 4),
			.reason = journal_column_str(s, 5),
			.consumer = journal_column_str(s, 6),
			.not_before_us = sqlite3_column_int64(s, 7),
			.origin = (enum journal_origin)
				sqlite3_column_int(s, 8),
		};

		fn(arg, &f);
	}
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : journal_reader_failed(
		r, "read what became of an event");
}
