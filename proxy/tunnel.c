/* SPDX-License-Identifier: Apache-2.0 */
/* After a 101: bytes both ways, unread (RFC 9110 7.8). Each way has one
 * buffer, refilled only when it has been sent on, so that a slow side slows
 * the other; a silent tunnel has none. */
#include "base/counter.h"
#include "proxy/client.h"
#include "proxy/hop.h"
#include "proxy/steps.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

#define PIECES_MAX 16	/* then others have a turn */

struct way {
	struct exchange *ex;
	struct io *from, *to;
	struct body *body;
	struct capture *capture;
	struct out *out;
};

/* The event has the size of what it does not hold. */
static bool
way_send(struct way *w, struct chunk *c)
{
	size_t n = c->end - c->at;

	if (!out_add(w->out, c->data + c->at, n))
		return false;
	c->at = c->end;
	w->body->true_bytes += n;
	w->capture->truncated |= n > 0;
	return true;
}

/* One piece, or the end: what follows a FIN is a FIN, and the other way
 * goes on. */
static enum io_result
way_fill(struct way *w)
{
	struct chunk_pool *pool = &w->ex->worker->chunks;
	struct chunk **c = &w->body->chunk;
	enum io_result r;

	if (!*c)
		*c = chunk_take(pool, CHUNK_SMALL_BYTES);
	if (!*c)
		return IO_BROKEN;
	(*c)->at = (*c)->end = 0;
	r = io_recv(w->from, *c, 0);
	if (r == IO_OK) {
		exchange_progress(w->ex);
		return way_send(w, *c) ? IO_OK : IO_BROKEN;
	}
	chunk_give(pool, c);
	if (r != IO_EOF)
		return r;
	w->body->done = true;
	io_end(w->to);
	return IO_OK;
}

/* IO_OK: this way has ended. */
static enum io_result
way_run(struct way *w)
{
	enum io_result r;
	int pieces = 0;

	for (;;) {
		r = out_flush(w->to, w->out);
		if (r != IO_OK || w->body->done)
			return r;
		if (pieces++ == PIECES_MAX) {
			client_resume_later(w->ex->client);
			return IO_WAIT;
		}
		r = way_fill(w);
		if (r != IO_OK)
			return r;
	}
}

static struct way
way_up(struct exchange *ex)
{
	return (struct way){ ex, &ex->client->io, &ex->upstream->io,
			     &ex->upload, &ex->upload_capture,
			     &ex->to_upstream };
}

static struct way
way_down(struct exchange *ex)
{
	return (struct way){ ex, &ex->upstream->io, &ex->client->io,
			     &ex->download, &ex->download_capture,
			     &ex->to_client };
}

/* What came in one buffer with a head goes first. */
static bool
way_open(struct way *w, struct chunk *head)
{
	w->body->framing = PARSE_UNTIL_CLOSE;
	w->body->done = false;
	return !head || way_send(w, head);
}

/* Where a head lies, while it moves. */
struct head {
	const char *from;
	size_t len;
	const char *to;
};

static void
span_follow(struct span *s, const struct head *h)
{
	if (s->at >= h->from && s->at <= h->from + h->len)
		s->at = h->to + (s->at - h->from);
}

/* A tunnel may be open for hours: what the event needs of a head moves into
 * the exchange, and its buffer goes back unless there is more in it. */
static void
head_settle(struct exchange *ex, struct parse *p, struct chunk **c,
	    struct head h)
{
	struct message_request *v = &ex->view;
	struct span *const spans[] = { &v->method, &v->target, &v->path,
				       &v->query, &v->host, &v->client };
	size_t i;

	h.to = arena_copy(&ex->arena, h.from, h.len);
	if (!h.to)
		return;
	parse_rebase(p, h.from, h.to);
	p->end = h.to + h.len;
	for (i = 0; i < ARRAY_SIZE(spans); i++)
		span_follow(spans[i], &h);
	if ((*c)->at == (*c)->end)
		chunk_give(&ex->worker->chunks, c);
}

static void
heads_settle(struct exchange *ex)
{
	const char *asked = ex->request_head->data + ex->request_start;
	const char *said = ex->response.start.at - 5;	/* "HTTP/" */

	head_settle(ex, &ex->request, &ex->request_head, (struct head){
		asked, ex->request_head_end - ex->request_start, NULL });
	head_settle(ex, &ex->response, &ex->response_head, (struct head){
		said, (size_t)(ex->response.end - said), NULL });
}

enum flow
tunnel_begin(struct exchange *ex)
{
	struct way up = way_up(ex), down = way_down(ex);

	if (!hop_switches(ex) || out_pending(&ex->to_upstream))
		return forward_failed(ex, PROBLEM_BAD_ANSWER);
	heads_settle(ex);
	ex->first_byte_us = exchange_elapsed_us(ex);
	ex->status = 101;
	attempt_answered(ex);
	ex->answer_fields = parse_fields(&ex->response);
	ex->download.framing = PARSE_NO_BODY;
	if (head_forward_response(ex) ||
	    !way_open(&up, ex->request_head) ||
	    !way_open(&down, ex->response_head))
		return step_problem(ex, PROBLEM_BAD_ANSWER);
	ex->keep_alive = false;
	ex->upload_replayable = false;
	counter_inc(COUNTER_TUNNELS);
	ex->step = STEP_TUNNEL;
	exchange_progress(ex);
	return FLOW_NEXT;
}

enum flow
tunnel_step(struct exchange *ex)
{
	struct way up = way_up(ex), down = way_down(ex);
	enum io_result said = way_run(&down), asked = way_run(&up);

	if (said == IO_BROKEN || asked == IO_BROKEN)
		return step_abort(ex);
	if (said == IO_WAIT || asked == IO_WAIT)
		return FLOW_WAIT;
	return step_go(ex, STEP_RECORD);
}
