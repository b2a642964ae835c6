/* SPDX-License-Identifier: Apache-2.0 */
/* Connection limits over all workers. A worker that waits sets its bit and
 * then looks again; a worker that frees something frees it and then looks at
 * the bits: one of the two sees the other. */
#include "proxy/gate.h"

#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "base/invariant.h"
#include "proxy/client.h"
#include "proxy/exchange.h"
#include "proxy/pool.h"
#include "proxy/worker.h"

#define STREAK_MAX 8u		/* then others that wait have a turn */
#define RETRY 1000u		/* one, in thousandths */
#define RETRIES_PER_S 10u	/* of the process, whatever it has earned */
#define RETRIES_SAVED 100u	/* of the process, at most */
#define RETRIES_SAVED_LEAST 10u	/* of a worker */

/* ---- mail ---- */

static uint64_t
bit_of(const struct gate *g)
{
	return UINT64_C(1) << g->index;
}

/* gate_poke makes the gate's worker look at it; any thread. */
static void
gate_poke(struct gate *g)
{
	struct worker *w = atomic_load(&g->worker);

	if (w && !atomic_exchange(&g->poked, true))
		worker_mail(w, &g->mail);
}

static void
poke_others(struct gate *g)
{
	unsigned i;

	for (i = 0; i < g->target->gate_count; i++)
		if (i != g->index)
			gate_poke(&g->target->gates[i]);
}

/* The next worker in turn that has a queue. */
static void
poke_waiting(struct gate *g)
{
	uint64_t mask = atomic_load(&g->target->waiting);
	unsigned i, n = g->target->gate_count;

	for (i = 1; mask && i <= n; i++) {
		struct gate *other = &g->target->gates[(g->index + i) % n];

		if (mask & bit_of(other)) {
			gate_poke(other);
			return;
		}
	}
}

/* ---- connections ---- */

/* Exact: no moment at which the number is too high. */
bool
gate_take(struct gate *g)
{
	unsigned most = g->max_connections;
	unsigned n = atomic_load(&g->target->open);

	do {
		if (most && n >= most)
			return false;
	} while (!atomic_compare_exchange_weak(&g->target->open, &n, n + 1));
	return true;
}

void
gate_freed(struct gate *g)
{
	atomic_fetch_sub(&g->target->open, 1);
	if (atomic_load(&g->target->waiting) == 0)
		return;
	if (g->first && !gate_shares(g)) {
		gate_call(g);
	} else {
		g->streak = 0;
		poke_waiting(g);
	}
}

bool
gate_shares(struct gate *g)
{
	uint64_t others = atomic_load(&g->target->waiting) & ~bit_of(g);

	return others && g->streak >= STREAK_MAX;
}

void
gate_idle(struct gate *g, int by)
{
	g->idle += (unsigned)by;
	atomic_fetch_add(&g->target->idle, (unsigned)by);
}

bool
gate_is_wanted_elsewhere(const struct gate *g)
{
	return !g->first && atomic_load(&g->target->waiting) != 0;
}

/* ---- the queue ---- */

static void
queue_remove(struct gate *g, struct exchange *ex)
{
	struct exchange **at = &g->first, *before = NULL;

	while (*at != ex) {
		before = *at;
		at = &before->queue_next;
	}
	*at = ex->queue_next;
	if (g->last == ex)
		g->last = before;
	ex->queue_next = NULL;
	ex->queued = false;
	atomic_fetch_sub(&g->target->queued, 1);
	if (!g->first)
		atomic_fetch_and(&g->target->waiting, ~bit_of(g));
}

/* One that was called in vain is the first again. */
static void
queue_add(struct gate *g, struct exchange *ex)
{
	if (ex->called) {
		ex->queue_next = g->first;
		g->first = ex;
		if (!g->last)
			g->last = ex;
	} else {
		ex->queue_next = NULL;
		if (g->last)
			g->last->queue_next = ex;
		else
			g->first = ex;
		g->last = ex;
	}
	ex->called = false;
	ex->queued = true;
	atomic_fetch_or(&g->target->waiting, bit_of(g));
}

