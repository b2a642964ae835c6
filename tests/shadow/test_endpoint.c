/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints, clusters and examples: bounded whatever comes, and exact. */
#include "shadow/endpoint.h"

#include <stdio.h>
#include <stdlib.h>

#include "shadow/answer.h"
#include "shadow/tally.h"
#include "tests/shadow/cases.h"

static struct shadow_verdict
verdict_on(const char *endpoint, const char *pointer)
{
	struct shadow_verdict v = { .rule = "r", .candidate = "c",
				    .legacy_us = 100, .candidate_us = 50 };

	snprintf(v.endpoint, sizeof(v.endpoint), "%s", endpoint);
	if (pointer)
		shadow_verdict_add(&v, pointer, "value", SPAN_LITERAL("1"),
				   SPAN_LITERAL("2"));
	return v;
}

static void
add(struct shadow_tally *t, int64_t sequence, struct shadow_verdict *v)
{
	char id[32];

	snprintf(id, sizeof(id), "id-%lld", (long long)sequence);
	v->time_us = sequence * 1000;
	v->has_answer = v->count && shadow_tally_wants(t, v);
	shadow_tally_add(t, v, id, sequence);
}

static struct cJSON *
report(const struct shadow_tally *t, struct buf *text)
{
	struct json j;

	buf_clear(text);
	json_init(&j, text);
	shadow_tally_report(t, &j);
	buf_str(text);
	return payload_parse(buf_span(text), NULL);
}

static int64_t
at(const struct cJSON *tree, const char *pointer)
{
	return payload_int(payload_at(tree, pointer), -1);
}

START_TEST(clusters_and_examples)
{
	struct shadow_tally *t = shadow_tally_new();
	struct buf text = { 0 };
	struct cJSON *tree;
	char pointer[32];

	for (int i = 1; i <= 100; i++) {
		struct shadow_verdict v;

		snprintf(pointer, sizeof(pointer), "/items/%d/price", i);
		v = verdict_on("GET /x", pointer);
		shadow_verdict_add(&v, "/items/0/price", "value",
				   SPAN_LITERAL(""), SPAN_LITERAL(""));
		add(t, i, &v);
	}
	tree = report(t, &text);
#define CLUSTER "/rules/0/endpoints/0/clusters/0/"
	ck_assert_str_eq(payload_string(payload_at(tree, CLUSTER "pointer"),
					""), "/items/*/price");
	ck_assert_int_eq(at(tree, CLUSTER "count"), 100);
	ck_assert_int_eq(at(tree, CLUSTER "first_us"), 1000);
	ck_assert_int_eq(at(tree, CLUSTER "last_us"), 100000);
	/* The first two and the newest powers of two. */
	ck_assert_str_eq(payload_string(payload_at(tree,
		CLUSTER "examples/0/exchange"), ""), "id-1");
	ck_assert_int_eq(at(tree, CLUSTER "examples/1/verdict_sequence"), 2);
	ck_assert_int_eq(at(tree, CLUSTER "examples/2/verdict_sequence"), 16);
	ck_assert_int_eq(at(tree, CLUSTER "examples/4/verdict_sequence"), 64);
	ck_assert_ptr_null(payload_at(tree, CLUSTER "examples/5"));
	payload_free(&tree);
	buf_fini(&text);
	shadow_tally_free(&t);
}
END_TEST

START_TEST(failures_are_clusters_too)
{
	struct shadow_tally *t = shadow_tally_new();
	struct buf text = { 0 };
	struct cJSON *tree;

	for (int i = 1; i <= 10; i++) {
		struct shadow_verdict v = verdict_on("GET /x", NULL);
		char reason[64];

		snprintf(reason, sizeof(reason), "timed out after %d ms", i);
		shadow_verdict_fail(&v, reason);
		add(t, i, &v);
	}
	tree = report(t, &text);
	ck_assert_str_eq(payload_string(payload_at(tree, CLUSTER "pointer"),
					""), "timed out after # ms");
	ck_assert_int_eq(at(tree, CLUSTER "count"), 10);
	payload_free(&tree);
	buf_fini(&text);
	shadow_tally_free(&t);
}
END_TEST

