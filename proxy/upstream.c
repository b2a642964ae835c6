/* SPDX-License-Identifier: Apache-2.0 */
/* Connect, reuse and close upstream connections. */
#include "proxy/upstream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/counter.h"
#include "base/invariant.h"
#include "proxy/exchange.h"
#include "proxy/tls.h"
#include "proxy/tls_client.h"
#include "proxy/worker.h"

#define IDLE_MAX 1024u		/* per address: fewer are opened again */
#define IDLE_MS 55000u		/* below the common 60 s of servers */

static void
idle_remove(struct upstream *up)
{
	*up->idle_prev = up->idle_next;
	if (up->idle_next)
		up->idle_next->idle_prev = up->idle_prev;
	up->idle_prev = NULL;
	up->pool->idle_count--;
	if (up->counted_idle)
		gate_idle(up->pool->gate, -1);
	up->counted_idle = false;
}

static void
upstream_free(struct io *io)
{
	free(io);	/* io is the first member */
}

static void
upstream_close(struct upstream *up)
{
	counter_add(COUNTER_UPSTREAM_OPEN, -1);
	timer_cancel(&up->worker->timers, &up->timer);
	io_close(up->worker, &up->io);
	gate_freed(up->pool->gate);
}

/* What the server said behind its answer must not become the next one. The
 * last read did not always empty the socket. */
bool
upstream_is_quiet(struct upstream *up)
{
	if (up->io.readable && io_is_silent(&up->io))
		up->io.readable = false;
	if (up->io.readable && !up->io.peer_done && !up->io.broken)
		up->pool->talkative = true;
	return !up->io.readable;
}

/* An idle connection that says anything is of no more use. */
static void
upstream_ready(struct io *io)
{
	struct upstream *up = (struct upstream *)io;

	if (up->exchange) {
		exchange_run(up->exchange);
	} else if (io->broken || io->peer_done || !upstream_is_quiet(up)) {
		idle_remove(up);
		upstream_close(up);
	}
}

static void
upstream_expired(struct timer *t)
{
	struct upstream *up = (struct upstream *)((char *)t -
			offsetof(struct upstream, timer));

	if (up->exchange)
		return;
	idle_remove(up);
	upstream_close(up);
}

static void
upstream_init(struct upstream *up, struct worker *w, struct pool *pool)
{
	up->worker = w;
	up->pool = pool;
	up->io.ready = upstream_ready;
	up->io.free_fn = upstream_free;
	up->timer.fire = upstream_expired;
	up->connecting = pool->tls != NULL ||
			 pool->proxy_protocol != RULES_PROXY_NONE;
}

/* What this side has run out of says nothing about the other. */
static enum upstream_got
why_not_connected(const struct sockaddr *sa)
{
	switch (errno) {
	case EAGAIN:	/* a full backlog, and no event follows */
		return sa->sa_family == AF_UNIX ? UPSTREAM_BACKLOG :
						  UPSTREAM_SHORT;
	case EADDRNOTAVAIL:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return UPSTREAM_SHORT;
	default:
		return UPSTREAM_FAILED;
	}
}

