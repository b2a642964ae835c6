/* SPDX-License-Identifier: Apache-2.0 */
/* Where each group is: cursors, retries, dead letters. */
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

void
journal_tx_retry_put(struct journal_tx *tx, const struct journal_retry *r)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_RETRY_PUT];

	journal_bind_str(tx, s, 1, r->group);
	sqlite3_bind_int64(s, 2, r->sequence);
	sqlite3_bind_int64(s, 3, r->attempts);
	sqlite3_bind_int64(s, 4, r->not_before_us);
	sqlite3_bind_int64(s, 5, r->first_us);
	sqlite3_bind_int64(s, 6, r->last_us);
	journal_bind_str(tx, s, 7, r->reason);
	journal_tx_run(tx, STMT_RETRY_PUT, "store a retry");
}

void
journal_tx_retry_delete(struct journal_tx *tx, const char *group,
			int64_t sequence)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_RETRY_DELETE];

	journal_bind_str(tx, s, 1, group);
	sqlite3_bind_int64(s, 2, sequence);
	journal_tx_run(tx, STMT_RETRY_DELETE, "delete a retry");
}

void
journal_tx_dead_put(struct journal_tx *tx, const struct journal_dead *d)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_DEAD_PUT];

	journal_bind_str(tx, s, 1, d->group);
	sqlite3_bind_int64(s, 2, d->sequence);
	sqlite3_bind_int64(s, 3, d->attempts);
	sqlite3_bind_int64(s, 4, d->first_us);
	sqlite3_bind_int64(s, 5, d->last_us);
	journal_bind_str(tx, s, 6, d->reason);
	journal_tx_run(tx, STMT_DEAD_PUT, "store a dead letter");
}

void
journal_tx_dead_delete(struct journal_tx *tx, int64_t id)
{
	sqlite3_bind_int64(tx->j->stmts[STMT_DEAD_DELETE], 1, id);
	journal_tx_run(tx, STMT_DEAD_DELETE, "delete a dead letter");
}
