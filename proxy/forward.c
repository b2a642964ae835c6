/* SPDX-License-Identifier: Apache-2.0 */
/* The forward step: connect, send, read the answer's head. */
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "proxy/client.h"
#include "proxy/proxy_out.h"
#include "proxy/steps.h"
#include "proxy/tls.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

/* The body is taken up once there is a connection: until then nothing that
 * could not be sent elsewhere has been touched. */
static enum flow
forward_send(struct exchange *ex)
{
	if (head_forward_request(ex))
		return step_problem(ex, PROBLEM_HEAD_TOO_LARGE);
	if (relay_first_upload(ex))
		return step_problem(ex, relay_bad_request(ex));
	exchange_progress(ex);
	return FLOW_NEXT;
}

static enum flow
forward_begin(struct exchange *ex)
{
	enum flow f;

	if (ex->queued || ex->backlogged)
		return FLOW_WAIT;
	f = attempt_begin(ex);
	if (f != FLOW_NEXT || !ex->upstream)
		return f;
	if (!ex->upstream->connecting)
		return forward_send(ex);
	ex->forward_us = exchange_elapsed_us(ex);
	exchange_deadline(ex, ex->target->connect_ms);
	return FLOW_NEXT;
}

static enum flow
forward_insecure(struct exchange *ex)
{
	char id[ID_TEXT_SIZE];

	if (worker_may_log(ex->worker))
		log_line(LOG_LEVEL_WARN, "upstream.tls",
			 id_text(exchange_id(ex), id),
			 "target \"%s\" at %s: %s", ex->target->name,
			 ex->pool->endpoint->address.text,
			 tls_reason(&ex->upstream->io));
	return forward_failed(ex, PROBLEM_TLS);
}

static enum flow
forward_connect(struct exchange *ex)
{
	struct upstream *up = ex->upstream;

	if (!io_is_tls(&up->io)) {
		if (up->io.broken || (up->io.peer_done && !up->io.writable))
			return forward_failed(ex, PROBLEM_CONNECT);
		if (!up->io.writable)
			return FLOW_WAIT;
		if (proxy_out_send(ex) != IO_OK)
			return forward_failed(ex, PROBLEM_CONNECT);
	}
	switch (upstream_secure(up)) {
	case IO_OK:
		break;
	case IO_WAIT:
		return FLOW_WAIT;
	case IO_EOF:
	case IO_BROKEN:
		return forward_insecure(ex);
	}
	up->connecting = false;
	ex->connect_us = exchange_elapsed_us(ex) - ex->forward_us;
	return forward_send(ex);
}

static int
response_room(struct exchange *ex)
{
	struct chunk *old = ex->response_head, *big;
	struct chunk_pool *pool = &ex->worker->chunks;

	if (!old) {
		ex->response_head = chunk_take(pool, CHUNK_SMALL_BYTES);
		parse_init_response(&ex->response, &ex->arena);
		return ex->response_head ? 0 : -1;
	}
	/* What is there may be the end of it: parsed first. */
	if (chunk_room(old) || old->at < old->end)
		return 0;
	big = old->size == CHUNK_SMALL_BYTES ?
		chunk_take(pool, CHUNK_LARGE_BYTES) : NULL;
	if (!big)
		return -1;
	memcpy(big->data, old->data, old->end);
	big->at = old->at;
	big->end = old->end;
	parse_rebase(&ex->response, old->data, big->data);
	chunk_give(pool, &ex->response_head);
	ex->response_head = big;
	return 0;
}

/* 100, 103 and the like go on at once; then the final head follows. */
static enum flow
forward_interim(struct exchange *ex)
{
	if (ex->response.ll.status_code == 101)
		return tunnel_begin(ex);
	if (head_forward_interim(ex))
		return forward_failed(ex, PROBLEM_BAD_ANSWER);
	if (ex->response.ll.status_code == 100)
		ex->expects_continue = false;
	(void)out_flush(&ex->client->io, &ex->to_client);
	chunk_compact(ex->response_head);	/* what goes on is a copy */
	parse_init_response(&ex->response, &ex->arena);
	return FLOW_NEXT;
}

/* llhttp goes on refusing until the mended head is read anew. */
static enum flow
forward_bad_head(struct exchange *ex)
{
	struct chunk *c = ex->response_head;

	switch (parse_mend_response(&ex->response, c)) {
	case PARSE_MEND_NONE:
		break;
	case PARSE_MEND_MORE:
		c->at = c->end;
		return FLOW_NEXT;
	case PARSE_MEND_DONE:
		counter_inc(COUNTER_UPSTREAM_MENDED);
		return FLOW_NEXT;
	}
	return forward_failed(ex, PROBLEM_BAD_ANSWER);
}

