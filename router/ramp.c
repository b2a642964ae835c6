/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a rule's share goes a step up, a step back, or stays.
 *
 * Up is slow: everything that is required must hold over the whole step. Back
 * is fast: one number of the last ten seconds, the last minute or the step
 * that is surely bad is enough. "Surely" is four standard deviations and at
 * least five cases: with 20 requests a second and half of what is allowed, a
 * false alarm in ten days. */
#include "router/ramp.h"

#include <math.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/wilson.h"

#define RECENT_SLICES 10u
#define FEWEST_FAILURES 5u	/* fewer prove nothing */
#define FEWEST_TIMED 30u
#define Z_SURE 4.0		/* it is looked at again and again */

/* ---- numbers ---- */

/* log2(1 + x) is x + 0.3466 x (1 - x), to 0.8 %. */
unsigned
ramp_log(uint32_t us)
{
	unsigned e, x;

	if (us == 0)
		us = 1;
	e = 31 - (unsigned)__builtin_clz(us);
	x = (unsigned)((((uint64_t)us << 32 >> e) - (UINT64_C(1) << 32)) >>
		       22);
	return e * RAMP_LOG_ONE + x + ((355 * x * (RAMP_LOG_ONE - x)) >> 20);
}

static void
sum_side(struct ramp_side *to, const struct ramp_side *more)
{
	to->requests += more->requests;
	to->failures += more->failures;
	to->logs += more->logs;
	to->squares += more->squares;
}

void
ramp_sum(struct ramp_count *to, const struct ramp_count *more)
{
	sum_side(&to->target, &more->target);
	sum_side(&to->legacy, &more->legacy);
	to->pairs += more->pairs;
	to->matches += more->matches;
}

void
ramp_add(struct ramp_window *w, const struct ramp_count *more,
	 uint64_t now_ms)
{
	uint64_t now = now_ms / 1000;

	if (now > w->newest + RAMP_SLICES)
		w->newest = now - RAMP_SLICES;
	while (w->newest < now)
		w->slices[++w->newest % RAMP_SLICES] =
			(struct ramp_count){ .pairs = 0 };
	ramp_sum(&w->step, more);
	ramp_sum(&w->slices[now % RAMP_SLICES], more);
}

static void
newest(const struct ramp_window *w, unsigned seconds, struct ramp_count *out)
{
	*out = (struct ramp_count){ .pairs = 0 };
	for (unsigned i = 0; i < seconds; i++)
		ramp_sum(out, &w->slices[(w->newest + RAMP_SLICES - i) %
					 RAMP_SLICES]);
}

double
ramp_error_rate(const struct ramp_side *s)
{
	return s->requests ? (double)s->failures / (double)s->requests : 0;
}

static double
timed(const struct ramp_side *s)
{
	return (double)(s->requests - s->failures);
}

static double
mean_log(const struct ramp_side *s)
{
	return (double)s->logs / timed(s);
}

double
ramp_typical_us(const struct ramp_side *s)
{
	return timed(s) > 0 ? exp2(mean_log(s) / RAMP_LOG_ONE) : 0;
}

double
ramp_latency_ratio(const struct ramp_count *c)
{
	if (timed(&c->target) <= 0 || timed(&c->legacy) <= 0)
		return 0;
	return exp2((mean_log(&c->target) - mean_log(&c->legacy)) /
		    RAMP_LOG_ONE);
}

/* Squared standard error of mean_log. */
static double
doubt(const struct ramp_side *s)
{
	double n = timed(s), mean = mean_log(s);
	double variance = (double)s->squares / n - mean * mean;

	return variance > 0 ? variance / n : 0;
}

/* ---- back ---- */

#define SAY(v, ...) snprintf((v)->words, sizeof((v)->words), __VA_ARGS__)

static bool
errors_breach(const struct rules_ramp *r, const struct ramp_count *c,
	      struct ramp_verdict *v)
{
	double legacy = ramp_error_rate(&c->legacy);
	double allowed = legacy + (double)r->errors_ppm / RULES_SHARE_ALL;

	if (c->target.failures < FEWEST_FAILURES ||
	    wilson_lower_by(Z_SURE, c->target.failures, c->target.requests) <=
		    allowed)
		return false;
	SAY(v, "errors %.3g %% of %llu at the target, %.3g %% at the legacy, "
	    "allowed %.3g %% more", 100 * ramp_error_rate(&c->target),
	    (unsigned long long)c->target.requests, 100 * legacy,
	    r->errors_ppm / 10000.0);
	return true;
}

static bool
latency_breach(const struct rules_ramp *r, const struct ramp_count *c,
	       struct ramp_verdict *v)
{
	double surely;

	if (!(r->latency_ratio > 0) || timed(&c->target) < FEWEST_TIMED ||
	    timed(&c->legacy) < FEWEST_TIMED)
		return false;
	surely = mean_log(&c->target) - mean_log(&c->legacy) -
		 Z_SURE * sqrt(doubt(&c->target) + doubt(&c->legacy));
	if (surely <= log2(r->latency_ratio) * RAMP_LOG_ONE)
		return false;
	SAY(v, "typical latency %.3g times the legacy's, allowed %.3g",
	    ramp_latency_ratio(c), r->latency_ratio);
	return true;
}

static double
required_match(const struct rules_ramp *r)
{
	return (double)r->match_ppm / RULES_SHARE_ALL;
}

