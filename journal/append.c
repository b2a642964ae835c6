/* SPDX-License-Identifier: Apache-2.0 */
/* Appending events, and what every write inside a transaction shares. */
#include <stdio.h>

#include "journal/internal.h"

/* Far above any captured body, far below SQLite's own limit. */
#define EVENT_BYTES_MAX (256u << 20)

void
journal_tx_fail(struct journal_tx *tx, const char *what)
{
	if (tx->failed)
		return;
	tx->failed = true;
	if (sqlite3_extended_errcode(tx->j->db) == SQLITE_IOERR_FSYNC)
		tx->j->suspect = true;
	snprintf(tx->j->reason, sizeof(tx->j->reason), "%s: %s", what,
		 sqlite3_errmsg(tx->j->db));
}

void
journal_bind_span(struct journal_tx *tx, sqlite3_stmt *s, int i,
		  struct span v)
{
	int rc;

	if (v.len == 0)
		rc = sqlite3_bind_null(s, i);
	else
		rc = sqlite3_bind_text64(s, i, v.at, v.len, SQLITE_STATIC,
					 SQLITE_UTF8);
	if (rc != SQLITE_OK)
		journal_tx_fail(tx, "bind a text");
}

/* "" stays "": a key column must not become NULL. */
void
journal_bind_str(struct journal_tx *tx, sqlite3_stmt *s, int i, const char *v)
{
	if (sqlite3_bind_text(s, i, v, -1, SQLITE_STATIC) != SQLITE_OK)
		journal_tx_fail(tx, "bind a text");
}

void
journal_tx_run(struct journal_tx *tx, enum stmt stmt, const char *what)
{
	sqlite3_stmt *s = tx->j->stmts[stmt];

	if (tx->failed)
		return;
	if (sqlite3_step(s) != SQLITE_DONE)
		journal_tx_fail(tx, what);
	sqlite3_reset(s);
	tx->writes++;
}

static void
event_insert(struct journal_tx *tx, const struct journal_row *row,
	     int64_t type, int64_t source)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_EVENT_INSERT];

	sqlite3_bind_int64(s, 1, row->sequence);
	if (sqlite3_bind_blob(s, 2, row->id.bytes, sizeof(row->id.bytes),
			      SQLITE_STATIC) != SQLITE_OK)
		journal_tx_fail(tx, "bind an id");
	sqlite3_bind_int64(s, 3, row->time_us);
	sqlite3_bind_int64(s, 4, type);
	sqlite3_bind_int64(s, 5, source);
	sqlite3_bind_int(s, 6, row->shadow);
	sqlite3_bind_int64(s, 7, (int64_t)journal_checksum(row));
	journal_bind_span(tx, s, 8, row->subject);
	journal_bind_span(tx, s, 9, row->correlation);
	journal_bind_span(tx, s, 10, row->partition_key);
	journal_bind_span(tx, s, 11, row->extensions);
	journal_bind_span(tx, s, 12, row->data);
	journal_tx_run(tx, STMT_EVENT_INSERT, "append an event");
}

static void
mark_exchange(struct journal_tx *tx, const struct journal_event *e,
	      int64_t sequence)
{
	sqlite3_stmt *opens = tx->j->stmts[STMT_OPEN_INSERT];
	sqlite3_stmt *closes = tx->j->stmts[STMT_OPEN_DELETE];

	switch (e->mark) {
	case JOURNAL_MARK_NONE:
		return;
	case JOURNAL_MARK_OPENS:
		journal_bind_span(tx, opens, 1, e->correlation);
		sqlite3_bind_int64(opens, 2, sequence);
		journal_tx_run(tx, STMT_OPEN_INSERT, "open an exchange");
		return;
	case JOURNAL_MARK_CLOSES:
		journal_bind_span(tx, closes, 1, e->correlation);
		journal_tx_run(tx, STMT_OPEN_DELETE, "close an exchange");
		return;
	}
}

/* What cannot be stored is refused before anything is written. */
static bool
event_is_valid(const struct journal_event *e)
{
	return e->type.len && e->source.len &&
	       (e->mark == JOURNAL_MARK_NONE || e->correlation.len) &&
	       e->data.len <= EVENT_BYTES_MAX &&
	       e->extensions.len <= EVENT_BYTES_MAX;
}

static struct journal_row
row_of_event(const struct journal_event *e, int64_t sequence)
{
	return (struct journal_row){
		.sequence = sequence,
		.id = e->id,
		.time_us = e->time_us,
		.type = e->type,
		.source = e->source,
		.subject = e->subject,
		.correlation = e->correlation,
		.partition_key = e->partition_key,
		.extensions = e->extensions,
		.data = e->data,
		.shadow = e->shadow,
	};
}

int
journal_tx_append(struct journal_tx *tx, const struct journal_event *e,
		  int64_t *sequence)
{
	struct journal_row row = row_of_event(e, tx->last + 1);
	int64_t type, source;

	if (tx->failed || !event_is_valid(e))
		return -1;
	type = journal_name_id(tx, e->type);
	source = journal_name_id(tx, e->source);
	if (tx->failed)
		return -1;
	event_insert(tx, &row, type, source);
	mark_exchange(tx, e, row.sequence);
	if (tx->failed)
		return -1;
	tx->last = row.sequence;
	tx->events++;
	tx->bytes += (int64_t)(e->data.len + e->extensions.len);
	if (sequence)
		*sequence = row.sequence;
	return 0;
}
