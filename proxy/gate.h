/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's door to a target: who waits for a connection, how many requests
 * may be sent a second time. */
#ifndef PROXY_GATE_H
#define PROXY_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/mail.h"
#include "proxy/target.h"

struct exchange;
struct worker;

/* One per target and worker; lives as long as its target. */
struct gate {
	_Alignas(64) struct target *target;
	unsigned index;			/* of the worker */
	/* the worker's own */
	unsigned max_connections;	/* 0: no limit; of the newest rules */
	unsigned queue_max;
	uint32_t retries_ppm;
	bool opened;
	struct exchange *first, *last;	/* in the order they came */
	uint64_t credit;		/* thousandths of a retry */
	uint64_t refilled_ms;
	unsigned idle;			/* connections of a limited target */
	unsigned streak;		/* calls while others waited, too */
	/* any thread */
	_Atomic(struct worker *) worker;	/* NULL: not begun */
	struct mail mail;
	atomic_bool poked;
};

struct gate *gates_new(struct target *t, unsigned workers);
/* gate_open tells the gate its worker and the settings in force. */
void gate_open(struct gate *g, struct worker *w, const struct rules_target *c);

/* gate_take counts a connection that is about to be made; false when the
 * target has as many as it may have. gate_freed: one was closed, and whoever
 * waits hears of it. */
bool gate_take(struct gate *g);
void gate_freed(struct gate *g);
/* gate_idle: a connection of a limited target begins (+1) or ends (-1) to be
 * idle. gate_is_wanted_elsewhere: another worker waits for one, none here. */
void gate_idle(struct gate *g, int by);
bool gate_is_wanted_elsewhere(const struct gate *g);
/* gate_shares: both wait; is it another worker's turn? Else one that never
 * had a connection would wait for the end of this worker's queue. */
bool gate_shares(struct gate *g);
/* gate_call wakes the first that waits here for what just became free. */
void gate_call(struct gate *g);

/* gate_has_queue: others came before. gate_wait puts the exchange in; false
 * when the queue is full. gate_leave takes it out, whatever became of it. */
static inline bool
gate_has_queue(const struct gate *g)
{
	return g->first != NULL;
}
bool gate_wait(struct gate *g, struct exchange *ex);
void gate_leave(struct gate *g, struct exchange *ex);

/* gate_count: a request goes to the target. gate_may_retry takes one from
 * what the requests have earned. */
static inline void
gate_count(struct gate *g)
{
	g->credit += g->retries_ppm / 1000u;
}
bool gate_may_retry(struct gate *g, uint64_t now_ms);

#endif
