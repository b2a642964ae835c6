/* SPDX-License-Identifier: Apache-2.0 */
/* Replies late, twice, out of order and over restarts come to the sums of
 * the ordered run; and S1: unsafe requests never reach a candidate. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "shadow/exchange.h"
#include "shadow/report.h"
#include "tests/outbound/tiny_server.h"
#include "tests/shadow/cases.h"
#include "tests/shadow/stage.h"

#define EXCHANGES 60
#define SEEDS 4
#define COMMAND "shop.order.place.v1"

static struct stage stage;
static const struct shadow_rule bus_rule = {
	.name = "r", .target = "orders", .command = COMMAND,
	.timeout_ms = 600000, .unsafe_allowed = 1
};

static void
setup(void)
{
	stage_make(&stage);
	stage_open(&stage);
}

static void
teardown(void)
{
	stage_remove(&stage);
}

/* ---- joining ---- */

static void
reply_to(const char *id, int n)
{
	char json[64];

	snprintf(json, sizeof(json), "{\"id\":%d%s}", n % 3 ? 7 : 8,
		 n % 5 ? "" : ",\"more\":1");
	stage_reply(&stage, id, n % 7 ? 200 : 500, json);
}

static void
shuffle(int *at, size_t count, unsigned *seed)
{
	for (size_t i = count; i > 1; i--) {
		size_t j = (size_t)rand_r(seed) % i;
		int kept = at[i - 1];

		at[i - 1] = at[j];
		at[j] = kept;
	}
}

/* What does not depend on the clock. */
static void
write_sums(struct buf *out)
{
	struct journal_reader *r = journal_reader_open(stage.path, NULL);
	struct shadow_tally *t = shadow_tally_new();
	struct buf text = { 0 };
	const struct cJSON *endpoint, *c;
	struct cJSON *tree;
	struct json j;

	ck_assert_int_eq(shadow_report_read(r, t, NULL), 0);
	json_init(&j, &text);
	shadow_tally_report(t, &j);
	tree = payload_parse(buf_span(&text), NULL);
	endpoint = payload_at(tree, "/rules/0/endpoints/0");
	buf_printf(out, "%lld %lld %lld %lld\n",
		   (long long)payload_int(payload_at(endpoint, "/samples"), 0),
		   (long long)payload_int(payload_at(endpoint, "/matches"), 0),
		   (long long)payload_int(payload_at(endpoint,
						     "/differences"), 0),
		   (long long)payload_int(payload_at(endpoint, "/failures"),
					  0));
	for (c = payload_first(payload_at(endpoint, "/clusters")); c;
	     c = payload_next(c)) {
		const char *kind = payload_string(payload_at(c, "/kind"), "");

		/* One cluster: they stand in order of appearance. */
		if (strcmp(kind, "extra") == 0)
			buf_printf(out, "extra %lld\n", (long long)payload_int(
				payload_at(c, "/count"), 0));
	}
	payload_free(&tree);
	buf_fini(&text);
	shadow_tally_free(&t);
	journal_reader_close(&r);
}

static void
restart(unsigned *seed)
{
	if (rand_r(seed) % 2) {
		stage_close(&stage);
		stage_open(&stage);
	} else {
		shadow_stop(&stage.shadow);
	}
}

/* Each exchange's reply once, in order. */
static void
run_ordered(char ids[][ID_TEXT_SIZE], unsigned seed)
{
	(void)seed;
	for (int i = 0; i < EXCHANGES; i++)
		reply_to(ids[i], i);
}

/* Some of them twice, in any order, and the shadow goes and comes. */
static void
run_shuffled(char ids[][ID_TEXT_SIZE], unsigned seed)
{
	int order[EXCHANGES * 3 / 2];

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		order[i] = (int)i % EXCHANGES;
	shuffle(order, ARRAY_SIZE(order), &seed);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (stage.shadow && i % 23 == 11)
			restart(&seed);
		else if (!stage.shadow && i % 23 == 17)
			stage_shadow(&stage, &bus_rule, 1);
		reply_to(ids[order[i]], order[i]);
	}
	if (!stage.shadow)
		stage_shadow(&stage, &bus_rule, 1);
}

static void
run(void (*play)(char ids[][ID_TEXT_SIZE], unsigned seed), unsigned seed,
    struct buf *sums)
{
	static char ids[EXCHANGES][ID_TEXT_SIZE];

