/* SPDX-License-Identifier: Apache-2.0 */
/* Fetches that do not block, that are cancelled, and verdicts beside them. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "base/clock.h"
#include "lib/matapalo.h"
#include "tests/bus/live.h"

#define LONG_MS 30000u

static struct matapalo_error err;
static struct matapalo_consumer *c;

static void
setup(void)
{
	struct matapalo_consumer_options o = MATAPALO_CONSUMER_OPTIONS;

	live_setup();
	o.url = live_ipc;
	o.group = "g";
	ck_assert_int_eq(matapalo_consumer_open(&o, &c, &err), MATAPALO_OK);
}

static void
teardown(void)
{
	matapalo_consumer_close(&c);
	live_teardown();
}

static void
append(const char *key)
{
	fixture_append(&live_fixture, "a.b", "s", key, NULL);
}

static bool
is_readable(int timeout_ms)
{
	struct pollfd p = { .fd = matapalo_fetch_fd(c), .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static int64_t
first(const struct matapalo_batch *b)
{
	ck_assert_uint_ge(matapalo_batch_count(b), 1);
	return matapalo_event_sequence(matapalo_batch_event(b, 0));
}

START_TEST(the_descriptor_tells)
{
	struct matapalo_batch *b;

	ck_assert_int_eq(matapalo_fetch_end(c, &b, &err), MATAPALO_USAGE);
	ck_assert_int_eq(matapalo_fetch_begin(c, 9, LONG_MS, &err),
			 MATAPALO_OK);
	ck_assert_int_eq(matapalo_fetch_begin(c, 9, LONG_MS, &err),
			 MATAPALO_USAGE);
	ck_assert(!is_readable(50));
	append(NULL);
	ck_assert(is_readable(10000));
	ck_assert_int_eq(matapalo_fetch_end(c, &b, &err), MATAPALO_OK);
	ck_assert_int_eq(first(b), 1);
	ck_assert(!is_readable(0));
	matapalo_batch_free(&b);
}
END_TEST

/* What the bus gave to the fetch that was given up comes with the next. */
START_TEST(a_cancelled_fetch_loses_nothing)
{
	struct matapalo_batch *b;

	ck_assert_int_eq(matapalo_fetch_begin(c, 9, LONG_MS, &err),
			 MATAPALO_OK);
	matapalo_cancel(c);
	ck_assert_int_eq(matapalo_fetch_end(c, &b, &err),
			 MATAPALO_CANCELLED);
	ck_assert_ptr_null(b);
	append(NULL);
	ck_assert_int_eq(matapalo_fetch(c, 9, 10000, &b, &err), MATAPALO_OK);
	ck_assert_int_eq(first(b), 1);
	ck_assert_uint_eq(matapalo_event_attempt(matapalo_batch_event(b, 0)),
			  1);
	matapalo_ack(c, 1);
	matapalo_batch_free(&b);
	ck_assert_int_eq(matapalo_flush(c, &err), MATAPALO_OK);
}
END_TEST

static void
on_alarm(int number)
{
	(void)number;
	matapalo_cancel(c);
}

START_TEST(a_signal_cancels)
{
	const struct itimerval soon = { .it_value.tv_usec = 50000 };
	uint64_t before = clock_mono_ms();
	struct matapalo_batch *b;

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &soon, NULL);
	ck_assert_int_eq(matapalo_fetch(c, 9, LONG_MS, &b, &err),
			 MATAPALO_CANCELLED);
	signal(SIGALRM, SIG_DFL);
	ck_assert_uint_lt(clock_mono_ms() - before, LONG_MS / 2);
}
END_TEST

static void *
flush_all(void *arg)
{
	struct matapalo_error bad;

	(void)arg;
	for (int64_t i = 0; i < 50; i++) {
		ck_assert_int_eq(matapalo_ack(c, 1000 + i), MATAPALO_OK);
		ck_assert_int_eq(matapalo_flush(c, &bad), MATAPALO_OK);
	}
	return NULL;
}

/* Verdicts go out while a fetch waits, from several threads; the event of the
 * same key then comes to it. */
START_TEST(verdicts_do_not_wait)
{
	pthread_t threads[3];
	struct matapalo_batch *b;

	append("k");
	ck_assert_int_eq(matapalo_fetch(c, 1, 10000, &b, &err), MATAPALO_OK);
	ck_assert_int_eq(matapalo_fetch_begin(c, 1, LONG_MS, &err),
			 MATAPALO_OK);
	matapalo_ack(c, first(b));
	matapalo_batch_free(&b);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, flush_all,
						NULL), 0);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(matapalo_pending(c), 0);
	append("k");
	ck_assert_int_eq(matapalo_fetch_end(c, &b, &err), MATAPALO_OK);
	ck_assert_int_eq(first(b), 2);
	matapalo_ack(c, 2);
	matapalo_batch_free(&b);
}
END_TEST

/* A fetch that fails gives its verdicts back, in both lists. */
START_TEST(verdicts_come_back)
{
	struct matapalo_batch *b;

	append(NULL);
	append(NULL);
	ck_assert_int_eq(matapalo_fetch(c, 2, 10000, &b, &err), MATAPALO_OK);
	matapalo_batch_free(&b);
	matapalo_ack(c, 1);
	ck_assert_int_eq(matapalo_fetch_begin(c, 1, LONG_MS, &err),
			 MATAPALO_OK);
	matapalo_nak(c, 2, 0, "later");
	matapalo_cancel(c);
	ck_assert_int_eq(matapalo_fetch_end(c, &b, &err),
			 MATAPALO_CANCELLED);
	ck_assert_uint_eq(matapalo_pending(c), 2);
	ck_assert_int_eq(matapalo_consumer_set_token(c, "t", &err),
			 MATAPALO_OK);
	ck_assert_int_eq(matapalo_flush(c, &err), MATAPALO_OK);
	ck_assert_uint_eq(matapalo_pending(c), 0);
	ck_assert_int_eq(matapalo_consumer_set_token(c, NULL, &err),
			 MATAPALO_OK);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("lib/fetch");
	TCase *t = tcase_create("fetch");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_descriptor_tells);
	tcase_add_test(t, a_cancelled_fetch_loses_nothing);
	tcase_add_test(t, a_signal_cancels);
	tcase_add_test(t, verdicts_do_not_wait);
	tcase_add_test(t, verdicts_come_back);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return s;
}

int
main(int argc, char **argv)
{
	return live_main(argc, argv, suite);
}
