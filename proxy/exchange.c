/* SPDX-License-Identifier: Apache-2.0 */
/* Birth, death and the loop of an exchange. */
#include "proxy/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/invariant.h"
#include "proxy/client.h"
#include "proxy/steps.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

#define EXCHANGE_MAGIC 0x45584348u
#define SPARE_MAX 1024u
#define SEND_LATER_BYTES 4096u	/* what is longer would leave the cache */

/* The next one to be used was last used many requests ago: its lines come
 * from memory while the present one is worked on. */
static void
exchange_warm(const struct exchange *ex)
{
	const char *at = (const char *)ex;
	size_t i;

	for (i = 0; ex && i < offsetof(struct exchange, request); i += 64)
		__builtin_prefetch(at + i, 1);
}

struct exchange *
exchange_new(struct worker *w, struct client *c)
{
	struct exchange *ex = w->spare;

	if (ex) {
		w->spare = ex->next;
		w->spare_count--;
		exchange_warm(w->spare);
	} else {
		ex = malloc(sizeof(*ex));
		if (!ex)
			return NULL;
	}
	memset(ex, 0, offsetof(struct exchange, request));
	out_init(&ex->to_upstream);
	out_init(&ex->to_client);
	MAGIC_SET(ex, EXCHANGE_MAGIC);
	ex->worker = w;
	ex->client = c;
	arena_init(&ex->arena, ex->first_block, sizeof(ex->first_block),
		   EXCHANGE_ARENA_LIMIT);
	parse_init_request(&ex->request, &ex->arena);
	return ex;
}

static void
unsent_remove(struct exchange *ex)
{
	if (!ex->unsent_at)
		return;
	*ex->unsent_at = ex->unsent_next;
	if (ex->unsent_next)
		ex->unsent_next->unsent_at = ex->unsent_at;
	else
		ex->worker->unsent_end = ex->unsent_at;
	ex->unsent_at = NULL;
}

static void
unsent_append(struct worker *w, struct exchange *ex)
{
	ex->unsent_next = NULL;
	ex->unsent_at = w->unsent_end;
	*w->unsent_end = ex;
	w->unsent_end = &ex->unsent_next;
}

/* Sending is most of the kernel's work and waking most of sending: a peer
 * that was woken finds the rest there when one call follows the other. */
bool
exchange_sends_later(struct exchange *ex, const struct out *o)
{
	if (!out_pending(o) ||
	    out_queued(o) - o->sent_bytes > SEND_LATER_BYTES)
		return false;
	if (!ex->unsent_at)
		unsent_append(ex->worker, ex);
	return true;
}

void
exchange_send_all(struct worker *w)
{
	struct exchange *ex;

	w->gathers = false;
	while ((ex = w->unsent) != NULL) {
		unsent_remove(ex);
		exchange_run(ex);
	}
}

void
exchange_free(struct exchange **exp)
{
	struct exchange *ex = *exp;
	struct worker *w = ex->worker;

	MAGIC_CHECK(ex, EXCHANGE_MAGIC);
	INVARIANT(!ex->commit_pending && !ex->waiting && !ex->upstream);
	INVARIANT(!ex->queued && !ex->ticket);
	*exp = NULL;
	unsent_remove(ex);
	if (ex->lease)
		ex->lease->exchanges--;
	chunk_give(&w->chunks, &ex->request_head);
	chunk_give(&w->chunks, &ex->response_head);
	chunk_give(&w->chunks, &ex->upload.chunk);
	chunk_give(&w->chunks, &ex->download.chunk);
	capture_fini(&ex->upload_capture);
	capture_fini(&ex->download_capture);
	bus_reply_free(&ex->reply);
	arena_fini(&ex->arena);
	MAGIC_CLEAR(ex);
	if (w->spare_count >= SPARE_MAX) {
		free(ex);
		return;
	}
	ex->next = w->spare;
	w->spare = ex;
	w->spare_count++;
}

void
exchange_free_spare(struct worker *w)
{
	struct exchange *ex;

	while ((ex = w->spare) != NULL) {
		w->spare = ex->next;
		free(ex);
	}
	w->spare_count = 0;
}

