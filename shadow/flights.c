/* SPDX-License-Identifier: Apache-2.0 */
/* Copies over HTTP: many in flight, each compared when its answer comes. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/digest.h"
#include "base/log.h"
#include "shadow/candidate.h"
#include "shadow/compare.h"
#include "shadow/engine.h"
#include "shadow/sieve.h"

#define REDACTED "redacted:"
#define ALL_PPM 1000000u

struct shadow_flight {
	struct shadow_flight *prev, *next;
	struct shadow *s;
	struct shadow_exchange *x;
	struct shadow_plan_ref *plan;
	const struct shadow_rule *rule;
	/* Who gets it: the rule's candidate, or, to learn, the legacy. */
	const struct shadow_rule *asked;
	struct shadow_lane *lane;	/* NULL: none */
	size_t place;
	enum shadow_landing landing;
};

static bool
is_again(const struct shadow_flight *f)
{
	return f->asked != f->rule;
}

static void
take_place(struct shadow_flight *f)
{
	struct shadow *s = f->s;
	uint64_t now_ms = clock_mono_ms();

	pthread_mutex_lock(&s->lock);
	s->in_flight++;
	f->lane = shadow_lane_of(s->lanes, f->asked->target);
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

	s->again_count -= is_again(f);
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

static struct shadow_answer
recorded(const struct shadow_exchange *x)
{
	return (struct shadow_answer){
		.status = x->status,
		.fields = shadow_side_fields(&x->response),
		.body = x->response.body,
		.redacted = true,
	};
}

static struct shadow_answer
answered(const struct outbound_answer *a)
{
	return (struct shadow_answer){
		.status = a->status,
		.fields = { a->fields, a->field_count },
		.body = a->body.len ? buf_span(&a->body) : SPAN_LITERAL(""),
	};
}

/* The legacy's second answer (NULL: there is none). */
static void
learn(struct shadow_flight *f, const struct outbound_answer *a)
{
	const struct shadow_answer first = recorded(f->x);
	struct shadow_noise_seen *seen = calloc(1, sizeof(*seen));
	char endpoint[SHADOW_ENDPOINT_MAX];
	bool usable = false;

	if (!seen)
		return;
	shadow_fold_endpoint(f->x->method, f->x->path, f->x->target,
			     f->x->status, endpoint);
	if (a) {
		const struct shadow_answer second = answered(a);

		usable = shadow_sieve_learn(shadow_plan_of(f->plan), f->rule,
					    &first, &second, seen);
	}
	counter_inc(usable ? COUNTER_SHADOW_AGAIN_LEARNED
			   : COUNTER_SHADOW_AGAIN_UNUSABLE);
	pthread_mutex_lock(&f->s->lock);
	shadow_noise_learn(f->s->noise, f->rule->name, f->rule->fingerprint,
			   endpoint, usable ? seen : NULL, clock_wall_us());
	pthread_mutex_unlock(&f->s->lock);
	free(seen);
}

static void
compare_answers(const struct shadow_flight *f,
		const struct outbound_answer *a, struct shadow_verdict *v,
		struct buf *kept)
{
	const struct shadow_answer legacy = recorded(f->x);
	const struct shadow_answer candidate = answered(a);

	shadow_compare_sifted(f->s, shadow_plan_of(f->plan), f->rule, &legacy,
			      &candidate, v);
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
	if (is_again(f))
		learn(f, a->status ? a : NULL);
	else
		judge(f, a, a->status ? NULL : a->error.text);
	flight_end(f);
}

static void
launch(struct shadow_flight *f)
{
	struct error err = { 0 };
	struct shadow_copy copy;
	int failed = shadow_copy_init(&copy, f->x, f->asked, &err);

	if (!failed)
		failed = outbound_start(f->s->outbound, &copy.request,
					on_answer, f, &err);
	shadow_copy_fini(&copy);
	if (!failed) {
		if (!is_again(f))
			counter_inc(COUNTER_SHADOW_SENT);
		return;
	}
	if (is_again(f))
		learn(f, NULL);
	else
		judge(f, NULL, err.text);
	flight_end(f);
}

static void
begin(struct shadow_flight *f)
{
	struct shadow *s = f->s;

	s->again_count += is_again(f);
	f->next = s->flights;
	if (f->next)
		f->next->prev = f;
	s->flights = f;
	take_place(f);
	launch(f);
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
	*f = (struct shadow_flight){ .s = s, .x = x, .plan = plan,
				     .rule = rule, .asked = rule };
	begin(f);
}

/* ---- the legacy once more ---- */

/* A digest in the place of a secret would be another question. */
static bool
has_secrets(const struct shadow_exchange *x)
{
	struct message_fields fields = shadow_side_fields(&x->request);

	for (size_t i = 0; i < fields.count; i++) {
		struct span v = fields.at[i].value;

		if (v.len && memmem(v.at, v.len, REDACTED, strlen(REDACTED)))
			return true;
	}
	return strstr(x->target, REDACTED) != NULL;
}

/* The same exchanges whoever asks, and after a restart. */
static bool
is_drawn(const struct shadow_exchange *x, uint32_t ppm)
{
	static const uint8_t key[16] = "matapalo  noise";

	return digest_hash64(key, x->correlation, strlen(x->correlation)) %
		       ALL_PPM < ppm;
}

static bool
may_ask_again(struct shadow *s, const struct shadow_exchange *x,
	      const struct shadow_plan *plan, const struct shadow_rule *rule)
{
	uint64_t now_ms = clock_mono_ms();
	enum shadow_pass pass;

	if (!rule->again || !is_drawn(x, rule->noise_ppm) ||
	    !shadow_exchange_is_safe(x) || has_secrets(x))
		return false;
	if (s->again_count >= SHADOW_AGAIN_MAX ||
	    now_ms < s->asked_again_ms + SHADOW_AGAIN_EVERY_MS)
		return false;
	if (plan->may_ask && !plan->may_ask(plan->ask_arg,
					    rule->again->target))
		return false;
	pthread_mutex_lock(&s->lock);
	pass = shadow_lane_pass(shadow_lane_of(s->lanes, rule->again->target),
				now_ms);
	pthread_mutex_unlock(&s->lock);
	return pass == SHADOW_PASS_GO;
}

void
shadow_ask_again(struct shadow *s, struct shadow_exchange *x,
		 struct shadow_plan_ref *plan, const struct shadow_rule *rule)
{
	struct shadow_flight *f;

	if (!may_ask_again(s, x, shadow_plan_of(plan), rule))
		return;
	f = calloc(1, sizeof(*f));
	if (!f)
		return;
	s->asked_again_ms = clock_mono_ms();
	*f = (struct shadow_flight){ .s = s, .x = shadow_exchange_hold(x),
				     .plan = shadow_plan_hold(plan),
				     .rule = rule, .asked = rule->again };
	begin(f);
}

void
shadow_flights_drop(struct shadow *s)
{
	while (s->flights)
		flight_end(s->flights);
}
