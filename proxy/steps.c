/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an exchange: one function a step, in the order of steps.def.
 * A step does what it can now and says NEXT (ex->step was set), WAIT (run me
 * again when something happened) or DONE. */
#include "proxy/steps.h"

#include <string.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/invariant.h"
#include "base/log.h"
#include "proxy/client.h"
#include "proxy/evidence.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

enum flow
step_go(struct exchange *ex, enum step to)
{
	ex->step = to;
	return FLOW_NEXT;
}

enum flow
step_problem(struct exchange *ex, enum problem p)
{
	answer_problem(ex, p);
	return FLOW_NEXT;
}

enum flow
step_abort(struct exchange *ex)
{
	ex->aborted = true;
	ex->keep_alive = false;
	exchange_leave_target(ex);
	upstream_drop(&ex->upstream);
	if (!ex->lease)		/* its head never arrived */
		ex->rejected = true;
	return step_go(ex, STEP_RECORD);
}

/* ---- receive ---- */

static enum flow
reject(struct exchange *ex, enum problem p)
{
	counter_inc(COUNTER_REJECTED);
	if (worker_may_log(ex->worker))
		log_info("client.rejected", "%s: %s", ex->client->address,
			 problem_row(p)->code);
	ex->rejected = true;
	ex->keep_alive = false;
	ex->view.method = ex->request.start;
	return step_problem(ex, p);
}

/* The client went away, or said nothing useful: no answer, no event. */
static enum flow
vanish(struct exchange *ex)
{
	ex->rejected = true;
	ex->aborted = true;
	return step_go(ex, STEP_FINISH);
}

static enum problem
head_problem(const struct exchange *ex)
{
	if (ex->request.overflow)
		return PROBLEM_HEAD_TOO_LARGE;
	if (ex->request.target.len > PARSE_TARGET_MAX)
		return PROBLEM_TARGET_TOO_LONG;
	return ex->request.unknown_method ? PROBLEM_UNKNOWN_METHOD :
					    PROBLEM_BAD_REQUEST;
}

/* A head that fills its buffer moves to a large one, once; in a large one
 * it moves to the front, where an upload may have been. */
static int
grow_head(struct exchange *ex)
{
	struct chunk *old = ex->request_head, *big = old;
	size_t from = ex->request_start;

	if (old->size == CHUNK_SMALL_BYTES)
		big = chunk_take(&ex->worker->chunks, CHUNK_LARGE_BYTES);
	if (!big || (big == old && from == 0))
		return -1;
	memmove(big->data, old->data + from, old->end - from);
	parse_rebase(&ex->request, old->data + from, big->data);
	big->at = old->at - from;
	big->end = old->end - from;
	ex->request_start = 0;
	ex->request_head = big;
	if (old != big)
		chunk_give(&ex->worker->chunks, &old);
	return 0;
}

static enum flow
receive_more(struct exchange *ex)
{
	if (chunk_room(ex->request_head) == 0 && grow_head(ex))
		return reject(ex, ex->request.start.at && !ex->request.fields ?
				  PROBLEM_TARGET_TOO_LONG :
				  PROBLEM_HEAD_TOO_LARGE);
	switch (io_recv(&ex->client->io, ex->request_head, 0)) {
	case IO_WAIT:
		return FLOW_WAIT;
	case IO_EOF:
	case IO_BROKEN:
		return vanish(ex);
	case IO_OK:
		break;
	}
	return FLOW_NEXT;
}

static void
receive_done(struct exchange *ex)
{
	const struct parse *p = &ex->request;

	ex->request_head_end = ex->request_head->at;
	ex->started_us = clock_mono_us();
	ex->keep_alive = llhttp_should_keep_alive(&p->ll) &&
			 p->ll.http_minor == 1 &&
			 ex->worker->shed == SHED_NONE;
	ex->upload.framing = parse_request_framing(p);
	ex->upload.left = p->ll.content_length;
	ex->upload.done = ex->upload.framing == PARSE_NO_BODY;
	ex->upload_replayable = true;
	ex->expects_continue =
		(p->seen & FIELD_BIT(FIELD_EXPECT)) != 0;
}

static enum flow
receive(struct exchange *ex)
{
	struct chunk *c = ex->request_head;
	enum problem why;
	size_t used;

	if (c->at == c->end)
		return receive_more(ex);
	switch (parse_head(&ex->request, c->data + c->at, c->end - c->at,
			   &used)) {
	case PARSE_MORE:
		c->at += used;
		return FLOW_NEXT;
	case PARSE_BAD:
	case PARSE_DONE:
		return reject(ex, head_problem(ex));
	case PARSE_HEAD:
		break;
	}
	c->at += used;
	if (parse_check_request(&ex->request, &why))
		return reject(ex, why);
	receive_done(ex);
	if (hop_read(ex, &why))
		return reject(ex, why);
	return step_go(ex, STEP_MATCH);
}

/* ---- match ---- */

/* Reading a small body keeps the connection, which costs more to make anew.
 * A client that waits for 100 is told at once instead. */
