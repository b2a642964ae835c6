/* SPDX-License-Identifier: Apache-2.0 */
/* Consumers that come, go, die and crowd; a journal that fails them. */
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "tests/bus/live.h"

static struct cJSON *
fetch_until(struct bus_client *c, const char *request)
{
	uint64_t until = clock_mono_ms() + 10000;
	struct cJSON *p;

	for (;;) {
		p = must(c, request);
		if (count(p, "/events") > 0)
			return p;
		ck_assert_msg(clock_mono_ms() < until, "no event in 10 s");
		payload_free(&p);
	}
}

START_TEST(consumer_goes_before_ack)
{
	struct bus_client *c = connect_to(live_ipc);
	uint64_t from;
	struct cJSON *p;

	fixture_append_many(&live_fixture, "a.v1", 1, 0);
	p = must(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\","
		    "\"backoff_ms\":[10],\"lease_ms\":60000}");
	ck_assert_uint_eq(count(p, "/events"), 1);
	payload_free(&p);
	bus_client_close(&c);
	from = clock_mono_ms();
	c = connect_to(bus_url(live_bus, 1));
	p = fetch_until(c, "{\"op\":\"fetch\",\"group\":\"g\","
			   "\"consumer\":\"d\",\"wait_ms\":10000}");
	ck_assert_int_eq(number(p, "/events/0/sequence"), 1);
	ck_assert_int_eq(number(p, "/events/0/attempt"), 2);
	ck_assert(payload_bool(payload_at(p, "/events/0/redelivered"),
			       false));
	ck_assert_uint_lt(clock_mono_ms() - from, 5000);
	payload_free(&p);
	bus_client_close(&c);
}
END_TEST

START_TEST(consumer_is_killed_before_ack)
{
	struct bus_client *c = connect_to(live_ipc);
	struct cJSON *p;
	char byte;
	int told;
	pid_t pid;

	fixture_append_many(&live_fixture, "a.v1", 3, 0);
	pid = live_process("consume", "{\"op\":\"fetch\",\"group\":\"g\","
			       "\"consumer\":\"c\",\"max\":2,"
			       "\"backoff_ms\":[10]}", &told);
	ck_assert_int_eq(read(told, &byte, 1), 1);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	close(told);
	p = must(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"d\"}");
	ck_assert_uint_eq(count(p, "/events"), 1);
	ck_assert_int_eq(number(p, "/events/0/sequence"), 3);
	payload_free(&p);
	for (int64_t s = 1; s <= 2; s++) {
		p = fetch_until(c, "{\"op\":\"fetch\",\"group\":\"g\","
				   "\"consumer\":\"d\",\"max\":1,"
				   "\"wait_ms\":10000}");
		ck_assert_int_eq(number(p, "/events/0/sequence"), s);
		ck_assert_int_eq(number(p, "/events/0/attempt"), 2);
		payload_free(&p);
	}
	bus_client_close(&c);
}
END_TEST

START_TEST(request_that_is_sent_again)
{
	static const char request[] =
		"{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\","
		"\"max\":2,\"request\":\"r1\",\"wait_ms\":20}";
	struct bus_client *c = connect_to(live_ipc);
	struct cJSON *p;

	fixture_append_many(&live_fixture, "a.v1", 3, 0);
	for (int i = 0; i < 2; i++) {
		p = must(c, request);
		ck_assert_uint_eq(count(p, "/events"), 2);
		ck_assert_int_eq(number(p, "/events/1/sequence"), 2);
		ck_assert_int_eq(number(p, "/events/1/attempt"), 1);
		payload_free(&p);
	}
	p = must(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\","
		    "\"request\":\"r2\"}");
	ck_assert_uint_eq(count(p, "/events"), 1);
	payload_free(&p);
	bus_client_close(&c);
}
END_TEST

