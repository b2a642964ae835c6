/* SPDX-License-Identifier: Apache-2.0 */
/* The ramp's decision, as tables of numbers, and its arithmetic. */
#include "router/ramp.h"

#include <math.h>
#include <string.h>

#include "base/wilson.h"
#include "tests/rules/table.h"

static const uint32_t steps[] = { 10000, 100000, 500000, 1000000 };
static const struct rules_ramp ramp = {
	.steps = steps,
	.step_count = ARRAY_SIZE(steps),
	.every_ms = 60000,
	.samples = 1000,
	.match_ppm = 990000,
	.errors_ppm = 10000,
	.latency_ratio = 1.2,
};

/* Requests of a side that all took so long. */
static struct ramp_side
side(uint64_t requests, uint64_t failures, uint32_t us)
{
	uint64_t log = ramp_log(us), n = requests - failures;

	return (struct ramp_side){ requests, failures, n * log,
				   n * log * log };
}

struct row {
	const char *from;
	struct { uint64_t requests, failures; uint32_t us; } target, legacy;
	uint64_t pairs, matches, in_step_ms;
	enum ramp_hold hold;
	enum ramp_move move;
	const char *to;			/* or what the words begin with */
};

static const struct row rows[] = {
	/* up, and what is missing for it */
	{ "shadow", { 0, 0, 1 }, { 0, 0, 1 }, 1000, 1000, 60000, RAMP_FREE,
	  RAMP_UP, "canary 1%" },
	{ "shadow", { 0, 0, 1 }, { 0, 0, 1 }, 999, 999, 60000, RAMP_FREE,
	  RAMP_STAY, "samples 999 of 1000 compared pairs" },
	{ "shadow", { 0, 0, 1 }, { 0, 0, 1 }, 1000, 1000, 59999, RAMP_FREE,
	  RAMP_STAY, "time: 59 s of 60 s" },
	{ "shadow", { 0, 0, 1 }, { 0, 0, 1 }, 1000, 990, 60000, RAMP_FREE,
	  RAMP_STAY, "match: at least 98.1" },
	{ "shadow", { 0, 0, 1 }, { 0, 0, 1 }, 1000, 1000, 60000, RAMP_HELD,
	  RAMP_STAY, "held" },
	{ "canary 1%", { 1000, 0, 900 }, { 5000, 0, 800 }, 1000, 1000, 60000,
	  RAMP_FREE, RAMP_UP, "canary 10%" },
	{ "canary 1%", { 412, 0, 900 }, { 5000, 0, 800 }, 1000, 1000, 60000,
	  RAMP_FREE, RAMP_STAY, "samples 412 of 1000 answers" },
	{ "canary 1%", { 1000, 0, 900 }, { 5000, 0, 800 }, 999, 999, 60000,
	  RAMP_FREE, RAMP_STAY, "samples 999 of 1000 compared" },
	{ "canary 50%", { 1000, 10, 900 }, { 1000, 0, 900 }, 1000, 1000,
	  60000, RAMP_FREE, RAMP_UP, "canary 100%" },
	{ "canary 50%", { 1000, 11, 900 }, { 1000, 0, 900 }, 1000, 1000,
	  60000, RAMP_FREE, RAMP_STAY, "errors: 1.1 %" },
	/* what the legacy fails as well is no reproach */
	{ "canary 50%", { 1000, 60, 900 }, { 1000, 55, 900 }, 1000, 1000,
	  60000, RAMP_FREE, RAMP_UP, "canary 100%" },
	/* between the steps: never over one */
	{ "canary 2%", { 1000, 0, 900 }, { 5000, 0, 900 }, 1000, 1000, 60000,
	  RAMP_FREE, RAMP_UP, "canary 10%" },
	{ "canary 100%", { 9000, 0, 900 }, { 0, 0, 1 }, 0, 0, 600000,
	  RAMP_FREE, RAMP_STAY, "this is the last step" },
	/* back */
	{ "canary 50%", { 100, 100, 900 }, { 100, 0, 900 }, 0, 0, 10,
	  RAMP_FREE, RAMP_BACK, "canary 10%" },
	{ "canary 50%", { 100, 100, 900 }, { 100, 0, 900 }, 0, 0, 10,
	  RAMP_HELD, RAMP_BACK, "canary 10%" },
	{ "canary 20%", { 100, 100, 900 }, { 100, 0, 900 }, 0, 0, 10,
	  RAMP_FREE, RAMP_BACK, "canary 10%" },
	{ "canary 1%", { 5, 5, 900 }, { 100, 0, 900 }, 0, 0, 10, RAMP_FREE,
	  RAMP_BACK, "shadow" },
	{ "canary 1%", { 4, 4, 900 }, { 100, 0, 900 }, 0, 0, 10, RAMP_FREE,
	  RAMP_STAY, "samples" },
	{ "canary 100%", { 100, 50, 900 }, { 0, 0, 1 }, 0, 0, 10, RAMP_FREE,
	  RAMP_BACK, "canary 50%" },
	{ "canary 50%", { 100, 100, 900 }, { 100, 100, 900 }, 0, 0, 10,
	  RAMP_FREE, RAMP_STAY, "samples" },	/* both are down */
	{ "canary 50%", { 1000, 0, 1300 }, { 1000, 0, 1000 }, 1000, 1000, 10,
	  RAMP_FREE, RAMP_BACK, "canary 10%" },
	{ "canary 50%", { 29, 0, 9000 }, { 1000, 0, 1000 }, 1000, 1000, 10,
	  RAMP_FREE, RAMP_STAY, "samples" },
	{ "canary 50%", { 1000, 0, 1000 }, { 1000, 0, 1000 }, 1000, 900, 10,
	  RAMP_FREE, RAMP_BACK, "canary 10%" },
	{ "canary 50%", { 1000, 0, 1000 }, { 1000, 0, 1000 }, 10, 6, 10,
	  RAMP_FREE, RAMP_STAY, "samples" },
	/* nobody is served by the target: nothing to go back from */
	{ "shadow", { 0, 0, 1 }, { 0, 0, 1 }, 1000, 0, 60000, RAMP_FREE,
	  RAMP_STAY, "match" },
	{ "migrated", { 100, 100, 1 }, { 0, 0, 1 }, 0, 0, 60000, RAMP_FREE,
	  RAMP_STAY, "the rule is neither" },
	{ "mirror", { 0, 0, 1 }, { 0, 0, 1 }, 5000, 5000, 600000, RAMP_FREE,
	  RAMP_STAY, "the rule is neither" },
};

