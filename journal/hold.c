/* SPDX-License-Identifier: Apache-2.0 */
/* Legal holds: stored, matched, and told to auditors as events. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/invariant.h"
#include "base/json.h"
#include "journal/internal.h"

/* ---- the event ---- */

static void
write_range(const struct journal_hold *h, struct json *js)
{
	char time[CLOCK_RFC3339_SIZE];

	if (h->first) {
		json_key(js, "from");
		json_i64(js, h->first);
	}
	if (h->last) {
		json_key(js, "to");
		json_i64(js, h->last);
	}
	if (h->since_us) {
		json_key(js, "since");
		json_str(js, clock_rfc3339(h->since_us, time));
	}
	if (h->until_us) {
		json_key(js, "until");
		json_str(js, clock_rfc3339(h->until_us, time));
	}
}

static void
write_hold(const struct journal_hold *h, const char *action, struct buf *out)
{
	struct json js;

	json_init(&js, out);
	json_object_begin(&js);
	json_key(&js, "action");
	json_str(&js, action);
	json_key(&js, "name");
	json_str(&js, h->name);
	write_range(h, &js);
	if (h->type && *h->type) {
		json_key(&js, "type");
		json_str(&js, h->type);
	}
	if (h->subject && *h->subject) {
		json_key(&js, "subject");
		json_str(&js, h->subject);
	}
	if (h->reason && *h->reason) {
		json_key(&js, "reason");
		json_str(&js, h->reason);
	}
	json_object_end(&js);
}

static void
audit(struct journal_tx *tx, const struct journal_hold *h, const char *action)
{
	CLEANUP(buf_fini) struct buf data = {0};
	struct journal_event e;

	write_hold(h, action, &data);
	e = (struct journal_event){
		.id = id_make(),
		.time_us = clock_wall_us(),
		.type = SPAN_LITERAL("matapalo.hold.v1"),
		.source = SPAN_LITERAL("/matapalo/journal"),
		.subject = span_of(h->name),
		.extensions = SPAN_LITERAL(
			"\"dataschema\":\"urn:matapalo:schema:hold:v1\""),
		.data = buf_span(&data),
	};
	if (data.failed || journal_tx_append(tx, &e, NULL) < 0)
		journal_tx_fail(tx, "append the hold");
}

/* ---- storing ---- */

static struct journal_hold
hold_of(sqlite3_stmt *s)
{
	return (struct journal_hold){
		.name = journal_column_str(s, 0),
		.first = sqlite3_column_int64(s, 1),
		.last = sqlite3_column_int64(s, 2),
		.since_us = sqlite3_column_int64(s, 3),
		.until_us = sqlite3_column_int64(s, 4),
		.type = journal_column_str(s, 5),
		.subject = journal_column_str(s, 6),
		.reason = journal_column_str(s, 7),
		.created_us = sqlite3_column_int64(s, 8),
	};
}

static bool
text_equal(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool
hold_equal(const struct journal_hold *a, const struct journal_hold *b)
{
	return a->first == b->first && a->last == b->last &&
	       a->since_us == b->since_us && a->until_us == b->until_us &&
	       text_equal(a->type, b->type) &&
	       text_equal(a->subject, b->subject) &&
	       text_equal(a->reason, b->reason);
}

enum held { HELD_NOT, HELD_OTHER, HELD_SAME };

static enum held
find_held(struct journal_tx *tx, const struct journal_hold *h)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_HOLD_FIND];
	enum held result = HELD_NOT;
	struct journal_hold there;
	int rc;

	journal_bind_str(tx, s, 1, h->name);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		there = hold_of(s);
		result = hold_equal(&there, h) ? HELD_SAME : HELD_OTHER;
	} else if (rc != SQLITE_DONE) {
		journal_tx_fail(tx, "find a hold");
	}
	sqlite3_reset(s);
	return result;
}