/* What must be true between two steps. */
static void
exchange_check(const struct exchange *ex)
{
	INVARIANT(ex->step < STEP_COUNT);
	INVARIANT(ex->client->exchange == ex);
	INVARIANT(!ex->upstream || ex->upstream->exchange == ex);
	INVARIANT(!ex->held || ex->download.done);
}

/* The next request's bytes: they may follow in either of two chunks. */
static struct chunk *
take_rest(struct exchange *ex)
{
	struct chunk **from = &ex->request_head, *rest;

	if (ex->upload.chunk && ex->upload.chunk->at < ex->upload.chunk->end)
		from = &ex->upload.chunk;
	rest = *from;
	if (!rest || rest->at == rest->end)
		return NULL;
	*from = NULL;
	return rest;
}

static void
exchange_end(struct exchange *ex)
{
	struct client *c = ex->client;
	bool keep = head_keeps_client(ex);
	struct chunk *rest = keep ? take_rest(ex) : NULL;

	exchange_free(&ex);
	client_exchange_ended(c, keep, rest);
}

void
exchange_run(struct exchange *ex)
{
	MAGIC_CHECK(ex, EXCHANGE_MAGIC);
	INVARIANT(!ex->running);
	ex->running = true;
	for (;;) {
		exchange_check(ex);
		switch (step_run(ex)) {
		case FLOW_NEXT:
			continue;
		case FLOW_WAIT:
			ex->running = false;
			return;
		case FLOW_DONE:
			exchange_end(ex);
			return;
		}
	}
}

const struct id *
exchange_id(struct exchange *ex)
{
	if (!ex->has_id) {
		ex->id = id_make();
		ex->has_id = true;
	}
	return &ex->id;
}

uint32_t
exchange_elapsed_us(const struct exchange *ex)
{
	uint64_t us = clock_mono_us() - ex->started_us;

	return us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

int64_t
exchange_started_wall_us(struct exchange *ex)
{
	/* Not exchange_elapsed_us: it has no room for more than 71 minutes. */
	if (!ex->started_wall_us)
		ex->started_wall_us =
			clock_wall_us() -
			(int64_t)(clock_mono_us() - ex->started_us);
	return ex->started_wall_us;
}

void
exchange_deadline(struct exchange *ex, unsigned ms)
{
	struct worker *w = ex->worker;
	uint64_t at = ms ? w->now_ms + ms : UINT64_MAX, total;

	/* An answer of our own has no part in the target's time. */
	if (ex->target && ex->target->total_ms &&
	    (ex->upstream || ex->step == STEP_FORWARD)) {
		total = ex->started_us / 1000u + ex->target->total_ms;
		if (total < at)
			at = total;
	}
	if (at == UINT64_MAX) {
		timer_cancel(&w->timers, &ex->client->timer);
		ex->client->timer.deadline_ms = at;
	} else {
		timer_set(&w->timers, &ex->client->timer, at);
	}
}

/* `head` runs once the whole request is here; before and after it is only
 * silence that has a limit. */
void
exchange_progress(struct exchange *ex)
{
	bool head_is_due = ex->step == STEP_FORWARD && ex->upload.done;

	exchange_deadline(ex, head_is_due ? ex->target->head_ms :
					    ex->target->idle_ms);
}

void
exchange_try_upstream(struct exchange *ex, const struct rules_target *target)
{
	INVARIANT(ex->upload_replayable);
	upstream_drop(&ex->upstream);
	chunk_give(&ex->worker->chunks, &ex->response_head);
	out_reset(&ex->to_upstream);
	ex->target = target;
	ex->step = STEP_FORWARD;
	if (ex->upload_collected)
		return;
	capture_fini(&ex->upload_capture);
	ex->upload_capture.limit = ex->decision.rule->record_body_bytes;
	ex->request_head->at = ex->request_head_end;
	ex->upload.left = ex->request.ll.content_length;
	ex->upload.true_bytes = 0;
	ex->upload.done = ex->upload.framing == PARSE_NO_BODY;
}
