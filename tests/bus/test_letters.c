/* SPDX-License-Identifier: Apache-2.0 */
/* Dead letters and the jobs on them, where the vectors do not reach. */
#include <stdio.h>

#include "base/clock.h"
#include "tests/bus/live.h"

#define MANY 1200

static struct bus_client *c;

static void
setup(void)
{
	live_setup();
	c = connect_to(live_ipc);
}

static void
teardown(void)
{
	bus_client_close(&c);
	live_teardown();
}

static void
reconnect(void)
{
	bus_client_close(&c);
	live_restart();
	c = connect_to(live_ipc);
}

static int64_t
dead(void)
{
	return ask_number(c, "{\"op\":\"groups\"}", "/groups/0/dead");
}

static bool
on_disk(void *arg)
{
	struct cJSON *p;
	char request[64];
	bool all;

	snprintf(request, sizeof(request),
		 "{\"op\":\"dlq_list\",\"max\":1,\"after\":%zu}",
		 *(size_t *)arg - 1);
	p = must(c, request);
	all = count(p, "/dead") > 0;

	payload_free(&p);
	return all;
}

static void
await_letters(size_t n)
{
	fixture_await(on_disk, &n, "dead letters");
}

static void
term(int64_t first, int64_t last)
{
	for (int64_t n = first; n <= last; n++) {
		char request[128];

		snprintf(request, sizeof(request),
			 "{\"op\":\"term\",\"group\":\"g\",\"consumer\":\"c\","
			 "\"sequence\":%lld}", (long long)n);
		ck_assert_int_eq(ask_number(c, request, "/settled"), 1);
	}
}

static size_t
fetched(const char *consumer, int max)
{
	char request[160];
	struct cJSON *p;
	size_t n;

	snprintf(request, sizeof(request),
		 "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"%s\","
		 "\"max\":%d,\"max_in_flight\":5000,\"lease_ms\":60000}",
		 consumer, max);
	p = must(c, request);
	n = count(p, "/events");
	payload_free(&p);
	return n;
}

static bool
two_come(void *arg)
{
	static size_t n;

	(void)arg;
	n += fetched("c", 3);
	ck_assert_uint_le(n, 2);
	return n == 2;
}

/* The mark is all that says that event 2 is settled. */
START_TEST(purged_beyond_the_cursor_stays_purged)
{
	fixture_append_many(&live_fixture, "a.v1", 3, 0);
	say(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\","
	       "\"lease_ms\":1000,\"backoff_ms\":[]}");
	term(2, 2);
	await_letters(1);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"dlq_purge\",\"id\":1}",
				    "/purged"), 1);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"dlq_purge\",\"id\":1}",
				    "/purged"), 0);
	ck_assert_int_eq(dead(), 0);
	reconnect();
	ck_assert_int_eq(dead(), 0);
	fixture_await(two_come, NULL, "the two others");
	ck_assert_uint_eq(fetched("c", 3), 0);
}
END_TEST

static bool
moved_all_there_is_room_for(void *arg)
{
	(void)arg;
	return ask_number(c, "{\"op\":\"jobs\",\"id\":1}", "/redriven") ==
	       1000;
}

static bool
is_over(void *arg)
{
	(void)arg;
	(void)fetched("c", 100);
	return ask_number(c, "{\"op\":\"jobs\",\"id\":1}", "/redriven") >=
	       MANY;
}

static void
bury_many(void)
{
	fixture_append_many(&live_fixture, "a.v1", MANY, 0);
	for (size_t n = 0; n < MANY;)
		n += fetched("c", 400);
	term(1, MANY);
	await_letters(MANY);
}

/* What does not fit waits among the dead letters. */
START_TEST(a_redrive_fills_no_group)
{
	bury_many();
	say(c, "{\"op\":\"dlq_redrive\",\"group\":\"g\",\"all\":true}");
	fixture_await(moved_all_there_is_room_for, NULL, "full group");
	ck_assert_int_eq(dead(), MANY - 1000);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"jobs\",\"id\":1}",
				    "/job/total"), MANY);
	for (int64_t at = 1; at <= 300; at += 100) {
		ck_assert_uint_eq(fetched("c", 100), 100);
		term(at, at + 99);
	}
	fixture_await(is_over, NULL, "end of the redrive");
}
END_TEST