static int
number_of_paths(void)
{
	const char *text = getenv("SHADOW_PATHS");

	return text ? atoi(text) : 100000;
}

/* H15: paths that look like nothing known, each with a difference of its
 * own; a million of them by `make shadow-paths`. */
START_TEST(any_number_of_paths_is_bounded_rows)
{
	const int paths = number_of_paths();
	struct shadow_tally *t = shadow_tally_new();
	struct buf text = { 0 };
	struct cJSON *tree;
	struct shadow_verdict v = verdict_on("", "/x");
	int64_t samples = 0;
	size_t rows = 0;

	for (int i = 1; i <= paths; i++) {
		char target[64], word[24];

		for (int n = i, k = 0; k < 20; k++, n /= 2)
			word[k] = n % 2 ? 'x' : 'y';
		word[20] = '\0';
		snprintf(target, sizeof(target), "/%s", word);
		memcpy(v.at[0].pointer, target, strlen(target) + 1);
		shadow_fold_endpoint("GET", "", target, 200, v.endpoint);
		add(t, i, &v);
	}
	tree = report(t, &text);
	for (const struct cJSON *e = payload_first(
		     payload_at(tree, "/rules/0/endpoints"));
	     e; e = payload_next(e)) {
		rows++;
		samples += payload_int(payload_member(e, "samples"), 0);
	}
	ck_assert_uint_eq(rows, SHADOW_ENDPOINTS_MAX + 1);
	ck_assert_int_eq(samples, paths);
	ck_assert_int_eq(at(tree, "/rules/0/endpoints/200/samples"),
			 paths - 200);
	ck_assert_int_eq(at(tree, "/rules/0/endpoints/200/other_clusters"),
			 paths - 200 - SHADOW_CLUSTERS_MAX);
	ck_assert_uint_lt(text.len, 512 * 1024);
	payload_free(&tree);
	buf_fini(&text);
	shadow_tally_free(&t);
}
END_TEST

/* Rules whose names change for ever. */
START_TEST(rows_of_rules_are_bounded)
{
	struct shadow_tally *t = shadow_tally_new();
	struct buf text = { 0 };
	struct cJSON *tree;
	size_t rows = 0, endpoints = 0;

	for (int i = 1; i <= 20000; i++) {
		struct shadow_verdict v = verdict_on("", NULL);

		snprintf(v.rule, sizeof(v.rule), "rule-%d", i % 2000);
		snprintf(v.endpoint, sizeof(v.endpoint), "GET /%d", i);
		add(t, i, &v);
	}
	tree = report(t, &text);
	for (const struct cJSON *r = payload_first(payload_at(tree, "/rules"));
	     r; r = payload_next(r)) {
		rows++;
		for (const struct cJSON *e = payload_first(
			     payload_member(r, "endpoints"));
		     e; e = payload_next(e))
			endpoints++;
	}
	ck_assert_uint_eq(rows, 501);
	ck_assert_uint_le(endpoints, SHADOW_ENDPOINTS_ALL + rows);
	payload_free(&tree);
	buf_fini(&text);
	shadow_tally_free(&t);
}
END_TEST

/* ---- over a restart ---- */

struct saved {
	size_t count;
	char *keys[400], *values[400];
};

static void
on_save(void *arg, const char *key, struct span value)
{
	struct saved *s = arg;

	ck_assert_uint_lt(s->count, ARRAY_SIZE(s->keys));
	s->keys[s->count] = strdup(key);
	s->values[s->count++] = strndup(value.at, value.len);
}

