/* SPDX-License-Identifier: Apache-2.0 */
/* proxy/exchange.c: when an exchange began. */
#include <check.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proxy/exchange.h"

#define HOUR_US INT64_C(3600000000)
#define SLACK_US INT64_C(60000000)

/* A tunnel may be open for hours, longer than a duration has bits for. */
START_TEST(began_hours_ago)
{
	struct exchange *ex = calloc(1, sizeof(*ex));
	int64_t want, first;

	ck_assert_ptr_nonnull(ex);
	ex->started_us = clock_mono_us() - (uint64_t)(_i * HOUR_US);
	want = clock_wall_us() - _i * HOUR_US;
	first = exchange_started_wall_us(ex);
	ck_assert_int_ge(first, want - SLACK_US);
	ck_assert_int_le(first, want + SLACK_US);
	ck_assert_int_eq(exchange_started_wall_us(ex), first);
	free(ex);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("exchange");
	TCase *t = tcase_create("time");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, began_hours_ago, 0, 26);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
