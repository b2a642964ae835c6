/* SPDX-License-Identifier: Apache-2.0 */
/* The bus on nng: contexts of a REP socket, each with one call at a time.
 *
 * nng runs call_event on its own threads. Where a call goes on later, nothing
 * may touch it after the hand-over: its answer may be under way already. */
#include "bus/server.h"

#include <stdio.h>
#include <stdlib.h>

#include <nng/protocol/reqrep0/rep.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/invariant.h"
#include "base/log.h"
#include "bus/patience.h"

/* Under the lock. Whoever sets RECEIVING or SENDING gives the call to nng and
 * says so with handed_over: until then it is no callback that is awaited. */
static void
set_state(struct call *c, enum call_state state)
{
	struct server *s = c->server;

	c->state = state;
	if (state == CALL_RECEIVING || state == CALL_SENDING)
		s->handing++;
	pthread_cond_broadcast(&s->idle);
}

/* Not of a call: nng may have ended it, and its next use begun. */
static void
handed_over(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	s->handing--;
	pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

/* ---- one call ---- */

static void
call_receive(struct call *c)
{
	struct server *s = c->server;
	bool stopping;

	pthread_mutex_lock(&s->lock);
	stopping = s->stopping;
	set_state(c, stopping ? CALL_CLOSED : CALL_RECEIVING);
	pthread_mutex_unlock(&s->lock);
	if (stopping)
		return;
	nng_ctx_recv(c->ctx, c->aio);
	handed_over(s);
}

/* An answer of nothing would leave the caller waiting for ever. */
static nng_msg *
make_message(struct call *c)
{
	static const char none[] =
		"{\"ok\":false,\"error\":{\"code\":\"no_memory\","
		"\"message\":\"the bus is out of memory\"}}";
	struct span text = buf_span(&c->out);
	nng_msg *m = NULL;

	if (c->out.failed)
		text = SPAN_LITERAL(none);
	if (nng_msg_alloc(&m, 0) != 0)
		return NULL;
	if (nng_msg_append(m, text.at, text.len) != 0) {
		nng_msg_free(m);
		return NULL;
	}
	return m;
}

/* The state is SENDING already. */
static void
send_now(struct call *c)
{
	struct server *s = c->server;
	nng_msg *m = make_message(c);

	server_return_buffer(c);
	if (m) {
		nng_aio_set_msg(c->aio, m);
		nng_ctx_send(c->ctx, c->aio);
	} else {
		call_receive(c);
	}
	handed_over(s);
}

void
call_send(struct call *c)
{
	struct server *s = c->server;

	pthread_mutex_lock(&s->lock);
	set_state(c, CALL_SENDING);
	pthread_mutex_unlock(&s->lock);
	send_now(c);
}

enum call_result
call_wait(struct call *c, int64_t wait_ms,
	  bool (*again)(struct call *c, bool last))
{
	struct server *s = c->server;
	bool waits;

	server_return_buffer(c);
	c->again = again;
	c->until_ms = clock_mono_ms() + (uint64_t)wait_ms;
	pthread_mutex_lock(&s->lock);
	waits = wait_ms > 0 && !s->stopping && s->waiting < SERVER_WAITING_MAX;
	if (waits) {
		set_state(c, CALL_WAITING);
		s->waiting++;
	}
	pthread_mutex_unlock(&s->lock);
	if (!waits) {
		(void)again(c, true);
		return CALL_ANSWERED;
	}
	/* Something may have come between the first look and now. */
	bus_ring(s->bus);
	return CALL_LATER;
}

static bool
punished_again(struct call *c, bool last)
{
	if (last)
		call_refuse(c, ACCESS_WRONG);
	return last;
}

enum call_result
call_punish(struct call *c)
{
	struct server *s = c->server;
	bool stopping, full;

	c->again = punished_again;
	c->until_ms = clock_mono_ms() + SERVER_PUNISH_MS;
	pthread_mutex_lock(&s->lock);
	stopping = s->stopping;
	full = s->punished == SERVER_PUNISHED_MAX;
	if (!stopping && !full) {
		c->punished = true;
		s->punished++;
		s->waiting++;
		set_state(c, CALL_WAITING);
	}
	pthread_mutex_unlock(&s->lock);
	if (stopping) {
		call_refuse(c, ACCESS_WRONG);
		return CALL_ANSWERED;
	}
	if (full) {
		counter_inc(COUNTER_BUS_REFUSED_WRONG);
		return CALL_DROPPED;
	}
	bus_ring(s->bus);
	return CALL_LATER;
}

/* A consumer whose long poll was ended by the stop asks again at once. Once
 * drain has looked, nothing may begin: nng would not send the answer of a
 * context that is being closed, nor give it back. */
static bool
call_may_run(struct call *c)
{
	struct server *s = c->server;
	bool may;

	pthread_mutex_lock(&s->lock);
	may = !s->stopping;
	if (!may)
		s->asked_again++;
	set_state(c, may ? CALL_RUNNING : CALL_CLOSED);
	pthread_mutex_unlock(&s->lock);
	return may;
}

static nng_msg *
take_message(struct call *c)
{
	nng_msg *m = nng_aio_get_msg(c->aio);

	nng_aio_set_msg(c->aio, NULL);
	return m;
}

static void
call_received(struct call *c)
{
	nng_msg *m = take_message(c);
	struct span frame = { nng_msg_body(m), nng_msg_len(m) };
	int pipe = nng_pipe_id(nng_msg_get_pipe(m));
	enum call_result result;

	if (!call_may_run(c)) {
		nng_msg_free(m);
		return;
	}
	c->session = pipe > 0 ? (uint32_t)pipe : 1;
	counter_inc(COUNTER_BUS_REQUESTS);
	result = call_run(c, frame);
	nng_msg_free(m);
	switch (result) {
	case CALL_ANSWERED:
		call_send(c);
		return;
	case CALL_DROPPED:
		call_receive(c);
		return;
	case CALL_LATER:
		return;
	}
}

/* nng keeps a message that it could not send. */
static void
call_sent(struct call *c)
{
	nng_msg *m = take_message(c);

	if (nng_aio_result(c->aio) != 0)
		nng_msg_free(m);
	call_receive(c);
}

static void
call_closed(struct call *c)
{
	pthread_mutex_lock(&c->server->lock);
	set_state(c, CALL_CLOSED);
	pthread_mutex_unlock(&c->server->lock);
}

static void
call_event(void *arg)
{
	struct call *c = arg;
	enum call_state state;

	pthread_mutex_lock(&c->server->lock);
	state = c->state;
	pthread_mutex_unlock(&c->server->lock);
	switch (state) {
	case CALL_RECEIVING:
		if (nng_aio_result(c->aio) == 0)
			call_received(c);
		else if (nng_aio_result(c->aio) == NNG_ECLOSED)
			call_closed(c);
		else
			call_receive(c);
		return;
	case CALL_SENDING:
		call_sent(c);
		return;
	case CALL_RUNNING:
	case CALL_WAITING:
	case CALL_CLOSED:
		return;
	}
}

/* ---- long polls ---- */

/* Calls that were taken out of the waiting ones under the lock; what nng has
 * to do with them is done without it. */
struct picked {
	struct call *at[SERVER_CALLS];
	size_t count;
};

static void
pick(struct picked *p, struct call *c, enum call_state state)
{
	c->server->waiting--;
	c->server->punished -= c->punished;
	c->punished = false;
	set_state(c, state);
	p->at[p->count++] = c;
}

static void
send_picked(const struct picked *p)
{
	for (size_t i = 0; i < p->count; i++)
		send_now(p->at[i]);
}

/* Nobody is there to read an answer: the contexts just receive again. */
static void
drop_picked(const struct picked *p)
{
	for (size_t i = 0; i < p->count; i++)
		call_receive(p->at[i]);
}

/* Returns when the call is to be looked at again. */
static uint64_t
serve_call(struct call *c, uint64_t now, struct picked *ready)
{
	if (c->state != CALL_WAITING)
		return GROUPS_NEVER;
	if (c->again(c, c->until_ms <= now)) {
		pick(ready, c, CALL_SENDING);
		return GROUPS_NEVER;
	}
	server_return_buffer(c);
	return c->until_ms;
}

/* A few answers at a time: they are as many buffers, and the first consumer
 * need not wait for what the last one gets. */
uint64_t
server_serve(struct server *s)
{
	uint64_t now = clock_mono_ms(), next = GROUPS_NEVER;

	for (size_t i = 0; i < SERVER_CALLS;) {
		struct picked ready = { .count = 0 };

		pthread_mutex_lock(&s->lock);
		if (s->waiting == 0)
			i = SERVER_CALLS;
		while (i < SERVER_CALLS && ready.count < SERVER_SPARES) {
			uint64_t at = serve_call(&s->calls[i++], now, &ready);

			next = at < next ? at : next;
		}
		pthread_mutex_unlock(&s->lock);
		send_picked(&ready);
	}
	return next;
}

void
server_session_gone(struct server *s, uint32_t session)
{
	struct picked lost = { .count = 0 };

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < SERVER_CALLS; i++)
		if (s->calls[i].state == CALL_WAITING &&
		    s->calls[i].session == session)
			pick(&lost, &s->calls[i], CALL_RUNNING);
	pthread_mutex_unlock(&s->lock);
	drop_picked(&lost);
}

