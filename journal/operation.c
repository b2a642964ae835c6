/* SPDX-License-Identifier: Apache-2.0 */
/* Operations and their answers. */
#include "journal/operation.h"

#include <stdio.h>

#include "journal/internal.h"

/* ---- a row ---- */

static void
text_column(sqlite3_stmt *s, int i, char *out, size_t size)
{
	snprintf(out, size, "%s", journal_column_str(s, i));
}

/* The columns that all statements begin with. */
static int
fill(sqlite3_stmt *s, struct journal_operation *o)
{
	struct span exchange = journal_column_span(s, 1);

	*o = (struct journal_operation){ .rule = { "", 0 },
					 .answer = { "", 0 } };
	if (sqlite3_column_bytes(s, 0) != (int)sizeof(o->id.bytes) ||
	    id_parse(exchange.at, exchange.len, &o->exchange) < 0)
		return -1;
	memcpy(o->id.bytes, sqlite3_column_blob(s, 0), sizeof(o->id.bytes));
	o->state = (enum journal_operation_state)sqlite3_column_int(s, 2);
	o->created_us = sqlite3_column_int64(s, 3);
	o->keep_us = sqlite3_column_int64(s, 4);
	o->expires_us = sqlite3_column_int64(s, 5);
	o->when_done = sqlite3_column_int(s, 6);
	text_column(s, 7, o->caller, sizeof(o->caller));
	text_column(s, 8, o->key, sizeof(o->key));
	text_column(s, 9, o->fingerprint, sizeof(o->fingerprint));
	o->sequence = sqlite3_column_int64(s, 10);
	o->died_us = sqlite3_column_int64(s, 11);
	return 0;
}

static void
fill_command(sqlite3_stmt *s, struct journal_operation *o)
{
	o->has_command = sqlite3_column_bytes(s, 12) ==
			 (int)sizeof(o->command.bytes);
	if (o->has_command)
		memcpy(o->command.bytes, sqlite3_column_blob(s, 12),
		       sizeof(o->command.bytes));
}

/* ---- writing ---- */

static void
bind_id(struct journal_tx *tx, sqlite3_stmt *s, int i, const struct id *id)
{
	if (sqlite3_bind_blob(s, i, id->bytes, sizeof(id->bytes),
			      SQLITE_STATIC) != SQLITE_OK)
		journal_tx_fail(tx, "bind an id");
}

static void
bind_blob(struct journal_tx *tx, sqlite3_stmt *s, int i, struct span v)
{
	if (sqlite3_bind_blob64(s, i, v.at, v.len, SQLITE_STATIC) != SQLITE_OK)
		journal_tx_fail(tx, "bind an answer");
}

/* Steps a statement that returns one row at most. */
static int
find(struct journal_tx *tx, enum stmt stmt, struct journal_operation *out)
{
	sqlite3_stmt *s = tx->j->stmts[stmt];
	int found = -1, rc;

	if (tx->failed)
		return -1;
	rc = sqlite3_step(s);
	if (rc == SQLITE_DONE)
		found = 0;
	else if (rc == SQLITE_ROW && fill(s, out) == 0)
		found = 1;
	if (found == 1 && stmt == STMT_OPERATION_PENDING)
		fill_command(s, out);
	if (found < 0)
		journal_tx_fail(tx, "find an operation");
	sqlite3_reset(s);
	return found;
}

int
journal_tx_operation_by_key(struct journal_tx *tx, const char *key,
			    struct journal_operation *out)
{
	journal_bind_str(tx, tx->j->stmts[STMT_OPERATION_BY_KEY], 1, key);
	return find(tx, STMT_OPERATION_BY_KEY, out);
}

int
journal_tx_operation_pending(struct journal_tx *tx, const struct id *exchange,
			     struct journal_operation *out)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_OPERATION_PENDING];
	char text[ID_TEXT_SIZE];

	journal_bind_str(tx, s, 1, id_text(exchange, text));
	return find(tx, STMT_OPERATION_PENDING, out);
}

void
journal_tx_operation_put(struct journal_tx *tx,
			 const struct journal_operation *o)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_OPERATION_PUT];
	char exchange[ID_TEXT_SIZE];

	bind_id(tx, s, 1, &o->id);
	journal_bind_str(tx, s, 2, id_text(&o->exchange, exchange));
	journal_bind_span(tx, s, 3, o->rule);
	sqlite3_bind_int64(s, 4, o->created_us);
	sqlite3_bind_int64(s, 5, o->keep_us);
	sqlite3_bind_int(s, 6, o->when_done);
	journal_bind_span(tx, s, 7, span_of(o->caller));
	journal_bind_span(tx, s, 8, span_of(o->key));
	journal_bind_span(tx, s, 9, span_of(o->fingerprint));
	sqlite3_bind_int64(s, 10, o->sequence);
	journal_tx_run(tx, STMT_OPERATION_PUT, "store an operation");
}

