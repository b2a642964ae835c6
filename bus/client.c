/* SPDX-License-Identifier: Apache-2.0 */
/* The consumer's side of the bus: one request, one answer. */
#include "bus/client.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include "base/clock.h"
#include "base/json.h"
#include "bus/dial.h"
#include "bus/patience.h"
#include "payload/payload.h"

#define ANSWER_MAX (64u << 20)
/* A send that waits so long may wait for a dialer that nng gave up. */
#define UNSENT_MS 1000u
/* After a restart of the bus its consumers are soon back; one that stays away
 * is asked for less often. */
#define COME_BACK_MS 100
#define COME_BACK_MOST_MS 500

struct bus_client {
	nng_socket socket;
	struct dial *dial;
	char *url;
	pthread_mutex_t lock;	/* of the token */
	char *token;	/* as a member of a request, with its comma; or NULL */
};

static int
failed(const struct bus_client *c, const char *what, int rc,
       struct error *err)
{
	return error_set(err, "bus %s: %s: %s", c->url, what,
			 nng_strerror(rc));
}

struct bus_client *
bus_client_open(const char *url, const struct secure_files *files,
		unsigned timeout_ms, struct error *err)
{
	struct bus_client *c = calloc(1, sizeof(*c));
	int rc;

	if (!c || !(c->url = strdup(url))) {
		free(c);
		error_set(err, "no memory for a bus client");
		return NULL;
	}
	pthread_mutex_init(&c->lock, NULL);
	rc = patience_open(nng_req0_open, &c->socket);
	if (rc != 0) {
		failed(c, "cannot open a socket", rc, err);
		pthread_mutex_destroy(&c->lock);
		free(c->url);
		free(c);
		return NULL;
	}
	(void)nng_socket_set_size(c->socket, NNG_OPT_RECVMAXSZ, ANSWER_MAX);
	(void)nng_socket_set_ms(c->socket, NNG_OPT_RECONNMINT, COME_BACK_MS);
	(void)nng_socket_set_ms(c->socket, NNG_OPT_RECONNMAXT,
				COME_BACK_MOST_MS);
	/* A request is sent again when its connection breaks, not because an
	 * answer takes long: long polls do. */
	(void)nng_socket_set_ms(c->socket, NNG_OPT_REQ_RESENDTIME,
				NNG_DURATION_INFINITE);
	c->dial = dial_open(c->socket, c->url, files, timeout_ms, err);
	if (!c->dial)
		bus_client_close(&c);
	return c;
}

static void
token_free(char *token)
{
	if (token)
		explicit_bzero(token, strlen(token));
	free(token);
}

int
bus_client_set_token(struct bus_client *c, const char *token,
		     struct error *err)
{
	struct buf member = { 0 };
	char *text = NULL, *old;
	struct json j;

	if (token) {
		json_init(&j, &member);
		buf_adds(&member, "\"token\":");
		json_str(&j, token);
		buf_addc(&member, ',');
		(void)buf_str(&member);
		if (member.failed) {
			buf_fini(&member);
			return error_set(err, "no memory for a token");
		}
		text = buf_steal(&member, NULL);
	}
	pthread_mutex_lock(&c->lock);
	old = c->token;
	c->token = text;
	pthread_mutex_unlock(&c->lock);
	token_free(old);
	return 0;
}

void
bus_client_close(struct bus_client **cp)
{
	struct bus_client *c = *cp;

	if (!c)
		return;
	*cp = NULL;
	/* A socket that does not close may still call its dial. */
	if (patience_close(c->socket))
		dial_free(&c->dial);
	token_free(c->token);
	pthread_mutex_destroy(&c->lock);
	if (!c->dial)
		free(c->url);
	free(c);
}