static bool
is_same(const struct call *a, const struct call *b)
{
	return a != b && strcmp(a->request, b->request) == 0 &&
	       strcmp(a->group, b->group) == 0 &&
	       strcmp(a->consumer, b->consumer) == 0;
}

void
server_drop_same(struct server *s, const struct call *newer)
{
	struct picked older = { .count = 0 };

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < SERVER_CALLS; i++)
		if (s->calls[i].state == CALL_WAITING &&
		    is_same(&s->calls[i], newer))
			pick(&older, &s->calls[i], CALL_RUNNING);
	pthread_mutex_unlock(&s->lock);
	drop_picked(&older);
}

/* Whose token is not good any more waits for nothing. */
static void
recheck(struct server *s)
{
	struct picked out = { .count = 0 };

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < SERVER_CALLS; i++) {
		struct call *c = &s->calls[i];
		enum access_verdict v;

		if (c->state != CALL_WAITING || c->punished)
			continue;
		v = server_ask(s, &c->question);
		if (v == ACCESS_GRANTED)
			continue;
		call_refuse(c, v);
		pick(&out, c, CALL_SENDING);
	}
	pthread_mutex_unlock(&s->lock);
	send_picked(&out);
}

int
server_reload_tokens(struct server *s, struct error *err)
{
	if (server_load_tokens(s, err) < 0)
		return -1;
	recheck(s);
	return 0;
}

