/* SPDX-License-Identifier: Apache-2.0 */
/* Client connections: accept, idle, run one exchange after the other, close
 * so that the last answer still arrives. */
#include "proxy/client.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/counter.h"
#include "base/invariant.h"
#include "console/value.h"
#include "proxy/exchange.h"
#include "proxy/listen.h"
#include "proxy/prelude.h"
#include "proxy/tls_server.h"
#include "proxy/worker.h"

#define LINGER_MS 2000u
#define DRAIN_FIRST_MS 1000u
#define LINGER_READS 16		/* then others have a turn */

static void
client_free(struct io *io)
{
	struct client *c = (struct client *)io;

	free(c->told);
	free(c);
}

void
client_close(struct client *c)
{
	struct worker *w = c->worker;

	INVARIANT(!c->exchange);
	if (c->closing)
		return;
	c->closing = true;
	chunk_give(&w->chunks, &c->rest);
	timer_cancel(&w->timers, &c->timer);
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	counter_add(COUNTER_CLIENT_OPEN, -1);
	atomic_fetch_sub_explicit(&w->proxy->shed.open, 1,
				  memory_order_relaxed);
	shed_forget(c);
	io_close(w, &c->io);
}

void
client_resume_later(struct client *c)
{
	if (c->resuming)
		return;
	c->resuming = true;
	c->resume_next = c->worker->resume;
	c->worker->resume = c;
}

/* Closing with unread bytes would reset the connection and could destroy
 * the answer on its way (RFC 9112 9.6): stop sending, read on for a while. */
static void
client_linger(struct client *c)
{
	struct worker *w = c->worker;
	struct chunk *sink;
	enum io_result r = IO_OK;
	int reads = 0;

	if (!c->lingering) {
		c->lingering = true;
		io_end(&c->io);
		timer_set(&w->timers, &c->timer, w->now_ms + LINGER_MS);
	}
	sink = chunk_take(&w->chunks, CHUNK_SMALL_BYTES);
	while (sink && r == IO_OK && reads++ < LINGER_READS) {
		sink->at = sink->end = 0;
		r = io_recv(&c->io, sink, 0);
	}
	if (sink && r == IO_OK)
		client_resume_later(c);
	else if (r != IO_WAIT)
		client_close(c);
	chunk_give(&w->chunks, &sink);
}

static void
client_begin(struct client *c, struct chunk *chunk)
{
	struct worker *w = c->worker;
	struct exchange *ex = exchange_new(w, c);

	if (!ex) {
		chunk_give(&w->chunks, &chunk);
		client_close(c);
		return;
	}
	chunk_compact(chunk);
	ex->request_head = chunk;
	ex->request_start = chunk->at;
	c->exchange = ex;
	timer_set(&w->timers, &c->timer,
		  w->now_ms + w->proxy->client_head_ms);
	exchange_run(ex);
}

static enum client_phase
next_phase(unsigned listen_flags, enum client_phase from)
{
	if (from <= CLIENT_PROXY_HEADER && (listen_flags & LISTEN_PROXY))
		return CLIENT_PROXY_HEADER;
	if (from <= CLIENT_TLS_HANDSHAKE && (listen_flags & LISTEN_TLS))
		return CLIENT_TLS_HANDSHAKE;
	return CLIENT_HTTP;
}

/* What comes before the first head. Returns true once HTTP may begin; the
 * client may be closed when not. Each phase is run again when something
 * happened on the socket. */
static bool
client_prelude(struct client *c)
{
	while (c->phase != CLIENT_HTTP) {
		enum io_result r = IO_BROKEN;

		switch ((enum client_phase)c->phase) {
		case CLIENT_PROXY_HEADER:
			r = prelude_proxy_header(c);
			break;
		case CLIENT_TLS_HANDSHAKE:
			r = tls_server_handshake(c->worker->proxy->tls,
						 c->worker, &c->io,
						 c->address);
			break;
		case CLIENT_HTTP:
			break;
		}
		if (r == IO_WAIT)
			return false;
		if (r != IO_OK) {
			client_close(c);
			return false;
		}
		c->phase = (uint8_t)next_phase(c->listen_flags, c->phase + 1);
	}
	return true;
}

static struct chunk *
client_first_bytes(struct client *c)
{
	struct worker *w = c->worker;
	struct chunk *chunk = c->rest;

	if (chunk) {
		c->rest = NULL;
		return chunk;
	}
	if (!c->io.readable)
		return NULL;
	chunk = chunk_take(&w->chunks, CHUNK_SMALL_BYTES);
	if (!chunk) {
		client_close(c);
		return NULL;
	}
	switch (io_recv(&c->io, chunk, 0)) {
	case IO_OK:
		return chunk;
	case IO_WAIT:
		break;
	case IO_EOF:
	case IO_BROKEN:
		client_close(c);
		break;
	}
	chunk_give(&w->chunks, &chunk);
	return NULL;
}

