/* SPDX-License-Identifier: Apache-2.0 */
/* The bus end to end: real sockets, a real journal, consumers that die. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "bus/bus.h"
#include "bus/client.h"
#include "payload/payload.h"
#include "tests/bus/fixture.h"

#define CALL_MS 15000

static const struct digest_key key = { { 9 } };
static const struct bus_source source = { "//test/matapalo", &key };
static struct fixture fx;
static struct bus *bus;
static char ipc[128];

static void
start(void)
{
	const char *const urls[] = { ipc, "tcp://127.0.0.1:0", NULL };
	const struct bus_options o = { urls, &source };
	struct error err = { 0 };

	bus = bus_open(fx.journal, &o, &err);
	ck_assert_msg(bus != NULL, "%s", err.text);
}

static void
setup(void)
{
	fixture_open(&fx);
	snprintf(ipc, sizeof(ipc), "ipc://%s/bus.ipc", fx.dir);
	start();
}

static void
teardown(void)
{
	bus_close(&bus);
	fixture_close(&fx);
}

static struct bus_client *
connect_to(const char *url)
{
	struct error err = { 0 };
	struct bus_client *c = bus_client_open(url, 5000, &err);

	ck_assert_msg(c != NULL, "%s", err.text);
	return c;
}

/* Returns the answer, parsed; NULL when the bus refused (text in refusal). */
static _Thread_local char refusal[ERROR_TEXT_MAX];

static struct cJSON *
ask(struct bus_client *c, const char *request)
{
	struct error err = { 0 };
	struct buf answer = { 0 };
	struct cJSON *p = NULL;

	refusal[0] = '\0';
	if (bus_client_call(c, span_of(request), CALL_MS, &answer, &err) == 0)
		p = payload_parse(buf_span(&answer), &err);
	if (!p)
		strcpy(refusal, err.text);
	buf_fini(&answer);
	return p;
}

static struct cJSON *
must(struct bus_client *c, const char *request)
{
	struct cJSON *p = ask(c, request);

	ck_assert_msg(p != NULL, "%s: %s", request, refusal);
	return p;
}

static int64_t
number(const struct cJSON *p, const char *pointer)
{
	return payload_int(payload_at(p, pointer), -1);
}

static const char *
text(const struct cJSON *p, const char *pointer)
{
	return payload_string(payload_at(p, pointer), "");
}

static size_t
count(const struct cJSON *p, const char *pointer)
{
	size_t n = 0;

	for (const struct cJSON *i = payload_first(payload_at(p, pointer)); i;
	     i = payload_next(i))
		n++;
	return n;
}

static int64_t
ask_number(struct bus_client *c, const char *request, const char *pointer)
{
	struct cJSON *p = must(c, request);
	int64_t v = number(p, pointer);

	payload_free(&p);
	return v;
}