void
server_answer_all(struct server *s)
{
	struct picked ready = { .count = 0 };

	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	for (size_t i = 0; i < SERVER_CALLS; i++) {
		if (s->calls[i].state != CALL_WAITING)
			continue;
		(void)s->calls[i].again(&s->calls[i], true);
		pick(&ready, &s->calls[i], CALL_SENDING);
	}
	pthread_mutex_unlock(&s->lock);
	send_picked(&ready);
}

/* ---- connections ---- */

static void
on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct server *s = arg;
	int id = nng_pipe_id(pipe);
	bool full;

	pthread_mutex_lock(&s->lock);
	if (event == NNG_PIPE_EV_ADD_PRE)
		s->pipes++;
	else
		s->pipes--;
	full = event == NNG_PIPE_EV_ADD_PRE && s->pipes > s->pipes_max;
	pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
	if (full) {
		counter_inc(COUNTER_BUS_REFUSED_CONNECTIONS);
		nng_pipe_close(pipe);
	}
	if (event == NNG_PIPE_EV_REM_POST && id > 0)
		bus_session_gone(s->bus, (uint32_t)id);
}

/* ---- open ---- */

static int
open_socket(struct server *s, struct error *err)
{
	int rc = patience_open(nng_rep0_open, &s->socket);

	if (rc != 0)
		return server_failed(err, "(nng)", "open a socket", rc);
	s->is_open = true;
	rc = nng_socket_set_size(s->socket, NNG_OPT_RECVMAXSZ,
				 SERVER_FRAME_MAX);
	if (rc == 0)
		rc = nng_pipe_notify(s->socket, NNG_PIPE_EV_ADD_PRE, on_pipe,
				     s);
	if (rc == 0)
		rc = nng_pipe_notify(s->socket, NNG_PIPE_EV_REM_POST, on_pipe,
				     s);
	return rc ? server_failed(err, "(nng)", "set up a socket", rc) : 0;
}

