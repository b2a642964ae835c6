/* SPDX-License-Identifier: Apache-2.0 */
/* Which of several addresses is asked. */
#include "proxy/pool.h"

#include <check.h>
#include <stdlib.h>

#include "proxy/lease.h"
#include "proxy/worker.h"

#define COUNT 4
#define NOW_MS 100000u

static struct worker w;
static struct endpoint endpoints[COUNT];
static struct pool pools[COUNT], *list[COUNT];
static struct lease_target target;

static void
set_up(void)
{
	w = (struct worker){ .now_ms = NOW_MS, .random = 1 };
	for (unsigned i = 0; i < COUNT; i++) {
		endpoints[i] = (struct endpoint){ .refs = 1 };
		pools[i] = (struct pool){ .endpoint = &endpoints[i] };
		list[i] = &pools[i];
	}
	target = (struct lease_target){ .pools = list, .count = COUNT };
}

static void
picks(unsigned slow_start_ms, uint64_t tried, unsigned n,
      unsigned got[COUNT])
{
	for (unsigned i = 0; i < COUNT; i++)
		got[i] = 0;
	while (n-- > 0) {
		int i = pool_pick(&w, &target, slow_start_ms, tried);

		ck_assert(i >= 0 && i < COUNT);
		got[i]++;
	}
}

START_TEST(equal_ones_take_turns)
{
	unsigned got[COUNT];

	picks(0, 0, 40, got);
	for (unsigned i = 0; i < COUNT; i++)
		ck_assert_uint_eq(got[i], 10);
}
END_TEST

START_TEST(the_least_loaded_is_asked)
{
	unsigned got[COUNT];

	for (unsigned i = 0; i < COUNT; i++)
		pools[i].busy = i == 2 ? 1 : 2;
	picks(0, 0, 10, got);
	ck_assert_uint_eq(got[2], 10);
}
END_TEST

START_TEST(those_that_are_out_are_not)
{
	unsigned got[COUNT];

	endpoints[0].health.down = true;
	endpoints[1].health.ejected_until_ms = NOW_MS + 1;
	pools[2].busy = pools[3].busy = 9;
	picks(0, 0, 10, got);
	ck_assert_uint_eq(got[0] + got[1], 0);
	picks(0, 1u << 2, 10, got);
	ck_assert_uint_eq(got[3], 10);
}
END_TEST

START_TEST(when_none_is_up_all_are_asked)
{
	unsigned got[COUNT];

	for (unsigned i = 0; i < COUNT; i++)
		endpoints[i].health.down = true;
	picks(0, 0, 40, got);
	for (unsigned i = 0; i < COUNT; i++)
		ck_assert_uint_eq(got[i], 10);
	ck_assert_int_eq(pool_pick(&w, &target, 0, 0xf), -1);
	target.count = 0;
	ck_assert_int_eq(pool_pick(&w, &target, 0, 0), -1);
}
END_TEST

START_TEST(a_slow_start_is_slow)
{
	unsigned got[COUNT];

	endpoints[1].health.back_ms = NOW_MS;
	picks(10000, 0, 4000, got);
	ck_assert_uint_gt(got[1], 40);
	ck_assert_uint_lt(got[1], 200);
	w.now_ms = NOW_MS + 5000;
	picks(10000, 0, 4000, got);
	ck_assert_uint_gt(got[1], 400);
	ck_assert_uint_lt(got[1], 700);
	w.now_ms = NOW_MS + 10000;
	picks(10000, 0, 4000, got);
	ck_assert_uint_eq(got[1], 1000);
}
END_TEST

START_TEST(one_alone_needs_no_choice)
{
	target.count = 1;
	endpoints[0].health.down = true;
	ck_assert_int_eq(pool_pick(&w, &target, 0, 0), 0);
	ck_assert_int_eq(pool_pick(&w, &target, 0, 1), -1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("proxy/pool");
	TCase *t = tcase_create("all");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, set_up, NULL);
	tcase_add_test(t, equal_ones_take_turns);
	tcase_add_test(t, the_least_loaded_is_asked);
	tcase_add_test(t, those_that_are_out_are_not);
	tcase_add_test(t, when_none_is_up_all_are_asked);
	tcase_add_test(t, a_slow_start_is_slow);
	tcase_add_test(t, one_alone_needs_no_choice);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
