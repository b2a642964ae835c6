/* SPDX-License-Identifier: Apache-2.0 */
/* The shadow's life: start, plans, status, stop. */
#include "shadow/shadow.h"

#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/invariant.h"
#include "shadow/engine.h"

/* Longer than any answer may take: an exchange comes again only after its
 * nak or a restart. */
#define LEASE_MS 3600000u
#define MAX_ATTEMPTS 5

static void
init_lock(struct shadow *s)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
}

static int
subscribe(struct shadow *s, struct error *err)
{
	static const struct bus_group_options replies = {
		.name = SHADOW_REPLY_GROUP,
		.type_filter = "matapalo.reply.v1",
		.start_newest = true,
		.lease_ms = LEASE_MS,
		.max_attempts = MAX_ATTEMPTS,
	};
	static const struct bus_group_options exchanges = {
		.name = SHADOW_GROUP,
		.type_filter = "matapalo.exchange.v1",
		.shadow_only = true,
		.lease_ms = LEASE_MS,
		.max_attempts = MAX_ATTEMPTS,
	};

	/* Replies first: a command must find its reply group there. */
	s->replies = bus_subscribe(s->bus, &replies, err);
	if (s->replies)
		s->exchanges = bus_subscribe(s->bus, &exchanges, err);
	return s->exchanges ? 0 : -1;
}

static int
open_parts(struct shadow *s, struct error *err)
{
	s->tally = shadow_tally_new();
	s->pending = shadow_pending_new();
	s->lanes = shadow_lanes_new();
	s->noise = shadow_noise_new();
	if (!s->tally || !s->pending || !s->lanes || !s->noise)
		return error_set(err, "no memory");
	s->outbound = outbound_open(SHADOW_FLIGHTS_MAX + SHADOW_AGAIN_MAX,
				    err);
	s->reader = journal_reader_open(journal_path(s->journal), err);
	if (!s->outbound || !s->reader)
		return -1;
	return shadow_recover(s, err) == 0 ? subscribe(s, err) : -1;
}

/* Signals are for the main thread. */
static int
start_threads(struct shadow *s, struct error *err)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	s->has_thread = pthread_create(&s->thread, NULL,
				       shadow_exchanges_main, s) == 0;
	s->has_reply_thread = pthread_create(&s->reply_thread, NULL,
					     shadow_replies_main, s) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!s->has_thread || !s->has_reply_thread)
		return error_set(err, "no threads");
	return 0;
}

struct shadow *
shadow_start(struct bus *bus, struct error *err)
{
	struct shadow *s = calloc(1, sizeof(*s));

	if (!s) {
		error_set(err, "shadow: no memory");
		return NULL;
	}
	MAGIC_SET(s, SHADOW_MAGIC);
	s->bus = bus;
	s->journal = bus_journal(bus);
	s->unsaved_end = &s->unsaved;
	init_lock(s);
	if (open_parts(s, err) == 0 && start_threads(s, err) == 0)
		return s;
	error_context(err, "shadow");
	shadow_stop(&s);
	return NULL;
}

void
shadow_set_plan(struct shadow *s, const struct shadow_plan *plan)
{
	struct shadow_plan_ref *ref = shadow_plan_take(plan), *old;

	MAGIC_CHECK(s, SHADOW_MAGIC);
	pthread_mutex_lock(&s->lock);
	old = s->plan;
	s->plan = ref;
	pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->lock);
	shadow_plan_drop(&old);
}

static void
end_threads(struct shadow *s)
{
	pthread_mutex_lock(&s->lock);
	atomic_store(&s->stopping, true);
	pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->lock);
	if (s->exchanges)
		bus_stop(s->exchanges);
	if (s->replies)
		bus_stop(s->replies);
	if (s->has_thread)
		pthread_join(s->thread, NULL);
	if (s->has_reply_thread)
		pthread_join(s->reply_thread, NULL);
}

static void
free_all(struct shadow *s)
{
	while (s->unsaved) {
		struct shadow_entry *e = s->unsaved;

		s->unsaved = e->next;
		shadow_entry_free(&e);
	}
	while (s->parked_count > 0)
		shadow_exchange_free(&s->parked[--s->parked_count]);
	if (s->exchanges)
		bus_unsubscribe(&s->exchanges);
	if (s->replies)
		bus_unsubscribe(&s->replies);
	journal_reader_close(&s->reader);
	shadow_plan_drop(&s->plan);
	shadow_tally_free(&s->tally);
	shadow_pending_free(&s->pending);
	shadow_lanes_free(&s->lanes);
	shadow_noise_free(&s->noise);
	shadow_settled_fini(&s->settled);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	MAGIC_CLEAR(s);
	free(s);
}

/* What is in flight has no ack yet and comes again. */
void
shadow_stop(struct shadow **sp)
{
	struct shadow *s = *sp;

	*sp = NULL;
	if (!s)
		return;
	MAGIC_CHECK(s, SHADOW_MAGIC);
	end_threads(s);
	shadow_flights_drop(s);
	outbound_close(&s->outbound);
	shadow_wait_posted(s);
	if (s->tally)
		shadow_save_tally(s);
	shadow_wait_posted(s);
	free_all(s);
}

void
shadow_counts(struct shadow *s, const char *rule, const char *candidate,
	      struct shadow_counts *out)
{
	MAGIC_CHECK(s, SHADOW_MAGIC);
	pthread_mutex_lock(&s->lock);
	shadow_tally_counts(s->tally, rule, candidate, &out->pairs,
			    &out->matches);
	pthread_mutex_unlock(&s->lock);
}

static void
write_count(struct json *out, const char *key, enum counter c)
{
	json_key(out, key);
	json_i64(out, counter_get(c));
}

void
shadow_status(struct shadow *s, struct json *out)
{
	MAGIC_CHECK(s, SHADOW_MAGIC);
	json_object_begin(out);
	json_key(out, "rules");
	pthread_mutex_lock(&s->lock);
	shadow_tally_status(s->tally, out);
	json_key(out, "in_flight");
	json_u64(out, s->in_flight);
	json_key(out, "waiting_for_replies");
	json_u64(out, shadow_pending_count(s->pending));
	json_key(out, "unmatched_replies");
	json_u64(out, s->unmatched_replies);
	json_key(out, "unsaved");
	json_u64(out, s->unsaved_count);
	json_key(out, "candidates");
	shadow_lanes_status(s->lanes, clock_mono_ms(), out);
	pthread_mutex_unlock(&s->lock);
	json_key(out, "skipped");
	json_object_begin(out);
	write_count(out, "unsafe", COUNTER_SHADOW_SKIPPED_UNSAFE);
	write_count(out, "truncated", COUNTER_SHADOW_SKIPPED_TRUNCATED);
	write_count(out, "no_answer", COUNTER_SHADOW_SKIPPED_NO_ANSWER);
	write_count(out, "no_rule", COUNTER_SHADOW_SKIPPED_NO_RULE);
	write_count(out, "busy", COUNTER_SHADOW_SKIPPED_BUSY);
	write_count(out, "down", COUNTER_SHADOW_SKIPPED_DOWN);
	json_object_end(out);
	json_object_end(out);
}
