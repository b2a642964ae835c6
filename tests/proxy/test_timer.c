/* SPDX-License-Identifier: Apache-2.0 */
/* proxy/timer.c: deadlines fire once, in time, and move without cost. */
#include "proxy/timer.h"

#include <check.h>
#include <stdlib.h>

#define COUNT 2000

struct probe {
	struct timer timer;
	uint64_t fired_ms;
	int fired;
};

static uint64_t now_ms;
static struct probe probes[COUNT];

static void
probe_fire(struct timer *t)
{
	struct probe *p = (struct probe *)t;

	p->fired++;
	p->fired_ms = now_ms;
}

static void
probes_reset(struct timer_wheel *w)
{
	int i;

	now_ms = 1000000;
	timer_wheel_init(w, now_ms);
	for (i = 0; i < COUNT; i++)
		probes[i] = (struct probe){ .timer.fire = probe_fire };
}

static void
run_until(struct timer_wheel *w, uint64_t end_ms)
{
	while (now_ms < end_ms) {
		int wait_ms = timer_wait_ms(w, now_ms);

		now_ms += wait_ms < 1 ? 1 : (uint64_t)wait_ms;
		if (now_ms > end_ms)
			now_ms = end_ms;
		timer_run(w, now_ms);
	}
}

START_TEST(fires_once_and_in_time)
{
	struct timer_wheel w;
	uint64_t start;
	int i;

	probes_reset(&w);
	start = now_ms;
	srand(7);
	for (i = 0; i < COUNT; i++)
		timer_set(&w, &probes[i].timer,
			  start + (uint64_t)(rand() % 60000));
	run_until(&w, start + 61000);
	for (i = 0; i < COUNT; i++) {
		uint64_t due = probes[i].timer.deadline_ms;

		ck_assert_int_eq(probes[i].fired, 1);
		ck_assert_uint_ge(probes[i].fired_ms, due);
		ck_assert_uint_le(probes[i].fired_ms,
				  due + 2 * TIMER_TICK_MS);
	}
	ck_assert_int_eq(timer_wait_ms(&w, now_ms), -1);
}
END_TEST

START_TEST(moves_later_and_earlier)
{
	struct timer_wheel w;
	uint64_t start;

	probes_reset(&w);
	start = now_ms;
	timer_set(&w, &probes[0].timer, start + 500);
	timer_set(&w, &probes[0].timer, start + 5000);
	timer_set(&w, &probes[1].timer, start + 5000);
	timer_set(&w, &probes[1].timer, start + 500);
	run_until(&w, start + 1000);
	ck_assert_int_eq(probes[0].fired, 0);
	ck_assert_int_eq(probes[1].fired, 1);
	run_until(&w, start + 6000);
	ck_assert_int_eq(probes[0].fired, 1);
	ck_assert_uint_ge(probes[0].fired_ms, start + 5000);
}
END_TEST

START_TEST(cancelled_stays_silent)
{
	struct timer_wheel w;
	uint64_t start;

	probes_reset(&w);
	start = now_ms;
	timer_set(&w, &probes[0].timer, start + 100);
	timer_cancel(&w, &probes[0].timer);
	timer_cancel(&w, &probes[0].timer);
	ck_assert_int_eq(timer_wait_ms(&w, now_ms), -1);
	run_until(&w, start + 1000);
	ck_assert_int_eq(probes[0].fired, 0);
}
END_TEST

START_TEST(survives_a_long_pause)
{
	struct timer_wheel w;

	probes_reset(&w);
	timer_set(&w, &probes[0].timer, now_ms + 100);
	timer_set(&w, &probes[1].timer, now_ms + 50000);
	now_ms += 3600000;
	timer_run(&w, now_ms);
	ck_assert_int_eq(probes[0].fired, 1);
	ck_assert_int_eq(probes[1].fired, 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("timer");
	TCase *t = tcase_create("wheel");
	SRunner *r;
	int failed;

	tcase_add_test(t, fires_once_and_in_time);
	tcase_add_test(t, moves_later_and_earlier);
	tcase_add_test(t, cancelled_stays_silent);
	tcase_add_test(t, survives_a_long_pause);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