static struct rules_place
place_of(const char *text)
{
	struct rules_place p = { 0 };
	struct error err = { 0 };

	if (!strncmp(text, "canary ", 7))
		text += 7;
	ck_assert_msg(place_parse(text, &p, &err) == 0, "%s", err.text);
	return p;
}

START_TEST(tables_name_the_move)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		struct ramp_window w = { .newest = 0 };
		struct ramp_count c = {
			.target = side(r->target.requests, r->target.failures,
				       r->target.us),
			.legacy = side(r->legacy.requests, r->legacy.failures,
				       r->legacy.us),
			.pairs = r->pairs,
			.matches = r->matches,
		};
		struct ramp_verdict v;
		char text[PLACE_TEXT_SIZE];

		ramp_add(&w, &c, 1000000);
		v = ramp_decide(&ramp, place_of(r->from), &w, r->in_step_ms,
				r->hold);
		ck_assert_msg(v.move == r->move, "row %zu: %d %s", i,
			      (int)v.move, v.words);
		if (v.move == RAMP_STAY)
			ck_assert_msg(!strncmp(v.words, r->to, strlen(r->to)),
				      "row %zu: %s", i, v.words);
		else
			ck_assert_msg(!strcmp(place_text(v.to, text), r->to),
				      "row %zu: to %s", i, text);
	}
}
END_TEST

/* What is not asked for is not looked at. */
START_TEST(a_bare_ramp_asks_for_samples_and_errors)
{
	struct rules_ramp bare = ramp;
	struct ramp_window w = { .newest = 0 };
	struct ramp_count c = { .target = side(1000, 0, 90000),
				.legacy = side(1000, 0, 100) };

	bare.match_ppm = 0;
	bare.latency_ratio = 0;
	ramp_add(&w, &c, 5000);
	ck_assert_int_eq(ramp_decide(&bare, place_of("1%"), &w, 60000,
				     RAMP_FREE).move, RAMP_UP);
	ck_assert_int_eq(ramp_decide(&bare, place_of("shadow"), &w, 60000,
				     RAMP_FREE).move, RAMP_STAY);
}
END_TEST

