/* SPDX-License-Identifier: Apache-2.0 */
/* The legacy is asked twice when it may be, and never else. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/noise.h"
#include "shadow/report.h"
#include "tests/outbound/tiny_server.h"
#include "tests/shadow/cases.h"
#include "tests/shadow/stage.h"

#define PATIENCE_MS 20000

static struct stage stage;
static struct tiny_server *candidate, *legacy;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned asked, marked, at;
static struct shadow_rule twin, rule;
static bool may;

static bool
answer(void *arg, struct tiny_server *s, int fd, const struct tiny_request *r)
{
	char body[64];

	(void)arg;
	(void)s;
	(void)r;
	pthread_mutex_lock(&lock);
	snprintf(body, sizeof(body), "{\"at\":%u}", ++at);
	pthread_mutex_unlock(&lock);
	tiny_reply(fd, 200, "Content-Type: application/json\r\n", body);
	return true;
}

static bool
answer_again(void *arg, struct tiny_server *s, int fd,
	     const struct tiny_request *r)
{
	pthread_mutex_lock(&lock);
	asked++;
	marked += strstr(r->head, "Matapalo-Shadow: 1") != NULL;
	pthread_mutex_unlock(&lock);
	return answer(arg, s, fd, r);
}

static bool
may_ask(void *arg, const char *target)
{
	ck_assert_ptr_eq(arg, &may);
	ck_assert_str_eq(target, "legacy");
	return may;
}

static void
setup(void)
{
	struct shadow_plan plan = { .rules = &rule, .count = 1,
				    .may_ask = may_ask, .ask_arg = &may };

	candidate = tiny_start(NULL, answer, NULL);
	legacy = tiny_start(NULL, answer_again, NULL);
	twin = (struct shadow_rule){ .name = "r", .target = "legacy",
				     .url = tiny_url(legacy),
				     .timeout_ms = 5000 };
	rule = (struct shadow_rule){ .name = "r", .target = "catalog",
				     .url = tiny_url(candidate),
				     .timeout_ms = 5000, .noise_ppm = 1000000,
				     .unsafe_allowed = true,
				     .fingerprint = 7, .again = &twin };
	may = true;
	asked = marked = 0;
	stage_make(&stage);
	stage_open(&stage);
	stage.shadow = shadow_start(stage.bus, NULL);
	ck_assert_ptr_nonnull(stage.shadow);
	shadow_set_plan(stage.shadow, &plan);
}

static void
teardown(void)
{
	stage_remove(&stage);
	tiny_stop(&candidate);
	tiny_stop(&legacy);
}

static unsigned
count_asked(void)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = asked;
	pthread_mutex_unlock(&lock);
	return n;
}

static bool
judge_one(struct stage_exchange x)
{
	struct shadow_verdict v;
	const char *id;

	x.body = "{\\\"at\\\":0}";
	id = stage_publish(&stage, &x);
	ck_assert(stage_verdict(&stage, id, PATIENCE_MS, &v));
	return v.outcome == SHADOW_MATCH;
}

static uint64_t
saved_pairs(void)
{
	struct journal_reader *r = journal_reader_open(stage.path, NULL);
	struct shadow_noise *n = shadow_noise_new();
	struct shadow_noise_row row = { 0 };

	ck_assert(r && n);
	ck_assert_int_eq(shadow_report_noise(r, n, NULL), 0);
	shadow_noise_get(n, "r", 7, "GET /x", &row);
	shadow_noise_free(&n);
	journal_reader_close(&r);
	return row.pairs;
}

/* At first each answer differs; after enough pairs none does. Each question
 * is marked, and there are not more of them than calls. */
START_TEST(learns_until_it_matches)
{
	unsigned calls = 1;

	ck_assert(!judge_one((struct stage_exchange){ 0 }));
	while (!judge_one((struct stage_exchange){ 0 }))
		ck_assert_uint_lt(calls++, 100000);
	ck_assert_uint_ge(count_asked(), SHADOW_NOISE_PAIRS_LEAST);
	ck_assert_uint_le(count_asked(), calls + 1);
	ck_assert_uint_eq(marked, asked);
	shadow_stop(&stage.shadow);
	ck_assert_uint_ge(saved_pairs(), SHADOW_NOISE_PAIRS_LEAST);
}
END_TEST

static const struct stage_exchange unasked[] = {
	{ .method = "POST" },
	{ .method = "DELETE" },
	{ .target = "/x?key=redacted:12" },
	{ .request_more = ",\"body\":\"\"", .method = "PURGE" },
};

START_TEST(not_these)
{
	for (int i = 0; i < 5; i++)
		judge_one(unasked[_i]);
	ck_assert_uint_eq(count_asked(), 0);
	judge_one((struct stage_exchange){ 0 });
	stage_await_number(&stage, "/in_flight", 0);
	ck_assert_uint_eq(count_asked(), 1);
}
END_TEST

START_TEST(not_when_it_may_not_be)
{
	may = false;
	for (int i = 0; i < 5; i++)
		judge_one((struct stage_exchange){ 0 });
	ck_assert_uint_eq(count_asked(), 0);
}
END_TEST

/* A legacy that is gone is nothing to learn from, and harms no verdict. */
START_TEST(nobody_there)
{
	twin.url = "http://127.0.0.1:9";
	for (int i = 0; i < 30; i++)
		ck_assert(!judge_one((struct stage_exchange){ 0 }));
	stage_await_number(&stage, "/in_flight", 0);
	ck_assert_int_eq(stage_number(&stage, "/rules/0/failures"), 0);
	shadow_stop(&stage.shadow);
	ck_assert_uint_eq(saved_pairs(), 0);
}
END_TEST

TCase *
case_again(void)
{
	TCase *t = tcase_create("again");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, learns_until_it_matches);
	tcase_add_loop_test(t, not_these, 0, ARRAY_SIZE(unasked));
	tcase_add_test(t, not_when_it_may_not_be);
	tcase_add_test(t, nobody_there);
	return t;
}
