/* SPDX-License-Identifier: Apache-2.0 */
/* The end of the server: what was asked is answered, then nng is let go.
 * Connections are brought to rest first: nng before 1.9 is stuck when a part
 * of a frame comes while it closes one. */
#include "bus/server.h"

#include <stdlib.h>

#include "base/log.h"
#include "bus/patience.h"

#define LEAVE_MS 1000	/* for answers to leave */
#define REST_MS 50	/* for connections to come to rest */

static struct timespec
time_in(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

/* ---- calls ---- */

static bool
has_call_in(const struct server *s, enum call_state state)
{
	for (size_t i = 0; i < SERVER_CALLS; i++)
		if (s->calls[i].state == state)
			return true;
	return false;
}

static bool
is_busy(const struct server *s)
{
	return s->handing > 0 || has_call_in(s, CALL_RUNNING);
}

static bool
is_sending(const struct server *s)
{
	return has_call_in(s, CALL_SENDING);
}

/* A consumer asks again as soon as it has its answer, and not before that is
 * answered: its next request, which nobody will take up, means that nothing
 * more is on its way. Those that have nothing to ask show nothing. */
static bool
is_restless(const struct server *s)
{
	return s->asked_again < s->pipes;
}

static void
wait_while(struct server *s, bool (*what)(const struct server *s), unsigned ms)
{
	struct timespec until = time_in(ms);

	while (what(s) && pthread_cond_timedwait(&s->idle, &s->lock, &until) ==
				  0)
		;
}

/* Long polls are answered as they are, publications come to their end, and
 * answers get a moment to leave. */
static void
drain(struct server *s)
{
	server_answer_all(s);
	pthread_mutex_lock(&s->lock);
	while (is_busy(s))
		pthread_cond_wait(&s->idle, &s->lock);
	wait_while(s, is_sending, LEAVE_MS);
	wait_while(s, is_restless, REST_MS);
	pthread_mutex_unlock(&s->lock);
}

static void
close_calls(struct server *s)
{
	for (size_t i = 0; i < SERVER_CALLS; i++) {
		struct call *c = &s->calls[i];

		if (!c->aio)
			continue;
		nng_ctx_close(c->ctx);
		nng_aio_stop(c->aio);
		nng_aio_free(c->aio);
		buf_fini(&c->out);
	}
}

/* Connections that end later have nobody to tell. */
static void
close_socket(struct server *s)
{
	(void)nng_pipe_notify(s->socket, NNG_PIPE_EV_ADD_PRE, NULL, NULL);
	(void)nng_pipe_notify(s->socket, NNG_PIPE_EV_REM_POST, NULL, NULL);
	if (!patience_close(s->socket))
		log_warn("bus.close-stuck", "nng does not close a connection "
			 "to a consumer; it stays until this process ends");
}

void
server_close(struct server **sp)
{
	struct server *s = *sp;

	if (!s)
		return;
	*sp = NULL;
	if (s->calls) {
		drain(s);
		close_calls(s);
	}
	if (s->is_open)
		close_socket(s);
	for (size_t i = 0; i < s->url_count; i++)
		free(s->urls[i]);
	free(s->urls);
	free(s->listeners);
	secure_free(&s->tls);
	secure_free(&s->tls_before);
	free(s->calls);
	recent_free(&s->recent);
	journal_reader_close(&s->reader);
	access_free(&s->access);
	server_free_buffers(s);
	pthread_mutex_destroy(&s->spare_lock);
	pthread_mutex_destroy(&s->access_lock);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->read_lock);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
