/* SPDX-License-Identifier: Apache-2.0 */
/* The exchange thread: from the journal to the candidates.
 *
 * An exchange is taken only when there is room to deal with it; the rest
 * waits in the journal, where it costs nobody anything. */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/invariant.h"
#include "base/log.h"
#include "shadow/candidate.h"
#include "shadow/engine.h"

#define BUSY_WAIT_MS 20
#define IDLE_WAIT_MS 500
#define NO_MEMORY_MS 1000u

static void
skip(struct shadow *s, struct shadow_exchange *x, enum counter why)
{
	counter_inc(why);
	bus_ack(s->exchanges, x->sequence);
	shadow_exchange_free(&x);
}

/* Takes x and the reference. The command and the waiting pair are one
 * transaction: after a crash there are both or neither. */
static void
send_command(struct shadow *s, struct shadow_exchange *x,
	     struct shadow_plan_ref *plan, const struct shadow_rule *rule)
{
	struct shadow_pair pair;
	struct shadow_entry *e = shadow_command_make(x, rule, &pair);
	int failed = -1;

	if (e) {
		pthread_mutex_lock(&s->lock);
		failed = shadow_pending_add(s->pending, &pair);
		pthread_mutex_unlock(&s->lock);
	}
	if (failed) {
		shadow_entry_free(&e);
		bus_nak(s->exchanges, x->sequence, 0, "no memory");
	} else {
		shadow_post(s, e);
		bus_ack(s->exchanges, x->sequence);
	}
	shadow_exchange_free(&x);
	shadow_plan_drop(&plan);
}

/* Under the lock. */
static enum shadow_pass
pending_pass(struct shadow *s, const char *candidate)
{
	int64_t oldest_us;

	if (shadow_pending_of(s->pending, candidate, &oldest_us) <
	    SHADOW_PENDING_OF_ONE)
		return SHADOW_PASS_GO;
	return shadow_full_pass((uint64_t)oldest_us / 1000,
				(uint64_t)clock_wall_us() / 1000);
}

static enum shadow_pass
may_pass(struct shadow *s, const struct shadow_rule *rule)
{
	enum shadow_pass pass;

	pthread_mutex_lock(&s->lock);
	if (rule->command)
		pass = pending_pass(s, rule->target);
	else
		pass = shadow_lane_pass(shadow_lane_of(s->lanes, rule->target),
					clock_mono_ms());
	pthread_mutex_unlock(&s->lock);
	return pass;
}

/* There is room: no more are taken than can be parked. */
static void
park(struct shadow *s, struct shadow_exchange *x)
{
	INVARIANT(s->parked_count < ARRAY_SIZE(s->parked));
	s->parked[s->parked_count++] = x;
}

/* Takes x and the reference. */
static void
send(struct shadow *s, struct shadow_exchange *x,
     struct shadow_plan_ref *plan, const struct shadow_rule *rule)
{
	switch (may_pass(s, rule)) {
	case SHADOW_PASS_GO:
		shadow_ask_again(s, x, plan, rule);
		if (rule->command)
			send_command(s, x, plan, rule);
		else
			shadow_flight_start(s, x, plan, rule);
		return;
	case SHADOW_PASS_WAIT:
		park(s, x);
		break;
	case SHADOW_PASS_BUSY:
		skip(s, x, COUNTER_SHADOW_SKIPPED_BUSY);
		break;
	case SHADOW_PASS_DOWN:
		skip(s, x, COUNTER_SHADOW_SKIPPED_DOWN);
		break;
	}
	shadow_plan_drop(&plan);
}

/* Takes x. */
static void
dispatch(struct shadow *s, struct shadow_exchange *x)
{
	struct shadow_plan_ref *plan = shadow_hold_plan(s);
	const struct shadow_rule *rule = shadow_plan_find(plan, x->rule,
							   x->candidate);

	if (!rule)
		skip(s, x, COUNTER_SHADOW_SKIPPED_NO_RULE);
	else if (!x->answered)
		skip(s, x, COUNTER_SHADOW_SKIPPED_NO_ANSWER);
	else if (!rule->unsafe_allowed && !shadow_exchange_is_safe(x))
		skip(s, x, COUNTER_SHADOW_SKIPPED_UNSAFE);
	else if (!shadow_exchange_is_complete(x))
		skip(s, x, COUNTER_SHADOW_SKIPPED_TRUNCATED);
	else
		send(s, x, shadow_plan_hold(plan), rule);
	shadow_plan_drop(&plan);
}