static enum upstream_got
upstream_connect(struct upstream *up, const struct rules_address *a)
{
	const struct sockaddr *sa = (const struct sockaddr *)&a->addr;
	int one = 1;

	up->io.fd = socket(sa->sa_family,
			   SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (up->io.fd < 0)
		return why_not_connected(sa);
	if (sa->sa_family != AF_UNIX)
		(void)setsockopt(up->io.fd, IPPROTO_TCP, TCP_NODELAY, &one,
				 sizeof(one));
	if (connect(up->io.fd, sa, a->addr_len) == 0)
		up->io.writable = true;
	else if (errno == EINPROGRESS)
		up->connecting = true;
	else
		return why_not_connected(sa);
	return io_add(up->worker, &up->io) ? UPSTREAM_SHORT : UPSTREAM_TAKEN;
}

static enum upstream_got
upstream_open(struct worker *w, struct pool *pool, struct upstream **out)
{
	struct upstream *up;
	enum upstream_got got;

	if (!gate_take(pool->gate))
		return UPSTREAM_FULL;
	up = calloc(1, sizeof(*up));
	if (!up) {
		gate_freed(pool->gate);
		return UPSTREAM_SHORT;
	}
	upstream_init(up, w, pool);
	got = upstream_connect(up, &pool->endpoint->address);
	if (got == UPSTREAM_TAKEN) {
		counter_inc(COUNTER_UPSTREAM_CONNECTED);
		counter_add(COUNTER_UPSTREAM_OPEN, 1);
		*out = up;
		return got;
	}
	if (up->io.fd >= 0)
		close(up->io.fd);
	free(up);
	gate_freed(pool->gate);
	return got;
}

/* For requests that must not be sent twice, and for a server that was once
 * heard behind its answer: one system call narrows the race that nobody can
 * close (RFC 9110 9.2.2). Others go by the last event. */
static bool
may_be_reused(struct upstream *up, enum upstream_want want)
{
	if (up->io.broken || up->io.peer_done)
		return false;
	if (want == UPSTREAM_PROBED || up->pool->talkative)
		return io_is_silent(&up->io);
	return upstream_is_quiet(up);
}

static struct upstream *
idle_pop(struct pool *pool, enum upstream_want want)
{
	struct upstream *up;

	if (want == UPSTREAM_FRESH)
		return NULL;
	while ((up = pool->idle) != NULL) {
		idle_remove(up);
		if (may_be_reused(up, want))
			return up;
		upstream_close(up);
	}
	return NULL;
}

enum upstream_got
upstream_take(struct worker *w, struct pool *pool, enum upstream_want want,
	      struct exchange *ex)
{
	struct upstream *up = idle_pop(pool, want);
	enum upstream_got got = UPSTREAM_TAKEN;

	if (up) {
		up->reused = true;
		counter_inc(COUNTER_UPSTREAM_REUSED);
	} else {
		got = upstream_open(w, pool, &up);
		/* Another address may keep one that nobody uses. */
		if (got == UPSTREAM_FULL && pool->gate->idle) {
			pool_release_idle(w, pool->gate);
			got = upstream_open(w, pool, &up);
		}
	}
	if (got != UPSTREAM_TAKEN)
		return got;
	up->exchange = ex;
	ex->upstream = up;
	pool->busy++;
	return got;
}

enum io_result
upstream_secure(struct upstream *up)
{
	struct pool *pool = up->pool;

	if (!pool->tls)
		return IO_OK;
	if (!io_is_tls(&up->io) &&
	    tls_client_attach(pool->tls, up->worker, &up->io,
			      pool->endpoint->address.host, &pool->session))
		return IO_BROKEN;
	return tls_handshake(&up->io);
}

void
upstream_close_idle(struct pool *pool)
{
	while (pool->idle) {
		struct upstream *up = pool->idle;

		idle_remove(up);
		upstream_close(up);
	}
}

void
upstream_close_oldest(struct pool *pool)
{
	struct upstream *up = pool->idle;

	while (up->idle_next)
		up = up->idle_next;
	idle_remove(up);
	upstream_close(up);
}

/* Whoever waits for a connection of a limited target gets this one. */
static void
offer_idle(struct upstream *up)
{
	struct gate *g = up->pool->gate;

	if (!g->max_connections)
		return;
	up->counted_idle = true;
	gate_idle(g, 1);
	if (gate_has_queue(g) && !gate_shares(g)) {
		gate_call(g);
	} else if (gate_has_queue(g) || gate_is_wanted_elsewhere(g)) {
		idle_remove(up);
		upstream_close(up);
	}
}

void
upstream_keep(struct upstream **upp)
{
	struct upstream *up = *upp;
	struct pool *pool = up->pool;

	/* A connection that names its client serves nobody else. */
	if (pool->proxy_protocol != RULES_PROXY_NONE ||
	    pool->idle_count >= IDLE_MAX || up->io.peer_done ||
	    up->io.broken || up->worker->draining || !pool->current ||
	    !upstream_is_quiet(up) ||
	    (io_is_tls(&up->io) && !tls_is_drained(&up->io))) {
		upstream_drop(upp);
		return;
	}
	*upp = NULL;
	pool->busy--;
	up->exchange = NULL;
	up->idle_next = pool->idle;
	up->idle_prev = &pool->idle;
	if (up->idle_next)
		up->idle_next->idle_prev = &up->idle_next;
	pool->idle = up;
	pool->idle_count++;
	timer_set(&up->worker->timers, &up->timer,
		  up->worker->now_ms + IDLE_MS);
	offer_idle(up);
}

void
upstream_drop(struct upstream **upp)
{
	struct upstream *up = *upp;

	if (!up)
		return;
	*upp = NULL;
	up->pool->busy--;
	up->exchange = NULL;
	upstream_close(up);
}
