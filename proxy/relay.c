/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies between two sockets: one buffer each way, refilled only when it
 * has been sent on, so that a slow side slows the other (back-pressure). */
#include <stdio.h>

#include "base/invariant.h"
#include "proxy/client.h"
#include "proxy/exchange.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

#define PIECES_MAX 16	/* of up to 64 KiB in one go */
#define PACE_WINDOW_MS 10000u
#define PACE_BYTES_A_SECOND 500u

/* One direction, so that both can share the code. */
struct lane {
	struct exchange *ex;
	struct body *body;
	struct parse *parse;
	struct capture *capture;
	struct out *out;
	bool rechunk;
};

static struct lane
lane_up(struct exchange *ex)
{
	return (struct lane){ ex, &ex->upload, &ex->request,
			      &ex->upload_capture, &ex->to_upstream,
			      ex->upload.framing == PARSE_CHUNKED };
}

static struct lane
lane_down(struct exchange *ex)
{
	return (struct lane){ ex, &ex->download, &ex->response,
			      &ex->download_capture, &ex->to_client,
			      ex->answer_rechunked };
}

static bool
lane_send(struct lane *l, const char *data, size_t n, bool stable)
{
	struct body *b = l->body;

	b->true_bytes += n;
	if (l->ex->decision.record)
		capture_add(l->capture, data, n, stable);
	if (!l->rechunk)
		return out_add(l->out, data, n);
	if (n == 0)
		return true;
	return out_add(l->out, b->size_line,
		       (size_t)snprintf(b->size_line, sizeof(b->size_line),
					"%zx\r\n", n)) &&
	       out_add(l->out, data, n) && out_add(l->out, "\r\n", 2);
}

/* A message that is not chunked has no place for trailers: they end here
 * (RFC 9110 6.5). */
static bool
lane_end(struct lane *l)
{
	struct span trailers = parse_trailers(l->parse);

	l->body->done = true;
	if (!l->rechunk)
		return true;
	return out_add(l->out, "0\r\n", 3) &&
	       out_add(l->out, trailers.at, trailers.len) &&
	       out_add(l->out, "\r\n", 2);
}

static int
lane_take_length(struct lane *l, struct chunk *c, bool stable)
{
	size_t n = c->end - c->at;

	if (n > l->body->left)
		n = (size_t)l->body->left;
	l->body->left -= n;
	if (!lane_send(l, c->data + c->at, n, stable))
		return -1;
	c->at += n;
	return l->body->left == 0 && !lane_end(l) ? -1 : 0;
}

static int
lane_take_chunked(struct lane *l, struct chunk *c, bool stable)
{
	char *data = c->data + c->at;
	size_t used, len;
	enum parse_result r;

	r = parse_chunked(l->parse, data, c->end - c->at, &used, &len);
	if (r == PARSE_BAD || !lane_send(l, data, len, stable))
		return -1;
	c->at += used;
	return r == PARSE_DONE && !lane_end(l) ? -1 : 0;
}

/* lane_take moves what the chunk holds of this body to the output. */
static int
lane_take(struct lane *l, struct chunk *c, bool stable)
{
	size_t n = c->end - c->at;

	if (l->body->done)
		return 0;
	switch (l->body->framing) {
	case PARSE_NO_BODY:
		return lane_end(l) ? 0 : -1;
	case PARSE_LENGTH:
		return lane_take_length(l, c, stable);
	case PARSE_CHUNKED:
		return lane_take_chunked(l, c, stable);
	case PARSE_UNTIL_CLOSE:
		c->at = c->end;
		return lane_send(l, c->data + c->end - n, n, stable) ? 0 : -1;
	}
	return -1;
}

int
relay_first_upload(struct exchange *ex)
{
	struct lane l = lane_up(ex);
	struct span all = capture_bytes(&ex->upload_capture);

	if (ex->upload_collected)
		return out_add(&ex->to_upstream, all.at, all.len) ? 0 : -1;
	/* Chunks are decoded in place: what came cannot be read again. */
	if (l.rechunk && ex->request_head->at < ex->request_head->end)
		ex->upload_replayable = false;
	return lane_take(&l, ex->request_head, true);
}

int
relay_first_download(struct exchange *ex)
{
	struct lane l = lane_down(ex);

	return lane_take(&l, ex->response_head, true);
}

/* lane_fill receives the next piece. A body that is known to be short gets
 * a small buffer. */
static enum io_result
lane_fill(struct lane *l, struct io *io)
{
	struct body *b = l->body;
	struct chunk_pool *pool = &l->ex->worker->chunks;
	size_t most = 0;

	if (!b->chunk) {
		b->chunk = chunk_take(pool, b->framing == PARSE_LENGTH &&
					    b->left <= CHUNK_SMALL_BYTES ?
					    CHUNK_SMALL_BYTES :
					    CHUNK_LARGE_BYTES);
		if (!b->chunk)
			return IO_BROKEN;
	}
	if (b->chunk->at == b->chunk->end)
		b->chunk->at = b->chunk->end = 0;
	if (b->framing == PARSE_LENGTH)
		most = b->left < b->chunk->size ? (size_t)b->left : 0;
	return io_recv(io, b->chunk, most);
}

