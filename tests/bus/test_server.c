/* SPDX-License-Identifier: Apache-2.0 */
/* The operations over real sockets: good requests and bad ones. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "tests/bus/live.h"

START_TEST(hello_on_ipc_and_tcp)
{
	struct stat st;

	for (size_t i = 0; i < 2; i++) {
		struct bus_client *c = connect_to(bus_url(live_bus, i));
		struct cJSON *p = must(c, "{\"op\":\"hello\"}");

		ck_assert_str_eq(text(p, "/server"), "matapalo");
		ck_assert_int_eq(number(p, "/protocol"), 1);
		ck_assert_str_ne(text(p, "/ops/fetch"), "");
		payload_free(&p);
		bus_client_close(&c);
	}
	ck_assert_ptr_null(bus_url(live_bus, 2));
	ck_assert_ptr_eq(bus_journal(live_bus), live_fixture.journal);
	ck_assert_int_eq(stat(live_ipc + 6, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(publish_fetch_ack)
{
	struct bus_client *c = connect_to(live_ipc);
	struct cJSON *p;

	ck_assert_int_eq(ask_number(c, "{\"op\":\"publish\","
		"\"type\":\"shop.order.placed.v1\",\"subject\":\"7\","
		"\"id\":\"018f0000-0000-7000-8000-000000000001\","
		"\"partitionkey\":\"k\",\"data\":{\"n\":12345678901234567890}}",
		"/sequence"), 1);
	/* nng sends a request again when a connection breaks */
	ck_assert_int_eq(ask_number(c, "{\"op\":\"publish\","
		"\"type\":\"shop.order.placed.v1\","
		"\"id\":\"018f0000-0000-7000-8000-000000000001\"}",
		"/sequence"), 1);
	p = must(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\"}");
	ck_assert_uint_eq(count(p, "/events"), 1);
	ck_assert_int_eq(number(p, "/events/0/sequence"), 1);
	ck_assert_int_eq(number(p, "/events/0/attempt"), 1);
	ck_assert(!payload_bool(payload_at(p, "/events/0/redelivered"),
				true));
	ck_assert_str_eq(text(p, "/events/0/event/specversion"), "1.0");
	ck_assert_str_eq(text(p, "/events/0/event/id"),
			 "018f0000-0000-7000-8000-000000000001");
	ck_assert_str_eq(text(p, "/events/0/event/source"),
			 "//test/matapalo");
	ck_assert_str_eq(text(p, "/events/0/event/partitionkey"), "k");
	ck_assert_str_eq(text(p, "/events/0/event/sequence"),
			 "0000000000000000001");
	payload_free(&p);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"ack\",\"group\":\"g\","
		"\"consumer\":\"c\",\"sequences\":[1,2]}", "/settled"), 1);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"ack\",\"group\":\"g\","
		"\"consumer\":\"c\",\"sequence\":1}", "/stale"), 1);
	bus_client_close(&c);
}
END_TEST

struct polling {
	pthread_t thread;
	const char *request;
	struct cJSON *answer;
	uint64_t took_ms;
};

static void *
poll_main(void *arg)
{
	struct polling *l = arg;
	struct bus_client *c = connect_to(live_ipc);
	uint64_t from = clock_mono_ms();

	l->answer = must(c, l->request);
	l->took_ms = clock_mono_ms() - from;
	bus_client_close(&c);
	return NULL;
}

static bool
has_consumer(void *arg)
{
	struct bus_client *c = arg;

	return ask_number(c, "{\"op\":\"groups\"}", "/groups/0/consumers") > 0;
}

START_TEST(a_read_of_nothing_ends)
{
	struct bus_client *c = connect_to(live_ipc);
	struct cJSON *p;

	say(c, "{\"op\":\"publish\",\"type\":\"t.v1\"}");
	p = must(c, "{\"op\":\"read\",\"max\":0,\"wait_ms\":10}");
	ck_assert_uint_eq(count(p, "/events"), 0);
	ck_assert_int_eq(number(p, "/next"), 0);
	payload_free(&p);
	bus_client_close(&c);
}
END_TEST

START_TEST(long_poll_wakes_on_publish)
{
	struct polling l = { .request = "{\"op\":\"fetch\",\"group\":\"g\","
					"\"wait_ms\":10000}" };
	struct bus_client *c = connect_to(live_ipc);

	pthread_create(&l.thread, NULL, poll_main, &l);
	fixture_await(has_consumer, c, "consumer");
	say(c, "{\"op\":\"publish\",\"type\":\"a.v1\",\"data\":1}");
	pthread_join(l.thread, NULL);
	ck_assert_uint_eq(count(l.answer, "/events"), 1);
	ck_assert_uint_lt(l.took_ms, 5000);
	payload_free(&l.answer);
	bus_client_close(&c);
}
END_TEST