int
journal_tx_hold_add(struct journal_tx *tx, const struct journal_hold *h)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_HOLD_ADD];

	enum held held = find_held(tx, h);

	if (!*h->name || held == HELD_OTHER || tx->failed)
		return -1;
	if (held == HELD_SAME)
		return 0;
	journal_bind_str(tx, s, 1, h->name);
	sqlite3_bind_int64(s, 2, h->first);
	sqlite3_bind_int64(s, 3, h->last);
	sqlite3_bind_int64(s, 4, h->since_us);
	sqlite3_bind_int64(s, 5, h->until_us);
	journal_bind_str(tx, s, 6, h->type ? h->type : "");
	journal_bind_str(tx, s, 7, h->subject ? h->subject : "");
	journal_bind_str(tx, s, 8, h->reason ? h->reason : "");
	sqlite3_bind_int64(s, 9, clock_wall_us());
	journal_tx_run(tx, STMT_HOLD_ADD, "store a hold");
	tx->j->retain.holds.stale = true;
	audit(tx, h, "added");
	return tx->failed ? -1 : 0;
}

int
journal_tx_hold_remove(struct journal_tx *tx, const char *name)
{
	const struct journal_hold h = { .name = name };

	if (find_held(tx, &h) == HELD_NOT || tx->failed)
		return -1;
	journal_bind_str(tx, tx->j->stmts[STMT_HOLD_REMOVE], 1, name);
	journal_tx_run(tx, STMT_HOLD_REMOVE, "remove a hold");
	tx->j->retain.holds.stale = true;
	tx->j->retain.sweep_us = 0;
	audit(tx, &h, "removed");
	return tx->failed ? -1 : 0;
}

/* ---- reading ---- */

int
journal_read_holds(struct journal_reader *r,
		   void (*fn)(void *arg, const struct journal_hold *h),
		   void *arg)
{
	sqlite3_stmt *s = r->stmts[STMT_HOLD_LIST];
	int rc;

	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct journal_hold h = hold_of(s);

		fn(arg, &h);
	}
	if (rc != SQLITE_DONE)
		journal_reader_failed(r, "list the holds");
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : -1;
}

/* ---- matching ---- */

void
journal_holds_free(struct holds *h)
{
	size_t i;

	for (i = 0; i < h->count; i++) {
		free((char *)h->at[i].name);
		free((char *)h->at[i].type);
		free((char *)h->at[i].subject);
	}
	free(h->at);
	*h = (struct holds){ .stale = true };
}

static int
holds_add(struct holds *h, const struct journal_hold *one)
{
	struct journal_hold *at;

	at = realloc(h->at, (h->count + 1) * sizeof(*at));
	if (!at)
		return -1;
	h->at = at;
	at += h->count++;
	*at = *one;
	at->reason = NULL;
	at->name = strdup(one->name);
	at->type = strdup(one->type);
	at->subject = strdup(one->subject);
	return at->name && at->type && at->subject ? 0 : -1;
}

int
journal_holds_load(struct journal *j)
{
	sqlite3_stmt *s = j->stmts[STMT_HOLD_LIST];
	struct holds *h = &j->retain.holds;
	int rc, failed = 0;

	if (!h->stale)
		return 0;
	journal_holds_free(h);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW && !failed) {
		struct journal_hold one = hold_of(s);

		failed = holds_add(h, &one);
	}
	sqlite3_reset(s);
	h->stale = failed || rc != SQLITE_DONE;
	return h->stale ? -1 : 0;
}

static bool
hold_covers(const struct journal_hold *h, int64_t sequence, int64_t time_us,
	    struct span type, struct span subject)
{
	return sequence >= h->first && (!h->last || sequence <= h->last) &&
	       (!h->since_us || time_us >= h->since_us) &&
	       (!h->until_us || time_us <= h->until_us) &&
	       (!*h->type || journal_filter_type(h->type, type)) &&
	       (!*h->subject || journal_filter_subject(h->subject, subject));
}

const struct journal_hold *
journal_holds_find(const struct holds *h, int64_t sequence, int64_t time_us,
		   struct span type, struct span subject)
{
	size_t i;

	for (i = 0; i < h->count; i++)
		if (hold_covers(&h->at[i], sequence, time_us, type, subject))
			return &h->at[i];
	return NULL;
}