/* What a socket's result means for its exchange. */
static enum relay
relay_of(enum io_result r, enum relay lost)
{
	switch (r) {
	case IO_OK:
		return RELAY_DONE;
	case IO_WAIT:
		return RELAY_WAIT;
	case IO_EOF:
	case IO_BROKEN:
		break;
	}
	return lost;
}

/* A body that comes as fast as it goes leaves the worker to others now and
 * then. */
static enum relay
give_way(struct exchange *ex)
{
	client_resume_later(ex->client);
	return RELAY_WAIT;
}

/* Drop by drop a client could keep a connection for ever. While the upstream
 * does not take more, the window stands still (pace_ms 0). */
static bool
upload_is_slow(struct exchange *ex)
{
	uint64_t now = ex->worker->now_ms, took;

	if (ex->pace_ms == 0) {
		ex->pace_ms = now;
		ex->pace_bytes = ex->upload.true_bytes;
		return false;
	}
	took = now - ex->pace_ms;
	if (took < PACE_WINDOW_MS)
		return false;
	ex->upload_slow = (ex->upload.true_bytes - ex->pace_bytes) * 1000 <
			  took * PACE_BYTES_A_SECOND;
	ex->pace_ms = 0;
	return ex->upload_slow;
}

/* One piece of the request: RELAY_DONE, or why there is none. */
static enum relay
upload_more(struct lane *l)
{
	enum relay r = relay_of(lane_fill(l, &l->ex->client->io),
				RELAY_CLIENT_LOST);

	if (r != RELAY_DONE)
		return r;
	if (lane_take(l, l->body->chunk, false))
		return RELAY_BAD_REQUEST;
	return !l->body->done && upload_is_slow(l->ex) ? RELAY_BAD_REQUEST :
							 RELAY_DONE;
}

enum relay
relay_upload(struct exchange *ex)
{
	struct lane l = lane_up(ex);
	enum relay r;
	int pieces = 0;

	for (;;) {
		if (ex->worker->gathers &&
		    exchange_sends_later(ex, &ex->to_upstream))
			return RELAY_WAIT;
		r = relay_of(out_flush(&ex->upstream->io, &ex->to_upstream),
			     RELAY_UPSTREAM_LOST);
		if (r == RELAY_WAIT)
			ex->pace_ms = 0;
		if (r != RELAY_DONE || ex->upload.done)
			return r;
		if (pieces++ == PIECES_MAX)
			return give_way(ex);
		r = upload_more(&l);
		if (r != RELAY_DONE)
			return r;
		ex->upload_replayable = false;
		exchange_progress(ex);
	}
}

enum problem
relay_bad_request(const struct exchange *ex)
{
	if (ex->upload_slow)
		return PROBLEM_REQUEST_TIMEOUT;
	return ex->request.overflow ? PROBLEM_TRAILERS_TOO_LARGE :
				      PROBLEM_BAD_BODY;
}

/* A piece of a body that goes to no upstream. */
static enum relay
upload_swallow(struct lane *l)
{
	enum relay r = upload_more(l);

	out_reset(l->out);
	return r;
}

enum relay
relay_collect(struct exchange *ex)
{
	struct lane l = lane_up(ex);
	enum relay r = RELAY_DONE;

	out_reset(&ex->to_upstream);
	while (r == RELAY_DONE && !ex->upload.done &&
	       !ex->upload_capture.truncated)
		r = upload_swallow(&l);
	return r;
}

enum relay
relay_discard(struct exchange *ex)
{
	struct lane l = lane_up(ex);
	enum relay r = RELAY_DONE;

	out_reset(&ex->to_upstream);
	while (r == RELAY_DONE && !ex->upload.done)
		r = upload_swallow(&l);
	return r;
}

/* The strict class keeps back the end of the answer until the terminal event
 * is on disk: what completed the answer is not sent yet. */
static bool
must_hold(const struct exchange *ex)
{
	return ex->download.done && ex->decision.record &&
	       ex->decision.strict && !ex->recorded && !ex->rejected;
}

/* One piece of the answer, or its end: RELAY_DONE, or why there is none. */
static enum relay
download_more(struct lane *l)
{
	struct exchange *ex = l->ex;
	enum io_result got = lane_fill(l, &ex->upstream->io);
	enum relay r;

	if (got == IO_EOF && ex->download.framing == PARSE_UNTIL_CLOSE)
		return lane_end(l) ? RELAY_DONE : RELAY_UPSTREAM_LOST;
	r = relay_of(got, RELAY_UPSTREAM_LOST);
	if (r != RELAY_DONE)
		return r;
	exchange_progress(ex);
	return lane_take(l, ex->download.chunk, false) ? RELAY_BAD_ANSWER :
							 RELAY_DONE;
}

enum relay
relay_download(struct exchange *ex)
{
	struct lane l = lane_down(ex);
	int pieces = 0;
	enum relay r;

	for (;;) {
		if (must_hold(ex)) {
			ex->held = true;
			return RELAY_HELD;
		}
		if (ex->worker->gathers &&
		    exchange_sends_later(ex, &ex->to_client))
			return RELAY_WAIT;
		r = relay_of(out_flush(&ex->client->io, &ex->to_client),
			     RELAY_CLIENT_LOST);
		if (r != RELAY_DONE || ex->download.done)
			return r;
		if (pieces++ == PIECES_MAX)
			return give_way(ex);
		r = download_more(&l);
		if (r != RELAY_DONE)
			return r;
	}
}