START_TEST(long_poll_ends)
{
	struct polling l = { .request = "{\"op\":\"read\",\"wait_ms\":50}" };

	poll_main(&l);
	ck_assert_uint_eq(count(l.answer, "/events"), 0);
	ck_assert_int_eq(number(l.answer, "/next"), 0);
	ck_assert_uint_ge(l.took_ms, 50);
	ck_assert_uint_lt(l.took_ms, 5000);
	payload_free(&l.answer);
}
END_TEST

START_TEST(closing_answers_long_polls)
{
	struct polling l = { .request = "{\"op\":\"fetch\",\"group\":\"g\","
					"\"wait_ms\":60000}" };
	struct bus_client *c = connect_to(live_ipc);

	pthread_create(&l.thread, NULL, poll_main, &l);
	fixture_await(has_consumer, c, "consumer");
	bus_client_close(&c);
	bus_close(&live_bus);
	pthread_join(l.thread, NULL);
	ck_assert_uint_eq(count(l.answer, "/events"), 0);
	payload_free(&l.answer);
	live_start();
}
END_TEST

/* They ask again as soon as the stop has ended their long poll, so that
 * requests arrive at every moment of the close. */
struct eager {
	pthread_t thread;
	struct bus_client *client;
	atomic_bool *end;
};

static void *
eager_main(void *arg)
{
	static const char ask[] = "{\"op\":\"fetch\",\"group\":\"g\","
				  "\"wait_ms\":60000}";
	struct eager *e = arg;
	struct buf answer = { 0 };
	struct error err = { 0 };
	unsigned refused = 0;

	while (!atomic_load(e->end))
		refused += bus_client_call(e->client, span_of(ask),
					   LIVE_CALL_MS, &answer, &err) < 0;
	buf_fini(&answer);
	return refused ? e : NULL;
}

static bool
have_asked(void *arg)
{
	return counter_get(COUNTER_BUS_REQUESTS) >= *(int64_t *)arg;
}

START_TEST(closing_under_eager_consumers)
{
	struct eager all[8] = { 0 };
	atomic_bool end = false;
	int64_t asked = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		all[i].end = &end;
		all[i].client = connect_to(live_ipc);
		pthread_create(&all[i].thread, NULL, eager_main, &all[i]);
	}
	for (int i = 0; i < 10; i++) {
		asked += ARRAY_SIZE(all);
		fixture_await(have_asked, &asked, "long polls");
		atomic_store(&end, i == 9);
		bus_close(&live_bus);
		asked = counter_get(COUNTER_BUS_REQUESTS);
		live_start();
	}
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		pthread_join(all[i].thread, NULL);
		bus_client_close(&all[i].client);
	}
}
END_TEST

/* A consumer that sends one frame for ever, a byte at a time: whenever nng
 * closes the connection, a part of a frame has just arrived. */
static void *
trickle_main(void *arg)
{
	static const unsigned char hello[] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 };
	static const unsigned char frame[] = { 1, 0, 0, 0, 0, 0, 0x10, 0, 0 };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	atomic_bool *began = arg;
	ssize_t sent;

	snprintf(a.sun_path, sizeof(a.sun_path), "%.100s",
		 live_ipc + strlen("ipc://"));
	sent = connect(fd, (struct sockaddr *)&a, sizeof(a));
	if (sent == 0)
		sent = send(fd, hello, sizeof(hello), MSG_NOSIGNAL);
	if (sent > 0)
		sent = send(fd, frame, sizeof(frame), MSG_NOSIGNAL);
	for (int i = 0; i < 1 << 20 && sent > 0; i++) {
		sent = send(fd, "x", 1, MSG_NOSIGNAL);
		atomic_store(began, sent > 0 && i > 100);
	}
	atomic_store(began, true);
	close(fd);
	return NULL;
}

static bool
has_begun(void *arg)
{
	return atomic_load((atomic_bool *)arg);
}

/* Once nng is stuck it stays so: one close that was given up is enough. */
START_TEST(closing_under_a_trickle)
{
	uint64_t took_ms = 0;

	for (int i = 0; i < 5 && took_ms < 1000; i++) {
		atomic_bool began = false;
		uint64_t start;
		pthread_t thread;

		pthread_create(&thread, NULL, trickle_main, &began);
		fixture_await(has_begun, &began, "a trickle");
		start = clock_mono_ms();
		bus_close(&live_bus);
		took_ms = clock_mono_ms() - start;
		ck_assert_uint_lt(took_ms, 10000);
		pthread_join(thread, NULL);
		live_start();
	}
}
END_TEST