START_TEST(hello_on_ipc_and_tcp)
{
	struct stat st;

	for (size_t i = 0; i < 2; i++) {
		struct bus_client *c = connect_to(bus_url(bus, i));
		struct cJSON *p = must(c, "{\"op\":\"hello\"}");

		ck_assert_str_eq(text(p, "/server"), "matapalo");
		ck_assert_int_eq(number(p, "/protocol"), 1);
		ck_assert_str_ne(text(p, "/ops/fetch"), "");
		payload_free(&p);
		bus_client_close(&c);
	}
	ck_assert_ptr_null(bus_url(bus, 2));
	ck_assert_int_eq(stat(ipc + 6, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(publish_fetch_ack)
{
	struct bus_client *c = connect_to(ipc);
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
	struct bus_client *c = connect_to(ipc);
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

START_TEST(long_poll_wakes_on_publish)
{
	struct polling l = { .request = "{\"op\":\"fetch\",\"group\":\"g\","
					"\"wait_ms\":10000}" };
	struct bus_client *c = connect_to(ipc);
	struct cJSON *p;

	pthread_create(&l.thread, NULL, poll_main, &l);
	fixture_await(has_consumer, c, "consumer");
	p = must(c, "{\"op\":\"publish\",\"type\":\"a.v1\",\"data\":1}");
	payload_free(&p);
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
	struct bus_client *c = connect_to(ipc);

	pthread_create(&l.thread, NULL, poll_main, &l);
	fixture_await(has_consumer, c, "consumer");
	bus_client_close(&c);
	bus_close(&bus);
	pthread_join(l.thread, NULL);
	ck_assert_uint_eq(count(l.answer, "/events"), 0);
	payload_free(&l.answer);
	start();
}
END_TEST

START_TEST(batches_of_two_hundred)
{
	struct bus_client *c = connect_to(ipc);
	uint64_t from;
	size_t total = 0, n;

	fixture_append_many(&fx, "a.v1", 2000, 0);
	from = clock_mono_us();
	do {
		char request[8192], *at = request;
		struct cJSON *p;

		at += sprintf(at, "{\"op\":\"fetch\",\"group\":\"g\","
				  "\"consumer\":\"c\",\"max\":200,"
				  "\"acks\":[");
		for (size_t i = 0; total && i < 200; i++)
			at += sprintf(at, "%s%zu", i ? "," : "",
				      total - 200 + i + 1);
		strcpy(at, "]}");
		p = must(c, request);
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

/* ---- consumers that go ---- */

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
	struct bus_client *c = connect_to(ipc);
	uint64_t from;
	struct cJSON *p;

	fixture_append_many(&fx, "a.v1", 1, 0);
	p = must(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\","
		    "\"backoff_ms\":[10],\"lease_ms\":60000}");
	ck_assert_uint_eq(count(p, "/events"), 1);
	payload_free(&p);
	bus_client_close(&c);
	from = clock_mono_ms();
	c = connect_to(bus_url(bus, 1));
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

/* The child fetches, tells so, and waits to be killed. */
static pid_t
consumer_process(const char *request, int *told)
{
	int pipe_fd[2];
	pid_t pid;

	ck_assert_int_eq(pipe(pipe_fd), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(pipe_fd[1], 1);
		execl("/proc/self/exe", "consumer", ipc, request,
		      (char *)NULL);
		_exit(127);
	}
	close(pipe_fd[1]);
	*told = pipe_fd[0];
	return pid;
}

START_TEST(consumer_is_killed_before_ack)
{
	struct bus_client *c = connect_to(ipc);
	struct cJSON *p;
	char byte;
	int told;
	pid_t pid;

	fixture_append_many(&fx, "a.v1", 3, 0);
	pid = consumer_process("{\"op\":\"fetch\",\"group\":\"g\","
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
	struct bus_client *c = connect_to(ipc);
	struct cJSON *p;

	fixture_append_many(&fx, "a.v1", 3, 0);
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
	struct bus_client *c = connect_to(ipc);
	struct cJSON *p;

	fixture_append_many(&fx, "a.v1", 2, 0);
	p = must(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\"}");
	payload_free(&p);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"term\",\"group\":\"g\","
		"\"consumer\":\"c\",\"sequence\":2,\"reason\":\"poison\"}",
		"/settled"), 1);
	bus_close(&bus);	/* saved by the end at the latest */
	start();
	bus_client_close(&c);
	c = connect_to(ipc);
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
		"\"group\":\"g\",\"all\":true}", "/redriven"), 1);
	p = fetch_until(c, "{\"op\":\"fetch\",\"group\":\"g\","
			   "\"consumer\":\"c\",\"wait_ms\":1000}");
	payload_free(&p);
	bus_client_close(&c);
}
END_TEST

START_TEST(read_is_a_tail)
{
	struct bus_client *c = connect_to(ipc);
	struct cJSON *p;

	fixture_append(&fx, "a.v1", "x", NULL, NULL);
	fixture_append(&fx, "b.v1", "y", NULL, NULL);
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

static size_t
crowd_write_acks(const struct cJSON *deliveries, char *out)
{
	char *at = out;

	pthread_mutex_lock(&crowd.lock);
	for (const struct cJSON *d = payload_first(deliveries); d;
	     d = payload_next(d)) {
		int64_t s = number(d, "/sequence");

		at += sprintf(at, "%s%lld", at == out ? "" : ",",
			      (long long)s);
		crowd.left -= !crowd.done[s];
		crowd.done[s] = true;
	}
	pthread_mutex_unlock(&crowd.lock);
	return (size_t)(at - out);
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
	struct bus_client *c = connect_to(ipc);
	char request[2048], acks[1024] = "";

	while (!crowd_is_done()) {
		struct cJSON *p;

		snprintf(request, sizeof(request),
			 "{\"op\":\"fetch\",\"group\":\"g\",\"max\":9,"
			 "\"consumer\":\"c%u-%u\",\"wait_ms\":100,"
			 "\"backoff_ms\":[1],\"max_attempts\":100,"
			 "\"acks\":[%s]}", me, life, acks);
		p = must(c, request);
		acks[0] = '\0';
		crowd_note(payload_at(p, "/events"));
		if (rand_r(&seed) % 40 == 0) {
			bus_client_close(&c);
			c = connect_to(bus_url(bus, life++ % 2));
		} else {
			crowd_write_acks(payload_at(p, "/events"), acks);
		}
		payload_free(&p);
	}
	snprintf(request, sizeof(request), "{\"op\":\"ack\",\"group\":\"g\","
		 "\"consumer\":\"c%u-%u\",\"sequences\":[%s]}", me, life, acks);
	payload_free(&(struct cJSON *){ must(c, request) });
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
	fixture_append_many(&fx, "a.v1", CROWD_EVENTS, CROWD_KEYS);
	for (uintptr_t i = 0; i < CROWD; i++)
		pthread_create(&threads[i], NULL, crowd_main, (void *)i);
	for (size_t i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(crowd.inversions, 0);
	c = connect_to(ipc);
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

START_TEST(unwritable_journal_is_said)
{
	static const char again[] =
		"{\"op\":\"publish\",\"type\":\"a.v1\",\"id\":"
		"\"018f0000-0000-7000-8000-000000000001\"}";
	struct bus_client *c = connect_to(ipc);
	struct cJSON *p;
	int64_t errors;

	signal(SIGXFSZ, SIG_IGN);
	fixture_append_many(&fx, "a.v1", 2, 0);
	p = must(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\"}");
	payload_free(&p);
	limit_files(1);
	ck_assert_ptr_null(ask(c, again));
	ck_assert_msg(strstr(refusal, "unavailable"), "%s", refusal);
	p = must(c, "{\"op\":\"ack\",\"group\":\"g\",\"consumer\":\"c\","
		    "\"sequences\":[1,2]}");
	payload_free(&p);
	errors = counter_get(COUNTER_JOURNAL_ERRORS);
	fixture_await(has_failed_again, &errors, "second failure");
	ck_assert_ptr_null(ask(c, again));
	limit_files(RLIM_INFINITY);
	fixture_await(publish_works, c, "journal that writes again");
	p = must(c, again);	/* it was not taken for done */
	ck_assert_int_gt(number(p, "/sequence"), 2);
	payload_free(&p);
	bus_client_close(&c);
	bus_close(&bus);	/* the acks are saved now */
	start();
	c = connect_to(ipc);
	p = must(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\"}");
	ck_assert_int_gt(number(p, "/events/0/sequence"), 2);
	payload_free(&p);
	bus_client_close(&c);
}
END_TEST

/* ---- commands ---- */

struct delivery {
	pthread_mutex_t lock;
	pthread_cond_t came;
	struct bus_reply *reply;
	int calls;
};

static void
on_reply(void *arg, struct bus_reply *reply)
{
	struct delivery *d = arg;

	pthread_mutex_lock(&d->lock);
	d->reply = reply;
	d->calls++;
	pthread_cond_signal(&d->came);
	pthread_mutex_unlock(&d->lock);
}

static struct bus_reply *
await_reply(struct delivery *d)
{
	struct bus_reply *r;

	pthread_mutex_lock(&d->lock);
	while (!d->reply)
		pthread_cond_wait(&d->came, &d->lock);
	r = d->reply;
	d->reply = NULL;
	pthread_mutex_unlock(&d->lock);
	return r;
}

#define DELIVERY { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, \
		   NULL, 0 }

static char *
reply_request(const struct id *id, const char *members, char *out)
{
	char hex[ID_TEXT_SIZE];

	sprintf(out, "{\"op\":\"reply\",\"correlationid\":\"%s\"%s}",
		id_text(id, hex), members);
	return out;
}

START_TEST(command_is_answered)
{
	struct bus_client *c = connect_to(ipc);
	struct delivery d = DELIVERY;
	struct id id = id_make();
	char request[1024], hex[ID_TEXT_SIZE];
	struct bus_reply *r;
	struct cJSON *p;

	ck_assert_int_eq(bus_expect(bus, &id, on_reply, &d), 0);
	fixture_append(&fx, "shop.order.place.v1", "POST /orders", NULL,
		       id_text(&id, hex));
	ck_assert(!bus_command_was_given(bus, &id));
	p = must(c, "{\"op\":\"fetch\",\"group\":\"orders\","
		    "\"consumer\":\"c\"}");
	ck_assert_str_eq(text(p, "/events/0/event/correlationid"), hex);
	payload_free(&p);
	ck_assert(bus_command_was_given(bus, &id));
	ck_assert(!bus_take_back(bus, &id));
	p = must(c, reply_request(&id, ",\"status\":201,\"headers\":{"
		"\"X-A\":\" 1 \",\"Set-Cookie\":[\"a=s3cret\",\"b=2\"],"
		"\"Content-Length\":\"99\"},\"json\":{\"id\":7}", request));
	ck_assert(!payload_bool(payload_at(p, "/late"), true));
	payload_free(&p);
	r = await_reply(&d);
	ck_assert(id_equal(&r->exchange_id, &id));
	ck_assert_int_eq(r->status, 201);
	ck_assert_uint_eq(r->field_count, 4);
	ck_assert(span_is(r->fields[0].value, "1"));
	ck_assert(span_is(r->fields[1].value, "a=s3cret"));
	ck_assert(span_is(r->fields[3].value, "application/json"));
	ck_assert(span_is(r->body, "{\"id\":7}"));
	bus_reply_free(&r);
	/* sent again: the same answer, nothing twice */
	p = must(c, reply_request(&id, ",\"status\":201", request));
	ck_assert_int_eq(number(p, "/sequence"), 2);
	payload_free(&p);
	ck_assert_int_eq(d.calls, 1);
	/* another one comes too late */
	p = must(c, reply_request(&id, ",\"id\":"
		"\"018f0000-0000-7000-8000-000000000009\"", request));
	ck_assert(payload_bool(payload_at(p, "/late"), false));
	payload_free(&p);
	ck_assert_int_eq(d.calls, 1);
	p = must(c, "{\"op\":\"read\","
		    "\"filter\":{\"type\":\"matapalo.reply.v1\"}}");
	ck_assert_uint_eq(count(p, "/events"), 2);
	ck_assert_int_eq(number(p, "/events/0/event/data/status"), 201);
	ck_assert_ptr_null(payload_at(p, "/events/0/event/data/late"));
	payload_free(&p);
	ck_assert(!fixture_contains(&fx, "s3cret"));
	bus_client_close(&c);
}
END_TEST

START_TEST(late_reply_is_recorded_as_late)
{
	struct bus_client *c = connect_to(ipc);
	int64_t late = counter_get(COUNTER_COMMANDS_LATE);
	struct delivery d = DELIVERY;
	struct id id = id_make();
	char request[1024];
	struct cJSON *p;

	ck_assert_int_eq(bus_expect(bus, &id, on_reply, &d), 0);
	ck_assert(bus_forget(bus, &id));
	ck_assert(!bus_forget(bus, &id));
	p = must(c, reply_request(&id, ",\"body_base64\":\"aGk=\"", request));
	ck_assert(payload_bool(payload_at(p, "/late"), false));
	payload_free(&p);
	p = must(c, "{\"op\":\"read\"}");
	ck_assert(payload_bool(payload_at(p, "/events/0/event/data/late"),
			       false));
	ck_assert_str_eq(text(p, "/events/0/event/data/body"), "hi");
	payload_free(&p);
	ck_assert_int_eq(d.calls, 0);
	ck_assert_int_eq(counter_get(COUNTER_COMMANDS_LATE), late + 1);
	bus_client_close(&c);
}
END_TEST

START_TEST(command_taken_back_is_never_given)
{
	struct bus_client *c = connect_to(ipc);
	struct delivery d = DELIVERY;
	struct id id = id_make();
	char hex[ID_TEXT_SIZE];

	ck_assert_int_eq(bus_expect(bus, &id, on_reply, &d), 0);
	ck_assert(bus_take_back(bus, &id));
	ck_assert(bus_forget(bus, &id));
	fixture_append(&fx, "shop.order.place.v1", "POST /orders", NULL,
		       id_text(&id, hex));
	ck_assert_int_eq(ask_number(c, "{\"op\":\"fetch\",\"group\":\"g\"}",
				    "/events/0/sequence"), -1);
	bus_client_close(&c);
	bus_close(&bus);
	fixture_reopen(&fx);
	start();
	c = connect_to(ipc);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"fetch\",\"group\":\"h\"}",
				    "/events/0/sequence"), -1);
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
	struct bus_client *c = connect_to(ipc);
	struct cJSON *p;

	p = must(c, "{\"op\":\"fetch\",\"group\":\"old\","
		    "\"filter\":{\"type\":\"a\"}}");
	payload_free(&p);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		p = ask(c, bad[i].request);
		ck_assert_msg(!p && strstr(refusal, bad[i].expect),
			      "%s: %s", bad[i].request, refusal);
	}
	bus_client_close(&c);
}
END_TEST

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
	struct bus_client *c = connect_to(ipc);
	struct buf answer = { 0 };
	unsigned random = 20260105;
	char frame[512];

	fixture_append_many(&fx, "a.v1", 50, 3);
	for (int i = 0; i < 3000; i++) {
		const char *seed = seeds[i % (int)ARRAY_SIZE(seeds)];
		struct span s = { frame, strlen(seed) };
		struct error err = { 0 };

		memcpy(frame, seed, s.len);
		for (int k = 0; k < 1 + i % 3; k++)
			frame[rand_r(&random) % s.len] =
				(char)(rand_r(&random) % 7 ? ' ' + rand_r(&random) % 95
							   : rand_r(&random));
		if (i % 5 == 0)
			s.len = rand_r(&random) % (s.len + 1);
		if (bus_client_call(c, s, CALL_MS, &answer, &err) < 0)
			ck_assert_msg(strstr(err.text, "refuses"), "%s",
				      err.text);
		ck_assert_uint_gt(answer.len, 0);
	}
	ck_assert_int_eq(ask_number(c, "{\"op\":\"hello\"}", "/protocol"), 1);
	buf_fini(&answer);
	bus_client_close(&c);
}
END_TEST

/* ---- subscribers in this process ---- */

START_TEST(subscriber_fetches_and_acks)
{
	const struct bus_group_options o = { .name = "local",
					     .type_filter = "a.*" };
	struct error err = { 0 };
	struct bus_subscriber *s = bus_subscribe(bus, &o, &err);
	struct bus_batch batch;

	ck_assert_msg(s != NULL, "%s", err.text);
	ck_assert_int_eq(bus_fetch(s, 10, 0, &batch), 0);
	ck_assert_uint_eq(batch.count, 0);
	bus_batch_fini(&batch);
	fixture_append_many(&fx, "a.v1", 3, 2);
	fixture_append_many(&fx, "b.v1", 1, 0);
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
	s = bus_subscribe(bus, &o, &err);
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
	struct bus_subscriber *s = bus_subscribe(bus, &o, NULL);
	pthread_t thread;
	void *rc;

	pthread_create(&thread, NULL, blocked_main, s);
	bus_stop(s);
	pthread_join(thread, &rc);
	ck_assert_int_eq((intptr_t)rc, -1);
	bus_unsubscribe(&s);
}
END_TEST

/* ---- after a crash ---- */

struct opening {
	struct journal_item item;
	const char *correlation;
	enum journal_mark mark;
};

static int
opening_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct opening *o = (struct opening *)item;
	struct journal_event e = {
		.id = id_make(), .time_us = clock_wall_us(),
		.type = SPAN_LITERAL("matapalo.request.v1"),
		.source = SPAN_LITERAL("//test"),
		.subject = SPAN_LITERAL("POST /orders"),
		.correlation = span_of(o->correlation),
		.data = SPAN_LITERAL("{\"request\":{\"method\":\"POST\"},"
				     "\"route\":{\"rule\":\"r\"},"
				     "\"durability\":\"strict\"}"),
		.mark = o->mark,
	};
	int64_t sequence;

	return journal_tx_append(tx, &e, &sequence);
}

