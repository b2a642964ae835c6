/* SPDX-License-Identifier: Apache-2.0 */
/* The operation step: a kept answer is looked up, for its status resource or
 * for a repeated key. A question that waits costs a table row, no thread. */

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/invariant.h"
#include "base/json.h"
#include "proxy/client.h"
#include "proxy/later.h"
#include "proxy/steps.h"
#include "proxy/worker.h"

#define ANSWER_SUFFIX "/answer"

/* In the exchange's arena. */
struct poll {
	struct bus_lookup lookup;
	struct mail mail;
	struct exchange *ex;
	uint64_t until_ms;	/* a client waits; 0: it does not */
	bool repeat;		/* of a key, not a status resource */
	bool wants_answer;	/* behind a redirect */
	bool cancels;
	bool settled;		/* `cancelled` says what came of it */
	enum bus_cancelled cancelled;
	bool answered;		/* the lookup, as it was then */
	bool watching, woken;
};

/* ---- the path ---- */

/* Rules do not see these paths, in whatever way they are written. */
static bool
split_path(const struct exchange *ex, const char *prefix, char *path,
	   size_t size, struct span *rest)
{
	size_t n = strlen(prefix);
	long len;

	len = message_normal_path(ex->view.path, path, size);
	if (len < (long)n || memcmp(path, prefix, n) != 0)
		return false;
	*rest = (struct span){ path + n, (size_t)len - n };
	return true;
}

static struct poll *
poll_new(struct exchange *ex)
{
	struct poll *p = arena_alloc(&ex->arena, sizeof(*p));

	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	p->ex = ex;
	ex->poll = p;
	return p;
}

static bool
parse_rest(struct span rest, struct poll *p)
{
	static const struct span suffix = SPAN_LITERAL(ANSWER_SUFFIX);
	size_t n = ID_TEXT_SIZE - 1;

	if (rest.len == n + suffix.len &&
	    memcmp(rest.at + n, suffix.at, suffix.len) == 0) {
		p->wants_answer = true;
		rest.len = n;
	}
	return id_parse(rest.at, rest.len, &p->lookup.id) == 0;
}

static enum flow
refuse_method(struct exchange *ex)
{
	ex->own_lines = "Allow: GET, HEAD, DELETE\r\n";
	return step_problem(ex, PROBLEM_OPERATION_METHOD);
}

static void
read_wait(struct exchange *ex, struct poll *p)
{
	struct prefer prefer;
	unsigned ms;

	ex->own_lines = "Vary: Prefer\r\n";
	prefer_read(ex->view.fields, &prefer);
	if (!prefer.has_wait || prefer.wait_s == 0)
		return;
	ms = prefer.wait_s * 1000u;
	if (ms > LATER_WAIT_MAX_MS)
		ms = LATER_WAIT_MAX_MS;
	else
		ex->own_lines = arena_printf(
			&ex->arena, "Vary: Prefer\r\n"
			"Preference-Applied: wait=%u\r\n", prefer.wait_s);
	p->until_ms = ex->worker->now_ms + ms;
	exchange_deadline(ex, ms);
}

bool
operation_owns(struct exchange *ex)
{
	const char *prefix = ex->lease->rules->status_path;
	char path[512];
	struct span rest;

	return prefix && split_path(ex, prefix, path, sizeof(path), &rest);
}

/* A question about an exchange is not one itself: it leaves no event. */
enum flow
operation_begin(struct exchange *ex)
{
	const char *prefix = ex->lease->rules->status_path;
	struct poll *p = poll_new(ex);
	char path[512];
	struct span rest;

	ex->rejected = true;
	counter_inc(COUNTER_OPERATIONS_POLLED);
	if (!p)
		return step_problem(ex, PROBLEM_OVERLOAD);
	p->cancels = span_is(ex->view.method, "DELETE");
	if (!p->cancels && !span_is(ex->view.method, "GET") &&
	    !span_is(ex->view.method, "HEAD"))
		return refuse_method(ex);
	if (!split_path(ex, prefix, path, sizeof(path), &rest) ||
	    !parse_rest(rest, p))
		return step_problem(ex, PROBLEM_NO_OPERATION);
	exchange_deadline(ex, ex->worker->proxy->client_idle_ms);
	if (!p->cancels)
		read_wait(ex, p);
	return step_go(ex, STEP_OPERATION);
}

enum flow
operation_repeat(struct exchange *ex)
{
	struct poll *p = poll_new(ex);

	if (!p)
		return step_problem(ex, PROBLEM_OVERLOAD);
	p->lookup.id = ex->later->operation.id;
	p->repeat = true;
	return step_go(ex, STEP_OPERATION);
}

/* ---- looking ---- */

