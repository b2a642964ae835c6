/* SPDX-License-Identifier: Apache-2.0 */
/* Copies over HTTP, with a real journal, bus and candidate. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/counter.h"
#include "shadow/lane.h"
#include "tests/outbound/tiny_server.h"
#include "tests/shadow/cases.h"
#include "tests/shadow/stage.h"

#define PATIENCE_MS 20000

static struct stage stage;
static struct tiny_server *candidate;
static atomic_uint served, now, most;
static pthread_mutex_t head_lock = PTHREAD_MUTEX_INITIALIZER;
static char head[8192];

static void
remember(const struct tiny_request *r)
{
	unsigned n = atomic_fetch_add(&now, 1) + 1, m = atomic_load(&most);

	while (n > m && !atomic_compare_exchange_weak(&most, &m, n))
		;
	atomic_fetch_add(&served, 1);
	pthread_mutex_lock(&head_lock);
	snprintf(head, sizeof(head), "%s", r->head);
	pthread_mutex_unlock(&head_lock);
}

static bool
answer(void *arg, struct tiny_server *s, int fd, const struct tiny_request *r)
{
	static const char json[] = "Content-Type: application/json\r\n";

	(void)arg;
	remember(r);
	if (strncmp(r->target, "/hang", 5) == 0)
		tiny_hang(s, fd);
	else if (strcmp(r->target, "/other") == 0)
		tiny_reply(fd, 200, json, "{\"price\":2}");
	else if (strcmp(r->target, "/huge") == 0)
		for (int i = 0; i < 200; i++)
			tiny_write(fd, "HTTP/1.1 200 OK\r\n"
				   "Content-Length: 99999999999\r\n\r\n", 48);
	else
		tiny_reply(fd, 200, json, "{ \"price\": 1 }");
	atomic_fetch_sub(&now, 1);
	return true;
}

static struct shadow_rule
rule_named(const char *name)
{
	return (struct shadow_rule){ .name = name, .target = "catalog",
				     .url = tiny_url(candidate),
				     .timeout_ms = 5000 };
}

static void
setup(void)
{
	candidate = tiny_start(NULL, answer, NULL);
	stage_make(&stage);
	stage_open(&stage);
}

static void
teardown(void)
{
	stage_remove(&stage);
	if (candidate)
		tiny_stop(&candidate);
}

static void
assert_sent(const char *line)
{
	pthread_mutex_lock(&head_lock);
	ck_assert_msg(strcasestr(head, line) != NULL, "%s in %s", line, head);
	pthread_mutex_unlock(&head_lock);
}

START_TEST(equal_answers_match)
{
	struct shadow_rule rule = rule_named("r");
	struct shadow_verdict v;
	const char *id;

	stage_shadow(&stage, &rule, 1);
	id = stage_publish(&stage, &(struct stage_exchange){
		.target = "/same?a=b", .body = "{\\\"price\\\":1}" });
	ck_assert(stage_verdict(&stage, id, PATIENCE_MS, &v));
	ck_assert_int_eq(v.outcome, SHADOW_MATCH);
	ck_assert_str_eq(v.rule, "r");
	ck_assert_str_eq(v.candidate, "catalog");
	ck_assert_uint_eq(v.legacy_us, 5000);
	ck_assert_uint_gt(v.candidate_us, 0);
	assert_sent("GET /same?a=b HTTP/1.1\r\n");
	assert_sent("\r\nHost: shop.example\r\n");
	assert_sent("\r\nMatapalo-Shadow: 1\r\n");
	assert_sent("\r\nTraceparent: 00-");
	assert_sent(id);
	stage_await_number(&stage, "/rules/0/matches", 1);
	ck_assert_int_eq(stage_number(&stage, "/in_flight"), 0);
}
END_TEST

START_TEST(differences_are_pointed_at)
{
	struct shadow_rule rule = rule_named("r");
	struct shadow_verdict v;
	const char *id;

	stage_shadow(&stage, &rule, 1);
	id = stage_publish(&stage, &(struct stage_exchange){
		.target = "/other", .body = "{\\\"price\\\":1}" });
	ck_assert(stage_verdict(&stage, id, PATIENCE_MS, &v));
	ck_assert_int_eq(v.outcome, SHADOW_DIFFERENCE);
	ck_assert_uint_eq(v.count, 1);
	ck_assert_str_eq(v.at[0].pointer, "/price");
	ck_assert_str_eq(v.at[0].legacy, "1");
	ck_assert_str_eq(v.at[0].candidate, "2");
	stage_await_number(&stage, "/rules/0/differences", 1);
	ck_assert_int_eq(stage_number(&stage,
		"/rules/0/newest_differences/0/count"), 1);
}
END_TEST

START_TEST(a_refusing_candidate_fails_once)
{
	struct shadow_rule rule = rule_named("r");
	char url[64];
	struct shadow_verdict v;
	const char *id;

	/* The port of a server that is gone. */
	snprintf(url, sizeof(url), "%s", tiny_url(candidate));
	rule.url = url;
	tiny_stop(&candidate);
	stage_shadow(&stage, &rule, 1);
	id = stage_publish(&stage, &(struct stage_exchange){ 0 });
	ck_assert(stage_verdict(&stage, id, PATIENCE_MS, &v));
	ck_assert_int_eq(v.outcome, SHADOW_FAILED);
	ck_assert_ptr_nonnull(strstr(v.reason, "no answer"));
	/* Not again after a restart, either. */
	stage_close(&stage);
	stage_open(&stage);
	stage_shadow(&stage, &rule, 1);
	id = stage_publish(&stage, &(struct stage_exchange){ 0 });
	ck_assert(stage_verdict(&stage, id, PATIENCE_MS, &v));
	ck_assert_uint_eq(stage_count(&stage, SHADOW_VERDICT_TYPE), 2);
	stage_await_number(&stage, "/rules/0/failures", 2);
}
END_TEST

