/* SPDX-License-Identifier: Apache-2.0 */
/* The command step: the request becomes an event on the bus and a consumer's
 * reply becomes the answer. No thread waits, only a table row. */

#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "base/invariant.h"
#include "proxy/client.h"
#include "proxy/later.h"
#include "proxy/steps.h"
#include "proxy/worker.h"

/* ---- the worker's table of waiting exchanges ---- */

static struct exchange **
waiting_slot(struct worker *w, const struct id *id)
{
	unsigned h;

	memcpy(&h, id->bytes + 12, sizeof(h));	/* random bits */
	return &w->waiting[h % WORKER_WAITING_SLOTS];
}

void
waiting_add(struct exchange *ex)
{
	struct exchange **slot = waiting_slot(ex->worker, &ex->id);

	ex->next = *slot;
	*slot = ex;
	ex->waiting = true;
}

void
waiting_remove(struct exchange *ex)
{
	struct exchange **at = waiting_slot(ex->worker, &ex->id);

	while (*at != ex)
		at = &(*at)->next;
	*at = ex->next;
	ex->next = NULL;
	ex->waiting = false;
}

struct exchange *
waiting_find(struct worker *w, const struct id *id)
{
	struct exchange *ex = *waiting_slot(w, id);

	while (ex && !id_equal(&ex->id, id))
		ex = ex->next;
	return ex;
}

/* ---- replies, from a bus thread ---- */

struct reply_mail {
	struct mail mail;
	struct bus_reply *reply;
};

static void
reply_arrived(struct worker *w, struct mail *m)
{
	struct reply_mail *rm = (struct reply_mail *)m;
	struct exchange *ex = waiting_find(w, &rm->reply->exchange_id);

	if (!ex) {		/* its deadline passed in between */
		counter_inc(COUNTER_COMMANDS_LATE);
		bus_reply_free(&rm->reply);
		free(rm);
		return;
	}
	waiting_remove(ex);
	ex->reply = rm->reply;
	free(rm);
	exchange_run(ex);
}

static void
reply_deliver(void *arg, struct bus_reply *reply)
{
	struct reply_mail *rm = malloc(sizeof(*rm));

	if (!rm) {		/* the request runs into its deadline */
		bus_reply_free(&reply);
		return;
	}
	rm->mail.handle = reply_arrived;
	rm->reply = reply;
	worker_mail(arg, &rm->mail);
}

/* ---- the step ---- */

static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

/* Nobody behind us answers the expectation, so we do. */
static void
ask_for_body(struct exchange *ex)
{
	if (!ex->expects_continue || ex->upload.done)
		return;
	ex->expects_continue = false;
	(void)out_add(&ex->to_client, go_on, sizeof(go_on) - 1);
	(void)out_flush(&ex->client->io, &ex->to_client);
}