static void
opening_done(struct journal_item *item, enum journal_status status)
{
	(void)item;
	(void)status;
}

START_TEST(recovery_closes_each_open_exchange_once)
{
	static const struct journal_item_ops ops = { opening_apply,
						     opening_done };
	struct opening o[3];
	char id[3][ID_TEXT_SIZE];
	struct bus_client *c;
	struct cJSON *p;

	for (int i = 0; i < 3; i++) {
		struct id made = id_make();

		o[i] = (struct opening){ .item.ops = &ops,
					 .correlation = id_text(&made, id[i]),
					 .mark = JOURNAL_MARK_OPENS };
		journal_post(fx.journal, &o[i].item);
	}
	fixture_append(&fx, "a.v1", "x", NULL, NULL);	/* so they are in */
	for (int i = 0; i < 3; i++) {	/* the second time, nothing is left */
		bus_close(&bus);
		fixture_reopen(&fx);
		start();
	}
	c = connect_to(ipc);
	p = must(c, "{\"op\":\"read\","
		    "\"filter\":{\"type\":\"matapalo.exchange.v1\"}}");
	ck_assert_uint_eq(count(p, "/events"), 3);
	ck_assert_str_eq(text(p, "/events/0/event/data/outcome"), "unknown");
	ck_assert_str_eq(text(p, "/events/0/event/data/request/method"),
			 "POST");
	ck_assert_str_eq(text(p, "/events/0/event/data/route/rule"), "r");
	ck_assert_uint_eq(strlen(text(p, "/events/0/event/causationid")), 36);
	payload_free(&p);
	bus_client_close(&c);
}
END_TEST