/* S2: a candidate that hangs holds 64 connections, not one more. */
START_TEST(a_hung_candidate_stays_bounded)
{
	struct shadow_rule rule = rule_named("r");

	rule.timeout_ms = 300;
	stage_shadow(&stage, &rule, 1);
	for (int i = 0; i < 150; i++)
		stage_publish(&stage, &(struct stage_exchange){
			.target = "/hang" });
	while (stage_number(&stage, "/rules/0/failures") +
		       stage_number(&stage, "/skipped/down") < 150)
		ck_assert_int_le(stage_number(&stage, "/in_flight"),
				 SHADOW_LANE_FLIGHTS);
	/* Given up after the first ones. */
	ck_assert_int_le(stage_number(&stage, "/rules/0/failures"),
			 2 * SHADOW_LANE_FLIGHTS);
	ck_assert_int_ge(stage_number(&stage,
		"/candidates/0/failures_in_a_row"), SHADOW_LANE_FAILURES);
	/* The server learns a moment later that a client has left. */
	ck_assert_uint_le(atomic_load(&most), 2 * SHADOW_LANE_FLIGHTS);
	ck_assert_uint_gt(atomic_load(&most), 1);
}
END_TEST

/* Nobody answers for a minute, and another rule's candidate is asked all
 * the same. */
START_TEST(one_that_hangs_holds_up_no_other)
{
	struct shadow_rule rules[3] = { rule_named("hung"), rule_named("well"),
					rule_named("silent") };
	struct shadow_verdict v;

	rules[0].target = "hung";
	rules[0].timeout_ms = 60000;
	rules[2].target = "silent";
	rules[2].command = "shop.silent.v1";
	rules[2].url = NULL;
	rules[2].timeout_ms = 60000;
	stage_shadow(&stage, rules, 3);
	for (int i = 0; i < 300; i++) {
		stage_publish(&stage, &(struct stage_exchange){
			.rule = "hung", .target = "/hang" });
		stage_publish(&stage, &(struct stage_exchange){
			.rule = "silent" });
	}
	for (int i = 0; i < 20; i++)
		ck_assert(stage_verdict(&stage, stage_publish(&stage,
			&(struct stage_exchange){
				.rule = "well",
				.body = "{\\\"price\\\":1}" }),
			PATIENCE_MS, &v));
	ck_assert_int_eq(v.outcome, SHADOW_MATCH);
	ck_assert_int_gt(stage_number(&stage, "/skipped/busy"), 200);
	ck_assert_int_eq(stage_number(&stage, "/skipped/busy") +
			 stage_number(&stage, "/in_flight") +
			 stage_number(&stage, "/waiting_for_replies"), 600);
}
END_TEST

START_TEST(a_huge_answer_fails)
{
	struct shadow_rule rule = rule_named("r");
	struct shadow_verdict v;
	const char *id;

	rule.timeout_ms = 1000;
	stage_shadow(&stage, &rule, 1);
	id = stage_publish(&stage, &(struct stage_exchange){
		.target = "/huge" });
	ck_assert(stage_verdict(&stage, id, PATIENCE_MS, &v));
	ck_assert_int_eq(v.outcome, SHADOW_FAILED);
}
END_TEST

