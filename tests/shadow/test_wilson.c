/* SPDX-License-Identifier: Apache-2.0 */
/* Lower bounds against the roots of Wilson's quadratic, solved apart; 81 of
 * 263 is the example of Newcombe (1998): 0.2553. */
#include "shadow/wilson.h"

#include "base/attr.h"
#include "tests/shadow/cases.h"

static const struct {
	uint64_t hits, samples;
	double lower;
} table[] = {
	{ 0, 0, 0 },
	{ 0, 10, 0 },
	{ 1, 1, 0.206549 },
	{ 10, 10, 0.722467 },
	{ 5, 10, 0.236593 },
	{ 81, 263, 0.255289 },
	{ 100, 100, 0.963007 },
	{ 999, 1000, 0.994357 },
	{ 1000, 1000, 0.996173 },
	{ 1000000, 1000000, 0.999996 },
};

START_TEST(lower_bounds)
{
	ck_assert_double_eq_tol(shadow_wilson_lower(table[_i].hits,
						    table[_i].samples),
				table[_i].lower, 0.000001);
}
END_TEST

/* More evidence of the same rate never makes us less sure. */
START_TEST(grows_with_samples)
{
	double before = 0;

	for (uint64_t n = 10; n <= 100000; n *= 10) {
		double now = shadow_wilson_lower(n * 9 / 10, n);

		ck_assert_double_gt(now, before);
		ck_assert_double_lt(now, 0.9);
		before = now;
	}
}
END_TEST

TCase *
case_wilson(void)
{
	TCase *t = tcase_create("wilson");

	tcase_add_loop_test(t, lower_bounds, 0, ARRAY_SIZE(table));
	tcase_add_test(t, grows_with_samples);
	return t;
}
