/* SPDX-License-Identifier: Apache-2.0 */
/* How long events are kept, what keeps them longer, and how full it is. */
#ifndef JOURNAL_RETAIN_H
#define JOURNAL_RETAIN_H

#include <stdbool.h>
#include <stdint.h>

struct journal;
struct journal_tx;
struct journal_reader;

/* At the size limit, while a group has not settled the oldest events: KEEP
 * lets the file grow, DROP deletes them all the same. Both are loud. Legal
 * holds, dead letters and open exchanges keep their events in either. */
enum journal_when_full { JOURNAL_FULL_KEEP, JOURNAL_FULL_DROP };

struct journal_retention {
	int64_t age_us;		/* 0: for ever */
	int64_t bytes;		/* of pages in use; 0: any */
	enum journal_when_full when_full;
};

#define JOURNAL_HELD_SIZE 192
struct journal_usage {
	int64_t first_sequence, first_us;	/* oldest event; 0: none */
	int64_t file_bytes;	/* journal.db as it is or will be folded in */
	int64_t used_bytes;	/* of these; the rest is reused */
	int64_t wal_bytes;
	int64_t limit_bytes;	/* 0: none */
	bool over_limit;	/* and something holds the events back */
	char held_by[JOURNAL_HELD_SIZE];	/* what, or "" */
};
/* journal_usage_get copies what the writer saw at most a second or a commit
 * ago. Any thread. */
void journal_usage_get(struct journal *j, struct journal_usage *out);

/* A legal hold: what it covers is not deleted until it is removed. All that
 * is given must match. */
struct journal_hold {
	const char *name;
	int64_t first, last;		/* sequences; last 0: open */
	int64_t since_us, until_us;	/* event time; 0: open */
	const char *type, *subject;	/* as in journal_filter; "": any */
	const char *reason;
	int64_t created_us;		/* set when stored */
};
/* Inside apply. Each writes matapalo.hold.v1 too, in the same transaction.
 * -1: refused (a name without text; a name that another hold has, or that
 * none has); nothing was written. The very same hold once more is no error. */
int journal_tx_hold_add(struct journal_tx *tx, const struct journal_hold *h);
int journal_tx_hold_remove(struct journal_tx *tx, const char *name);
int journal_read_holds(struct journal_reader *r,
		       void (*fn)(void *arg, const struct journal_hold *h),
		       void *arg);

#endif
