/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that remembers: every change SQLite makes to the files of one
 * directory, so that they can be rebuilt as a power cut may leave them.
 *
 * Sectors of 512 bytes are written whole or not at all; all else that was not
 * synced is free to be there or not, in any order: writes, file sizes,
 * directory entries. */
#ifndef TESTS_JOURNAL_DISK_H
#define TESTS_JOURNAL_DISK_H

#include <stddef.h>
#include <stdint.h>

enum disk_loss {
	DISK_KILL,	/* the process ends, the page cache stays */
	DISK_POWER	/* what was not synced may be gone */
};

/* disk_begin empties `dir` and records from now on, as the default of SQLite.
 * disk_end gives SQLite its own files back. */
void disk_begin(const char *dir, uint64_t seed);
void disk_end(void);
/* disk_pause and disk_resume: others may use SQLite in between. */
void disk_pause(void);
void disk_resume(void);
/* How many changes there were: a moment. Any thread. */
size_t disk_position(void);
/* One sync of `one_in` fails (0: none) and takes what it was to write along:
 * like the page cache, which then holds for clean what is not on disk. */
void disk_fail_syncs(unsigned one_in);
/* One sync of `one_in` does nothing and says it did: a planted bug. */
void disk_skip_syncs(unsigned one_in);
/* disk_cut rebuilds in directory `to` what is there after a loss at
 * `position`; `variant` chooses among the possible outcomes. */
void disk_cut(size_t position, enum disk_loss loss, uint64_t variant,
	      const char *to);
/* disk_restart goes back to `position` and goes on from what a loss there
 * left. No file may be open. */
void disk_restart(size_t position, enum disk_loss loss, uint64_t variant);

#endif
