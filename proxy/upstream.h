/* SPDX-License-Identifier: Apache-2.0 */
/* Upstream connections: taken from a pool or made, kept or closed. */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/io.h"
#include "proxy/pool.h"
#include "proxy/timer.h"

struct exchange;
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
	bool counted_idle;		/* of a limited target */
};

/* upstream_take gives a kept-alive connection, or a new one that may still
 * be connecting. FULL: the target has as many as it may have. BACKLOG: the
 * server's queue is full (Unix sockets only). SHORT: this side has run out of
 * descriptors, ports or memory. FAILED: none can be had. */
enum upstream_want { UPSTREAM_ANY, UPSTREAM_PROBED, UPSTREAM_FRESH };
enum upstream_got { UPSTREAM_TAKEN, UPSTREAM_FULL, UPSTREAM_BACKLOG,
		    UPSTREAM_SHORT, UPSTREAM_FAILED };
enum upstream_got upstream_take(struct worker *w, struct pool *pool,
				enum upstream_want want, struct exchange *ex);
/* upstream_secure goes on with TLS on a connected socket; IO_OK when requests
 * may be sent, at once where the target is plain. */
MUST_CHECK enum io_result upstream_secure(struct upstream *up);
/* upstream_keep puts a clean connection back; upstream_drop closes it. Both
 * clear the pointer. */
void upstream_keep(struct upstream **up);
void upstream_drop(struct upstream **up);
/* upstream_is_quiet: the server has said nothing that was not read. Looks at
 * the socket only where an event came since. */
bool upstream_is_quiet(struct upstream *up);
/* upstream_close_idle closes what is kept of that address;
 * upstream_close_oldest only what was used least recently. */
void upstream_close_idle(struct pool *pool);
void upstream_close_oldest(struct pool *pool);

#endif