static void
looked_up(struct worker *w, struct mail *m)
{
	struct poll *p = (struct poll *)((char *)m -
					 offsetof(struct poll, mail));
	struct exchange *ex = p->ex;

	(void)w;
	INVARIANT(ex->commit_pending);
	ex->commit_pending = false;
	bus_reply_free(&ex->reply);
	ex->reply = p->lookup.answer;
	p->answered = true;
	exchange_run(ex);
}

/* On the bus's reading thread. */
static void
lookup_done(struct bus_lookup *l)
{
	struct poll *p = (struct poll *)l;

	p->mail.handle = looked_up;
	worker_mail(p->ex->worker, &p->mail);
}

static enum flow
look(struct exchange *ex, struct poll *p)
{
	if (ex->worker->detached)
		return step_problem(ex, PROBLEM_OVERLOAD);
	p->answered = p->woken = false;
	p->lookup.done = lookup_done;
	ex->commit_pending = true;
	if (bus_lookup(ex->worker->proxy->bus, &p->lookup))
		return FLOW_WAIT;
	ex->commit_pending = false;
	return step_problem(ex, PROBLEM_OVERLOAD);
}

/* ---- waiting ---- */

struct wake_mail {
	struct mail mail;
	struct id watcher;
};

static void
woken(struct worker *w, struct mail *m)
{
	struct wake_mail *wm = (struct wake_mail *)m;
	struct exchange *ex = waiting_find(w, &wm->watcher);

	free(wm);
	if (!ex || !ex->poll)
		return;
	ex->poll->woken = true;
	if (!ex->commit_pending)
		exchange_run(ex);
}

/* On the journal's thread. Without memory the client waits to the end. */
static void
wake(void *arg, const struct id *watcher)
{
	struct wake_mail *wm = malloc(sizeof(*wm));

	if (!wm)
		return;
	wm->mail.handle = woken;
	wm->watcher = *watcher;
	worker_mail(arg, &wm->mail);
}

static bool
may_wait(const struct exchange *ex, const struct poll *p)
{
	const struct worker *w = ex->worker;

	return p->until_ms > w->now_ms && !w->draining && !w->detached;
}

/* Watch first, then look: what comes in between is seen by the look. */
static bool
watch(struct exchange *ex, struct poll *p)
{
	if (bus_watch(ex->worker->proxy->bus, &p->lookup.id, exchange_id(ex),
		      wake, ex->worker))
		return false;
	waiting_add(ex);
	p->watching = true;
	return true;
}

void
operation_forget(struct exchange *ex)
{
	struct poll *p = ex->poll;

	if (!p || !p->watching)
		return;
	p->watching = false;
	waiting_remove(ex);
	if (!ex->worker->detached)
		bus_unwatch(ex->worker->proxy->bus, &p->lookup.id, &ex->id);
}

/* ---- answers ---- */

static void
add_lines(struct exchange *ex, const char *lines)
{
	ex->own_lines = arena_printf(&ex->arena, "%s%s",
				     ex->own_lines ? ex->own_lines : "",
				     lines);
}

static void
write_document(const struct journal_operation *o, const char *state,
	       struct buf *out)
{
	bool done = o->state == JOURNAL_OPERATION_DONE;
	char id[ID_TEXT_SIZE];
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "state");
	json_str(&j, state);
	json_key(&j, "correlationid");
	json_str(&j, id_text(&o->exchange, id));
	json_member_time(&j, "created", o->created_us);
	if (done)
		json_member_time(&j, "expires", o->expires_us);
	if (o->died_us && !done) {
		json_member_time(&j, "failed", o->died_us);
		json_member_time(&j, "gives_up", o->died_us + o->keep_us);
	}
	json_object_end(&j);
}

static enum flow
answer_pending(struct exchange *ex, const struct journal_operation *o)
{
	CLEANUP(buf_fini) struct buf body = { 0 };
	char line[128];

	snprintf(line, sizeof(line), "Retry-After: %u\r\n"
		 "Cache-Control: no-store\r\nMatapalo-Operation: pending\r\n",
		 later_retry_s(o->created_us));
	add_lines(ex, line);
	write_document(o, o->died_us ? "failed" : "pending", &body);
	answer_document(ex, 200, "OK", buf_span(&body));
	return FLOW_NEXT;
}

static enum flow
answer_redirect(struct exchange *ex, const struct poll *p)
{
	CLEANUP(buf_fini) struct buf body = { 0 };
	char id[ID_TEXT_SIZE], line[320];

	snprintf(line, sizeof(line), "Location: %s%s" ANSWER_SUFFIX "\r\n"
		 "Matapalo-Operation: done\r\n",
		 ex->lease->rules->status_path, id_text(&p->lookup.id, id));
	add_lines(ex, line);
	write_document(&p->lookup.operation, "done", &body);
	answer_document(ex, 303, "See Other", buf_span(&body));
	return FLOW_NEXT;
}

