/* SPDX-License-Identifier: Apache-2.0 */
/* Promise H13: whatever a request says costs at most a hundred times its
 * bytes in memory, and a hundred times what plain ones of its size cost in
 * processor time. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/pattern.h"
#include "bus/emit.h"
#include "bus/encode.h"
#include "rules/rules.h"
#include "shadow/compare.h"
#include "tests/hundred/cost.h"
#include "tests/hundred/hostile.h"

#define FACTOR 100u
#define MEMORY_FLOOR ((size_t)1 << 20)
/* Two texts and their trees; the shadow holds one comparison at a time. */
#define DECODED_FLOOR ((size_t)64 << 20)
#define PLAIN_BYTES ((size_t)1 << 18)	/* larger ones are as much dearer */
#define CPU_FLOOR_US 1000u	/* less than that is noise */

/* Each test runs in a process of its own. */
static const struct digest_key key;
static const struct bus_source source = { "urn:test", &key };
static struct span left, right;

static const char *const secret_query[] = { "token" };
static const char *const secret_json[] = { "/password", "/cards/*/pan",
					   "/*/*/x" };
static const struct redact redact = {
	.query = secret_query, .query_count = ARRAY_SIZE(secret_query),
	.json = secret_json, .json_count = ARRAY_SIZE(secret_json),
};

static const char *const ignore[] = { "/at", "/*/at", "/cards/*/x", "/**/at",
				      "/a/**/b/*/c/*/d" };
static const struct payload_tolerance tolerance[] = {
	{ "/sums/*", 0.01, PAYLOAD_TOLERANCE_NUMBER },
	{ "/many/*/*", 0.01, PAYLOAD_TOLERANCE_NUMBER },
	{ "/x/**/y", 5000, PAYLOAD_TOLERANCE_TIME },
};
static const struct payload_unordered unordered[] = {
	{ "/sets", NULL }, { "/sums", NULL }, { "/many/*", NULL },
	{ "/rows", "k" }
};
static struct payload_rewrite rewrites[] = {
	{ "/texts/*", NULL }, { "/*", NULL }, { "body", NULL },
};
static const struct shadow_rule shadow_rule = {
	.name = "r", .target = "c",
	.ignore = ignore, .ignore_count = ARRAY_SIZE(ignore),
	.tolerance = tolerance, .tolerance_count = ARRAY_SIZE(tolerance),
	.unordered = unordered, .unordered_count = ARRAY_SIZE(unordered),
	.normalise = rewrites, .normalise_count = ARRAY_SIZE(rewrites),
};
static const struct shadow_plan plan = { .redact = &redact, .key = &key };

static void
judge(const char *what, const char *name, size_t bytes, size_t floor,
      struct cost hostile, struct cost plain)
{
	uint64_t cpu = plain.cpu_us > CPU_FLOOR_US ? plain.cpu_us
						   : CPU_FLOOR_US;
	size_t memory = FACTOR * bytes > floor ? FACTOR * bytes : floor;

	if (getenv("VERBOSE"))
		printf("%s, %s: %zu bytes, %zu KiB (%zux), %llu us (%.1fx)\n",
		       what, name, bytes, hostile.peak_bytes / 1024,
		       hostile.peak_bytes / (bytes ? bytes : 1),
		       (unsigned long long)hostile.cpu_us,
		       (double)hostile.cpu_us / (double)cpu);
	ck_assert_msg(hostile.cpu_us <= FACTOR * cpu, "%s of %s: %llu us, "
		      "plain %llu", what, name,
		      (unsigned long long)hostile.cpu_us,
		      (unsigned long long)plain.cpu_us);
	ck_assert_msg(!cost_memory_is_real() || hostile.peak_bytes <= memory,
		      "%s of %s: %zu bytes of memory for %zu", what, name,
		      hostile.peak_bytes, bytes);
}

/* ---- the event path ---- */

struct job {
	const struct hostile *h;	/* NULL: plain */
	const struct rules *rules;
};

static struct message_field fields[2];

static struct message_fields
fields_of(const struct hostile *h)
{
	fields[0] = (struct message_field){
		SPAN_LITERAL("Content-Type"),
		span_of(h ? h->type : "application/json")
	};
	fields[1] = (struct message_field){
		SPAN_LITERAL("Content-Encoding"), span_of(h ? h->coding : "")
	};
	return (struct message_fields){ fields, h && *h->coding ? 2 : 1 };
}

