/* SPDX-License-Identifier: Apache-2.0 */
/* Small durable values of other parts. */
#include "journal/internal.h"

void
journal_tx_state_put(struct journal_tx *tx, const char *space,
		     const char *key, struct span value)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_STATE_PUT];

	journal_bind_str(tx, s, 1, space);
	journal_bind_str(tx, s, 2, key);
	journal_bind_span(tx, s, 3, value);
	journal_tx_run(tx, STMT_STATE_PUT, "store a value");
}

void
journal_tx_state_delete(struct journal_tx *tx, const char *space,
			const char *key)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_STATE_DELETE];

	journal_bind_str(tx, s, 1, space);
	journal_bind_str(tx, s, 2, key);
	journal_tx_run(tx, STMT_STATE_DELETE, "delete a value");
}
