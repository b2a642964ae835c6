/* SPDX-License-Identifier: Apache-2.0 */
/* The forward step: connect, send, read the answer's head; on failure try a
 * stale connection again, then the fallback, then tell the client. */
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "proxy/client.h"
#include "proxy/steps.h"
#include "proxy/tls.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

static bool
method_is_idempotent(struct span m)
{
	return rules_method_is_safe(m) || span_is(m, "PUT") ||
	       span_is(m, "DELETE");
}

/* A request goes out again only when nothing of it can have had an effect:
 * it never left, or its method is idempotent (RFC 9110 9.2.2). */
static bool
may_send_again(const struct exchange *ex)
{
	if (!ex->upload_replayable)
		return false;
	return ex->to_upstream.sent_bytes == 0 ||
	       method_is_idempotent(ex->view.method);
}

static void
count_failure(enum problem p)
{
	if (p == PROBLEM_CONNECT)
		counter_inc(COUNTER_UPSTREAM_FAIL_CONNECT);
	else if (p == PROBLEM_TLS)
		counter_inc(COUNTER_UPSTREAM_FAIL_TLS);
	else if (p == PROBLEM_TIMEOUT)
		counter_inc(COUNTER_UPSTREAM_FAIL_TIMEOUT);
	else if (p == PROBLEM_CLOSED)
		counter_inc(COUNTER_UPSTREAM_FAIL_CLOSED);
	else
		counter_inc(COUNTER_UPSTREAM_FAIL_PROTOCOL);
}

/* The target may have another address. */
static bool
may_try_next_address(struct exchange *ex)
{
	bool unreachable = !ex->upstream || ex->upstream->connecting;

	if (!unreachable)
		return false;
	pool_shun(ex->worker, ex->pool);
	return ++ex->unreachable < ex->target->address_count &&
	       may_send_again(ex);
}

/* No answer came: another address, a stale connection once more, then the
 * fallback, then the client is told. */
enum flow
forward_failed(struct exchange *ex, enum problem p)
{
	bool stale = ex->upstream && ex->upstream->reused &&
		     p == PROBLEM_CLOSED && !ex->response_head;
	const struct rules_target *fallback = ex->decision.fallback;

	if (stale && !ex->retried && may_send_again(ex)) {
		ex->retried = true;
		counter_inc(COUNTER_UPSTREAM_RETRIED);
		exchange_try_upstream(ex, ex->target);
		return FLOW_NEXT;
	}
	count_failure(p);
	if (may_try_next_address(ex)) {
		exchange_try_upstream(ex, ex->target);
		return FLOW_NEXT;
	}
	if (fallback && ex->target != fallback && may_send_again(ex)) {
		ex->fell_back = true;
		ex->retried = false;
		ex->unreachable = 0;
		counter_inc(COUNTER_FELL_BACK);
		exchange_try_upstream(ex, fallback);
		return FLOW_NEXT;
	}
	return step_problem(ex, p);
}

enum flow
forward_expired(struct exchange *ex)
{
	bool client_stalls = ex->upstream && !ex->upstream->connecting &&
			     !ex->upload.done && !out_pending(&ex->to_upstream);

	return client_stalls ? step_problem(ex, PROBLEM_REQUEST_TIMEOUT) :
			       forward_failed(ex, PROBLEM_TIMEOUT);
}

static enum upstream_want
forward_want(const struct exchange *ex)
{
	if (ex->retried)
		return UPSTREAM_FRESH;
	return method_is_idempotent(ex->view.method) ? UPSTREAM_ANY :
						       UPSTREAM_PROBED;
}

static void
forward_connecting(struct exchange *ex)
{
	ex->forward_us = exchange_elapsed_us(ex);
	exchange_deadline(ex, ex->target->connect_ms);
}

static enum flow
forward_begin(struct exchange *ex)
{
	struct worker *w = ex->worker;

	ex->pool = pool_pick(w, ex->lease->pools[ex->target->index],
			     ex->target->address_count);
	ex->to_upstream.sent_bytes = 0;
	ex->upstream = upstream_take(w, ex->pool, forward_want(ex), ex);
	if (!ex->upstream)
		return forward_failed(ex, PROBLEM_CONNECT);
	if (head_forward_request(ex))
		return step_problem(ex, PROBLEM_HEAD_TOO_LARGE);
	if (relay_first_upload(ex))
		return step_problem(ex, relay_bad_request(ex));
	if (ex->upstream->connecting)
		forward_connecting(ex);
	else
		exchange_progress(ex);
	return FLOW_NEXT;
}

static enum flow
forward_insecure(struct exchange *ex)
{
	char id[ID_TEXT_SIZE];

	if (tls_may_log(ex->worker))
		log_line(LOG_LEVEL_WARN, "upstream.tls",
			 id_text(exchange_id(ex), id),
			 "target \"%s\" at %s: %s", ex->target->name,
			 ex->pool->address.text,
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
	exchange_progress(ex);
	return FLOW_NEXT;
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
	if (chunk_room(old))
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
	(void)out_flush(&ex->client->io, &ex->to_client);
	parse_init_response(&ex->response, &ex->arena);
	return FLOW_NEXT;
}

static enum flow
forward_answer(struct exchange *ex)
{
	const struct parse *p = &ex->response;

	if (parse_check_response(p))
		return forward_failed(ex, PROBLEM_BAD_ANSWER);
	if (p->ll.status_code / 100 == 1)
		return forward_interim(ex);
	ex->first_byte_us = exchange_elapsed_us(ex);
	ex->status = p->ll.status_code;
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

static enum flow
forward_read(struct exchange *ex)
{
	struct chunk *c;
	size_t used;

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
		return forward_failed(ex, PROBLEM_BAD_ANSWER);
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
