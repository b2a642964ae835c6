/* SPDX-License-Identifier: Apache-2.0 */
/* A load whose every outcome is known: transactions of numbered entries, and
 * what the journal must say after any of them. */
#ifndef TESTS_JOURNAL_LOAD_H
#define TESTS_JOURNAL_LOAD_H

#include "base/buf.h"
#include "tests/journal/fixture.h"

#define LOAD_ENTRIES 6
#define LOAD_BATCHES 2048

/* One journal item: all of its entries are there or none, but for what
 * retention has deleted since. */
struct load_batch {
	struct journal_item item;	/* first */
	uint64_t seed;
	int64_t number;		/* of its first entry; numbers never return */
	unsigned entries;
	struct id id[LOAD_ENTRIES];
	int64_t sequence[LOAD_ENTRIES];
	int done;
	enum journal_status status;
	size_t posted, told;	/* disk_position() */
	size_t lost;		/* gone from this position on; 0: not lost */
	unsigned seen;		/* by load_verify: entries that are there */
	bool found;
};

struct load {
	struct load_batch *at[LOAD_BATCHES];
	size_t count;
	int64_t next_number;
	uint64_t seed;
};

void load_init(struct load *l, uint64_t seed);
void load_fini(struct load *l);
/* load_step runs one more transaction and waits for its end. */
void load_step(struct load *l, struct journal *j);
/* load_verify reads everything in the file at `path`. After a loss at
 * `position` all that had been acknowledged must be there, unaltered; what
 * was refused must not, unless nothing was committed after it; nothing else;
 * and the groups must be where the transactions that are there left them. */
void load_verify(struct load *l, const char *path, size_t position);
/* load_keep_found takes what is not there as lost, from load_settle on for
 * good, and forgets it one loss later. What is there without having
 * been acknowledged was read, and has to stay from load_settle on. */
void load_keep_found(struct load *l, size_t position);
void load_settle(struct load *l, size_t position);

#endif