/* What could be had at this moment. */
static unsigned
free_now(const struct gate *g)
{
	unsigned most = g->max_connections;
	unsigned open = atomic_load(&g->target->open);

	if (!most)
		return UINT32_MAX;
	return g->idle + (open < most ? most - open : 0);
}

bool
gate_wait(struct gate *g, struct exchange *ex)
{
	struct target *t = g->target;

	if (atomic_fetch_add(&t->queued, 1) >= g->queue_max &&
	    !ex->called) {
		atomic_fetch_sub(&t->queued, 1);
		return false;
	}
	queue_add(g, ex);
	if (free_now(g))
		gate_poke(g);
	else if (atomic_load(&t->idle))
		poke_others(g);
	return true;
}

void
gate_call(struct gate *g)
{
	struct exchange *ex = g->first;

	if (!ex)
		return;
	queue_remove(g, ex);
	g->streak++;
	ex->called = true;
	client_resume_later(ex->client);
}

/* It was called and does not come: the next one is. */
void
gate_leave(struct gate *g, struct exchange *ex)
{
	if (ex->queued)
		queue_remove(g, ex);
	if (ex->called) {
		ex->called = false;
		gate_poke(g);
	}
}

/* On the gate's own worker. */
static void
gate_look(struct worker *w, struct mail *m)
{
	struct gate *g = (struct gate *)((char *)m -
					 offsetof(struct gate, mail));
	unsigned n;

	atomic_store(&g->poked, false);
	for (n = free_now(g); n > 0 && g->first; n--)
		gate_call(g);
	if (g->first) {
		if (atomic_load(&g->target->idle) > g->idle)
			poke_others(g);
		return;
	}
	n = atomic_load(&g->target->queued);
	while (n-- > 0 && g->idle && gate_is_wanted_elsewhere(g))
		pool_release_idle(w, g);
	/* Whoever was meant has left: the next worker hears of it. */
	if (free_now(g) > g->idle && gate_is_wanted_elsewhere(g))
		poke_waiting(g);
}

/* ---- retries ---- */

static uint64_t
saved_most(const struct gate *g)
{
	unsigned each = RETRIES_SAVED / g->target->gate_count;

	return RETRY * (uint64_t)(each > RETRIES_SAVED_LEAST ?
				  each : RETRIES_SAVED_LEAST);
}

/* The time since the last one has earned some as well. */
bool
gate_may_retry(struct gate *g, uint64_t now_ms)
{
	uint64_t most = saved_most(g);

	g->credit += (now_ms - g->refilled_ms) * RETRIES_PER_S /
		     g->target->gate_count;
	g->refilled_ms = now_ms;
	if (g->credit > most)
		g->credit = most;
	if (g->credit < RETRY) {
		counter_inc(COUNTER_RETRY_DENIED);
		return false;
	}
	g->credit -= RETRY;
	return true;
}

/* ---- lifecycle ---- */

struct gate *
gates_new(struct target *t, unsigned workers)
{
	size_t size = (workers ? workers : 1) * sizeof(struct gate);
	struct gate *all = aligned_alloc(_Alignof(struct gate), size);
	unsigned i;

	if (!all)
		return NULL;
	memset(all, 0, size);
	for (i = 0; i < workers; i++) {
		all[i].target = t;
		all[i].index = i;
		all[i].mail.handle = gate_look;
	}
	return all;
}

void
gate_open(struct gate *g, struct worker *w, const struct rules_target *c)
{
	g->max_connections = c->max_connections;
	g->queue_max = c->queue_max;
	g->retries_ppm = c->retries_ppm;
	atomic_store(&g->worker, w);
	if (!g->opened) {
		g->opened = true;
		g->credit = saved_most(g);
		g->refilled_ms = w->now_ms;
	}
	if (g->first)		/* the limit may be another now */
		gate_poke(g);
}