static enum flow
forward_answer(struct exchange *ex)
{
	const struct parse *p = &ex->response;

	if (parse_check_response(p))
		return forward_failed(ex, PROBLEM_BAD_ANSWER);
	if (p->ll.status_code / 100 == 1)
		return forward_interim(ex);
	if (ex->decision.record)
		ex->first_byte_us = exchange_elapsed_us(ex);
	ex->status = p->ll.status_code;
	attempt_answered(ex);
	ex->answer_fields = parse_fields(p);
	if (span_is(ex->view.method, "HEAD"))
		ex->response.ll.flags |= F_SKIPBODY;
	ex->download.framing = parse_response_framing(p);
	ex->download.left = p->ll.content_length;
	ex->download_capture.limit = ex->decision.rule->record_body_bytes;
	ex->answer_from = out_queued(&ex->to_client);
	if (head_forward_response(ex) || relay_first_download(ex)) {
		out_cut(&ex->to_client, ex->answer_from);
		return step_problem(ex, PROBLEM_BAD_ANSWER);
	}
	ex->step = STEP_ANSWER;
	exchange_progress(ex);
	return FLOW_NEXT;
}

/* Right behind the request there is nothing to read, and nothing is taken
 * for it. With TLS bytes may be at hand while the socket is silent. */
static bool
answer_may_be_here(const struct exchange *ex)
{
	const struct io *io = &ex->upstream->io;

	return ex->response_head || io->readable || io_is_tls(io);
}

/* What the client does not take waits at the upstream: a list of heads that
 * overflows would be the upstream's fault to all who look. */
#define INTERIM_UNSENT_MAX 8

bool
forward_awaits_client(struct exchange *ex)
{
	return ex->to_client.count >= INTERIM_UNSENT_MAX &&
	       out_flush(&ex->client->io, &ex->to_client) != IO_OK;
}

/* Nothing of the request has left: what a kept-alive connection says by now
 * is the rest of an earlier answer or a farewell (RFC 9112 9.2), and never
 * the answer, however well it is formed. */
static bool
spoke_too_soon(const struct exchange *ex)
{
	struct upstream *up = ex->upstream;

	return up->reused && ex->to_upstream.sent_bytes == 0 &&
	       !upstream_is_quiet(up);
}

static enum flow
forward_read(struct exchange *ex)
{
	struct chunk *c;
	size_t used;

	if (spoke_too_soon(ex))
		return forward_failed(ex, PROBLEM_CLOSED);
	if (!answer_may_be_here(ex) || forward_awaits_client(ex))
		return FLOW_WAIT;
	if (response_room(ex))
		return forward_failed(ex, PROBLEM_BAD_ANSWER);
	c = ex->response_head;
	if (c->at == c->end) {
		switch (io_recv(&ex->upstream->io, c, 0)) {
		case IO_WAIT:
			if (c->end == 0)
				chunk_give(&ex->worker->chunks,
					   &ex->response_head);
			return FLOW_WAIT;
		case IO_EOF:
		case IO_BROKEN:
			if (c->end == 0)
				chunk_give(&ex->worker->chunks,
					   &ex->response_head);
			return forward_failed(ex, PROBLEM_CLOSED);
		case IO_OK:
			break;
		}
	}
	switch (parse_head(&ex->response, c->data + c->at, c->end - c->at,
			   &used)) {
	case PARSE_MORE:
		c->at += used;
		return FLOW_NEXT;
	case PARSE_BAD:
	case PARSE_DONE:
		return forward_bad_head(ex);
	case PARSE_HEAD:
		break;
	}
	c->at += used;
	return forward_answer(ex);
}

enum flow
forward_step(struct exchange *ex)
{
	if (ex->client->io.broken)
		return step_abort(ex);
	if (!ex->upstream)
		return forward_begin(ex);
	if (ex->upstream->connecting)
		return forward_connect(ex);
	if (spoke_too_soon(ex))
		return forward_failed(ex, PROBLEM_CLOSED);
	switch (relay_upload(ex)) {
	case RELAY_DONE:
	case RELAY_WAIT:
	case RELAY_HELD:
	case RELAY_UPSTREAM_LOST:	/* it may have answered before */
	case RELAY_BAD_ANSWER:
		return forward_read(ex);
	case RELAY_CLIENT_LOST:
		return step_abort(ex);
	case RELAY_BAD_REQUEST:
		return step_problem(ex, relay_bad_request(ex));
	}
	return FLOW_DONE;
}