static enum flow
collect(struct exchange *ex)
{
	ex->upload_capture.limit = EXCHANGE_COMMAND_BODY_MAX;
	if (!ex->upload.true_bytes && !ex->upload.done) {
		exchange_deadline(ex, ex->worker->proxy->client_idle_ms);
		if (relay_first_upload(ex))
			return step_problem(ex, relay_bad_request(ex));
		ask_for_body(ex);
	}
	switch (relay_collect(ex)) {
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
	return FLOW_NEXT;
}

/* Whoever is sent away at once does not wait for the reply. */
static bool
expect(struct exchange *ex)
{
	struct worker *w = ex->worker;
	const struct later *l = ex->later;

	exchange_deadline(ex, l && l->async ? l->wait_ms :
					      ex->target->reply_within_ms);
	if (l && l->async && l->wait_ms == 0)
		return true;
	if (bus_expect(w->proxy->bus, exchange_id(ex), reply_deliver, w))
		return false;
	waiting_add(ex);
	return true;
}

static enum flow
publish(struct exchange *ex)
{
	struct worker *w = ex->worker;

	enum problem p;

	if (ex->upload_capture.truncated)
		return step_problem(ex, PROBLEM_BODY_TOO_LARGE);
	p = later_prepare(ex);
	if (p == PROBLEM_NONE && (w->detached || !expect(ex)))
		p = PROBLEM_OVERLOAD;
	if (p != PROBLEM_NONE)
		return step_problem(ex, p);
	if (record_open(ex, BUS_RECORD_COMMAND) == RECORD_FAILED) {
		command_forget(ex);
		return step_problem(ex, PROBLEM_OVERLOAD);
	}
	counter_inc(COUNTER_COMMANDS_SENT);
	return FLOW_WAIT;
}

static enum flow
answer_from_reply(struct exchange *ex)
{
	if (answer_reply(ex)) {
		out_cut(&ex->to_client, ex->answer_from);
		return step_problem(ex, PROBLEM_BAD_REPLY);
	}
	counter_inc(COUNTER_COMMANDS_ANSWERED);
	return FLOW_NEXT;
}

/* ---- no reply in time ---- */

#define ON_ITS_WAY_MS 2000u

struct back_mail {
	struct mail mail;
	struct exchange *ex;
	enum journal_status status;
};

static void
back_arrived(struct worker *w, struct mail *m)
{
	struct back_mail *bm = (struct back_mail *)m;
	struct exchange *ex = bm->ex;

	(void)w;
	INVARIANT(ex->commit_pending);
	ex->commit_pending = false;
	ex->taking_back = bm->status == JOURNAL_COMMITTED;
	free(bm);
	exchange_run(ex);
}

/* On the journal's thread. */
static void
back_committed(void *arg, enum journal_status status)
{
	struct back_mail *bm = arg;

	bm->status = status;
	worker_mail(bm->ex->worker, &bm->mail);
}

/* Exactly one may execute the request: the legacy is asked only after it is
 * on disk that no consumer will ever be handed the command. */
static bool
take_back(struct exchange *ex)
{
	struct back_mail *bm;

	if (!ex->decision.fallback || ex->worker->detached)
		return false;
	bm = malloc(sizeof(*bm));
	if (!bm)
		return false;
	bm->mail.handle = back_arrived;
	bm->ex = ex;
	ex->commit_pending = true;
	if (bus_take_back(ex->worker->proxy->bus, &ex->id, back_committed,
			  bm))
		return true;
	ex->commit_pending = false;
	free(bm);
	return false;
}

static enum flow
ask_legacy(struct exchange *ex)
{
	ex->taking_back = false;
	ex->fell_back = true;
	ex->upload_collected = ex->upload_replayable = true;
	counter_inc(COUNTER_FELL_BACK);
	exchange_try_upstream(ex, ex->decision.fallback);
	return FLOW_NEXT;
}

/* Somebody else had the key: this request is no command. */
static enum flow
answer_repeat(struct exchange *ex)
{
	command_forget(ex);
	ex->opened = false;
	if (ex->later->operation.found == BUS_FOUND_OTHER) {
		counter_inc(COUNTER_KEY_MISMATCH);
		return step_problem(ex, PROBLEM_KEY_MISMATCH);
	}
	if (ex->later->async) {
		counter_inc(COUNTER_KEY_REPLAYED);
		later_accept(ex);
		return FLOW_NEXT;
	}
	if (ex->later->operation.found == BUS_FOUND_DONE)
		return operation_repeat(ex);
	counter_inc(COUNTER_KEY_OUTSTANDING);
	ex->own_lines = "Retry-After: 1\r\n";
	return step_problem(ex, PROBLEM_KEY_OUTSTANDING);
}

/* Not found by its key: the command is on disk, and so is its operation. */
static bool
goes_away(const struct exchange *ex)
{
	return ex->later && ex->later->async;
}

/* A reply that came in time is recorded as such before it is here: what the
 * client gets has to agree with that, unless the disk hangs. */
static bool
reply_comes(struct exchange *ex)
{
	if (!ex->waiting || ex->reply_comes || ex->worker->detached ||
	    bus_forget(ex->worker->proxy->bus, &ex->id))
		return false;
	ex->reply_comes = true;
	exchange_deadline(ex, ON_ITS_WAY_MS);
	return true;
}

void
command_expired(struct exchange *ex)
{
	if (reply_comes(ex))
		return;
	command_forget(ex);
	if (goes_away(ex)) {
		later_accept(ex);
		return;
	}
	counter_inc(COUNTER_COMMANDS_TIMED_OUT);
	ex->expired = true;
	if (!take_back(ex))
		answer_problem(ex, PROBLEM_REPLY_TIMEOUT);
}

void
command_detached(struct exchange *ex)
{
	if (ex->waiting && !ex->poll)
		exchange_deadline(ex, 1);
}

enum flow
command_step(struct exchange *ex)
{
	if (ex->commit_pending)
		return FLOW_WAIT;
	if (ex->expired)	/* the journal has answered */
		return ex->taking_back ? ask_legacy(ex) :
			step_problem(ex, PROBLEM_REPLY_TIMEOUT);
	if (ex->commit_failed) {
		command_forget(ex);
		return step_problem(ex, PROBLEM_JOURNAL);
	}
	if (ex->reply)
		return answer_from_reply(ex);
	if (ex->opened && ex->later &&
	    ex->later->operation.found != BUS_FOUND_NONE)
		return answer_repeat(ex);
	if (!ex->opened)
		return ex->upload.done || ex->upload_capture.truncated ?
			publish(ex) : collect(ex);
	if (ex->client->io.broken) {
		command_forget(ex);
		return step_abort(ex);
	}
	if (goes_away(ex) && ex->later->wait_ms == 0) {
		later_accept(ex);
		return FLOW_NEXT;
	}
	/* The deadline may have passed while the commit was under way. */
	if (ex->client->timer.deadline_ms <= ex->worker->now_ms) {
		command_expired(ex);
		return FLOW_NEXT;
	}
	return FLOW_WAIT;
}

void
command_forget(struct exchange *ex)
{
	if (!ex->waiting)
		return;
	waiting_remove(ex);
	if (!ex->worker->detached)
		(void)bus_forget(ex->worker->proxy->bus, &ex->id);
}