/* The socket's file is still there after a kill. */
START_TEST(ipc_file_of_a_killed_process)
{
	struct bus_client *c;
	pid_t pid;
	int told[2];
	char byte;

	bus_close(&bus);
	journal_close(&fx.journal);
	ck_assert_int_eq(pipe(told), 0);
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "server", ipc, fx.path,
		      (told[1] == 1 || dup2(told[1], 1) == 1) ? "serve" : "",
		      (char *)NULL);
		_exit(127);
	}
	close(told[1]);
	ck_assert_int_eq(read(told[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	close(told[0]);
	ck_assert_int_eq(access(ipc + 6, F_OK), 0);
	fixture_reopen(&fx);
	start();
	c = connect_to(ipc);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"hello\"}", "/protocol"), 1);
	bus_client_close(&c);
}
END_TEST

START_TEST(groups_survive_a_restart)
{
	struct bus_client *c = connect_to(ipc);
	struct cJSON *p;

	fixture_append_many(&fx, "a.v1", 4, 0);
	p = must(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\","
		    "\"max\":3}");
	payload_free(&p);
	p = must(c, "{\"op\":\"ack\",\"group\":\"g\",\"consumer\":\"c\","
		    "\"sequences\":[1,2,3]}");
	payload_free(&p);
	bus_client_close(&c);
	bus_close(&bus);
	fixture_reopen(&fx);
	start();
	c = connect_to(ipc);
	p = must(c, "{\"op\":\"fetch\",\"group\":\"g\",\"consumer\":\"c\"}");
	ck_assert_uint_eq(count(p, "/events"), 1);
	ck_assert_int_eq(number(p, "/events/0/sequence"), 4);
	payload_free(&p);
	bus_client_close(&c);
}
END_TEST