static int
write_token(struct bus_client *c, nng_msg *m)
{
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	if (c->token)
		rc = nng_msg_append(m, c->token, strlen(c->token));
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* Every request is an object that has a member; the token goes before it. */
static int
write_request(struct bus_client *c, struct span request, nng_msg *m)
{
	int rc = nng_msg_append(m, request.at, 1);

	if (rc == 0 && request.len > 1 && *request.at == '{')
		rc = write_token(c, m);
	return rc ? rc : nng_msg_append(m, request.at + 1, request.len - 1);
}

static int
make_message(struct bus_client *c, struct span request, nng_msg **m)
{
	int rc = nng_msg_alloc(m, 0);

	if (rc == 0 && request.len > 0)
		rc = write_request(c, request, *m);
	return rc;
}

static nng_duration
duration(unsigned ms)
{
	return ms > INT32_MAX ? INT32_MAX : (nng_duration)ms;
}

/* One transfer, blocking; the message is nng's after a send that succeeds. */
static int
transfer(uint32_t ticket, void (*start)(nng_ctx, nng_aio *),
	 unsigned timeout_ms, nng_msg **m)
{
	nng_ctx ctx = { .id = ticket };
	nng_aio *aio;
	int rc = nng_aio_alloc(&aio, NULL, NULL);

	if (rc != 0)
		return rc;
	nng_aio_set_timeout(aio, duration(timeout_ms));
	nng_aio_set_msg(aio, *m);
	start(ctx, aio);
	nng_aio_wait(aio);
	rc = nng_aio_result(aio);
	if (rc == 0)
		*m = nng_aio_get_msg(aio);
	nng_aio_free(aio);
	return rc;
}

static unsigned
patience(unsigned left_ms)
{
	return left_ms < UNSENT_MS ? left_ms : UNSENT_MS;
}

/* In pieces, so that a dialer that rests is noticed. */
static int
send_message(struct bus_client *c, uint32_t ticket, unsigned timeout_ms,
	     nng_msg **m)
{
	uint64_t now = clock_mono_ms(), until = now + timeout_ms;
	int rc;

	for (;;) {
		rc = transfer(ticket, nng_ctx_send,
			      patience((unsigned)(until - now)), m);
		now = clock_mono_ms();
		if (rc != NNG_ETIMEDOUT || now >= until)
			return rc;
		dial_again(c->dial);
	}
}

static int
send_request(struct bus_client *c, struct span request, unsigned timeout_ms,
	     uint32_t *ticket, struct error *err)
{
	nng_ctx ctx;
	nng_msg *m = NULL;
	int rc = nng_ctx_open(&ctx, c->socket);

	if (rc != 0)
		return failed(c, "cannot send", rc, err);
	rc = make_message(c, request, &m);
	if (rc == 0)
		rc = send_message(c, ctx.id, timeout_ms, &m);
	*ticket = ctx.id;
	if (rc == 0)
		return 0;
	nng_msg_free(m);
	nng_ctx_close(ctx);
	return failed(c, "cannot send", rc, err);
}

static int
take_answer(nng_msg *m, struct buf *answer, struct error *err)
{
	buf_clear(answer);
	buf_add(answer, nng_msg_body(m), nng_msg_len(m));
	nng_msg_free(m);
	return answer->failed ? error_set(err, "no memory for an answer") : 0;
}

static int
receive_answer(struct bus_client *c, uint32_t ticket, unsigned timeout_ms,
	       struct buf *answer, struct error *err)
{
	nng_msg *m = NULL;
	int rc = transfer(ticket, nng_ctx_recv, timeout_ms, &m);

	nng_ctx_close((nng_ctx){ .id = ticket });
	if (rc != 0)
		return failed(c, "no answer", rc, err);
	return take_answer(m, answer, err);
}

/* Every answer begins with its verdict; only a bad one is parsed here. */
static int
check_answer(const struct buf *answer, struct error *err)
{
	static const char good[] = "{\"ok\":true";
	struct cJSON *p;

	if (answer->len >= sizeof(good) - 1 &&
	    memcmp(answer->data, good, sizeof(good) - 1) == 0)
		return 0;
	p = payload_parse(buf_span(answer), NULL);
	error_set(err, "the bus refuses: %s (%s)",
		  payload_string(payload_at(p, "/error/message"),
				 "not an answer of a bus"),
		  payload_string(payload_at(p, "/error/code"), "unknown"));
	payload_free(&p);
	return -1;
}

int
bus_client_call(struct bus_client *c, struct span request,
		unsigned timeout_ms, struct buf *answer, struct error *err)
{
	uint32_t ticket = 0;

	if (send_request(c, request, timeout_ms, &ticket, err) < 0 ||
	    receive_answer(c, ticket, timeout_ms, answer, err) < 0)
		return -1;
	return check_answer(answer, err);
}

/* ---- calls that nobody waits for ---- */

struct bus_call {
	struct bus_client *client;
	nng_ctx ctx;
	nng_aio *aio;
	bool is_sent;
	unsigned timeout_ms;
	uint64_t until_ms;	/* it is to be sent; clock_mono_ms */
	void (*over)(void *arg);
	void *arg;
};

static void
send_call(struct bus_call *call, unsigned left_ms)
{
	nng_aio_set_timeout(call->aio, duration(patience(left_ms)));
	nng_ctx_send(call->ctx, call->aio);
}

/* false: there is no time left. */
static bool
send_again(struct bus_call *call)
{
	uint64_t now = clock_mono_ms();

	if (now >= call->until_ms)
		return false;
	dial_again(call->client->dial);
	send_call(call, (unsigned)(call->until_ms - now));
	return true;
}

/* On nng's thread. */
static void
on_transfer(void *arg)
{
	struct bus_call *call = arg;
	int rc = nng_aio_result(call->aio);

	if (!call->is_sent && rc == NNG_ETIMEDOUT && send_again(call))
		return;
	if (call->is_sent || rc != 0) {
		call->over(call->arg);
		return;
	}
	call->is_sent = true;
	nng_aio_set_timeout(call->aio, duration(call->timeout_ms));
	nng_ctx_recv(call->ctx, call->aio);
}

static void
call_free(struct bus_call *call)
{
	nng_msg *m;

	if (call->aio) {
		/* What was not sent is still ours, and so is an answer. */
		nng_aio_stop(call->aio);
		m = nng_aio_get_msg(call->aio);
		if (m && (nng_aio_result(call->aio) == 0) == call->is_sent)
			nng_msg_free(m);
		nng_aio_free(call->aio);
	}
	nng_ctx_close(call->ctx);
	free(call);
}

struct bus_call *
bus_call_start(struct bus_client *c, struct span request, unsigned timeout_ms,
	       void (*over)(void *arg), void *arg, struct error *err)
{
	struct bus_call *call = calloc(1, sizeof(*call));
	nng_msg *m = NULL;
	int rc = call ? nng_ctx_open(&call->ctx, c->socket) : NNG_ENOMEM;

	if (rc != 0) {
		free(call);
		failed(c, "cannot send", rc, err);
		return NULL;
	}
	call->client = c;
	call->timeout_ms = timeout_ms;
	call->over = over;
	call->arg = arg;
	rc = nng_aio_alloc(&call->aio, on_transfer, call);
	if (rc == 0)
		rc = make_message(c, request, &m);
	if (rc != 0) {
		nng_msg_free(m);
		call_free(call);
		failed(c, "cannot send", rc, err);
		return NULL;
	}
	call->until_ms = clock_mono_ms() + timeout_ms;
	nng_aio_set_msg(call->aio, m);
	send_call(call, timeout_ms);
	return call;
}

int
bus_call_end(struct bus_call **callp, struct buf *answer, struct error *err)
{
	struct bus_call *call = *callp;
	struct bus_client *c = call->client;
	int rc;

	*callp = NULL;
	nng_aio_wait(call->aio);
	rc = nng_aio_result(call->aio);
	if (rc != 0) {
		failed(c, call->is_sent ? "no answer" : "cannot send", rc,
		       err);
		call_free(call);
		return -1;
	}
	rc = take_answer(nng_aio_get_msg(call->aio), answer, err);
	nng_aio_set_msg(call->aio, NULL);
	call_free(call);
	return rc < 0 ? rc : check_answer(answer, err);
}

void
bus_call_give_up(struct bus_call **callp)
{
	struct bus_call *call = *callp;

	*callp = NULL;
	if (call)
		call_free(call);
}
