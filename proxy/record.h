/* SPDX-License-Identifier: Apache-2.0 */
/* A flat copy of an exchange on its way to the journal. */
#ifndef PROXY_RECORD_H
#define PROXY_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "bus/record.h"
#include "proxy/mail.h"

struct exchange;
struct worker;

struct record_chunk;

/* One piece of memory: the record, its field tables and all bytes. Given
 * back on the writer's thread, or, when an exchange waits for it (ex not
 * NULL), by the worker once it has its mail. */
struct record_box {
	struct bus_record record;
	struct mail mail;
	struct worker *worker;
	struct exchange *ex;
	enum journal_status status;
	char *heap[2];			/* captured bodies, taken over */
	size_t heavy;			/* bytes outside of chunks */
	struct record_chunk *chunk;	/* NULL: on its own */
};

/* What waits for the disk, of all workers, and how much may: the ring bounds
 * how many records wait, this what they hold. */
struct record_budget {
	size_t most;			/* 0: any */
	char before[64];		/* all threads write the count: */
	atomic_size_t bytes;		/* it has a cache line of its own */
	char behind[64];
};

/* A worker's memory for records. */
struct record_pool {
	struct record_budget *budget;
	struct record_chunk *current, *spare;	/* the worker's */
	_Atomic(struct record_chunk *) back;	/* from any thread */
	atomic_uint total;
};

/* Any thread; what lies in chunks the pool counts by itself. */
void record_budget_take(struct record_budget *b, size_t n);
void record_budget_give(struct record_budget *b, size_t n);

/* record_pool_take returns size bytes and says where they are from; the
 * worker's thread. NULL without memory. */
void *record_pool_take(struct record_pool *p, size_t size,
		       struct record_chunk **from);
/* Any thread. */
void record_pool_give(void *box, struct record_chunk *from);
/* record_pool_fini frees the memory; after the journal was closed. */
void record_pool_fini(struct record_pool *p);

#endif