START_TEST(batches_of_two_hundred)
{
	struct bus_client *c = connect_to(live_ipc);
	uint64_t from;
	size_t total = 0, n;

	fixture_append_many(&live_fixture, "a.v1", 2000, 0);
	from = clock_mono_us();
	do {
		struct buf request = { 0 };
		struct cJSON *p;

		buf_adds(&request, "{\"op\":\"fetch\",\"group\":\"g\","
				   "\"consumer\":\"c\",\"max\":200,"
				   "\"acks\":[");
		for (size_t i = 0; total && i < 200; i++)
			buf_printf(&request, "%s%zu", i ? "," : "",
				   total - 200 + i + 1);
		buf_adds(&request, "]}");
		p = must(c, buf_str(&request));
		buf_fini(&request);
		ck_assert_int_eq(number(p, "/stale"), 0);
		n = count(p, "/events");
		total += n;
		payload_free(&p);
	} while (n > 0);
	ck_assert_uint_eq(total, 2000);
	printf("bus: %.1f us an event in batches of 200, both sides\n",
	       (double)(clock_mono_us() - from) / 2000);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"groups\"}",
				    "/groups/0/lag_events"), 0);
	bus_client_close(&c);
}
END_TEST

START_TEST(read_is_a_tail)
{
	struct bus_client *c = connect_to(live_ipc);
	struct cJSON *p;

	fixture_append(&live_fixture, "a.v1", "x", NULL, NULL);
	fixture_append(&live_fixture, "b.v1", "y", NULL, NULL);
	p = must(c, "{\"op\":\"read\",\"filter\":{\"type\":\"b.*\"}}");
	ck_assert_uint_eq(count(p, "/events"), 1);
	ck_assert_int_eq(number(p, "/next"), 2);
	payload_free(&p);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"read\","
				       "\"after\":\"newest\"}", "/next"), 2);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"read\",\"max\":1}",
				    "/next"), 1);
	bus_client_close(&c);
}
END_TEST

/* ---- bad input ---- */

static const struct {
	const char *request, *expect;
} bad[] = {
	{ "", "bad_frame" },
	{ "{", "bad_frame" },
	{ "[]", "bad_frame" },
	{ "{}", "\"op\"" },
	{ "{\"op\":1}", "\"op\"" },
	{ "{\"op\":\"nothing\"}", "unknown_op" },
	{ "{\"op\":\"fetch\"}", "group is missing" },
	{ "{\"op\":\"fetch\",\"group\":5}", "group must be" },
	{ "{\"op\":\"fetch\",\"group\":\"a b\"}", "printable" },
	{ "{\"op\":\"fetch\",\"group\":\"g\",\"max\":-1}", "max" },
	{ "{\"op\":\"fetch\",\"group\":\"g\",\"acks\":5}", "acks" },
	{ "{\"op\":\"fetch\",\"group\":\"g\",\"acks\":[\"x\"]}", "acks" },
	{ "{\"op\":\"fetch\",\"group\":\"old\",\"filter\":{\"type\":\"b\"}}",
	  "another filter" },
	{ "{\"op\":\"ack\",\"group\":\"g\"}", "sequence" },
	{ "{\"op\":\"publish\"}", "type is missing" },
	{ "{\"op\":\"publish\",\"type\":\"\"}", "type is empty" },
	{ "{\"op\":\"publish\",\"type\":\"matapalo.exchange.v1\"}",
	  "reserved" },
	{ "{\"op\":\"publish\",\"type\":\"a\",\"id\":\"7\"}", "UUID" },
	{ "{\"op\":\"reply\"}", "correlationid is missing" },
	{ "{\"op\":\"reply\",\"correlationid\":\"x\"}", "UUID" },
	{ "{\"op\":\"reply\",\"correlationid\":"
	  "\"018f0000-0000-7000-8000-000000000001\",\"status\":99}",
	  "200 to 599" },
	{ "{\"op\":\"reply\",\"correlationid\":"
	  "\"018f0000-0000-7000-8000-000000000001\",\"status\":\"x\"}",
	  "200 to 599" },
	{ "{\"op\":\"reply\",\"correlationid\":"
	  "\"018f0000-0000-7000-8000-000000000001\","
	  "\"headers\":{\"a b\":\"x\"}}", "field name" },
	{ "{\"op\":\"reply\",\"correlationid\":"
	  "\"018f0000-0000-7000-8000-000000000001\","
	  "\"headers\":{\"a\":\"x\\r\\ny: z\"}}", "control" },
	{ "{\"op\":\"reply\",\"correlationid\":"
	  "\"018f0000-0000-7000-8000-000000000001\","
	  "\"body\":\"\",\"json\":1}", "only one" },
	{ "{\"op\":\"reply\",\"correlationid\":"
	  "\"018f0000-0000-7000-8000-000000000001\","
	  "\"body_base64\":\"a\"}", "base64" },
	{ "{\"op\":\"reply\",\"correlationid\":"
	  "\"ffffffff-0000-7000-8000-000000000001\"}",
	  "unknown_correlation" },
	{ "{\"op\":\"read\",\"after\":-5}", "after" },
	{ "{\"op\":\"dlq_redrive\",\"group\":\"old\"}", "either id" },
};

