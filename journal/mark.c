/* SPDX-License-Identifier: Apache-2.0 */
/* The high-water mark: the newest acknowledged number, kept outside of the
 * database, so that a log that lost its end is found out.
 *
 * It stands in the lock file, behind the process number. It is written after
 * every commit, which costs a microsecond, and synced with every checkpoint:
 * a kill or a cut log is found to the event; after a power cut the mark may
 * be older than the log, never newer than what was synced. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "journal/internal.h"
#include "journal/verify.h"

#define MARK_AT 32
#define MARK_BYTES 37	/* 19 digits, a space, 16 hex digits, a line end */

static uint64_t
seal(int64_t sequence)
{
	return ((uint64_t)sequence ^ JOURNAL_MAGIC) * 0x9e3779b97f4a7c15u;
}

void
journal_mark_put(struct journal *j, int64_t sequence)
{
	char text[MARK_BYTES + 1];

	snprintf(text, sizeof(text), "%019" PRId64 " %016" PRIx64 "\n",
		 sequence, seal(sequence));
	if (pwrite(j->lock_fd, text, MARK_BYTES, MARK_AT) == MARK_BYTES)
		j->mark_is_dirty = true;
}

void
journal_mark_sync(struct journal *j)
{
	if (j->mark_is_dirty && fdatasync(j->lock_fd) == 0)
		j->mark_is_dirty = false;
}

/* A torn or damaged mark is no mark. */
static int64_t
mark_of(int fd)
{
	char text[MARK_BYTES + 1] = "";
	int64_t sequence;

	if (pread(fd, text, MARK_BYTES, MARK_AT) != MARK_BYTES)
		return 0;
	sequence = strtoll(text, NULL, 10);
	return strtoull(text + 20, NULL, 16) == seal(sequence) ? sequence : 0;
}

static int
lock_file_open(const char *path)
{
	char name[4096];

	if (snprintf(name, sizeof(name), "%s.lock", path) >= (int)sizeof(name))
		return -1;
	return open(name, O_RDONLY | O_CLOEXEC);
}

int64_t
journal_mark_read(const char *path)
{
	int fd = lock_file_open(path);
	int64_t sequence;

	if (fd < 0)
		return 0;
	sequence = mark_of(fd);
	close(fd);
	return sequence;
}

bool
journal_in_use(const char *path)
{
	int fd = lock_file_open(path);
	bool in_use;

	if (fd < 0)
		return false;
	in_use = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	close(fd);
	return in_use;
}

/* ---- at the start ---- */

/* The numbers are not given again: somebody may have seen them. */
static int
note_loss(struct journal *j, int64_t last, int64_t mark)
{
	struct journal_tx tx = { .j = j, .last = mark };
	struct gap gap = { .count = (uint64_t)(mark - last) };

	gap.first_us = gap.last_us = clock_wall_us();
	snprintf(gap.reason, sizeof(gap.reason), "the end of the log was lost: "
		 "events %" PRId64 " to %" PRId64, last + 1, mark);
	journal_tx_run(&tx, STMT_BEGIN_WRITE, "begin");
	if (!tx.failed)
		journal_removed_add(&tx, last + 1, mark, "lost");
	if (!tx.failed)
		journal_gap_append(&gap, &tx);
	journal_tx_run(&tx, STMT_COMMIT, "commit");
	if (tx.failed)
		return -1;
	atomic_store(&j->last_sequence, tx.last);
	return 0;
}

int
journal_mark_compare(struct journal *j, struct error *err)
{
	int64_t last = atomic_load(&j->last_sequence);
	int64_t mark = mark_of(j->lock_fd);

	if (mark <= last)
		return 0;
	log_error("journal.lost-tail", "%s: events %" PRId64 " to %" PRId64
		  " were acknowledged and are missing: the log was cut or "
		  "damaged, or another file was put in its place; going on "
		  "with event %" PRId64, j->path, last + 1, mark, mark + 1);
	if (note_loss(j, last, mark) < 0)
		return error_set(err, "%s: the loss of events cannot be "
				 "noted: %s", j->path, j->reason);
	return 0;
}
