/* SPDX-License-Identifier: Apache-2.0 */
/* Upstream connections: one LIFO keep-alive pool per address and worker. */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/io.h"
#include "proxy/timer.h"
#include "rules/rules.h"

struct exchange;
struct pool;
struct worker;

/* Owned by its exchange while one runs on it, else by its pool's idle
 * list. */
struct upstream {
	struct io io;
	struct timer timer;		/* idle expiry */
	struct worker *worker;
	struct pool *pool;
	struct exchange *exchange;	/* NULL: idle */
	struct upstream *idle_next, **idle_prev;
	bool connecting, reused;
};

struct pool {
	struct pool *next;
	struct rules_address address;	/* text is the pool's own copy */
	struct upstream *idle;		/* newest first */
	unsigned idle_count, busy;
	uint64_t shunned_until_ms;	/* could not be reached */
};

/* pool_find returns the worker's pool of that address, made on first use;
 * NULL without memory. */
struct pool *pool_find(struct worker *w, const struct rules_address *a);
/* pool_pick: the least loaded of n pools, in turn when they are equal; those
 * that could not be reached a moment ago come last. */
struct pool *pool_pick(struct worker *w, struct pool **pools, size_t n);
/* pool_shun: no connection could be made just now. */
void pool_shun(struct worker *w, struct pool *pool);
void pool_fini(struct worker *w);

/* upstream_take returns a kept-alive connection, or a new one that is
 * connecting; NULL when no socket can be had. may_reuse false: always new. */
enum upstream_want { UPSTREAM_ANY, UPSTREAM_PROBED, UPSTREAM_FRESH };
struct upstream *upstream_take(struct worker *w, struct pool *pool,
			       enum upstream_want want, struct exchange *ex);
/* upstream_keep puts a clean connection back; upstream_drop closes it. Both
 * clear the pointer. */
void upstream_keep(struct upstream **up);
void upstream_drop(struct upstream **up);

#endif