START_TEST(dead_letters_are_listed_and_redriven)
{
	struct bus_client *c = connect_to(live_ipc);
	struct cJSON *p;

	fixture_append_many(&live_fixture, "a.v1", 2, 0);
	say(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\"}");
	ck_assert_int_eq(ask_number(c, "{\"op\":\"term\",\"group\":\"g\","
		"\"consumer\":\"c\",\"sequence\":2,\"reason\":\"poison\"}",
		"/settled"), 1);
	bus_close(&live_bus);	/* saved by the end at the latest */
	live_start();
	bus_client_close(&c);
	c = connect_to(live_ipc);
	p = must(c, "{\"op\":\"dlq_list\",\"group\":\"g\"}");
	ck_assert_uint_eq(count(p, "/dead"), 1);
	ck_assert_str_eq(text(p, "/dead/0/reason"), "poison");
	ck_assert_int_eq(number(p, "/dead/0/attempts"), 1);
	ck_assert_str_eq(text(p, "/dead/0/event/type"), "a.v1");
	payload_free(&p);
	ck_assert_ptr_null(ask(c, "{\"op\":\"dlq_redrive\",\"group\":\"g\"}"));
	ck_assert_ptr_null(ask(c, "{\"op\":\"dlq_redrive\",\"group\":\"x\","
				  "\"all\":true}"));
	ck_assert_int_eq(ask_number(c, "{\"op\":\"dlq_redrive\","
		"\"group\":\"g\",\"all\":true,\"wait_ms\":5000}",
		"/redriven"), 1);
	p = fetch_until(c, "{\"op\":\"fetch\",\"group\":\"g\","
			   "\"consumer\":\"c\",\"wait_ms\":1000}");
	payload_free(&p);
	bus_client_close(&c);
}
END_TEST

START_TEST(groups_survive_a_restart)
{
	struct bus_client *c = connect_to(live_ipc);
	struct cJSON *p;

	fixture_append_many(&live_fixture, "a.v1", 4, 0);
	say(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\","
		    "\"max\":3}");
	say(c, "{\"op\":\"ack\",\"group\":\"g\",\"consumer\":\"c\","
		    "\"sequences\":[1,2,3]}");
	bus_client_close(&c);
	live_restart();
	c = connect_to(live_ipc);
	p = must(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\"}");
	ck_assert_uint_eq(count(p, "/events"), 1);
	ck_assert_int_eq(number(p, "/events/0/sequence"), 4);
	payload_free(&p);
	bus_client_close(&c);
}
END_TEST

/* ---- many consumers ---- */

enum { CROWD = 8, CROWD_EVENTS = 800, CROWD_KEYS = 7 };

static struct crowd {
	pthread_mutex_t lock;
	int64_t newest[CROWD_KEYS];	/* first deliveries, by key */
	bool done[CROWD_EVENTS + 1];
	int left;
	int inversions, lost;
} crowd = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void
crowd_note(const struct cJSON *deliveries)
{
	pthread_mutex_lock(&crowd.lock);
	for (const struct cJSON *d = payload_first(deliveries); d;
	     d = payload_next(d)) {
		int64_t s = number(d, "/sequence");
		int64_t *newest = &crowd.newest[(s - 1) % CROWD_KEYS];

		if (number(d, "/attempt") > 1)
			continue;
		crowd.inversions += s <= *newest;
		*newest = s;
	}
	pthread_mutex_unlock(&crowd.lock);
}

static void
crowd_write_acks(const struct cJSON *deliveries, struct buf *out)
{
	pthread_mutex_lock(&crowd.lock);
	for (const struct cJSON *d = payload_first(deliveries); d;
	     d = payload_next(d)) {
		int64_t s = number(d, "/sequence");

		buf_printf(out, "%s%lld", out->len ? "," : "", (long long)s);
		crowd.left -= !crowd.done[s];
		crowd.done[s] = true;
	}
	pthread_mutex_unlock(&crowd.lock);
}

static bool
crowd_is_done(void)
{
	bool done;

	pthread_mutex_lock(&crowd.lock);
	done = crowd.left == 0;
	pthread_mutex_unlock(&crowd.lock);
	return done;
}

/* Takes, and settles with the next fetch; now and then it goes away with
 * what it has. */
static void *
crowd_main(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg, seed = me, life = 0;
	struct bus_client *c = connect_to(live_ipc);
	struct buf request = { 0 }, acks = { 0 };

	while (!crowd_is_done()) {
		struct cJSON *p;

		buf_clear(&request);
		buf_printf(&request,
			   "{\"op\":\"fetch\",\"group\":\"g\",\"max\":9,"
			   "\"consumer\":\"c%u-%u\",\"wait_ms\":100,"
			   "\"backoff_ms\":[1],\"max_attempts\":100,"
			   "\"acks\":[%s]}", me, life, buf_str(&acks));
		p = must(c, buf_str(&request));
		buf_clear(&acks);
		crowd_note(payload_at(p, "/events"));
		if (rand_r(&seed) % 40 == 0) {
			bus_client_close(&c);
			c = connect_to(bus_url(live_bus, life++ % 2));
		} else {
			crowd_write_acks(payload_at(p, "/events"), &acks);
		}
		payload_free(&p);
	}
	buf_clear(&request);
	buf_printf(&request, "{\"op\":\"ack\",\"group\":\"g\",\"consumer\":"
			     "\"c%u-%u\",\"sequences\":[%s]}", me, life,
		   buf_str(&acks));
	say(c, buf_str(&request));
	buf_fini(&request);
	buf_fini(&acks);
	bus_client_close(&c);
	return NULL;
}