static enum flow
answer_done(struct exchange *ex, const struct poll *p)
{
	if (!ex->reply)
		return step_problem(ex, PROBLEM_ANSWER_UNREADABLE);
	if (!p->repeat && !p->wants_answer &&
	    p->lookup.operation.when_done == RULES_DONE_REDIRECT)
		return answer_redirect(ex, p);
	add_lines(ex, p->repeat ? "Idempotency-Replayed: true\r\n" :
				  "Matapalo-Operation: done\r\n");
	if (p->repeat)
		counter_inc(COUNTER_KEY_REPLAYED);
	if (answer_reply(ex)) {
		out_cut(&ex->to_client, ex->answer_from);
		return step_problem(ex, PROBLEM_BAD_REPLY);
	}
	return FLOW_NEXT;
}

static enum flow
answer_or_wait(struct exchange *ex, struct poll *p)
{
	if (p->wants_answer || p->repeat)
		return step_problem(ex, PROBLEM_NO_OPERATION);
	if (!may_wait(ex, p))
		return answer_pending(ex, &p->lookup.operation);
	if (p->woken || (!p->watching && watch(ex, p)))
		return look(ex, p);
	return p->watching ? FLOW_WAIT :
			     answer_pending(ex, &p->lookup.operation);
}

/* ---- second thoughts ---- */

static void
cancel_arrived(struct worker *w, struct mail *m)
{
	struct poll *p = (struct poll *)((char *)m -
					 offsetof(struct poll, mail));
	struct exchange *ex = p->ex;

	(void)w;
	INVARIANT(ex->commit_pending);
	ex->commit_pending = false;
	p->settled = true;
	exchange_run(ex);
}

/* On the journal's thread. */
static void
cancel_done(void *arg, enum bus_cancelled result)
{
	struct poll *p = arg;

	p->cancelled = result;
	p->mail.handle = cancel_arrived;
	worker_mail(p->ex->worker, &p->mail);
}

static enum flow
cancel(struct exchange *ex, struct poll *p)
{
	if (ex->worker->detached)
		return step_problem(ex, PROBLEM_OVERLOAD);
	ex->commit_pending = true;
	if (bus_cancel(ex->worker->proxy->bus, &p->lookup.operation.exchange,
		       cancel_done, p))
		return FLOW_WAIT;
	ex->commit_pending = false;
	return step_problem(ex, PROBLEM_OVERLOAD);
}

static enum flow
answer_cancelled(struct exchange *ex, const struct poll *p)
{
	CLEANUP(buf_fini) struct buf body = { 0 };

	switch (p->cancelled) {
	case BUS_CANCEL_TOO_LATE:
		return step_problem(ex, PROBLEM_CANCEL_TOO_LATE);
	case BUS_CANCEL_FAILED:
		return step_problem(ex, PROBLEM_JOURNAL);
	case BUS_CANCELLED:
		break;
	}
	write_document(&p->lookup.operation, "cancelled", &body);
	answer_document(ex, 200, "OK", buf_span(&body));
	return FLOW_NEXT;
}

static enum flow
answer_found(struct exchange *ex, struct poll *p)
{
	const struct journal_operation *o = &p->lookup.operation;

	/* Whoever may not ask must not learn that there is something. */
	if (!p->repeat && !later_is_caller(ex, o->caller))
		return step_problem(ex, PROBLEM_NO_OPERATION);
	if (p->settled)
		return answer_cancelled(ex, p);
	switch (o->state) {
	case JOURNAL_OPERATION_PENDING:
		return p->cancels ? cancel(ex, p) : answer_or_wait(ex, p);
	case JOURNAL_OPERATION_DONE:
		if (p->cancels)
			return step_problem(ex, PROBLEM_CANCEL_TOO_LATE);
		return answer_done(ex, p);
	case JOURNAL_OPERATION_EXPIRED:
		break;
	}
	return step_problem(ex, PROBLEM_OPERATION_EXPIRED);
}

enum flow
operation_step(struct exchange *ex)
{
	struct poll *p = ex->poll;

	if (ex->commit_pending)
		return FLOW_WAIT;
	if (ex->client->io.broken)
		return step_abort(ex);
	if (!p->answered)
		return look(ex, p);
	switch (p->lookup.result) {
	case BUS_LOOKUP_NONE:
		return step_problem(ex, PROBLEM_NO_OPERATION);
	case BUS_LOOKUP_FAILED:
		return step_problem(ex, PROBLEM_JOURNAL_UNREADABLE);
	case BUS_LOOKUP_FOUND:
		break;
	}
	return answer_found(ex, p);
}