/* What was parked, in order; what still has to wait is parked again. */
static void
unpark(struct shadow *s)
{
	struct shadow_exchange *waiting[ARRAY_SIZE(s->parked)];
	size_t count = s->parked_count;

	memcpy(waiting, s->parked, count * sizeof(waiting[0]));
	s->parked_count = 0;
	for (size_t i = 0; i < count; i++)
		dispatch(s, waiting[i]);
}

/* Its verdict or its command was on disk before the ack was. */
static bool
is_dealt_with(struct shadow *s, const struct shadow_exchange *x)
{
	bool waiting;

	pthread_mutex_lock(&s->lock);
	waiting = shadow_pending_find(s->pending, span_of(x->correlation));
	pthread_mutex_unlock(&s->lock);
	return waiting || shadow_settled_has(&s->settled, x->correlation);
}

static void
refuse(struct shadow *s, int64_t sequence, const struct error *why)
{
	log_warn("shadow.unreadable", "%s", why->text);
	if (why->no_memory)
		bus_nak(s->exchanges, sequence, NO_MEMORY_MS, why->text);
	else
		bus_term(s->exchanges, sequence, why->text);
}

static void
take_exchange(struct shadow *s, const struct bus_event *event)
{
	struct error err = { 0 };
	struct shadow_exchange *x = shadow_exchange_decode(&event->row, &err);

	if (!x) {
		refuse(s, event->row.sequence, &err);
		return;
	}
	if (is_dealt_with(s, x)) {
		bus_ack(s->exchanges, x->sequence);
		shadow_exchange_free(&x);
		return;
	}
	dispatch(s, x);
}

/* How many exchanges could be dealt with at once. */
static size_t
room(struct shadow *s)
{
	size_t flights = SHADOW_FLIGHTS_MAX + s->again_count -
			 outbound_active(s->outbound);
	size_t pairs = 0;

	if (s->parked_count > 0)
		return 0;
	pthread_mutex_lock(&s->lock);
	if (shadow_pending_count(s->pending) < SHADOW_PENDING_MAX)
		pairs = SHADOW_PENDING_MAX -
			shadow_pending_count(s->pending);
	if (s->unsaved_count > 0)
		pairs = 0;
	pthread_mutex_unlock(&s->lock);
	return flights < pairs ? flights : pairs;
}

static void
nap(struct shadow *s)
{
	struct timespec ts;
	uint64_t until_us = clock_mono_us() + BUSY_WAIT_MS * 1000u;

	ts.tv_sec = (time_t)(until_us / 1000000u);
	ts.tv_nsec = (long)(until_us % 1000000u) * 1000;
	pthread_mutex_lock(&s->lock);
	if (!shadow_is_stopping(s))
		pthread_cond_timedwait(&s->wake, &s->lock, &ts);
	pthread_mutex_unlock(&s->lock);
}

/* 0, or -1 at the end. */
static int
take_some(struct shadow *s, size_t max, unsigned wait_ms)
{
	struct bus_batch b;

	if (bus_fetch(s->exchanges, max, wait_ms, &b) != 0)
		return -1;
	for (size_t i = 0; i < b.count; i++)
		take_exchange(s, &b.events[i]);
	bus_batch_fini(&b);
	return 0;
}

void *
shadow_exchanges_main(void *arg)
{
	struct shadow *s = arg;

	if (!shadow_wait_plan(s))
		return NULL;
	while (!shadow_is_stopping(s)) {
		size_t active = outbound_run(s->outbound, BUSY_WAIT_MS);
		size_t max;

		unpark(s);
		max = room(s);
		shadow_tick(s);
		if (max == 0 && active == 0)
			nap(s);
		else if (max > 0 &&
			 take_some(s, max, active ? 0 : IDLE_WAIT_MS) != 0)
			break;
	}
	return NULL;
}
