/* SPDX-License-Identifier: Apache-2.0 */
/* Ejection, return and slow start of one address, with time given. */
#include "router/health.h"

#include "tests/rules/table.h"

static const struct rules_eject limits = {
	.after = 3, .for_ms = 2000, .at_most_ms = 60000
};

static void
fails(struct health *h, unsigned times, bool earned)
{
	bool got = false;

	while (times-- > 0)
		got = health_failed(h, &limits, HEALTH_BAD_ANSWER);
	ck_assert_int_eq(got, earned);
}

START_TEST(failures_in_a_row_eject)
{
	struct health h = { 0 };

	fails(&h, 2, false);
	health_succeeded(&h, &limits, 1000);
	fails(&h, 2, false);
	fails(&h, 1, true);
	ck_assert_int_eq(health_state(&h, 1000), HEALTH_UP);
	ck_assert_uint_eq(health_eject(&h, &limits, 1000), 2000);
	ck_assert_int_eq(health_state(&h, 2999), HEALTH_EJECTED);
	ck_assert_int_eq(health_state(&h, 3000), HEALTH_UP);
}
END_TEST

START_TEST(unreachable_is_enough)
{
	struct health h = { 0 };

	ck_assert(health_failed(&h, &limits, HEALTH_UNREACHABLE));
}
END_TEST

START_TEST(each_time_in_a_row_is_twice_as_long)
{
	static const unsigned times_ms[] = { 2000,  4000,  8000, 16000,
					     32000, 60000, 60000 };
	struct health h = { 0 };
	uint64_t now_ms = 5000;

	fails(&h, 3, true);
	for (size_t i = 0; i < ARRAY_SIZE(times_ms); i++) {
		ck_assert_uint_eq(health_eject(&h, &limits, now_ms),
				  times_ms[i]);
		/* Already out: no second ejection, by another worker. */
		ck_assert_uint_eq(health_eject(&h, &limits, now_ms), 0);
		now_ms += times_ms[i];
		fails(&h, 1, true);	/* back again, one is enough */
	}
}
END_TEST

START_TEST(holding_out_begins_anew)
{
	struct health h = { 0 };

	fails(&h, 3, true);
	health_eject(&h, &limits, 0);
	fails(&h, 1, true);
	ck_assert_uint_eq(health_eject(&h, &limits, 2000), 4000);
	/* An answer to a request of before says nothing. */
	health_succeeded(&h, &limits, 3000);
	fails(&h, 1, true);
	/* Back at 6000: a good answer forgives failures, not ejections. */
	health_succeeded(&h, &limits, 7000);
	fails(&h, 2, false);
	health_succeeded(&h, &limits, 9999);
	ck_assert_uint_eq(atomic_load(&h.ejections), 2);
	health_succeeded(&h, &limits, 10000);
	ck_assert_uint_eq(atomic_load(&h.ejections), 0);
	fails(&h, 3, true);
	ck_assert_uint_eq(health_eject(&h, &limits, 20000), 2000);
}
END_TEST

START_TEST(half_can_be_spared)
{
	static const unsigned spared[] = { 0, 0, 1, 1, 2, 2, 3 };

	for (unsigned i = 0; i < ARRAY_SIZE(spared); i++)
		ck_assert_uint_eq(health_spared(i), spared[i]);
}
END_TEST

START_TEST(weight_grows_after_the_return)
{
	static const struct {
		uint64_t at_ms;
		unsigned weight;
	} rows[] = {
		{ 2000, 100 }, { 7000, 550 }, { 11000, 910 }, { 12000, 1000 },
		{ 99000, 1000 },
	};
	struct health h = { 0 };

	ck_assert_uint_eq(health_weight(&h, 10000, 0), HEALTH_WEIGHT_FULL);
	fails(&h, 3, true);
	health_eject(&h, &limits, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ck_assert_uint_eq(health_weight(&h, 10000, rows[i].at_ms),
				  rows[i].weight);
	ck_assert_uint_eq(health_weight(&h, 0, 2000), HEALTH_WEIGHT_FULL);
	health_probed(&h, false, 50000);
	ck_assert_int_eq(health_state(&h, 50000), HEALTH_DOWN);
	health_probed(&h, true, 60000);
	ck_assert_int_eq(health_state(&h, 60000), HEALTH_UP);
	ck_assert_uint_eq(health_weight(&h, 10000, 65000), 550);
}
END_TEST

/* g, b: results; +, -, .: the verdict that must follow. */
START_TEST(verdicts_need_a_streak)
{
	static const char *const rows[] = {
		"b.b.g.b.b.b-b.",  "b.b.b-g.b.g.g+",  "g.g.g.b.b.b-g.g+b.b.",
	};
	const struct rules_health l = { .healthy = 2, .unhealthy = 3 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct health_streak s = { 0, 0 };
		bool down = false;

		for (const char *c = rows[i]; *c; c += 2) {
			int got = health_streak_add(&s, &l, *c == 'g', down);

			ck_assert_msg(got == (c[1] == '+') - (c[1] == '-'),
				      "%s: at %s", rows[i], c);
			if (got)
				down = got < 0;
		}
	}
}
END_TEST

static void
fill(TCase *t)
{
	tcase_add_test(t, failures_in_a_row_eject);
	tcase_add_test(t, unreachable_is_enough);
	tcase_add_test(t, each_time_in_a_row_is_twice_as_long);
	tcase_add_test(t, holding_out_begins_anew);
	tcase_add_test(t, half_can_be_spared);
	tcase_add_test(t, weight_grows_after_the_return);
	tcase_add_test(t, verdicts_need_a_streak);
}

int
main(void)
{
	return table_run("router/health", fill);
}