START_TEST(bad_requests_say_what)
{
	struct bus_client *c = connect_to(live_ipc);
	struct cJSON *p;

	say(c, "{\"op\":\"fetch\",\"group\":\"old\","
		    "\"filter\":{\"type\":\"a\"}}");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		p = ask(c, bad[i].request);
		ck_assert_msg(!p && strstr(live_refusal, bad[i].expect),
			      "%s: %s", bad[i].request, live_refusal);
	}
	bus_client_close(&c);
}
END_TEST

/* Mostly printable, so that much of the damage is still JSON. */
static char
random_char(unsigned *random)
{
	int c = rand_r(random);

	return (char)(c % 7 ? ' ' + c / 7 % 95 : c / 7);
}

/* Random damage to good requests: every one gets an answer, and the bus goes
 * on. wait_ms is left out so that nothing waits. */
START_TEST(survives_mutations)
{
	static const char *const seeds[] = {
		"{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\","
		"\"max\":5,\"acks\":[1,2],\"naks\":[{\"sequence\":3,"
		"\"delay_ms\":5,\"reason\":\"r\"}],\"filter\":{\"type\":"
		"\"a.*\"},\"backoff_ms\":[1,2],\"request\":\"q\"}",
		"{\"op\":\"publish\",\"type\":\"a.v1\",\"subject\":\"s\","
		"\"data\":{\"x\":[1,2.5,null]},\"partitionkey\":\"k\","
		"\"id\":\"018f0000-0000-7000-8000-000000000001\"}",
		"{\"op\":\"reply\",\"correlationid\":"
		"\"018f0000-0000-7000-8000-000000000001\",\"status\":200,"
		"\"headers\":{\"a\":[\"b\",\"c\"]},\"body_base64\":\"aGk=\"}",
		"{\"op\":\"read\",\"after\":3,\"max\":2}",
		"{\"op\":\"dlq_list\",\"group\":\"g\",\"max\":3}",
		"{\"op\":\"dlq_redrive\",\"group\":\"g\",\"id\":7}",
	};
	struct bus_client *c = connect_to(live_ipc);
	struct buf answer = { 0 };
	unsigned random = 20260105;
	char frame[512];

	fixture_append_many(&live_fixture, "a.v1", 50, 3);
	for (int i = 0; i < 3000; i++) {
		const char *seed = seeds[i % (int)ARRAY_SIZE(seeds)];
		struct span s = { frame, strlen(seed) };
		struct error err = { 0 };

		memcpy(frame, seed, s.len);
		for (int k = 0; k < 1 + i % 3; k++)
			frame[rand_r(&random) % s.len] =
				random_char(&random);
		if (i % 5 == 0)
			s.len = rand_r(&random) % (s.len + 1);
		if (bus_client_call(c, s, LIVE_CALL_MS, &answer, &err) < 0)
			ck_assert_msg(strstr(err.text, "refuses"), "%s",
				      err.text);
		ck_assert_uint_gt(answer.len, 0);
	}
	ck_assert_int_eq(ask_number(c, "{\"op\":\"hello\"}", "/protocol"), 1);
	buf_fini(&answer);
	bus_client_close(&c);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("bus/server");
	TCase *t = tcase_create("server");

	tcase_add_checked_fixture(t, live_setup, live_teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, hello_on_ipc_and_tcp);
	tcase_add_test(t, publish_fetch_ack);
	tcase_add_test(t, a_read_of_nothing_ends);
	tcase_add_test(t, long_poll_wakes_on_publish);
	tcase_add_test(t, long_poll_ends);
	tcase_add_test(t, closing_answers_long_polls);
	tcase_add_test(t, closing_under_eager_consumers);
	tcase_add_test(t, closing_under_a_trickle);
	tcase_add_test(t, batches_of_two_hundred);
	tcase_add_test(t, read_is_a_tail);
	tcase_add_test(t, bad_requests_say_what);
	tcase_add_test(t, survives_mutations);
	suite_add_tcase(s, t);
	return s;
}

int
main(int argc, char **argv)
{
	return live_main(argc, argv, suite);
}
