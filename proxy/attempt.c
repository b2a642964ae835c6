/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt to get an answer: may the target be asked, at which address;
 * and when it fails, another address, the fallback, or the client is told. */
#include "base/counter.h"
#include "proxy/client.h"
#include "proxy/steps.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

#define BACKLOG_PAUSE_MS 20u

static const struct lease_target *
target_of(const struct exchange *ex)
{
	return &ex->lease->targets[ex->target->index];
}

/* ---- what the target is told ---- */

static void
report(struct exchange *ex, enum breaker_outcome how)
{
	if (!ex->ticket)
		return;
	target_report(target_of(ex)->shared, ex->target, ex->worker->now_ms,
		      ex->ticket, how);
	ex->ticket = 0;
}

void
exchange_leave_target(struct exchange *ex)
{
	report(ex, BREAKER_UNKNOWN);
	if (ex->queued || ex->called)
		gate_leave(target_of(ex)->gate, ex);
}

static void
address_failed(struct exchange *ex, enum health_failure what)
{
	const struct lease_target *t = target_of(ex);

	target_failed(t->shared, ex->target, t->set, ex->pool->endpoint, what,
		      ex->worker->now_ms);
}

void
attempt_answered(struct exchange *ex)
{
	const struct rules_target *t = ex->target;
	struct health *h = &ex->pool->endpoint->health;

	if (t->eject.bad.count && rules_status_in(&t->eject.bad, ex->status))
		address_failed(ex, HEALTH_BAD_ANSWER);
	else
		health_succeeded(h, &t->eject, ex->worker->now_ms);
	if (ex->ticket)
		report(ex, rules_status_in(&t->breaker.bad, ex->status) ?
			   BREAKER_FAILURE : BREAKER_SUCCESS);
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

/* ---- again, elsewhere, or not at all ---- */

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

static bool
has_untried(const struct exchange *ex)
{
	unsigned i;

	for (i = 0; i < target_of(ex)->count; i++)
		if (!(ex->tried >> i & 1))
			return true;
	return false;
}

static bool
may_retry(struct exchange *ex)
{
	return may_send_again(ex) &&
	       gate_may_retry(target_of(ex)->gate, ex->worker->now_ms);
}

static enum flow
retry(struct exchange *ex, enum counter why)
{
	counter_inc(why);
	exchange_try_upstream(ex, ex->target);
	return FLOW_NEXT;
}

/* Elsewhere where there is another address: the server may be about to go
 * away and still have taken a connection. */
static enum flow
retry_once(struct exchange *ex, enum counter why)
{
	ex->retried = true;
	if (!has_untried(ex))
		ex->tried = 0;
	return retry(ex, why);
}

/* The target was not asked, or in vain. */
static enum flow
give_up(struct exchange *ex, enum problem p)
{
	const struct rules_target *fallback = ex->decision.fallback;

	exchange_leave_target(ex);
	if (!fallback || ex->target == fallback || !may_send_again(ex))
		return step_problem(ex, p);
	ex->fell_back = true;
	ex->retried = false;
	ex->tried = 0;
	ex->backlog_until_ms = 0;
	counter_inc(COUNTER_FELL_BACK);
	exchange_try_upstream(ex, fallback);
	return FLOW_NEXT;
}

/* The server closed a kept-alive connection while the request was on its
 * way: that says nothing about its health. */
static bool
is_stale(const struct exchange *ex, enum problem p)
{
	return ex->upstream && ex->upstream->reused && p == PROBLEM_CLOSED &&
	       !ex->response_head && !ex->retried;
}

/* What came on a kept-alive connection is no answer: it may be the rest of
 * an earlier one. Once anything was passed on it was an answer's. */
static bool
is_surplus(const struct exchange *ex, enum problem p)
{
	return ex->upstream && ex->upstream->reused &&
	       p == PROBLEM_BAD_ANSWER && !ex->retried &&
	       out_queued(&ex->to_client) == 0;
}

static enum flow
retry_fresh(struct exchange *ex, enum counter why)
{
	report(ex, BREAKER_UNKNOWN);
	return retry_once(ex, why);
}

enum flow
forward_failed(struct exchange *ex, enum problem p)
{
	bool unreachable = !ex->upstream || ex->upstream->connecting;
	bool early = p == PROBLEM_CLOSED && !ex->response_head;
	bool stale = is_stale(ex, p);

	ex->tried |= UINT64_C(1) << ex->endpoint;
	if (stale && may_retry(ex))
		return retry_fresh(ex, COUNTER_RETRIED_STALE);
	if (is_surplus(ex, p) && may_retry(ex)) {
		ex->pool->talkative = true;
		return retry_fresh(ex, COUNTER_RETRIED_SURPLUS);
	}
	count_failure(p);
	report(ex, BREAKER_FAILURE);
	if (!stale)
		address_failed(ex, unreachable ? HEALTH_UNREACHABLE :
						 HEALTH_BAD_ANSWER);
	if (unreachable && has_untried(ex) && may_retry(ex))
		return retry(ex, COUNTER_RETRIED_CONNECT);
	if (early && !ex->retried && may_retry(ex))
		return retry_once(ex, COUNTER_RETRIED_CLOSED);
	return give_up(ex, p);
}

/* ---- deadlines ---- */

static enum flow
backlog_expired(struct exchange *ex)
{
	ex->backlogged = false;
	if (ex->worker->now_ms < ex->backlog_until_ms)
		return FLOW_NEXT;
	count_failure(PROBLEM_CONNECT);
	return give_up(ex, PROBLEM_BACKLOG);
}

/* The client keeps its body back until the upstream says 100. */
static bool
awaits_continue(const struct exchange *ex)
{
	return ex->expects_continue && ex->upload.true_bytes == 0;
}

static bool
client_stalls(const struct exchange *ex)
{
	return ex->upstream && !ex->upstream->connecting &&
	       !ex->upload.done && !out_pending(&ex->to_upstream) &&
	       !awaits_continue(ex);
}

enum flow
forward_expired(struct exchange *ex)
{
	if (client_stalls(ex))
		return step_problem(ex, PROBLEM_REQUEST_TIMEOUT);
	if (ex->upstream && forward_awaits_client(ex))
		return step_abort(ex);
	if (ex->backlogged)
		return backlog_expired(ex);
	/* Called in the same moment, it has no connection yet: nobody but
	 * the queue was too slow. */
	if (!ex->queued && !ex->called)
		return forward_failed(ex, PROBLEM_TIMEOUT);
	counter_inc(COUNTER_QUEUE_EXPIRED);
	return give_up(ex, PROBLEM_QUEUE_TIMEOUT);
}

/* ---- the attempt ---- */

static enum upstream_want
want_of(const struct exchange *ex)
{
	if (ex->retried)
		return UPSTREAM_FRESH;
	return method_is_idempotent(ex->view.method) ? UPSTREAM_ANY :
						       UPSTREAM_PROBED;
}

static enum flow
wait_for_connection(struct exchange *ex)
{
	bool again = ex->called;

	if (!gate_wait(target_of(ex)->gate, ex)) {
		counter_inc(COUNTER_QUEUE_REFUSED);
		return give_up(ex, PROBLEM_QUEUE_FULL);
	}
	/* Its deadline goes on, but for one that waited for a backlog. */
	if (again && !ex->backlog_until_ms)
		return FLOW_WAIT;
	counter_inc(COUNTER_QUEUED);
	exchange_deadline(ex, ex->target->queue_wait_ms);
	return FLOW_WAIT;
}

/* No event says when a Unix socket's backlog has room. */
static enum flow
wait_for_backlog(struct exchange *ex)
{
	if (!ex->backlog_until_ms)
		ex->backlog_until_ms =
			ex->worker->now_ms + ex->target->connect_ms;
	ex->backlogged = true;
	exchange_deadline(ex, BACKLOG_PAUSE_MS);
	return FLOW_WAIT;
}

static enum flow
take_connection(struct exchange *ex)
{
	switch (upstream_take(ex->worker, ex->pool, want_of(ex), ex)) {
	case UPSTREAM_TAKEN:
		ex->called = false;
		ex->backlog_until_ms = 0;
		return FLOW_NEXT;
	case UPSTREAM_FULL:
		return wait_for_connection(ex);
	case UPSTREAM_BACKLOG:
		return wait_for_backlog(ex);
	case UPSTREAM_SHORT:
		return give_up(ex, PROBLEM_OVERLOAD);
	case UPSTREAM_FAILED:
		break;
	}
	return forward_failed(ex, PROBLEM_CONNECT);
}

enum flow
attempt_begin(struct exchange *ex)
{
	const struct lease_target *t = target_of(ex);
	const struct rules_target *c = ex->target;
	struct worker *w = ex->worker;
	int i;

	gate_count(t->gate);
	if (c->breaker.requests && !ex->ticket) {
		ex->ticket = target_admit(t->shared, c, w->now_ms);
		if (!ex->ticket)
			return give_up(ex, PROBLEM_BREAKER_OPEN);
	}
	i = pool_pick(w, t, c->slow_start_ms, ex->tried);
	if (i < 0)
		return give_up(ex, PROBLEM_NO_ADDRESS);
	ex->endpoint = (unsigned)i;
	ex->pool = t->pools[i];
	ex->to_upstream.sent_bytes = 0;
	if (gate_has_queue(t->gate) && !ex->called)
		return wait_for_connection(ex);
	return take_connection(ex);
}