void
client_run(struct client *c)
{
	struct chunk *chunk;

	if (c->closing)
		return;
	if (c->lingering) {
		client_linger(c);
		return;
	}
	if (c->exchange) {
		exchange_run(c->exchange);
		return;
	}
	chunk = c->phase == CLIENT_HTTP || client_prelude(c) ?
			client_first_bytes(c) : NULL;
	if (chunk)
		client_begin(c, chunk);
	else if (!c->closing && c->worker->draining && c->served > 0)
		client_close(c);
}

void
client_exchange_ended(struct client *c, bool keep, struct chunk *rest)
{
	struct worker *w = c->worker;

	c->exchange = NULL;
	c->rest = rest;
	c->served++;
	timer_set(&w->timers, &c->timer,
		  w->now_ms + w->proxy->client_idle_ms);
	if (c->io.broken) {
		client_close(c);
	} else if (!keep) {
		chunk_give(&w->chunks, &c->rest);
		client_linger(c);
	} else if (rest || c->io.readable || w->draining) {
		client_resume_later(c);
	}
}

static void
client_ready(struct io *io)
{
	client_run((struct client *)io);
}

static void
client_give_up(struct client *c)
{
	if (c->phase == CLIENT_TLS_HANDSHAKE)
		counter_inc(COUNTER_TLS_CLIENT_TIMEOUT);
	client_close(c);
}

static void
client_expired(struct timer *t)
{
	struct client *c = (struct client *)((char *)t -
			offsetof(struct client, timer));

	if (c->exchange)
		exchange_expired(c->exchange);
	else
		client_give_up(c);
}

/* A connection that was just made is about to bring its first request: it
 * gets a moment. Others are between two requests. */
void
client_drain(struct client *c)
{
	struct worker *w = c->worker;
	uint64_t soon = w->now_ms + DRAIN_FIRST_MS;

	if (c->exchange && c->exchange->step == STEP_OPERATION)
		timer_set(&w->timers, &c->timer, w->now_ms);
	if (c->exchange || c->lingering)
		return;
	if (c->served > 0)
		client_resume_later(c);
	else if (c->timer.deadline_ms > soon)
		timer_set(&w->timers, &c->timer, soon);
}

/* A Unix socket's peer has no address: RFC 7239 6 calls it unknown. */
void
client_set_peer(struct client *c, const struct network_address *peer)
{
	c->peer = *peer;
	c->address_len = (uint8_t)network_text(peer, c->address);
	if (c->address_len == 0) {
		c->address_len = sizeof("unknown") - 1;
		memcpy(c->address, "unknown", sizeof("unknown"));
	}
	c->trusted = forwarded_trusts(&c->worker->proxy->trust, peer);
}

void
client_accept(struct worker *w, int fd, const struct sockaddr_storage *peer,
	      const struct listen_facts *at)
{
	struct network_address address = network_of_socket(peer);
	struct client *c = calloc(1, sizeof(*c));
	int one = 1;

	if (!c) {
		close(fd);
		return;
	}
	c->worker = w;
	c->io.fd = fd;
	c->io.ready = client_ready;
	c->io.free_fn = client_free;
	c->io.writable = true;
	c->timer.fire = client_expired;
	c->listen_flags = (uint8_t)at->flags;
	c->local_port = at->port;
	c->peer_port = network_port_of_socket(peer);
	c->phase = (uint8_t)next_phase(at->flags, CLIENT_PROXY_HEADER);
	client_set_peer(c, &address);
	if (peer->ss_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
				 sizeof(one));
	if ((c->phase != CLIENT_PROXY_HEADER && !shed_admit(c)) ||
	    io_add(w, &c->io)) {
		shed_forget(c);
		close(fd);
		free(c);
		return;
	}
	c->next = w->clients;
	c->prev = &w->clients;
	if (c->next)
		c->next->prev = &c->next;
	w->clients = c;
	counter_inc(COUNTER_CLIENT_ACCEPTED);
	counter_add(COUNTER_CLIENT_OPEN, 1);
	atomic_fetch_add_explicit(&w->proxy->shed.open, 1,
				  memory_order_relaxed);
	timer_set(&w->timers, &c->timer,
		  w->now_ms + w->proxy->client_head_ms);
}
