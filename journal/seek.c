/* SPDX-License-Identifier: Apache-2.0 */
/* From a time to the place in the log where its events begin.
 *
 * Sequences are given at the commit, times are those of the event, and a
 * wall clock may be set back: times rise but for small disorder. */
#include "base/invariant.h"
#include "journal/internal.h"

/* The first event at or after the sequence. 1, 0 (none) or -1. */
static int
next_event(struct journal_reader *r, int64_t sequence, int64_t *found,
	   int64_t *time_us)
{
	sqlite3_stmt *s = r->stmts[STMT_EVENT_FROM];
	int rc;

	sqlite3_bind_int64(s, 1, sequence);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		*found = sqlite3_column_int64(s, 0);
		*time_us = sqlite3_column_int64(s, 1);
	}
	sqlite3_reset(s);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return journal_reader_failed(r, "look for a time");
	return rc == SQLITE_ROW;
}

/* An event of that time may stand shortly before one that is older. */
static int
look_back(struct journal_reader *r, int64_t time_us, int64_t *sequence)
{
	sqlite3_stmt *s = r->stmts[STMT_EVENT_BEFORE];
	int rc;

	sqlite3_bind_int64(s, 1, *sequence);
	sqlite3_bind_int64(s, 2, time_us);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW && sqlite3_column_type(s, 0) != SQLITE_NULL)
		*sequence = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return rc == SQLITE_ROW ? 0
				: journal_reader_failed(r, "look for a time");
}

int
journal_find_time(struct journal_reader *r, int64_t time_us,
		  int64_t *sequence)
{
	int64_t low = 1, high, at = 0, found_us = 0;

	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	if (journal_read_last_sequence(r, &high) < 0)
		return -1;
	high++;
	while (low < high) {
		int64_t middle = low + (high - low) / 2;
		int rc = next_event(r, middle, &at, &found_us);

		if (rc < 0)
			return -1;
		if (rc == 0 || found_us >= time_us)
			high = middle;
		else
			low = at + 1;
	}
	*sequence = low;
	return look_back(r, time_us, sequence);
}
