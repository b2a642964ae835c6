/* SPDX-License-Identifier: Apache-2.0 */
/* Where each group is: cursors, retries, dead letters. */
#include "journal/dead.h"
#include "journal/internal.h"

void
journal_tx_group_put(struct journal_tx *tx, const struct journal_group *g)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_GROUP_PUT];

	journal_bind_str(tx, s, 1, g->name);
	sqlite3_bind_int64(s, 2, g->cursor);
	journal_bind_str(tx, s, 3, g->config);
	sqlite3_bind_int(s, 4, g->paused);
	journal_tx_run(tx, STMT_GROUP_PUT, "store a group");
	s = tx->j->stmts[STMT_DEAD_PASSED];
	journal_bind_str(tx, s, 1, g->name);
	sqlite3_bind_int64(s, 2, g->cursor);
	journal_tx_run(tx, STMT_DEAD_PASSED, "forget purged letters");
}

/* Dead letters stay: they are evidence, purged one by one. */
void
journal_tx_group_delete(struct journal_tx *tx, const char *name)
{
	journal_bind_str(tx, tx->j->stmts[STMT_GROUP_DELETE], 1, name);
	journal_tx_run(tx, STMT_GROUP_DELETE, "delete a group");
	journal_bind_str(tx, tx->j->stmts[STMT_RETRY_DELETE_GROUP], 1, name);
	journal_tx_run(tx, STMT_RETRY_DELETE_GROUP, "delete retries");
}

/* ---- history ---- */

static void
event_bind(struct journal_tx *tx, enum stmt stmt, const char *group,
	   int64_t sequence)
{
	journal_bind_str(tx, tx->j->stmts[stmt], 1, group);
	sqlite3_bind_int64(tx->j->stmts[stmt], 2, sequence);
}

static void
attempt_put(struct journal_tx *tx, const struct journal_retry *r)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_ATTEMPT_PUT];

	event_bind(tx, STMT_ATTEMPT_PUT, r->group, r->sequence);
	sqlite3_bind_int64(s, 3, r->attempts);
	sqlite3_bind_int64(s, 4, r->last_us);
	journal_bind_str(tx, s, 5, r->consumer);
	journal_bind_str(tx, s, 6, r->reason);
	journal_tx_run(tx, STMT_ATTEMPT_PUT, "store an attempt");
	event_bind(tx, STMT_ATTEMPT_TRIM, r->group, r->sequence);
	sqlite3_bind_int64(tx->j->stmts[STMT_ATTEMPT_TRIM], 3,
			   JOURNAL_ATTEMPTS_KEPT);
	journal_tx_run(tx, STMT_ATTEMPT_TRIM, "trim a history");
}

/* ---- retries ---- */

void
journal_tx_retry_put(struct journal_tx *tx, const struct journal_retry *r)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_RETRY_PUT];

	event_bind(tx, STMT_RETRY_PUT, r->group, r->sequence);
	sqlite3_bind_int64(s, 3, r->attempts);
	sqlite3_bind_int64(s, 4, r->not_before_us);
	sqlite3_bind_int64(s, 5, r->first_us);
	sqlite3_bind_int64(s, 6, r->last_us);
	journal_bind_str(tx, s, 7, r->reason);
	journal_bind_str(tx, s, 8, r->consumer);
	sqlite3_bind_int(s, 9, (int)r->origin);
	journal_tx_run(tx, STMT_RETRY_PUT, "store a retry");
	attempt_put(tx, r);
}

void
journal_tx_retry_delete(struct journal_tx *tx, const char *group,
			int64_t sequence)
{
	event_bind(tx, STMT_RETRY_DELETE, group, sequence);
	journal_tx_run(tx, STMT_RETRY_DELETE, "delete a retry");
	event_bind(tx, STMT_ATTEMPT_DELETE, group, sequence);
	journal_tx_run(tx, STMT_ATTEMPT_DELETE, "forget a history");
}

/* ---- dead letters ---- */

void
journal_tx_retries_reset(struct journal_tx *tx, const char *group)
{
	journal_bind_str(tx, tx->j->stmts[STMT_RETRY_RESET], 1, group);
	journal_tx_run(tx, STMT_RETRY_RESET, "forget retries");
}

void
journal_tx_dead_put(struct journal_tx *tx, const struct journal_dead *d)
{
	const struct journal_retry last = {
		.group = d->group, .sequence = d->sequence,
		.attempts = d->attempts, .last_us = d->last_us,
		.reason = d->reason, .consumer = d->consumer };
	sqlite3_stmt *s = tx->j->stmts[STMT_DEAD_PUT];

	event_bind(tx, STMT_DEAD_PUT, d->group, d->sequence);
	sqlite3_bind_int64(s, 3, d->attempts);
	sqlite3_bind_int64(s, 4, d->first_us);
	sqlite3_bind_int64(s, 5, d->last_us);
	journal_bind_str(tx, s, 6, d->reason);
	journal_bind_str(tx, s, 7, d->consumer);
	journal_tx_run(tx, STMT_DEAD_PUT, "store a dead letter");
	journal_operations_die(tx, d->sequence, d->sequence);
	attempt_put(tx, &last);
}

static int
letter_run(struct journal_tx *tx, enum stmt stmt, int64_t id,
	   const char *what)
{
	sqlite3_bind_int64(tx->j->stmts[stmt], 1, id);
	journal_tx_run(tx, stmt, what);
	return tx->failed ? 0 : sqlite3_changes(tx->j->db);
}

int
journal_tx_redrive(struct journal_tx *tx, int64_t id, int64_t now_us)
{
	sqlite3_bind_int64(tx->j->stmts[STMT_DEAD_TO_RETRY], 2, now_us);
	if (!letter_run(tx, STMT_DEAD_TO_RETRY, id, "redrive a dead letter"))
		return 0;
	sqlite3_bind_int64(tx->j->stmts[STMT_DEAD_NOTE], 2, now_us);
	(void)letter_run(tx, STMT_DEAD_NOTE, id, "note a redrive");
	journal_operation_lives(tx, 0, id);
	return letter_run(tx, STMT_DEAD_DELETE, id, "delete a dead letter");
}

int
journal_tx_purge(struct journal_tx *tx, int64_t id)
{
	(void)letter_run(tx, STMT_DEAD_FORGET, id, "forget a history");
	return letter_run(tx, STMT_DEAD_PURGE, id, "purge a dead letter") ||
	       letter_run(tx, STMT_DEAD_MARK, id, "purge a dead letter");
}

enum journal_replayed
journal_tx_replay(struct journal_tx *tx, const char *group, int64_t sequence,
		  int64_t now_us)
{
	event_bind(tx, STMT_REPLAY_PUT, group, sequence);
	sqlite3_bind_int64(tx->j->stmts[STMT_REPLAY_PUT], 3, now_us);
	journal_tx_run(tx, STMT_REPLAY_PUT, "replay an event");
	if (tx->failed || !sqlite3_changes(tx->j->db))
		return JOURNAL_REPLAY_NONE;
	journal_operation_lives(tx, sequence, 0);
	event_bind(tx, STMT_DEAD_DELETE_EVENT, group, sequence);
	journal_tx_run(tx, STMT_DEAD_DELETE_EVENT, "replay a dead letter");
	if (tx->failed || !sqlite3_changes(tx->j->db))
		return JOURNAL_REPLAY_DONE;
	return JOURNAL_REPLAY_LETTER;
}