static bool
body_is_worth_reading(const struct exchange *ex)
{
	return ex->upload.framing == PARSE_LENGTH &&
	       ex->upload.left <= CHUNK_LARGE_BYTES && !ex->expects_continue;
}

static enum flow
gone(struct exchange *ex)
{
	int bad = relay_first_upload(ex);

	out_reset(&ex->to_upstream);
	if (bad)
		return step_problem(ex, relay_bad_request(ex));
	if (ex->upload.done || !body_is_worth_reading(ex))
		return step_problem(ex, PROBLEM_GONE);
	exchange_deadline(ex, ex->worker->proxy->client_idle_ms);
	return step_go(ex, STEP_DISCARD);
}

static enum flow
match(struct exchange *ex)
{
	struct router_decision *d = &ex->decision;
	struct worker *w = ex->worker;
	enum problem shed;

	if (view_read(ex))
		return reject(ex, PROBLEM_HEAD_TOO_LARGE);
	shed = shed_request(ex);
	if (shed != PROBLEM_NONE)
		return reject(ex, shed);
	ex->lease = w->lease;
	ex->lease->exchanges++;
	if (operation_owns(ex))
		return operation_begin(ex);
	router_decide(ex->lease->rules, &ex->view, worker_random(w), d);
	rule_stats_inc(ex->lease->stats[d->rule->index], RULE_REQUESTS);
	counter_inc(COUNTER_STAGE_PASSTHROUGH + (int)d->place.stage);
	ex->upload_capture.limit = d->rule->record_body_bytes;
	ex->target = d->target;
	if (ex->hop.limited && ex->hop.forwards_left == 0) {
		answer_options(ex);	/* RFC 9110 7.6.2 */
		return FLOW_NEXT;
	}
	if (d->action == ROUTER_AMBIGUOUS)
		return step_problem(ex, PROBLEM_AMBIGUOUS_PATH);
	if (d->action == ROUTER_GONE)
		return gone(ex);
	if (d->action == ROUTER_COMMAND)
		return step_go(ex, STEP_COMMAND);
	if (d->record && d->strict)
		return step_go(ex, STEP_ADMIT);
	return step_go(ex, STEP_FORWARD);
}

/* ---- discard ---- */

static enum flow
discard(struct exchange *ex)
{
	switch (relay_discard(ex)) {
	case RELAY_WAIT:
		return FLOW_WAIT;
	case RELAY_CLIENT_LOST:
		return step_abort(ex);
	case RELAY_BAD_REQUEST:
		return step_problem(ex, relay_bad_request(ex));
	case RELAY_DONE:
	case RELAY_HELD:
	case RELAY_UPSTREAM_LOST:
	case RELAY_BAD_ANSWER:
		break;
	}
	return step_problem(ex, PROBLEM_GONE);
}

/* ---- admit ---- */

static enum flow
admit(struct exchange *ex)
{
	if (ex->commit_pending)
		return FLOW_WAIT;
	if (ex->commit_failed)
		return step_problem(ex, PROBLEM_JOURNAL);
	if (ex->opened)
		return step_go(ex, STEP_FORWARD);
	if (record_open(ex, BUS_RECORD_REQUEST) == RECORD_FAILED)
		return step_problem(ex, PROBLEM_JOURNAL);
	return FLOW_WAIT;
}

/* ---- forward ---- */

static enum flow
forward(struct exchange *ex)
{
	return forward_step(ex);
}

/* ---- command ---- */

static enum flow
command(struct exchange *ex)
{
	return command_step(ex);
}

/* ---- operation ---- */

static enum flow
operation(struct exchange *ex)
{
	return operation_step(ex);
}

/* ---- answer ---- */

/* The upstream connection is free as soon as its answer was received. */
static void
release_upstream(struct exchange *ex)
{
	const struct chunk *tail = ex->download.chunk ? ex->download.chunk :
							ex->response_head;

	if (!ex->upstream)
		return;
	if (ex->upload.done && !out_pending(&ex->to_upstream) &&
	    ex->download.framing != PARSE_UNTIL_CLOSE &&
	    tail->at == tail->end && llhttp_should_keep_alive(&ex->response.ll))
		upstream_keep(&ex->upstream);
	else
		upstream_drop(&ex->upstream);
}

/* The answer came before the request was complete: the rest of the request
 * goes on as long as it can, and in no case at the answer's cost. */
static void
upload_beside_answer(struct exchange *ex)
{
	if (!ex->upstream || ex->upload.done || ex->upload_given_up)
		return;
	switch (relay_upload(ex)) {
	case RELAY_CLIENT_LOST:
	case RELAY_UPSTREAM_LOST:
	case RELAY_BAD_REQUEST:
		ex->upload_given_up = true;
		break;
	case RELAY_DONE:
	case RELAY_WAIT:
	case RELAY_HELD:
	case RELAY_BAD_ANSWER:
		break;
	}
}