static void
load(struct shadow_tally *t, struct saved *s)
{
	for (size_t i = 0; i < s->count; i++) {
		shadow_tally_load(t, s->keys[i], span_of(s->values[i]));
		free(s->keys[i]);
		free(s->values[i]);
	}
	s->count = 0;
}

/* Verdict i, always the same one: few endpoints, many pointers. */
static struct shadow_verdict
verdict_number(int i)
{
	char endpoint[32], pointer[32];
	struct shadow_verdict v;

	snprintf(endpoint, sizeof(endpoint), "GET /e%d", i % 3);
	snprintf(pointer, sizeof(pointer), "/p%c%c", 'a' + i % 7,
		 'a' + i % 11);
	v = verdict_on(endpoint, i % 4 ? pointer : NULL);
	v.legacy_us = (uint32_t)i * 13;
	v.candidate_us = (uint32_t)i * 17;
	if (i % 9 == 0)
		shadow_verdict_fail(&v, "refused");
	v.has_answer = v.count && i % 5 == 0;
	return v;
}

static void
add_number(struct shadow_tally *t, int i)
{
	struct shadow_verdict v = verdict_number(i);
	char id[16];

	v.time_us = i;
	snprintf(id, sizeof(id), "id-%d", i);
	shadow_tally_add(t, &v, id, i);
}

#define VERDICTS 300

/* Saved at any point, killed, and counted on from the events. */
START_TEST(recovers_exactly)
{
	struct shadow_tally *t = shadow_tally_new(), *back;
	struct buf a = { 0 }, b = { 0 };
	struct saved s = { 0 };
	struct cJSON *tree;
	int stop = _i * 37;

	back = shadow_tally_new();
	for (int i = 1; i <= VERDICTS; i++) {
		add_number(t, i);
		if (i == stop)
			ck_assert_int_eq(shadow_tally_save(t, on_save, &s), 0);
	}
	load(back, &s);
	for (int i = 1; i <= VERDICTS; i++)
		add_number(back, i);
	tree = report(t, &a);
	payload_free(&tree);
	tree = report(back, &b);
	payload_free(&tree);
	ck_assert_str_eq(buf_str(&a), buf_str(&b));
	buf_fini(&a);
	buf_fini(&b);
	shadow_tally_free(&t);
	shadow_tally_free(&back);
}
END_TEST

START_TEST(sums_of_a_rule)
{
	struct shadow_tally *t = shadow_tally_new();
	struct shadow_sums sums;

	ck_assert(!shadow_tally_sums(t, "r", "c", &sums));
	for (int i = 1; i <= VERDICTS; i++)
		add_number(t, i);
	ck_assert(shadow_tally_sums(t, "r", "c", &sums));
	ck_assert_uint_eq(sums.samples, VERDICTS);
	ck_assert_uint_eq(sums.samples, sums.matches + sums.differences +
						sums.failures);
	ck_assert_uint_eq(sums.latency.pairs, sums.matches +
						      sums.differences);
	shadow_tally_free(&t);
}
END_TEST

/* ---- the candidate's answer ---- */

static void
write_answer(const struct redact *redact, const struct shadow_answer *a,
	     struct buf *out)
{
	static const struct digest_key key = { .bytes = { 7 } };
	const struct shadow_plan plan = { .redact = redact, .key = &key };
	struct json j;

	json_init(&j, out);
	shadow_answer_write(&plan, a, &j);
	buf_str(out);
}

