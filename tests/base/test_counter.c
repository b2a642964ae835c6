/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/counter.c. */
#include "tests/base/suites.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/counter.h"

#define THREADS 4
#define ADDS 100000

static void *
count(void *arg)
{
	(void)arg;
	for (int i = 0; i < ADDS; i++) {
		counter_inc(COUNTER_ANSWERED);
		counter_add(COUNTER_CLIENT_OPEN, i % 2 ? -1 : 1);
	}
	return NULL;
}

static void
run_threads(void)
{
	pthread_t threads[THREADS];
	int64_t before = 0;

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, count, NULL),
				 0);
	for (int i = 0; i < 100; i++) {
		int64_t now = counter_get(COUNTER_ANSWERED);

		ck_assert_int_ge(now, before);
		before = now;
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* Run twice: the second round's threads take over parked blocks. */
START_TEST(sums_over_threads_that_ended)
{
	counter_add(COUNTER_ANSWERED, 5);
	run_threads();
	ck_assert_int_eq(counter_get(COUNTER_ANSWERED), 5 + THREADS * ADDS);
	run_threads();
	ck_assert_int_eq(counter_get(COUNTER_ANSWERED), 5 + 2 * THREADS * ADDS);
	ck_assert_int_eq(counter_get(COUNTER_CLIENT_OPEN), 0);
	ck_assert_int_eq(counter_get(COUNTER_RECORDED), 0);
}
END_TEST

START_TEST(names_rows)
{
	ck_assert_str_eq(counter_name(COUNTER_DROPPED_RING_FULL),
			 "matapalo_exchanges_dropped_total");
	ck_assert_str_eq(counter_labels(COUNTER_DROPPED_RING_FULL),
			 "reason=\"ring_full\"");
	ck_assert_str_eq(counter_labels(COUNTER_ANSWERED), "");
}
END_TEST

static int
occurrences(const char *text, const char *what)
{
	int n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

START_TEST(writes_prometheus)
{
	struct buf b = {0};
	const char *text;

	counter_add(COUNTER_DROPPED_MEMORY, 3);
	counter_add(COUNTER_CLIENT_OPEN, -2);
	counter_write_prometheus(&b);
	text = buf_str(&b);
	ck_assert_ptr_nonnull(strstr(text, "\nmatapalo_exchanges_dropped_total"
		"{reason=\"no_memory\"} 3\n"));
	ck_assert_ptr_nonnull(strstr(text,
		"# TYPE matapalo_client_connections_open gauge\n"
		"matapalo_client_connections_open -2\n"));
	for (unsigned c = 0; c < COUNTER_COUNT; c++) {
		char line[256];

		snprintf(line, sizeof(line), "# HELP %s ", counter_name(c));
		ck_assert_int_eq(occurrences(text, line), 1);
		snprintf(line, sizeof(line), "# TYPE %s ", counter_name(c));
		ck_assert_int_eq(occurrences(text, line), 1);
		snprintf(line, sizeof(line), "\n%s%s%s%s ", counter_name(c),
			 *counter_labels(c) ? "{" : "", counter_labels(c),
			 *counter_labels(c) ? "}" : "");
		ck_assert_int_eq(occurrences(text, line), 1);
	}
	buf_fini(&b);
}
END_TEST

TCase *
counter_tests(void)
{
	TCase *tc = tcase_create("counter");

	tcase_add_test(tc, sums_over_threads_that_ended);
	tcase_add_test(tc, names_rows);
	tcase_add_test(tc, writes_prometheus);
	tcase_set_timeout(tc, 60);
	return tc;
}
