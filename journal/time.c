/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's time, for what is kept for a while.
 *
 * It begins as wall time and goes on with the machine's own counter, which
 * nobody sets: a clock that is put forward a day ends nothing a day early.
 * The difference of both is stored together with the boot that it belongs to,
 * so a new process goes on with it; after a new boot the wall clock is asked
 * again, but time does not go back behind what it was told before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "journal/internal.h"

#define BOOT_SIZE 40
#define BOOT_FILE "/proc/sys/kernel/random/boot_id"

int64_t
journal_time_us(const struct journal *j)
{
	return clock_boot_us() + j->time_offset_us;
}

int64_t
journal_tx_time_us(const struct journal_tx *tx)
{
	return journal_time_us(tx->j);
}

/* "" where the system has none: each start is a new boot then. */
static void
read_boot(char out[BOOT_SIZE])
{
	FILE *f = fopen(BOOT_FILE, "re");

	out[0] = '\0';
	if (!f)
		return;
	if (!fgets(out, BOOT_SIZE, f))
		out[0] = '\0';
	out[strcspn(out, "\n ")] = '\0';
	fclose(f);
}

static bool
same_boot(struct journal *j, const char *boot)
{
	sqlite3_stmt *s = j->stmts[STMT_TIME_STORED];
	size_t n = strlen(boot);
	bool same = false;
	const char *text;

	if (n > 0 && sqlite3_step(s) == SQLITE_ROW) {
		text = journal_column_str(s, 0);
		same = strncmp(text, boot, n) == 0 && text[n] == ' ';
		if (same)
			j->time_offset_us = strtoll(text + n, NULL, 10);
	}
	sqlite3_reset(s);
	return same;
}

/* What operations say of the time at which they were written. */
static int64_t
latest(struct journal *j)
{
	sqlite3_stmt *s = j->stmts[STMT_TIME_LATEST];
	int64_t at = 0;

	if (sqlite3_step(s) == SQLITE_ROW)
		at = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return at;
}

void
journal_time_begin(struct journal *j)
{
	int64_t now = clock_wall_us(), known;
	char boot[BOOT_SIZE], text[BOOT_SIZE + 24];
	struct journal_tx tx = { .j = j };

	read_boot(boot);
	if (same_boot(j, boot))
		return;
	known = latest(j);
	j->time_offset_us = (now > known ? now : known) - clock_boot_us();
	snprintf(text, sizeof(text), "%s %lld", boot,
		 (long long)j->time_offset_us);
	journal_tx_state_put(&tx, "journal", "time", span_of(text));
	if (tx.failed)
		log_warn("journal.time", "%s: cannot note the time: %s",
			 j->path, j->reason);
}