	stage_shadow(&stage, &bus_rule, 1);
	for (int i = 0; i < EXCHANGES; i++)
		snprintf(ids[i], ID_TEXT_SIZE, "%s",
			 stage_publish(&stage, &(struct stage_exchange){
				.method = "POST",
				.body = "{\\\"id\\\":7}" }));
	stage_await_count(&stage, COMMAND, EXCHANGES);
	play(ids, seed);
	stage_await_count(&stage, SHADOW_VERDICT_TYPE, EXCHANGES);
	stage_await_number(&stage, "/waiting_for_replies", 0);
	write_sums(sums);
}

START_TEST(any_arrival_comes_to_the_ordered_sums)
{
	struct buf ordered = { 0 }, shuffled = { 0 };

	run(run_ordered, 0, &ordered);
	stage_remove(&stage);
	setup();
	run(run_shuffled, (unsigned)_i + 1, &shuffled);
	ck_assert_str_eq(buf_str(&ordered), buf_str(&shuffled));
	ck_assert_ptr_nonnull(strstr(buf_str(&ordered), "extra 12\n"));
	buf_fini(&ordered);
	buf_fini(&shuffled);
}
END_TEST

/* ---- S1 ---- */

static atomic_uint served, unsafe;
static atomic_int committed;

static bool
answer(void *arg, struct tiny_server *s, int fd, const struct tiny_request *r)
{
	(void)arg;
	(void)s;
	atomic_fetch_add(&served, 1);
	if (strncmp(r->head, "GET ", 4) != 0 &&
	    strncmp(r->head, "HEAD ", 5) != 0 &&
	    strncmp(r->head, "OPTIONS ", 8) != 0)
		atomic_fetch_add(&unsafe, 1);
	tiny_reply(fd, 200, "", "{}");
	return true;
}

static void
on_committed(void *arg, enum journal_status status)
{
	(void)arg;
	ck_assert_int_eq(status, JOURNAL_COMMITTED);
	atomic_fetch_add(&committed, 1);
}

static const char *const methods[] = {
	"POST", "PUT", "PATCH", "DELETE", "CONNECT", "PROPFIND", "MKCOL",
	"COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "QUERY",
	"PURGE", "get", "Get", "GETS", "GE", "POSTGET", "LINK", "BREW", "X",
	"GET",
};

static void
publish(int i)
{
	char correlation[ID_TEXT_SIZE];
	struct id id = id_make();
	struct buf data = { 0 };

	buf_printf(&data, "{\"request\":{\"method\":\"%s\",\"target\":\"/%d\","
		   "\"host\":\"h\",\"headers\":{}},\"response\":{\"status\":"
		   "200,\"headers\":{},\"body\":\"{}\"},\"route\":{\"rule\":"
		   "\"r\"},\"outcome\":\"response\",\"timings\":{}}",
		   methods[(size_t)i % ARRAY_SIZE(methods)], i);
	bus_publish(stage.bus, &(struct journal_event){
		.id = id_make(),
		.time_us = clock_wall_us(),
		.type = SPAN_LITERAL("matapalo.exchange.v1"),
		.source = SPAN_LITERAL("urn:matapalo:test"),
		.correlation = span_of(id_text(&id, correlation)),
		.data = buf_span(&data),
		.shadow = true,
	}, on_committed, NULL);
	buf_fini(&data);
}

static int
number_of_requests(void)
{
	const char *text = getenv("SHADOW_REQUESTS");

	return text ? atoi(text) : 20000;
}

/* By default; a million of them by `make shadow-safe`. */
START_TEST(unsafe_requests_never_reach_a_candidate)
{
	struct tiny_server *candidate = tiny_start(NULL, answer, NULL);
	const struct shadow_rule rule = { .name = "r", .target = "catalog",
					  .url = tiny_url(candidate),
					  .timeout_ms = 20000 };
	const int requests = number_of_requests();
	const int kinds = ARRAY_SIZE(methods), safe = requests / kinds;

	stage_shadow(&stage, &rule, 1);
	for (int i = 0; i < requests; i++) {
		publish(i);
		while (i - atomic_load(&committed) > 5000)
			sched_yield();
	}
	stage_await_number(&stage, "/skipped/unsafe", requests - safe);
	while (stage_number(&stage, "/rules/0/samples") +
		       stage_number(&stage, "/skipped/busy") +
		       stage_number(&stage, "/skipped/down") < safe)
		sched_yield();
	ck_assert_uint_eq(atomic_load(&unsafe), 0);
	ck_assert_uint_gt(atomic_load(&served), 0);
	stage_close(&stage);
	tiny_stop(&candidate);
}
END_TEST

TCase *
case_joining(void)
{
	TCase *t = tcase_create("joining");

	tcase_set_timeout(t, 1800);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, any_arrival_comes_to_the_ordered_sums, 0,
			    SEEDS);
	tcase_add_test(t, unsafe_requests_never_reach_a_candidate);
	return t;
}