static void
encode(const struct job *job, enum bus_record_kind kind)
{
	struct encode_scratch *s = encode_scratch();
	struct emit_made made = { 0 };
	struct journal_event e;
	struct bus_record r;

	bus_record_init(&r, kind, &source);
	r.redact = &redact;
	r.emits = &job->rules->rules[0].emits;
	r.request.method = SPAN_LITERAL("POST");
	r.request.target = SPAN_LITERAL("/x");
	r.request.fields = fields_of(job->h);
	r.request_body = (struct bus_body){ .bytes = left,
					    .true_bytes = left.len };
	r.command = SPAN_LITERAL("shop.order.v1");
	r.rule = r.stage = SPAN_LITERAL("r");
	r.status = 200;
	if (encode_record(s, &r, &e) < 0)
		abort();
	if (kind == BUS_RECORD_EXCHANGE && emit_make(&r, e.data, &made) < 0)
		abort();
	emit_made_fini(&made);
}

static void
encode_exchange(const void *arg)
{
	encode(arg, BUS_RECORD_EXCHANGE);
}

static void
encode_command(const void *arg)
{
	encode(arg, BUS_RECORD_COMMAND);
}

static void
compare_answers(const void *arg)
{
	const struct job *job = arg;
	const struct shadow_answer a = { 200, fields_of(job->h),
					 left, true };
	const struct shadow_answer b = { 200, fields_of(job->h),
					 right, false };
	static struct shadow_verdict v;

	shadow_compare(&plan, &shadow_rule, &a, &b, &v);
}

static struct rules *
rules_with_emits(void)
{
	static const char text[] =
		"{\"version\":1,\"targets\":{\"legacy\":{\"url\":"
		"\"http://127.0.0.1:9\"}},\"rules\":[{\"name\":\"r\","
		"\"stage\":\"mirror\",\"match\":{\"path\":\"/x\"},\"emit\":[{"
		"\"type\":\"a.b.v1\",\"data\":{\"all\":"
		"\"{request.body}\",\"a\":"
		"\"{request.body/cards/0/x}\"}}]}]}";
	struct error err = { 0 };
	struct rules *r = rules_load_text(NULL, text, strlen(text), &err);

	ck_assert_msg(r != NULL, "%s", err.text);
	return r;
}

static const struct {
	const char *name;
	void (*fn)(const void *arg);
	unsigned bodies;
	size_t decoded_floor;
} ways[] = {
	{ "an exchange", encode_exchange, 1, MEMORY_FLOOR },
	{ "a command", encode_command, 1, MEMORY_FLOOR },
	{ "a comparison", compare_answers, 2, DECODED_FLOOR },
};

START_TEST(bodies)
{
	const struct hostile *h = &hostile_bodies[_i];
	struct rules *rules = rules_with_emits();
	struct buf a = { 0 }, b = { 0 }, plain = { 0 };
	struct job hostile = { h, rules }, ordinary = { NULL, rules };

	h->write(&a, HOSTILE_LEFT);
	h->write(&b, HOSTILE_RIGHT);
	hostile_plain(&plain, PLAIN_BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct cost cost, other;

		left = buf_span(&a);
		right = buf_span(&b);
		cost = cost_of(ways[i].fn, &hostile);
		left = right = buf_span(&plain);
		other = cost_of(ways[i].fn, &ordinary);
		other.cpu_us = other.cpu_us * a.len / plain.len;
		judge(ways[i].name, h->name, a.len * ways[i].bodies,
		      *h->coding ? ways[i].decoded_floor : MEMORY_FLOOR,
		      cost, other);
	}
	buf_fini(&a);
	buf_fini(&b);
	buf_fini(&plain);
	rules_unref(&rules);
}
END_TEST

/* ---- rules ---- */

static void
load(const void *arg)
{
	const struct span *text = arg;
	struct error err = { 0 };
	struct rules *r = rules_load_text("rules", text->at, text->len, &err);

	if (!r && !err.set)
		abort();
	rules_unref(&r);
}

START_TEST(rules)
{
	const struct hostile *h = &hostile_rules[_i];
	struct buf text = { 0 }, plain = { 0 };
	struct cost cost;

	h->write(&text, HOSTILE_LEFT);
	hostile_plain_rules(&plain, text.len);
	left = buf_span(&text);
	right = buf_span(&plain);
	cost = cost_of(load, &left);
	judge("a load", h->name, left.len, MEMORY_FLOOR, cost,
	      cost_of(load, &right));
	buf_fini(&text);
	buf_fini(&plain);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("hundred");
	TCase *t = tcase_create("hundred");
	SRunner *r = srunner_create(s);
	int failed;

	digest_start();
	for (size_t i = 0; i < ARRAY_SIZE(rewrites); i++)
		rewrites[i].pattern = pattern_compile("(a+)+b|[0-9]+x", "",
						      NULL);
	tcase_add_loop_test(t, bodies, 0, (int)hostile_body_count);
	tcase_add_loop_test(t, rules, 0, (int)hostile_rules_count);
	tcase_set_timeout(t, 120);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