/* Its dead letter is gone: the row is all that is left of a redriven event. */
START_TEST(a_seek_keeps_what_was_redriven)
{
	fixture_append_many(&live_fixture, "a.v1", 4, 1);
	ck_assert_uint_eq(fetched("c", 4), 4);
	term(1, 4);
	await_letters(4);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"dlq_redrive\",\"all\":true,"
				       "\"group\":\"g\",\"wait_ms\":5000}",
				    "/redriven"), 4);
	ck_assert_uint_eq(fetched("c", 3), 3);
	term(1, 1);
	say(c, "{\"op\":\"group_seek\",\"group\":\"g\","
	       "\"to\":\"newest\"}");
	ck_assert_uint_eq(fetched("d", 9), 3);
	say(c, "{\"op\":\"group_seek\",\"group\":\"g\","
	       "\"to\":\"newest\"}");
	reconnect();
	ck_assert_uint_eq(fetched("e", 9), 3);
	ck_assert_int_eq(dead(), 1);
}
END_TEST

START_TEST(redriven_events_of_a_key_have_one_owner)
{
	fixture_append_many(&live_fixture, "a.v1", 4, 1);
	ck_assert_uint_eq(fetched("c", 4), 4);
	term(1, 4);
	await_letters(4);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"dlq_redrive\",\"all\":true,"
				       "\"group\":\"g\",\"wait_ms\":5000}",
				    "/redriven"), 4);
	ck_assert_uint_eq(fetched("c", 1), 1);
	ck_assert_uint_eq(fetched("d", 4), 0);
	ck_assert_uint_eq(fetched("c", 4), 3);
}
END_TEST

START_TEST(a_rate_is_kept)
{
	uint64_t begin;

	fixture_append_many(&live_fixture, "a.v1", 21, 0);
	ck_assert_uint_eq(fetched("c", 21), 21);
	term(1, 21);
	await_letters(21);
	begin = clock_mono_ms();
	ck_assert_int_eq(ask_number(c, "{\"op\":\"dlq_redrive\",\"all\":true,"
				       "\"group\":\"g\",\"rate\":40,"
				       "\"wait_ms\":20000}", "/redriven"), 21);
	ck_assert_uint_ge(clock_mono_ms() - begin, 450);
}
END_TEST

static const struct {
	const char *request, *says;
} refusals[] = {
	{ "{\"op\":\"dlq_redrive\",\"all\":true}", "group is missing" },
	{ "{\"op\":\"dlq_redrive\",\"group\":\"g\",\"all\":true,\"rate\":0}",
	  "rate must be a number above 0" },
	{ "{\"op\":\"dlq_purge\",\"all\":true,\"id\":1}", "either id" },
	{ "{\"op\":\"dlq_purge\",\"filter\":7}", "filter must be an object" },
	{ "{\"op\":\"dlq_purge\",\"filter\":{\"reason\":7}}",
	  "filter.reason must be a string" },
	{ "{\"op\":\"dlq_list\",\"filter\":{\"until\":\"soon\"}}",
	  "filter.until must be a time" },
	{ "{\"op\":\"dlq_show\"}", "id must be the number" },
	{ "{\"op\":\"replay\",\"group\":\"g\",\"from\":\"soon\"}",
	  "from must be a sequence" },
	{ "{\"op\":\"replay\",\"group\":\"g\",\"from\":1,\"speed\":-1}",
	  "speed must be a number above 0" },
	{ "{\"op\":\"job_cancel\"}", "id must be the number of a job" },
};

START_TEST(refusals_say_what)
{
	(void)fetched("c", 1);
	ck_assert_ptr_null(ask(c, refusals[_i].request));
	ck_assert_msg(strstr(live_refusal, refusals[_i].says), "%s",
		      live_refusal);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("letters");
	TCase *t = tcase_create("letters");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, purged_beyond_the_cursor_stays_purged);
	tcase_add_test(t, a_redrive_fills_no_group);
	tcase_add_test(t, a_seek_keeps_what_was_redriven);
	tcase_add_test(t, redriven_events_of_a_key_have_one_owner);
	tcase_add_test(t, a_rate_is_kept);
	tcase_add_loop_test(t, refusals_say_what, 0,
			    (int)ARRAY_SIZE(refusals));
	suite_add_tcase(s, t);
	return s;
}

int
main(int argc, char **argv)
{
	return live_main(argc, argv, suite);
}