/* The process that is killed: this program, started with two arguments.
 * Outside of a test, so without assertions. */
static int
consume_and_hang(const char *url, const char *request)
{
	struct error err = { 0 };
	struct buf answer = { 0 };
	struct bus_client *c = bus_client_open(url, 5000, &err);

	if (!c || bus_client_call(c, span_of(request), CALL_MS, &answer,
				  &err) < 0 ||
	    write(1, "x", 1) != 1) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (;;)
		pause();
}

/* A server that is killed: likewise. */
static int
serve_and_hang(const char *url, const char *path)
{
	const struct journal_options jo = { .path = path };
	const char *const urls[] = { url, NULL };
	const struct bus_options bo = { urls, &source };
	struct error err = { 0 };
	struct journal *j;

	digest_start();
	j = journal_open(&jo, &err);
	if (!j || !bus_open(j, &bo, &err) || write(1, "x", 1) != 1) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (;;)
		pause();
}

int
main(int argc, char **argv)
{
	Suite *s = suite_create("bus/bus");
	TCase *t = tcase_create("bus");
	SRunner *r = srunner_create(s);
	int failed;

	if (argc == 3)
		return consume_and_hang(argv[1], argv[2]);
	if (argc == 4)
		return serve_and_hang(argv[1], argv[2]);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, hello_on_ipc_and_tcp);
	tcase_add_test(t, publish_fetch_ack);
	tcase_add_test(t, long_poll_wakes_on_publish);
	tcase_add_test(t, long_poll_ends);
	tcase_add_test(t, closing_answers_long_polls);
	tcase_add_test(t, batches_of_two_hundred);
	tcase_add_test(t, consumer_goes_before_ack);
	tcase_add_test(t, consumer_is_killed_before_ack);
	tcase_add_test(t, request_that_is_sent_again);
	tcase_add_test(t, dead_letters_are_listed_and_redriven);
	tcase_add_test(t, read_is_a_tail);
	tcase_add_test(t, command_is_answered);
	tcase_add_test(t, late_reply_is_recorded_as_late);
	tcase_add_test(t, command_taken_back_is_never_given);
	tcase_add_test(t, bad_requests_say_what);
	tcase_add_test(t, survives_mutations);
	tcase_add_test(t, subscriber_fetches_and_acks);
	tcase_add_test(t, stop_wakes_a_blocked_fetch);
	tcase_add_test(t, recovery_closes_each_open_exchange_once);
	tcase_add_test(t, ipc_file_of_a_killed_process);
	tcase_add_test(t, groups_survive_a_restart);
	tcase_add_test(t, eight_consumers_some_of_whom_go);
	tcase_add_test(t, unwritable_journal_is_said);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
