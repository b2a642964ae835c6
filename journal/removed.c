/* SPDX-License-Identifier: Apache-2.0 */
/* Which numbers are gone, and why: the explained gaps. */
#include "journal/internal.h"

/* First number of the range that ends right before `first`, or `first`. */
static int64_t
joined_first(struct journal_tx *tx, int64_t first, const char *reason)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_REMOVED_BEFORE];
	int64_t joined = first;

	sqlite3_bind_int64(s, 1, first);
	journal_bind_str(tx, s, 2, reason);
	if (sqlite3_step(s) == SQLITE_ROW &&
	    sqlite3_column_int64(s, 1) >= first - 1)
		joined = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return joined;
}

/* Takes the range that begins right after `last` in, when there is one. */
static int64_t
joined_last(struct journal_tx *tx, int64_t last, const char *reason)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_REMOVED_AFTER];
	int64_t joined = last;

	sqlite3_bind_int64(s, 1, last + 1);
	journal_bind_str(tx, s, 2, reason);
	if (sqlite3_step(s) == SQLITE_ROW)
		joined = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	if (joined != last) {
		sqlite3_bind_int64(tx->j->stmts[STMT_REMOVED_DELETE], 1,
				   last + 1);
		journal_tx_run(tx, STMT_REMOVED_DELETE, "join two gaps");
	}
	return joined;
}

void
journal_removed_add(struct journal_tx *tx, int64_t first, int64_t last,
		    const char *reason)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_REMOVED_PUT];

	first = joined_first(tx, first, reason);
	last = joined_last(tx, last, reason);
	sqlite3_bind_int64(s, 1, first);
	sqlite3_bind_int64(s, 2, last);
	journal_bind_str(tx, s, 3, reason);
	journal_tx_run(tx, STMT_REMOVED_PUT, "note a gap");
}

int64_t
journal_removed_to(struct journal_reader *r, int64_t sequence)
{
	sqlite3_stmt *s = r->stmts[STMT_REMOVED_TO];
	int64_t last = 0;
	int rc;

	sqlite3_bind_int64(s, 1, sequence);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		last = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE ||
	    (rc & 0xff) == SQLITE_CORRUPT)
		return last;
	return journal_reader_failed(r, "look for a gap");
}
