/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of a journal: made while it is written, and put in place. */
#ifndef JOURNAL_BACKUP_H
#define JOURNAL_BACKUP_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

struct journal_backup {
	const char *from;	/* journal.db, of a running process or not */
	const char *to;		/* a new file; TO.partial until it is done */
	int64_t bytes_per_s;	/* 0: as fast as it goes */
};
struct journal_copied {
	int64_t events;		/* copied by this call */
	int64_t resumed;	/* the newest that TO.partial had already */
	int64_t marked;		/* the copy is exact up to this event */
};
/* journal_backup copies the events in short transactions, so that the log
 * starts over meanwhile; then, in one more, what came since and everything
 * else. A copy that was broken off is gone on with. -1 with err; TO.partial
 * is then left for the next try. */
MUST_CHECK int journal_backup(const struct journal_backup *b,
			      struct journal_copied *copied,
			      struct error *err);
/* journal_restore copies `from` to `to`, which must not exist; it is there
 * whole and on disk, or not at all. */
MUST_CHECK int journal_restore(const char *from, const char *to,
			       struct error *err);

#endif