static enum flow
answer(struct exchange *ex)
{
	enum relay r;

	upload_beside_answer(ex);
	if (ex->client->io.broken)
		return step_abort(ex);
	r = relay_download(ex);
	if (ex->download.done)
		release_upstream(ex);
	switch (r) {
	case RELAY_WAIT:
		return FLOW_WAIT;
	case RELAY_HELD:
	case RELAY_DONE:
		return step_go(ex, STEP_RECORD);
	case RELAY_CLIENT_LOST:
	case RELAY_UPSTREAM_LOST:
	case RELAY_BAD_REQUEST:
	case RELAY_BAD_ANSWER:
		break;
	}
	return step_abort(ex);
}

/* ---- tunnel ---- */

static enum flow
tunnel(struct exchange *ex)
{
	return tunnel_step(ex);
}

/* ---- record ---- */

/* The strict class fails closed: the client never sees a good answer whose
 * event is lost. */
static enum flow
record_lost(struct exchange *ex)
{
	ex->recorded = true;		/* there is nothing more to try */
	if (!ex->held)
		return step_go(ex, STEP_FINISH);
	ex->held = false;
	if (ex->to_client.sent_bytes > ex->answer_from) {
		ex->aborted = true;
		return step_go(ex, STEP_FINISH);
	}
	out_cut(&ex->to_client, ex->answer_from);
	ex->keep_alive = false;
	answer_problem(ex, PROBLEM_JOURNAL);
	return step_go(ex, STEP_RELEASE);
}

static enum flow
after_record(struct exchange *ex)
{
	if (!ex->held)
		return step_go(ex, STEP_FINISH);
	/* The deadline may have passed while the commit was under way. */
	exchange_deadline(ex, ex->worker->proxy->client_idle_ms);
	return step_go(ex, STEP_RELEASE);
}

static enum flow
record(struct exchange *ex)
{
	if (ex->commit_pending)
		return FLOW_WAIT;
	if (ex->commit_failed && ex->recorded)
		return record_lost(ex);
	if (ex->recorded || ex->rejected || !ex->decision.record)
		return after_record(ex);
	switch (record_close(ex)) {
	case RECORD_OK:
	case RECORD_WAIT:
		ex->recorded = true;
		return FLOW_NEXT;
	case RECORD_FAILED:
		return record_lost(ex);
	}
	return FLOW_DONE;
}

/* ---- release ---- */

static enum flow
release(struct exchange *ex)
{
	ex->held = false;
	switch (relay_download(ex)) {
	case RELAY_WAIT:
		return FLOW_WAIT;
	case RELAY_DONE:
		break;
	default:
		ex->aborted = true;
		break;
	}
	return step_go(ex, STEP_FINISH);
}

/* ---- finish ---- */

/* What ends with the connection looks whole when it ends by a FIN: only a
 * reset tells an HTTP/1.0 client that it is not (RFC 9112 8). */
static bool
looks_whole(const struct exchange *ex)
{
	return ex->aborted && ex->answer_started && !ex->answer_rechunked &&
	       ex->status != 101 &&
	       (ex->download.framing == PARSE_CHUNKED ||
		ex->download.framing == PARSE_UNTIL_CLOSE);
}

static enum flow
finish(struct exchange *ex)
{
	exchange_leave_target(ex);
	upstream_drop(&ex->upstream);
	if (looks_whole(ex))
		io_reset(&ex->client->io);
	operation_forget(ex);
	command_forget(ex);
	if (ex->rejected)
		return FLOW_DONE;
	counter_inc(COUNTER_ANSWERED);
	if (!ex->decision.record)
		counter_inc(COUNTER_DROPPED_PASSTHROUGH);
	if (ex->lease)
		evidence_count(ex);
	return FLOW_DONE;
}

/* ---- the list ---- */

static enum flow (*const steps[STEP_COUNT])(struct exchange *) = {
#define STEP(sym, fn, where) [STEP_##sym] = fn,
#include "proxy/steps.def"
#undef STEP
};

enum flow
step_run(struct exchange *ex)
{
	return steps[ex->step](ex);
}

/* ---- deadlines ---- */

void
exchange_expired(struct exchange *ex)
{
	if (ex->commit_pending)
		return;		/* the journal answers in any case */
	switch (ex->step) {
	case STEP_RECEIVE:
		(void)reject(ex, PROBLEM_REQUEST_TIMEOUT);
		break;
	case STEP_FORWARD:
		(void)forward_expired(ex);
		break;
	case STEP_COMMAND:
		if (ex->opened)
			command_expired(ex);
		else	/* its body did not arrive in time */
			(void)step_problem(ex, PROBLEM_REQUEST_TIMEOUT);
		break;
	case STEP_DISCARD:
		(void)step_problem(ex, PROBLEM_REQUEST_TIMEOUT);
		break;
	case STEP_OPERATION:	/* looks at the time itself */
		break;
	case STEP_ANSWER:
	case STEP_TUNNEL:
	case STEP_RELEASE:
		(void)step_abort(ex);
		break;
	case STEP_MATCH:
	case STEP_ADMIT:
	case STEP_RECORD:
	case STEP_FINISH:
	case STEP_COUNT:
		return;
	}
	exchange_run(ex);
}
