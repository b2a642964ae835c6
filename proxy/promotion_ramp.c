/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at the evidence of each rule four times a second, and moves those
 * that have a ramp.
 *
 * Time is what passes while this thread looks, on the monotonic clock: nobody
 * can set it, and it adds up over restarts. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "proxy/promotion_internal.h"
#include "proxy/run.h"
#include "proxy/stats.h"

#define LOOK_MS 250u
#define SAVE_MS 5000u
#define FALLS_MAX 3u		/* then it holds itself */
#define READY_PAIRS 2000u	/* above it the older half fades */

/* ---- what came since the last look ---- */

void
promotion_begin(struct promotion_evidence *e, struct rules_place at,
		const char *candidate)
{
	unsigned falls = e->falls;
	uint32_t fell_from = e->fell_from;

	*e = (struct promotion_evidence){ .begun = true,
					  .at = at,
					  .falls = falls,
					  .fell_from = fell_from };
	snprintf(e->candidate, sizeof(e->candidate), "%s", candidate);
}

static void
read_side(const uint64_t n[RULE_STAT_COUNT], unsigned first,
	  struct ramp_side *out)
{
	*out = (struct ramp_side){ n[first], n[first + 1], n[first + 2],
				   n[first + 3] };
}

static void
read_totals(struct run *r, const struct rules_rule *rule,
	    const char *candidate, struct ramp_count *out)
{
	uint64_t n[RULE_STAT_COUNT];
	struct shadow_counts verdicts;

	stats_sum(r->proxy.stats, rule->name, n);
	read_side(n, RULE_CANARY_TARGET, &out->target);
	read_side(n, RULE_CANARY_LEGACY, &out->legacy);
	shadow_counts(r->shadow, rule->name, candidate, &verdicts);
	out->pairs = verdicts.pairs;
	out->matches = verdicts.matches;
}

static uint64_t
grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static void
side_grown(const struct ramp_side *now, const struct ramp_side *before,
	   struct ramp_side *out)
{
	*out = (struct ramp_side){ grown(now->requests, before->requests),
				   grown(now->failures, before->failures),
				   grown(now->logs, before->logs),
				   grown(now->squares, before->squares) };
}

/* A worker may be between its counts: a failure is never more than its
 * request, nor a match than its pair. */
static void
take_growth(struct promotion_evidence *e, const struct ramp_count *now,
	    uint64_t now_ms)
{
	struct ramp_count more;

	side_grown(&now->target, &e->seen.target, &more.target);
	side_grown(&now->legacy, &e->seen.legacy, &more.legacy);
	more.pairs = grown(now->pairs, e->seen.pairs);
	more.matches = grown(now->matches, e->seen.matches);
	ramp_add(&e->window, &more, now_ms);
}

/* After the move the legacy's fitness of today counts, not last month's. */
static void
fade(struct ramp_count *c)
{
	if (c->pairs < READY_PAIRS)
		return;
	c->pairs /= 2;
	c->matches /= 2;
}

static void
take_evidence(struct promotion *p, struct promotion_row *row,
	      const struct rules_rule *rule, struct rules_place now,
	      uint64_t passed_ms)
{
	const struct rules_target *shadow = rules_shadow_at(rule, now);
	const char *candidate = shadow ? shadow->name : "";
	struct promotion_evidence *e = &row->evidence;
	struct ramp_count totals;

	read_totals(p->run, rule, candidate, &totals);
	pthread_mutex_lock(&p->lock);
	if (!e->begun || place_compare(e->at, now) != 0 ||
	    strcmp(e->candidate, candidate) != 0)
		promotion_begin(e, now, candidate);
	else
		e->there_ms += passed_ms;
	if (e->has_seen)
		take_growth(e, &totals, p->looked_ms);
	e->seen = totals;
	e->has_seen = true;
	if (now.stage == RULES_STAGE_MIGRATED)
		fade(&e->window.step);
	pthread_mutex_unlock(&p->lock);
}

/* ---- a step ---- */

static void
count_falls(struct promotion_evidence *e, struct promotion_state *next,
	    struct rules_place now, const struct ramp_verdict *v)
{
	if (v->move == RAMP_UP) {
		if (place_share(v->to) > e->fell_from)
			e->falls = e->fell_from = 0;
		return;
	}
	e->falls++;
	if (place_share(now) > e->fell_from)
		e->fell_from = place_share(now);
	if (e->falls >= FALLS_MAX)
		next->held = true;
}

static void
write_numbers(const struct promotion_evidence *e, struct buf *out)
{
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "in_step_ms");
	json_u64(&j, e->there_ms);
	json_key(&j, "falls");
	json_u64(&j, e->falls);
	promotion_write_count(&j, &e->window.step);
	json_object_end(&j);
}