START_TEST(an_answer_is_kept_without_its_secrets)
{
	static const char *const json[] = { "/pin" };
	const struct redact redact = { .json = json, .json_count = 1 };
	struct message_field fields[] = {
		{ SPAN_LITERAL("Set-Cookie"), SPAN_LITERAL("a=canary-1") },
		{ SPAN_LITERAL("X-A"), SPAN_LITERAL("1") },
		{ SPAN_LITERAL("set-cookie"), SPAN_LITERAL("b=canary-2") },
	};
	struct shadow_answer a = { .status = 200, .fields = { fields, 3 },
				   .body = SPAN_LITERAL(
					   "{\"pin\":\"canary-3\",\"a\":1}") };
	struct buf text = { 0 };

	write_answer(&redact, &a, &text);
	ck_assert_ptr_null(strstr(text.data, "canary"));
	ck_assert_ptr_nonnull(strstr(text.data, "\"set-cookie\":[\"a=reda"));
	ck_assert_ptr_nonnull(strstr(text.data, "\"x-a\":\"1\""));
	ck_assert_ptr_nonnull(strstr(text.data, "\\\"a\\\":1"));
	buf_clear(&text);
	a.body = SPAN_LITERAL("pin=canary-3");
	write_answer(&redact, &a, &text);
	ck_assert_ptr_null(strstr(text.data, "canary"));
	ck_assert_ptr_nonnull(strstr(text.data, "\"withheld\":true"));
	buf_fini(&text);
}
END_TEST

/* Also one from the journal: nobody could look into it there. */
START_TEST(secrets_of_a_coded_answer_are_found)
{
	static const char *const json[] = { "/pin" };
	static const char gzip[] =
		"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56"
		"\x2a\xc8\xcc\x53\xb2\x52\x4a\x4e\xcc\x4b\x2c\xaa"
		"\xd4\x35\x56\xd2\x51\x4a\x54\xb2\x32\xac\x05\x00"
		"\x11\x12\xec\xa5\x18\x00\x00\x00";
	const struct redact redact = { .json = json, .json_count = 1 };
	struct message_field field = { SPAN_LITERAL("Content-Encoding"),
				       SPAN_LITERAL("gzip") };
	struct shadow_answer a = { .status = 200, .fields = { &field, 1 },
				   .body = { gzip, sizeof(gzip) - 1 },
				   .redacted = _i };
	struct buf text = { 0 };

	write_answer(&redact, &a, &text);
	ck_assert_ptr_null(strstr(text.data, "canary"));
	ck_assert_ptr_nonnull(strstr(text.data, "\\\"a\\\":1"));
	ck_assert_ptr_nonnull(strstr(text.data, "\"decoded\":true"));
	buf_clear(&text);
	a.body.len--;
	write_answer(&redact, &a, &text);
	ck_assert_ptr_null(strstr(text.data, "decoded"));
	ck_assert_ptr_nonnull(strstr(text.data, "\"withheld\":true"));
	buf_fini(&text);
}
END_TEST

START_TEST(a_long_answer_is_cut)
{
	static char body[100000];
	struct shadow_answer a = { .status = 200, .body = { body, 0 } };
	struct buf text = { 0 };

	for (size_t i = 0; i + 1 < sizeof(body); i += 2)
		memcpy(body + i, "\xc3\xa9", 2);
	a.body.len = sizeof(body);
	write_answer(NULL, &a, &text);
	ck_assert_uint_lt(text.len, 20 * 1024);
	ck_assert_ptr_nonnull(strstr(text.data, "\"truncated\":true"));
	ck_assert_ptr_nonnull(strstr(text.data, "\"body_bytes\":100000"));
	ck_assert_ptr_nonnull(strstr(text.data, "\"body\":\""));
	buf_fini(&text);
}
END_TEST

TCase *
case_endpoint(void)
{
	TCase *t = tcase_create("endpoint");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, clusters_and_examples);
	tcase_add_test(t, failures_are_clusters_too);
	tcase_add_test(t, any_number_of_paths_is_bounded_rows);
	tcase_add_test(t, rows_of_rules_are_bounded);
	tcase_add_loop_test(t, recovers_exactly, 0, 9);
	tcase_add_test(t, sums_of_a_rule);
	tcase_add_test(t, an_answer_is_kept_without_its_secrets);
	tcase_add_loop_test(t, secrets_of_a_coded_answer_are_found, 0, 2);
	tcase_add_test(t, a_long_answer_is_cut);
	return t;
}