static bool
group_is_idle(void *arg)
{
	struct cJSON *p = must(arg, "{\"op\":\"groups\"}");
	bool idle = number(p, "/groups/0/in_flight") == 0;

	payload_free(&p);
	return idle;
}

START_TEST(eight_consumers_some_of_whom_go)
{
	pthread_t threads[CROWD];
	struct bus_client *c;

	crowd.left = CROWD_EVENTS;
	fixture_append_many(&live_fixture, "a.v1", CROWD_EVENTS, CROWD_KEYS);
	for (uintptr_t i = 0; i < CROWD; i++)
		pthread_create(&threads[i], NULL, crowd_main, (void *)i);
	for (size_t i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(crowd.inversions, 0);
	c = connect_to(live_ipc);
	fixture_await(group_is_idle, c, "end of all leases");
	bus_client_close(&c);
}
END_TEST

/* ---- a journal that cannot write ---- */

static void
limit_files(rlim_t bytes)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static bool
publish_works(void *arg)
{
	struct cJSON *p = ask(arg, "{\"op\":\"publish\",\"type\":\"a.v1\"}");
	bool works = p;

	payload_free(&p);
	return works;
}

/* The journal has tried once more since: so the group's save, which comes
 * sooner, has failed. */
static bool
has_failed_again(void *arg)
{
	const int64_t *errors = arg;

	return counter_get(COUNTER_JOURNAL_ERRORS) >= *errors + 2;
}

/* Keeps the journal's thread from going on. */
struct plug {
	struct journal_item item;
	sem_t in, out;
};

static int
plug_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct plug *p = (struct plug *)item;

	(void)tx;
	sem_post(&p->in);
	sem_wait(&p->out);
	return 0;
}

static void
plug_done(struct journal_item *item, enum journal_status status)
{
	(void)item;
	(void)status;
}

static void
plug_push(struct plug *p)
{
	static const struct journal_item_ops ops = { plug_apply, plug_done };

	sem_init(&p->in, 0, 0);
	sem_init(&p->out, 0, 0);
	p->item = (struct journal_item){ .ops = &ops, .urgent = true };
	journal_post(live_fixture.journal, &p->item);
	sem_wait(&p->in);
}

static void
plug_pull(struct plug *p)
{
	sem_post(&p->out);
}

static void
term(struct bus_client *c, int first, int last)
{
	char request[128];

	for (int n = first; n <= last; n++) {
		snprintf(request, sizeof(request),
			 "{\"op\":\"term\",\"group\":\"g\",\"consumer\":\"c\","
			 "\"sequence\":%d}", n);
		say(c, request);
	}
}

START_TEST(unwritable_journal_is_said)
{
	static const char again[] =
		"{\"op\":\"publish\",\"type\":\"a.v1\",\"id\":"
		"\"018f0000-0000-7000-8000-000000000001\"}";
	struct bus_client *c = connect_to(live_ipc);
	struct plug plug;
	struct cJSON *p;
	int64_t errors;

	signal(SIGXFSZ, SIG_IGN);
	fixture_append_many(&live_fixture, "a.v1", 40, 0);
	say(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\"}");
	plug_push(&plug);
	term(c, 3, 20);
	/* Ten times as long as a save waits: some come while it is under
	 * way, and go behind it when it has failed. */
	for (int n = 21; n <= 40; n++) {
		term(c, n, n);
		poll(NULL, 0, 10);
	}
	limit_files(1);
	plug_pull(&plug);
	ck_assert_ptr_null(ask(c, again));
	ck_assert_msg(strstr(live_refusal, "unavailable"), "%s", live_refusal);
	say(c, "{\"op\":\"ack\",\"group\":\"g\",\"consumer\":\"c\","
		    "\"sequences\":[1,2]}");
	errors = counter_get(COUNTER_JOURNAL_ERRORS);
	fixture_await(has_failed_again, &errors, "second failure");
	ck_assert_ptr_null(ask(c, again));
	limit_files(RLIM_INFINITY);
	fixture_await(publish_works, c, "journal that writes again");
	p = must(c, again);	/* it was not taken for done */
	ck_assert_int_gt(number(p, "/sequence"), 2);
	payload_free(&p);
	bus_client_close(&c);
	bus_close(&live_bus);	/* the acks are saved now */
	live_start();
	c = connect_to(live_ipc);
	p = must(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\"}");
	ck_assert_int_gt(number(p, "/events/0/sequence"), 40);
	payload_free(&p);
	p = must(c, "{\"op\":\"dlq_list\",\"group\":\"g\"}");
	ck_assert_uint_eq(count(p, "/dead"), 38);
	ck_assert_int_eq(number(p, "/dead/0/sequence"), 3);
	ck_assert_int_eq(number(p, "/dead/37/sequence"), 40);
	payload_free(&p);
	bus_client_close(&c);
}
END_TEST