/* Back at once, up once it is on disk: see promotion_order.c. */
static void
step(struct promotion *p, struct promotion_row *row,
     const struct rules_rule *rule, struct rules_place now,
     const struct ramp_verdict *v)
{
	bool back = v->move == RAMP_BACK;
	struct buf numbers CLEANUP(buf_fini) = { 0 };
	struct promotion_evidence before = row->evidence;
	struct promotion_state next = row->state;
	struct promotion_event e = { .action = back ? "step_back" : "step_up",
				     .rule = row->name,
				     .by = PROMOTION_BY_RAMP,
				     .reason = v->words,
				     .moved = true,
				     .old = now,
				     .fresh = v->to };

	next.placed = true;
	next.place = v->to;
	next.by = PROMOTION_BY_RAMP;
	next.since_us = clock_wall_us();
	next.operator[0] = '\0';
	snprintf(next.reason, sizeof(next.reason), "%s", v->words);
	promotion_words(rule, next.words);
	write_numbers(&row->evidence, &numbers);
	e.numbers = buf_span(&numbers);
	pthread_mutex_lock(&p->lock);
	count_falls(&row->evidence, &next, now, v);
	promotion_begin(&row->evidence, v->to, before.candidate);
	pthread_mutex_unlock(&p->lock);
	if (back)
		promotion_set(p, row, &next);
	if (promotion_store(p, row, &next, &e) && !back) {
		pthread_mutex_lock(&p->lock);
		row->evidence = before;
		pthread_mutex_unlock(&p->lock);
		promotion_set_saved(p, row);
		return;
	}
	if (!back)
		promotion_set(p, row, &next);
	counter_inc(back ? COUNTER_PLACE_BACK : COUNTER_PLACE_UP);
	log_info("rules.step", "%s: a step %s: %s", row->name,
		 back ? "back" : "up", v->words);
}

/* ---- looking ---- */

static bool
is_looked_at(const struct rules_rule *rule, struct rules_place now)
{
	return rule->ramp || (now.stage == RULES_STAGE_MIGRATED &&
			      rule->shadow);
}

static void
look(struct promotion *p, const struct rules_rule *rule, uint64_t passed_ms)
{
	struct rules_place now = rules_place(rule);
	struct promotion_row *row;
	struct ramp_verdict v;

	if (!is_looked_at(rule, now))
		return;
	row = promotion_row(p, rule->name);
	if (!row)
		return;
	take_evidence(p, row, rule, now, passed_ms);
	if (!rule->ramp)
		return;
	v = ramp_decide(rule->ramp, now, &row->evidence.window,
			row->evidence.there_ms,
			row->state.held ? RAMP_HELD : RAMP_FREE);
	pthread_mutex_lock(&p->lock);
	row->evidence.verdict = v;
	pthread_mutex_unlock(&p->lock);
	if (v.move == RAMP_BACK ||
	    (v.move == RAMP_UP &&
	     journal_is_writable(p->run->proxy.journal)))
		step(p, row, rule, now, &v);
}

static void
look_at_all(struct promotion *p)
{
	uint64_t now_ms = clock_mono_ms(), passed_ms = now_ms - p->looked_ms;
	struct rules *rules;
	size_t i;

	pthread_mutex_lock(&p->orders);
	p->looked_ms = now_ms;
	promotion_retry(p);
	rules = rules_holder_get(&p->run->proxy.rules);
	for (i = 0; i < rules->rule_count; i++)
		look(p, &rules->rules[i], passed_ms);
	rules_unref(&rules);
	if (now_ms >= p->saved_ms + SAVE_MS) {
		p->saved_ms = now_ms;
		promotion_save(p);
	}
	pthread_mutex_unlock(&p->orders);
}

/* ---- the thread ---- */

static bool
nap(struct promotion *p)
{
	uint64_t until_us = clock_mono_us() + LOOK_MS * 1000u;
	struct timespec ts = { .tv_sec = (time_t)(until_us / 1000000u),
			       .tv_nsec = (long)(until_us % 1000000u) *
					  1000 };
	bool stopping;

	pthread_mutex_lock(&p->lock);
	if (!p->stopping)
		pthread_cond_timedwait(&p->wake, &p->lock, &ts);
	stopping = p->stopping;
	pthread_mutex_unlock(&p->lock);
	return !stopping;
}

static void *
promotion_main(void *arg)
{
	struct promotion *p = arg;

	while (nap(p))
		look_at_all(p);
	return NULL;
}

int
promotion_start(struct promotion *p, struct error *err)
{
	sigset_t all, before;

	p->looked_ms = p->saved_ms = clock_mono_ms();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	p->has_thread = !pthread_create(&p->thread, NULL, promotion_main, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return p->has_thread ? 0 : error_set(err, "no thread for the ramps");
}

void
promotion_stop(struct promotion *p)
{
	if (!p || !p->has_thread)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	p->has_thread = false;
	promotion_save(p);
}