/* A day without a fault, then a target that fails altogether: seconds. */
START_TEST(a_long_good_past_hides_no_failure)
{
	static const struct { uint64_t each_second; unsigned within_s; } t[] = {
		{ 1000, 1 }, { 10, 1 }, { 1, 5 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct ramp_window w = { .newest = 0 };
		struct ramp_count good = {
			.target = side(t[i].each_second, 0, 900),
			.legacy = side(t[i].each_second, 0, 900),
		};
		struct ramp_count bad = good;
		uint64_t now = 0;
		unsigned seconds = 0;

		bad.target = side(t[i].each_second, t[i].each_second, 900);
		for (; now < 86400; now++)
			ramp_add(&w, &good, now * 1000);
		ck_assert_int_eq(ramp_decide(&ramp, place_of("50%"), &w, 0,
					     RAMP_FREE).move, RAMP_STAY);
		do {
			ramp_add(&w, &bad, now++ * 1000);
			seconds++;
		} while (ramp_decide(&ramp, place_of("50%"), &w, 0,
				     RAMP_FREE).move == RAMP_STAY);
		ck_assert_msg(seconds <= t[i].within_s, "%u s at %u a second",
			      seconds, (unsigned)t[i].each_second);
	}
}
END_TEST

/* A target that fails as seldom as is allowed stays, for a day of looks. */
START_TEST(what_is_allowed_is_no_breach)
{
	struct ramp_window w = { .newest = 0 };
	unsigned back = 0;
	uint32_t seed = 1;

	for (uint64_t now = 0; now < 86400; now++) {
		uint64_t failures = 0;

		for (int i = 0; i < 20; i++) {
			seed = seed * 1664525u + 1013904223u;
			failures += (seed >> 8) % 1000 < 5;
		}
		ramp_add(&w, &(struct ramp_count){
			.target = side(20, failures, 900),
			.legacy = side(20, 0, 900) }, now * 1000);
		back += ramp_decide(&ramp, place_of("50%"), &w, 0,
				    RAMP_FREE).move == RAMP_BACK;
	}
	ck_assert_uint_eq(back, 0);
}
END_TEST

START_TEST(old_seconds_fall_out)
{
	struct ramp_window w = { .newest = 0 };
	struct ramp_count bad = { .target = side(10, 5, 900),
				  .legacy = side(10, 0, 900) };
	struct ramp_count good = { .target = side(100000, 0, 900),
				   .legacy = side(10, 0, 900) };

	ramp_add(&w, &bad, 1000);
	ck_assert_int_eq(ramp_decide(&ramp, place_of("50%"), &w, 0,
				     RAMP_FREE).move, RAMP_BACK);
	ramp_add(&w, &good, 2000);
	ramp_add(&w, &good, 100000);
	ck_assert_int_eq(ramp_decide(&ramp, place_of("50%"), &w, 0,
				     RAMP_FREE).move, RAMP_STAY);
	ck_assert_uint_eq(w.step.target.requests, 200010);
}
END_TEST

START_TEST(logs_are_near)
{
	for (uint32_t us = 1; us < 4000000000u; us += us / 7 + 1) {
		double off = ramp_log(us) / (double)RAMP_LOG_ONE - log2(us);

		ck_assert_msg(fabs(off) < 0.01, "%u: %f", us, off);
	}
	ck_assert_uint_eq(ramp_log(0), 0);
}
END_TEST

START_TEST(typical_is_the_geometric_mean)
{
	struct ramp_count c = { .target = side(100, 0, 1000),
				.legacy = side(100, 50, 500) };
	struct ramp_side slow = side(1, 0, 1000000);

	ck_assert_double_eq_tol(ramp_typical_us(&c.target), 1000, 10);
	ck_assert_double_eq_tol(ramp_latency_ratio(&c), 2, 0.03);
	/* One that takes a second among a hundred makes it 7 % more. */
	c.target.requests++;
	c.target.logs += slow.logs;
	ck_assert_double_eq_tol(ramp_typical_us(&c.target), 1070, 15);
	c.legacy = side(10, 10, 1);
	ck_assert_double_eq(ramp_latency_ratio(&c), 0);
}
END_TEST

START_TEST(bounds_mirror_each_other)
{
	ck_assert_double_eq_tol(wilson_lower(81, 263), 0.255289, 0.000001);
	ck_assert_double_eq_tol(wilson_upper(81, 263), 0.366210, 0.00001);
	ck_assert_double_eq(wilson_upper(0, 0), 1);
	ck_assert_double_eq(wilson_lower(0, 0), 0);
}
END_TEST

static void
fill(TCase *t)
{
	tcase_add_test(t, tables_name_the_move);
	tcase_add_test(t, a_bare_ramp_asks_for_samples_and_errors);
	tcase_add_test(t, a_long_good_past_hides_no_failure);
	tcase_add_test(t, what_is_allowed_is_no_breach);
	tcase_add_test(t, old_seconds_fall_out);
	tcase_add_test(t, logs_are_near);
	tcase_add_test(t, typical_is_the_geometric_mean);
	tcase_add_test(t, bounds_mirror_each_other);
	tcase_set_timeout(t, 60);
}

int
main(void)
{
	return table_run("router/ramp", fill);
}
