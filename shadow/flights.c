/* SPDX-License-Identifier: Apache-2.0 */
/* Copies over HTTP: many in flight, each compared when its answer comes. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "shadow/candidate.h"
#include "shadow/compare.h"
#include "shadow/engine.h"

struct shadow_flight {
	struct shadow_flight *prev, *next;
	struct shadow *s;
	struct shadow_exchange *x;
	struct shadow_plan_ref *plan;
	const struct shadow_rule *rule;
	struct shadow_lane *lane;	/* NULL: none */
	size_t place;
	enum shadow_landing landing;
};

static void
take_place(struct shadow_flight *f)
{
	struct shadow *s = f->s;
	uint64_t now_ms = clock_mono_ms();

	pthread_mutex_lock(&s->lock);
	s->in_flight++;
	f->lane = shadow_lane_of(s->lanes, f->rule->target);
	f->landing = SHADOW_CALLED_OFF;
	if (f->lane)
		f->place = shadow_lane_enter(f->lane, now_ms);
	pthread_mutex_unlock(&s->lock);
}

static void
leave_place(struct shadow_flight *f)
{
	struct shadow *s = f->s;
	uint64_t now_ms = clock_mono_ms();

	pthread_mutex_lock(&s->lock);
	s->in_flight--;
	if (f->lane)
		shadow_lane_leave(f->lane, f->place, f->landing, now_ms);
	pthread_mutex_unlock(&s->lock);
}

static void
flight_end(struct shadow_flight *f)
{
	struct shadow *s = f->s;

	if (f->prev)
		f->prev->next = f->next;
	else
		s->flights = f->next;
	if (f->next)
		f->next->prev = f->prev;
	leave_place(f);
	shadow_exchange_free(&f->x);
	shadow_plan_drop(&f->plan);
	free(f);
}

static void
compare_answers(const struct shadow_flight *f,
		const struct outbound_answer *a, struct shadow_verdict *v,
		struct buf *kept)
{
	const struct shadow_answer legacy = {
		.status = f->x->status,
		.fields = shadow_side_fields(&f->x->response),
		.body = f->x->response.body,
		.redacted = true,
	};
	const struct shadow_answer candidate = {
		.status = a->status,
		.fields = { a->fields, a->field_count },
		.body = a->body.len ? buf_span(&a->body) : SPAN_LITERAL(""),
	};

	shadow_compare(shadow_plan_of(f->plan), f->rule, &legacy, &candidate,
		       v);
	shadow_keep_answer(f->s, shadow_plan_of(f->plan), &candidate, v,
			   kept);
}

/* reason NULL: the answer is compared. The ack follows the verdict into the
 * journal, so that it can never be there alone. */
static void
judge(struct shadow_flight *f, const struct outbound_answer *a,
      const char *reason)
{
	struct shadow_verdict *v = shadow_verdict_new(
		f->rule->name, f->rule->target, f->x->total_us);
	struct buf kept = { 0 };

	if (!v) {
		bus_nak(f->s->exchanges, f->x->sequence, 0, "no memory");
		return;
	}
	shadow_fold_endpoint(f->x->method, f->x->path, f->x->target,
			     f->x->status, v->endpoint);
	v->exchange_sequence = f->x->sequence;
	if (a)
		v->candidate_us = a->total_us;
	if (reason)
		shadow_verdict_fail(v, reason);
	else
		compare_answers(f, a, v, &kept);
	shadow_post_verdict(f->s, v, f->x->correlation,
			    span_of(f->x->source), &f->x->event_id,
			    SHADOW_SETTLES_NOTHING);
	bus_ack(f->s->exchanges, f->x->sequence);
	buf_fini(&kept);
}

static void
on_answer(void *arg, struct outbound_answer *a)
{
	struct shadow_flight *f = arg;

	f->landing = a->status ? SHADOW_LANDED : SHADOW_CRASHED;
	judge(f, a, a->status ? NULL : a->error.text);
	flight_end(f);
}

static void
launch(struct shadow_flight *f)
{
	struct error err = { 0 };
	struct shadow_copy copy;
	int failed = shadow_copy_init(&copy, f->x, f->rule, &err);

	if (!failed)
		failed = outbound_start(f->s->outbound, &copy.request,
					on_answer, f, &err);
	shadow_copy_fini(&copy);
	if (!failed) {
		counter_inc(COUNTER_SHADOW_SENT);
		return;
	}
	judge(f, NULL, err.text);
	flight_end(f);
}

void
shadow_flight_start(struct shadow *s, struct shadow_exchange *x,
		    struct shadow_plan_ref *plan,
		    const struct shadow_rule *rule)
{
	struct shadow_flight *f = calloc(1, sizeof(*f));

	if (!f) {
		bus_nak(s->exchanges, x->sequence, 0, "no memory");
		shadow_exchange_free(&x);
		shadow_plan_drop(&plan);
		return;
	}
	f->s = s;
	f->x = x;
	f->plan = plan;
	f->rule = rule;
	f->next = s->flights;
	if (f->next)
		f->next->prev = f;
	s->flights = f;
	take_place(f);
	launch(f);
}

void
shadow_flights_drop(struct shadow *s)
{
	while (s->flights)
		flight_end(s->flights);
}