static bool
match_breach(const struct rules_ramp *r, const struct ramp_count *c,
	     struct ramp_verdict *v)
{
	uint64_t differ = c->pairs - c->matches;

	if (!r->match_ppm || differ < FEWEST_FAILURES ||
	    wilson_lower_by(Z_SURE, differ, c->pairs) <=
		    1 - required_match(r))
		return false;
	SAY(v, "match rate %.4g %% of %llu pairs, required %.6g %%",
	    100.0 * (double)c->matches / (double)c->pairs,
	    (unsigned long long)c->pairs, r->match_ppm / 10000.0);
	return true;
}

static bool
is_breach(const struct rules_ramp *r, const struct ramp_count *c,
	  struct ramp_verdict *v)
{
	return errors_breach(r, c, v) || latency_breach(r, c, v) ||
	       match_breach(r, c, v);
}

/* What the sum of a long step hides, the last seconds show; what is too rare
 * for those, the step does. */
static bool
must_go_back(const struct rules_ramp *r, const struct ramp_window *w,
	     struct ramp_verdict *v)
{
	static const unsigned seconds[] = { RECENT_SLICES, RAMP_SLICES };
	struct ramp_count c;

	for (size_t i = 0; i < ARRAY_SIZE(seconds); i++) {
		newest(w, seconds[i], &c);
		if (is_breach(r, &c, v))
			return true;
	}
	return is_breach(r, &w->step, v);
}

/* ---- up ---- */

static bool
has_samples(const struct rules_ramp *r, struct rules_place now,
	    const struct ramp_count *c, struct ramp_verdict *v)
{
	bool canary = now.stage == RULES_STAGE_CANARY;

	if (canary && c->target.requests < r->samples) {
		SAY(v, "samples %llu of %u answers of the target",
		    (unsigned long long)c->target.requests, r->samples);
		return false;
	}
	if ((!canary || r->match_ppm) && c->pairs < r->samples) {
		SAY(v, "samples %llu of %u compared pairs",
		    (unsigned long long)c->pairs, r->samples);
		return false;
	}
	return true;
}

static bool
matches_enough(const struct rules_ramp *r, const struct ramp_count *c,
	       struct ramp_verdict *v)
{
	double lower = wilson_lower(c->matches, c->pairs);

	if (!r->match_ppm || lower >= required_match(r))
		return true;
	SAY(v, "match: at least %.4f %% by %llu of %llu pairs, required "
	    "%.6g %%", 100 * lower, (unsigned long long)c->matches,
	    (unsigned long long)c->pairs, r->match_ppm / 10000.0);
	return false;
}

static bool
fails_little(const struct rules_ramp *r, const struct ramp_count *c,
	     struct ramp_verdict *v)
{
	double target = ramp_error_rate(&c->target);
	double legacy = ramp_error_rate(&c->legacy);

	if (target <= legacy + (double)r->errors_ppm / RULES_SHARE_ALL)
		return true;
	SAY(v, "errors: %.3g %% at the target, %.3g %% at the legacy, "
	    "allowed %.3g %% more", 100 * target, 100 * legacy,
	    r->errors_ppm / 10000.0);
	return false;
}

static bool
is_fast_enough(const struct rules_ramp *r, const struct ramp_count *c,
	       struct ramp_verdict *v)
{
	double ratio = ramp_latency_ratio(c);

	if (!(r->latency_ratio > 0) || ratio <= r->latency_ratio)
		return true;
	SAY(v, "typical latency: %.3g times the legacy's, allowed %.3g",
	    ratio, r->latency_ratio);
	return false;
}

static bool
is_time(const struct rules_ramp *r, uint64_t in_step_ms,
	struct ramp_verdict *v)
{
	if (in_step_ms >= r->every_ms)
		return true;
	SAY(v, "time: %llu s of %u s in this step",
	    (unsigned long long)(in_step_ms / 1000),
	    (r->every_ms + 999) / 1000);
	return false;
}

static bool
may_go_up(const struct rules_ramp *r, struct rules_place now,
	  const struct ramp_window *w, uint64_t in_step_ms,
	  struct ramp_verdict *v)
{
	const struct ramp_count *c = &w->step;

	return has_samples(r, now, c, v) && matches_enough(r, c, v) &&
	       fails_little(r, c, v) && is_fast_enough(r, c, v) &&
	       is_time(r, in_step_ms, v);
}

struct ramp_verdict
ramp_decide(const struct rules_ramp *ramp, struct rules_place now,
	    const struct ramp_window *w, uint64_t in_step_ms,
	    enum ramp_hold hold)
{
	struct ramp_verdict v = { .move = RAMP_STAY };
	bool canary = now.stage == RULES_STAGE_CANARY;

	if (!canary && now.stage != RULES_STAGE_SHADOW) {
		SAY(&v, "the rule is neither in shadow nor a canary");
	} else if (canary && must_go_back(ramp, w, &v)) {
		v.move = RAMP_BACK;
		v.to = place_back(ramp, now);
	} else if (!place_next(ramp, now, &v.to)) {
		SAY(&v, "this is the last step");
	} else if (hold == RAMP_HELD) {
		SAY(&v, "held until it is resumed");
	} else if (may_go_up(ramp, now, w, in_step_ms, &v)) {
		v.move = RAMP_UP;
		SAY(&v, "all that is required holds");
	}
	return v;
}