/* ---- subscribers in this process ---- */

START_TEST(subscriber_fetches_and_acks)
{
	const struct bus_group_options o = { .name = "local",
					     .type_filter = "a.*" };
	struct error err = { 0 };
	struct bus_subscriber *s = bus_subscribe(live_bus, &o, &err);
	struct bus_batch batch;

	ck_assert_msg(s != NULL, "%s", err.text);
	ck_assert_int_eq(bus_fetch(s, 10, 0, &batch), 0);
	ck_assert_uint_eq(batch.count, 0);
	bus_batch_fini(&batch);
	fixture_append_many(&live_fixture, "a.v1", 3, 2);
	fixture_append_many(&live_fixture, "b.v1", 1, 0);
	ck_assert_int_eq(bus_fetch(s, 10, 5000, &batch), 0);
	ck_assert_uint_eq(batch.count, 3);
	ck_assert(span_is(batch.events[2].row.type, "a.v1"));
	ck_assert(span_is(batch.events[2].row.subject, "2"));
	ck_assert(span_is(batch.events[1].row.partition_key, "k1"));
	ck_assert(span_is(batch.events[1].row.data, "{\"request\":{}}"));
	ck_assert_uint_eq(batch.events[0].attempt, 1);
	bus_ack(s, batch.events[0].row.sequence);
	bus_nak(s, batch.events[1].row.sequence, 1, "not yet");
	bus_term(s, batch.events[2].row.sequence, "never");
	bus_batch_fini(&batch);
	ck_assert_int_eq(bus_fetch(s, 10, 5000, &batch), 0);
	ck_assert_uint_eq(batch.count, 1);
	ck_assert_uint_eq(batch.events[0].attempt, 2);
	bus_batch_fini(&batch);
	bus_unsubscribe(&s);
	s = bus_subscribe(live_bus, &o, &err);
	ck_assert_int_eq(bus_fetch(s, 10, 5000, &batch), 0);
	ck_assert_uint_eq(batch.count, 1);	/* handed back */
	ck_assert_uint_eq(batch.events[0].attempt, 2);
	bus_batch_fini(&batch);
	bus_unsubscribe(&s);
}
END_TEST

static void *
blocked_main(void *arg)
{
	struct bus_batch batch;
	int rc = bus_fetch(arg, 10, 600000, &batch);

	bus_batch_fini(&batch);
	return (void *)(intptr_t)rc;
}

START_TEST(stop_wakes_a_blocked_fetch)
{
	const struct bus_group_options o = { .name = "local" };
	struct bus_subscriber *s = bus_subscribe(live_bus, &o, NULL);
	pthread_t thread;
	void *rc;

	pthread_create(&thread, NULL, blocked_main, s);
	bus_stop(s);
	pthread_join(thread, &rc);
	ck_assert_int_eq((intptr_t)rc, -1);
	bus_unsubscribe(&s);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("bus/consumers");
	TCase *t = tcase_create("consumers");

	tcase_add_checked_fixture(t, live_setup, live_teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, consumer_goes_before_ack);
	tcase_add_test(t, consumer_is_killed_before_ack);
	tcase_add_test(t, request_that_is_sent_again);
	tcase_add_test(t, dead_letters_are_listed_and_redriven);
	tcase_add_test(t, groups_survive_a_restart);
	tcase_add_test(t, eight_consumers_some_of_whom_go);
	tcase_add_test(t, unwritable_journal_is_said);
	tcase_add_test(t, subscriber_fetches_and_acks);
	tcase_add_test(t, stop_wakes_a_blocked_fetch);
	suite_add_tcase(s, t);
	return s;
}

int
main(int argc, char **argv)
{
	return live_main(argc, argv, suite);
}