static int
open_call(struct server *s, struct call *c, struct error *err)
{
	int rc;

	c->server = s;
	rc = nng_aio_alloc(&c->aio, call_event, c);
	if (rc == 0)
		rc = nng_ctx_open(&c->ctx, s->socket);
	if (rc != 0) {
		nng_aio_free(c->aio);
		c->aio = NULL;
		return server_failed(err, "(nng)", "open a context", rc);
	}
	return 0;
}

static int
open_calls(struct server *s, struct error *err)
{
	for (size_t i = 0; i < SERVER_CALLS; i++)
		if (open_call(s, &s->calls[i], err) < 0)
			return -1;
	for (size_t i = 0; i < SERVER_CALLS; i++)
		call_receive(&s->calls[i]);
	return 0;
}

static int
open_memory(struct server *s, const char *const *urls, struct error *err)
{
	size_t n = 0;

	while (urls[n])
		n++;
	s->urls = calloc(n, sizeof(*s->urls));
	s->listeners = calloc(n, sizeof(*s->listeners));
	s->calls = calloc(SERVER_CALLS, sizeof(*s->calls));
	s->recent = recent_new();
	if (!s->urls || !s->listeners || !s->calls || !s->recent)
		return error_set(err, "no memory for the bus");
	s->reader = journal_reader_open(journal_path(s->bus->journal), err);
	return s->reader ? 0 : -1;
}

static void
init_idle(struct server *s)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->idle, &attr);
	pthread_condattr_destroy(&attr);
}

struct server *
server_open(struct bus *b, const struct bus_options *o, struct error *err)
{
	const char *const *urls = o->urls;
	struct server *s = calloc(1, sizeof(*s));
	bool ok;

	if (!s) {
		error_set(err, "no memory for the bus");
		return NULL;
	}
	s->bus = b;
	pthread_mutex_init(&s->lock, NULL);
	s->tokens_path = o->tokens;
	s->files = o->files;
	s->event_bytes = o->event_bytes ? o->event_bytes : BUS_EVENT_BYTES;
	s->pipes_max = o->connections ? o->connections : SERVER_PIPES_MAX;
	pthread_mutex_init(&s->read_lock, NULL);
	pthread_mutex_init(&s->access_lock, NULL);
	pthread_mutex_init(&s->spare_lock, NULL);
	init_idle(s);
	ok = open_memory(s, urls, err) == 0 &&
	     server_load_tokens(s, err) == 0 && open_socket(s, err) == 0 &&
	     open_calls(s, err) == 0;
	for (; ok && *urls; urls++)
		ok = server_listen(s, *urls, err) == 0;
	if (!ok)
		server_close(&s);
	return s;
}

const char *
server_url(const struct server *s, size_t i)
{
	return i < s->url_count ? s->urls[i] : NULL;
}