static const struct {
	struct stage_exchange x;
	const char *skipped;
} skips[] = {
	{ { .method = "POST" }, "/skipped/unsafe" },
	{ { .method = "DELETE" }, "/skipped/unsafe" },
	{ { .method = "PROPFIND" }, "/skipped/unsafe" },
	{ { .request_more = ",\"truncated\":true" }, "/skipped/truncated" },
	{ { .response_more = ",\"truncated\":true" }, "/skipped/truncated" },
	{ { .response_more = ",\"withheld\":true" }, "/skipped/truncated" },
	{ { .data_more = ",\"answered_by\":\"matapalo\"" },
	  "/skipped/no_answer" },
	{ { .rule = "unknown" }, "/skipped/no_rule" },
};

/* S1: nothing unsafe leaves without permission. */
START_TEST(skips_what_cannot_be_compared)
{
	struct shadow_rule rule = rule_named("r");
	int64_t before;

	stage_shadow(&stage, &rule, 1);
	before = stage_number(&stage, skips[_i].skipped);
	stage_publish(&stage, &skips[_i].x);
	stage_await_number(&stage, skips[_i].skipped, before + 1);
	/* The next one goes through: nothing is stuck. */
	stage_publish(&stage, &(struct stage_exchange){ 0 });
	stage_await_count(&stage, SHADOW_VERDICT_TYPE, 1);
	ck_assert_uint_eq(atomic_load(&served), 1);
}
END_TEST

START_TEST(unsafe_methods_go_where_the_rule_allows)
{
	struct shadow_rule rule = rule_named("r");
	const char *id;
	struct shadow_verdict v;

	rule.unsafe_allowed = 1;
	stage_shadow(&stage, &rule, 1);
	id = stage_publish(&stage, &(struct stage_exchange){
		.method = "POST", .target = "/orders",
		.request_more = ",\"body\":\"x=1\"",
		.body = "{\\\"price\\\":1}" });
	ck_assert(stage_verdict(&stage, id, PATIENCE_MS, &v));
	ck_assert_int_eq(v.outcome, SHADOW_MATCH);
	assert_sent("POST /orders HTTP/1.1\r\n");
	assert_sent("\r\nContent-Length: 3\r\n");
	assert_sent("\r\nMatapalo-Shadow: 1\r\n");
}
END_TEST

static void
on_release(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
}

/* A plan lives as long as a request under way needs it. */
START_TEST(plans_are_released_when_unused)
{
	struct shadow_rule rule = rule_named("r");
	static atomic_uint released;
	const struct shadow_plan plan = { .rules = &rule, .count = 1,
					  .release = on_release,
					  .arg = &released };
	const struct shadow_plan none = { 0 };
	struct error err = { 0 };
	const char *id;
	struct shadow_verdict v;

	rule.timeout_ms = 500;
	stage.shadow = shadow_start(stage.bus, &err);
	ck_assert_ptr_nonnull(stage.shadow);
	shadow_set_plan(stage.shadow, &plan);
	id = stage_publish(&stage, &(struct stage_exchange){
		.target = "/hang" });
	stage_await_number(&stage, "/in_flight", 1);
	shadow_set_plan(stage.shadow, &none);
	ck_assert_uint_eq(atomic_load(&released), 0);
	ck_assert(stage_verdict(&stage, id, PATIENCE_MS, &v));
	stage_await_number(&stage, "/in_flight", 0);
	ck_assert_uint_eq(atomic_load(&released), 1);
}
END_TEST

START_TEST(stops_with_requests_under_way)
{
	struct shadow_rule rule = rule_named("r");
	const char *id;
	struct shadow_verdict v;

	stage_shadow(&stage, &rule, 1);
	id = stage_publish(&stage, &(struct stage_exchange){
		.target = "/hang" });
	stage_await_number(&stage, "/in_flight", 1);
	stage_close(&stage);
	/* Unanswered, unacknowledged: it comes again. */
	rule.timeout_ms = 100;
	stage_open(&stage);
	stage_shadow(&stage, &rule, 1);
	ck_assert(stage_verdict(&stage, id, PATIENCE_MS, &v));
	ck_assert_int_eq(v.outcome, SHADOW_FAILED);
}
END_TEST

TCase *
case_http(void)
{
	TCase *t = tcase_create("http");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, equal_answers_match);
	tcase_add_test(t, differences_are_pointed_at);
	tcase_add_test(t, a_refusing_candidate_fails_once);
	tcase_add_test(t, a_hung_candidate_stays_bounded);
	tcase_add_test(t, one_that_hangs_holds_up_no_other);
	tcase_add_test(t, a_huge_answer_fails);
	tcase_add_loop_test(t, skips_what_cannot_be_compared, 0,
			    ARRAY_SIZE(skips));
	tcase_add_test(t, unsafe_methods_go_where_the_rule_allows);
	tcase_add_test(t, plans_are_released_when_unused);
	tcase_add_test(t, stops_with_requests_under_way);
	return t;
}
