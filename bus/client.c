/* SPDX-License-Identifier: Apache-2.0 */
/* The consumer's side of the bus: one request, one answer. */
#include "bus/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include "base/clock.h"
#include "base/json.h"
#include "bus/patience.h"
#include "payload/payload.h"

#define ANSWER_MAX (64u << 20)
#define DIAL_PAUSE_US 50000
/* After a restart of the bus its consumers are soon back; one that stays away
 * is asked for less often. */
#define COME_BACK_MS 100
#define COME_BACK_MOST_MS 500

struct bus_client {
	nng_socket socket;
	char *url;
	char *token;	/* as a member of a request, with its comma; or NULL */
};

static int
failed(const struct bus_client *c, const char *what, int rc,
       struct error *err)
{
	return error_set(err, "bus %s: %s: %s", c->url, what,
			 nng_strerror(rc));
}

static bool
may_come(int rc)
{
	return rc == NNG_ECONNREFUSED || rc == NNG_ENOENT ||
	       rc == NNG_ETIMEDOUT || rc == NNG_EUNREACHABLE;
}

static int
dial(struct bus_client *c, unsigned timeout_ms, struct error *err)
{
	uint64_t until = clock_mono_ms() + timeout_ms;
	int rc;

	while ((rc = nng_dial(c->socket, c->url, NULL, 0)) != 0) {
		if (!may_come(rc) || clock_mono_ms() >= until)
			return failed(c, "cannot connect (is matapalo "
				      "running there?)", rc, err);
		usleep(DIAL_PAUSE_US);
	}
	return 0;
}

struct bus_client *
bus_client_open(const char *url, unsigned timeout_ms, struct error *err)
{
	struct bus_client *c = calloc(1, sizeof(*c));
	int rc;

	if (!c || !(c->url = strdup(url))) {
		free(c);
		error_set(err, "no memory for a bus client");
		return NULL;
	}
	rc = patience_open(nng_req0_open, &c->socket);
	if (rc != 0) {
		failed(c, "cannot open a socket", rc, err);
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
	if (dial(c, timeout_ms, err) < 0)
		bus_client_close(&c);
	return c;
}

static void
forget_token(struct bus_client *c)
{
	if (c->token)
		explicit_bzero(c->token, strlen(c->token));
	free(c->token);
	c->token = NULL;
}

int
bus_client_set_token(struct bus_client *c, const char *token,
		     struct error *err)
{
	struct buf member = { 0 };
	struct json j;

	forget_token(c);
	if (!token)
		return 0;
	json_init(&j, &member);
	json_str(&j, token);
	if (member.failed || asprintf(&c->token, "\"token\":%s,",
				      buf_str(&member)) < 0)
		c->token = NULL;
	buf_fini(&member);
	return c->token ? 0 : error_set(err, "no memory for a token");
}

void
bus_client_close(struct bus_client **cp)
{
	struct bus_client *c = *cp;

	if (!c)
		return;
	*cp = NULL;
	(void)patience_close(c->socket);
	forget_token(c);
	free(c->url);
	free(c);
}

/* Every request is an object that has a member; the token goes before it. */
static int
write_request(const struct bus_client *c, struct span request, nng_msg *m)
{
	int rc = 0;

	if (c->token && request.len > 1 && *request.at == '{') {
		rc = nng_msg_append(m, "{", 1);
		if (rc == 0)
			rc = nng_msg_append(m, c->token, strlen(c->token));
		request.at++;
		request.len--;
	}
	return rc ? rc : nng_msg_append(m, request.at, request.len);
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
	nng_aio_set_timeout(aio, timeout_ms > INT32_MAX ? INT32_MAX :
			    (nng_duration)timeout_ms);
	nng_aio_set_msg(aio, *m);
	start(ctx, aio);
	nng_aio_wait(aio);
	rc = nng_aio_result(aio);
	if (rc == 0)
		*m = nng_aio_get_msg(aio);
	nng_aio_free(aio);
	return rc;
}

int
bus_client_send(struct bus_client *c, struct span request,
		unsigned timeout_ms, uint32_t *ticket, struct error *err)
{
	nng_ctx ctx;
	nng_msg *m = NULL;
	int rc = nng_ctx_open(&ctx, c->socket);

	if (rc != 0)
		return failed(c, "cannot send", rc, err);
	rc = nng_msg_alloc(&m, 0);
	if (rc == 0)
		rc = write_request(c, request, m);
	if (rc == 0)
		rc = transfer(ctx.id, nng_ctx_send, timeout_ms, &m);
	*ticket = ctx.id;
	if (rc == 0)
		return 0;
	nng_msg_free(m);
	nng_ctx_close(ctx);
	return failed(c, "cannot send", rc, err);
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
	buf_clear(answer);
	buf_add(answer, nng_msg_body(m), nng_msg_len(m));
	nng_msg_free(m);
	return answer->failed ? error_set(err, "no memory for an answer") : 0;
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
bus_client_receive(struct bus_client *c, uint32_t ticket, unsigned timeout_ms,
		   struct buf *answer, struct error *err)
{
	if (receive_answer(c, ticket, timeout_ms, answer, err) < 0)
		return -1;
	return check_answer(answer, err);
}

int
bus_client_call(struct bus_client *c, struct span request,
		unsigned timeout_ms, struct buf *answer, struct error *err)
{
	uint32_t ticket;

	if (bus_client_send(c, request, timeout_ms, &ticket, err) < 0)
		return -1;
	return bus_client_receive(c, ticket, timeout_ms, answer, err);
}
