/* SPDX-License-Identifier: Apache-2.0 */
/* A candidate that is slow or gone is asked less; one that is well, always. */
#include "shadow/lane.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/shadow/cases.h"

static struct shadow_lanes *lanes;
static struct shadow_lane *lane;

static void
setup(void)
{
	lanes = shadow_lanes_new();
	lane = shadow_lane_of(lanes, "catalog");
	ck_assert_ptr_nonnull(lane);
	ck_assert_ptr_eq(shadow_lane_of(lanes, "catalog"), lane);
}

static void
teardown(void)
{
	shadow_lanes_free(&lanes);
}

static void
fly(enum shadow_landing how, uint64_t now_ms)
{
	ck_assert_int_eq(shadow_lane_pass(lane, now_ms), SHADOW_PASS_GO);
	shadow_lane_leave(lane, shadow_lane_enter(lane, now_ms), how, now_ms);
}

START_TEST(a_full_lane_waits_then_skips)
{
	size_t first = 0;

	for (size_t i = 0; i < SHADOW_LANE_FLIGHTS; i++) {
		size_t place = shadow_lane_enter(lane, 100 + i);

		if (i == 0)
			first = place;
	}
	ck_assert_int_eq(shadow_lane_pass(lane, 200), SHADOW_PASS_WAIT);
	ck_assert_int_eq(shadow_lane_pass(lane, 1101), SHADOW_PASS_BUSY);
	shadow_lane_leave(lane, first, SHADOW_LANDED, 1101);
	ck_assert_int_eq(shadow_lane_pass(lane, 1101), SHADOW_PASS_GO);
	ck_assert_int_eq(shadow_lane_pass(NULL, 1), SHADOW_PASS_GO);
}
END_TEST

/* Whoever waits holds up the comparisons of all. */
START_TEST(a_clock_that_is_set_back_makes_nobody_wait)
{
	ck_assert_int_eq(shadow_full_pass(5000, 5001), SHADOW_PASS_WAIT);
	ck_assert_int_eq(shadow_full_pass(5000, 6001), SHADOW_PASS_BUSY);
	ck_assert_int_eq(shadow_full_pass(5000, 4999), SHADOW_PASS_BUSY);
}
END_TEST

START_TEST(failures_in_a_row_give_it_a_rest)
{
	for (unsigned i = 0; i < SHADOW_LANE_FAILURES - 1; i++)
		fly(SHADOW_CRASHED, 10);
	fly(SHADOW_LANDED, 10);		/* not in a row */
	for (unsigned i = 0; i < SHADOW_LANE_FAILURES; i++)
		fly(SHADOW_CRASHED, 20);
	ck_assert_int_eq(shadow_lane_pass(lane, 21), SHADOW_PASS_DOWN);
	ck_assert_int_eq(shadow_lane_pass(lane, 2019), SHADOW_PASS_DOWN);
	/* One copy shows whether it is back; the others do not wait. */
	shadow_lane_enter(lane, 2020);
	ck_assert_int_eq(shadow_lane_pass(lane, 2020), SHADOW_PASS_DOWN);
	shadow_lane_leave(lane, 0, SHADOW_CRASHED, 2500);
	ck_assert_int_eq(shadow_lane_pass(lane, 6499), SHADOW_PASS_DOWN);
	fly(SHADOW_LANDED, 6500);
	ck_assert_int_eq(shadow_lane_pass(lane, 6500), SHADOW_PASS_GO);
	ck_assert_uint_eq(lane->failures, 0);
}
END_TEST

START_TEST(a_rest_is_a_minute_at_most)
{
	uint64_t now = 1;

	for (unsigned i = 0; i < SHADOW_LANE_FAILURES - 1; i++)
		fly(SHADOW_CRASHED, now);
	for (int i = 0; i < 20; i++) {
		fly(SHADOW_CRASHED, now);
		ck_assert_uint_le(lane->rest_until_ms - now,
				  SHADOW_LANE_REST_MAX_MS);
		now = lane->rest_until_ms;
	}
	ck_assert_uint_eq(lane->rest_ms, SHADOW_LANE_REST_MAX_MS);
}
END_TEST

/* Those that were under way when it was given up fail, too. */
START_TEST(one_bad_moment_counts_once)
{
	size_t places[SHADOW_LANE_FLIGHTS];

	for (size_t i = 0; i < SHADOW_LANE_FLIGHTS; i++)
		places[i] = shadow_lane_enter(lane, 5);
	for (size_t i = 0; i < SHADOW_LANE_FLIGHTS; i++)
		shadow_lane_leave(lane, places[i], SHADOW_CRASHED, 10);
	ck_assert_uint_eq(lane->rest_ms, SHADOW_LANE_REST_MS);
	ck_assert_uint_eq(lane->active, 0);
}
END_TEST

START_TEST(any_number_of_candidates)
{
	struct buf text = { 0 };
	struct json j;
	char name[32];

	shadow_lane_enter(lane, 1);
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		ck_assert_ptr_nonnull(shadow_lane_of(lanes, name));
	}
	ck_assert_ptr_eq(shadow_lane_of(lanes, "catalog"), lane);
	json_init(&j, &text);
	shadow_lanes_status(lanes, 2, &j);
	ck_assert_uint_lt(text.len, 256 * 128);
	ck_assert_ptr_nonnull(strstr(buf_str(&text),
		"{\"candidate\":\"catalog\",\"in_flight\":1,"
		"\"failures_in_a_row\":0,\"rests_ms\":0}"));
	buf_fini(&text);
}
END_TEST

TCase *
case_lane(void)
{
	TCase *t = tcase_create("lane");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_full_lane_waits_then_skips);
	tcase_add_test(t, a_clock_that_is_set_back_makes_nobody_wait);
	tcase_add_test(t, failures_in_a_row_give_it_a_rest);
	tcase_add_test(t, a_rest_is_a_minute_at_most);
	tcase_add_test(t, one_bad_moment_counts_once);
	tcase_add_test(t, any_number_of_candidates);
	return t;
}