void
journal_tx_operation_finish(struct journal_tx *tx, const struct id *id,
			    struct span answer, int64_t expires_us)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_OPERATION_FINISH];

	bind_id(tx, s, 1, id);
	bind_blob(tx, s, 2, answer);
	sqlite3_bind_int64(s, 3, expires_us);
	journal_tx_run(tx, STMT_OPERATION_FINISH, "store an answer");
}

void
journal_tx_operation_rule(struct journal_tx *tx, const struct id *id,
			  char *out, size_t size)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_OPERATION_RULE];

	out[0] = '\0';
	if (tx->failed)
		return;
	bind_id(tx, s, 1, id);
	if (sqlite3_step(s) == SQLITE_ROW)
		text_column(s, 0, out, size);
	sqlite3_reset(s);
}

void
journal_tx_operation_expire(struct journal_tx *tx, const struct id *id)
{
	bind_id(tx, tx->j->stmts[STMT_OPERATION_EXPIRE], 1, id);
	journal_tx_run(tx, STMT_OPERATION_EXPIRE, "delete an answer");
}

int
journal_tx_operation_given_up(struct journal_tx *tx, int64_t now_us,
			      struct journal_operation *out)
{
	sqlite3_bind_int64(tx->j->stmts[STMT_OPERATION_GIVEN_UP], 1, now_us);
	return find(tx, STMT_OPERATION_GIVEN_UP, out);
}

void
journal_operations_die(struct journal_tx *tx, int64_t first, int64_t last)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_OPERATION_DIES];

	sqlite3_bind_int64(s, 1, first);
	sqlite3_bind_int64(s, 2, last);
	sqlite3_bind_int64(s, 3, journal_tx_time_us(tx));
	journal_tx_run(tx, STMT_OPERATION_DIES, "note a dead command");
}

void
journal_operation_lives(struct journal_tx *tx, int64_t sequence,
			int64_t letter)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_OPERATION_LIVES];

	sqlite3_bind_int64(s, 1, sequence);
	sqlite3_bind_int64(s, 2, letter);
	journal_tx_run(tx, STMT_OPERATION_LIVES, "revive a command");
}

int
journal_tx_operations_sweep(struct journal_tx *tx, int64_t now_us)
{
	int expired;

	sqlite3_bind_int64(tx->j->stmts[STMT_OPERATIONS_EXPIRE], 1, now_us);
	journal_tx_run(tx, STMT_OPERATIONS_EXPIRE, "delete answers");
	expired = tx->failed ? 0 : sqlite3_changes(tx->j->db);
	sqlite3_bind_int64(tx->j->stmts[STMT_OPERATIONS_FORGET], 1, now_us);
	journal_tx_run(tx, STMT_OPERATIONS_FORGET, "forget operations");
	return expired;
}

/* ---- reading ---- */

int
journal_read_operation(struct journal_reader *r, const struct id *id,
		       void (*fn)(void *arg,
				  const struct journal_operation *o),
		       void *arg)
{
	sqlite3_stmt *s = r->stmts[STMT_OPERATION_ONE];
	struct journal_operation o;
	int found = 0, rc;

	sqlite3_bind_blob(s, 1, id->bytes, sizeof(id->bytes), SQLITE_STATIC);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW && fill(s, &o) == 0) {
		o.rule = journal_column_span(s, 12);
		o.answer = (struct span){ sqlite3_column_blob(s, 13),
				(size_t)sqlite3_column_bytes(s, 13) };
		fn(arg, &o);
		found = 1;
	} else if (rc != SQLITE_DONE) {
		found = journal_reader_failed(r, "read an operation");
	}
	sqlite3_reset(s);
	return found;
}

int
journal_read_operations_due(struct journal_reader *r, int64_t *due_us)
{
	sqlite3_stmt *s = r->stmts[STMT_OPERATIONS_DUE];
	int rc = sqlite3_step(s);

	*due_us = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return rc == SQLITE_ROW ?
		       0 : journal_reader_failed(r, "look for operations");
}
