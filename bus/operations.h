/* SPDX-License-Identifier: Apache-2.0 */
/* Operations: commands whose answer is kept. How one begins is in
 * bus/record.h; here is how it is looked at. Any thread. */
#ifndef BUS_OPERATIONS_H
#define BUS_OPERATIONS_H

#include "bus/bus.h"
#include "journal/operation.h"

enum bus_lookup_result {
	BUS_LOOKUP_NONE,	/* never heard of, or long forgotten */
	BUS_LOOKUP_FOUND,
	BUS_LOOKUP_FAILED	/* the journal cannot be read now */
};

/* A question to the journal that blocks nobody: the bus's reading thread
 * answers it. Embedded in what the caller needs for `done`. */
struct bus_lookup {
	struct bus_lookup *next;	/* the bus's own */
	struct id id;
	/* done: on the reading thread; the lookup is the caller's again. */
	void (*done)(struct bus_lookup *l);
	enum bus_lookup_result result;
	/* FOUND: its spans are empty, its times as the wall clock has it now.
	 * Past its time it is EXPIRED, whether or not it was deleted. */
	struct journal_operation operation;
	/* DONE: the caller's to free; NULL when it cannot be unsealed. */
	struct bus_reply *answer;
};

/* bus_lookup: false when too many wait; done is not called then. */
MUST_CHECK bool bus_lookup(struct bus *bus, struct bus_lookup *l);

/* bus_watch tells when the operation has got its answer: `wake` is called at
 * most once, on the journal's thread, and must not block. What is committed
 * before the watch is not told: look after watching. -1 without memory. */
typedef void bus_wake_fn(void *arg, const struct id *watcher);
MUST_CHECK int bus_watch(struct bus *bus, const struct id *operation,
			 const struct id *watcher, bus_wake_fn *wake,
			 void *arg);
/* bus_unwatch: wake is not called any more, unless it was already. */
void bus_unwatch(struct bus *bus, const struct id *operation,
		 const struct id *watcher);

/* bus_cancel takes a command back for good that no consumer was given, and
 * ends its operation, in one transaction. `done` is called once on the
 * journal's thread; false (and no call) without memory. TOO_LATE: it was
 * given, perhaps, or has its answer. FAILED: ask again. */
enum bus_cancelled { BUS_CANCELLED, BUS_CANCEL_TOO_LATE, BUS_CANCEL_FAILED };
typedef void bus_cancelled_fn(void *arg, enum bus_cancelled result);
MUST_CHECK bool bus_cancel(struct bus *bus, const struct id *exchange_id,
			   bus_cancelled_fn *done, void *arg);

#endif
