/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of verdicts, saved, loaded, and never counted twice. */
#include "shadow/tally.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/attr.h"
#include "tests/shadow/cases.h"

#define SAVED_MAX 16

struct saved {
	size_t count;
	char *keys[SAVED_MAX], *values[SAVED_MAX];
};

static void
on_save(void *arg, const char *key, struct span value)
{
	struct saved *s = arg;

	ck_assert_uint_lt(s->count, SAVED_MAX);
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

static char *
status(const struct shadow_tally *t)
{
	struct buf text = { 0 };
	struct json j;
	size_t len;

	json_init(&j, &text);
	shadow_tally_status(t, &j);
	buf_str(&text);
	return buf_steal(&text, &len);
}

static void
add(struct shadow_tally *t, int64_t sequence, enum shadow_outcome outcome,
    const char *pointer)
{
	struct shadow_verdict v = { .rule = "r", .candidate = "c",
				    .legacy_us = 100, .candidate_us = 50 };
	char id[16];

	snprintf(id, sizeof(id), "id-%d", (int)sequence);
	if (outcome == SHADOW_DIFFERENCE)
		shadow_verdict_add(&v, pointer, "value", SPAN_LITERAL("1"),
				   SPAN_LITERAL("2"));
	if (outcome == SHADOW_FAILED)
		shadow_verdict_fail(&v, "refused");
	shadow_tally_add(t, &v, id, sequence);
}

static int64_t
at(const struct cJSON *tree, const char *pointer)
{
	return payload_int(payload_at(tree, pointer), -1);
}

START_TEST(counts_are_of_one_candidate)
{
	struct shadow_tally *t = shadow_tally_new();
	struct shadow_verdict v = { .outcome = SHADOW_MATCH,
				    .rule = "a",
				    .candidate = "new" };
	uint64_t samples, matches;

	shadow_tally_add(t, &v, "", 1);
	v.outcome = SHADOW_FAILED;
	shadow_tally_add(t, &v, "", 2);
	snprintf(v.candidate, sizeof(v.candidate), "legacy");
	shadow_tally_add(t, &v, "", 3);
	shadow_tally_counts(t, "a", "new", &samples, &matches);
	ck_assert_uint_eq(samples, 2);
	ck_assert_uint_eq(matches, 1);
	shadow_tally_counts(t, "a", "", &samples, &matches);
	ck_assert_uint_eq(samples, 0);
	ck_assert_uint_eq(matches, 0);
	shadow_tally_free(&t);
}
END_TEST

START_TEST(sums_and_means)
{
	struct shadow_tally *t = shadow_tally_new();
	struct cJSON *tree;
	char *text;

	add(t, 1, SHADOW_MATCH, NULL);
	add(t, 2, SHADOW_MATCH, NULL);
	add(t, 3, SHADOW_DIFFERENCE, "/a");
	add(t, 4, SHADOW_FAILED, NULL);
	text = status(t);
	tree = payload_parse(span_of(text), NULL);
	ck_assert_int_eq(at(tree, "/0/samples"), 4);
	ck_assert_int_eq(at(tree, "/0/matches"), 2);
	ck_assert_int_eq(at(tree, "/0/differences"), 1);
	ck_assert_int_eq(at(tree, "/0/failures"), 1);
	ck_assert_int_eq(at(tree, "/0/legacy_mean_us"), 100);
	ck_assert_int_eq(at(tree, "/0/candidate_mean_us"), 50);
	ck_assert_double_eq_tol(payload_number(payload_at(tree,
				"/0/match_rate"), 0), 0.5, 1e-9);
	ck_assert_double_eq_tol(payload_number(payload_at(tree,
				"/0/lower_bound"), 0), 0.150039, 1e-6);
	ck_assert_str_eq(payload_string(payload_at(tree,
		"/0/newest_differences/0/correlationid"), ""), "id-3");
	ck_assert_str_eq(payload_string(payload_at(tree,
		"/0/last_failure"), ""), "refused");
	payload_free(&tree);
	free(text);
	shadow_tally_free(&t);
}
END_TEST

START_TEST(a_sequence_counts_once)
{
	struct shadow_tally *t = shadow_tally_new();

	add(t, 5, SHADOW_MATCH, NULL);
	add(t, 5, SHADOW_MATCH, NULL);
	add(t, 4, SHADOW_MATCH, NULL);
	ck_assert_uint_eq(shadow_tally_unsaved(t), 1);
	shadow_tally_free(&t);
}
END_TEST

/* Newest first, five kinds, the same kind moves up and counts on. */
START_TEST(newest_differences)
{
	struct shadow_tally *t = shadow_tally_new();
	static const char *const pointers[] = { "/a", "/b", "/c", "/d", "/e",
						"/f", "/b", "/b" };
	char *text;

	for (size_t i = 0; i < ARRAY_SIZE(pointers); i++)
		add(t, (int64_t)i + 1, SHADOW_DIFFERENCE, pointers[i]);
	text = status(t);
	ck_assert_ptr_nonnull(strstr(text,
		"\"newest_differences\":[{\"pointer\":\"/b\","
		"\"kind\":\"value\",\"correlationid\":\"id-8\",\"count\":3},"
		"{\"pointer\":\"/f\""));
	ck_assert_ptr_null(strstr(text, "\"/a\""));
	free(text);
	shadow_tally_free(&t);
}
END_TEST

/* Save, go on, die; load and add what came after: the same sums. */
START_TEST(recovers_exactly)
{
	for (int at = 0; at <= 20; at++) {
		struct shadow_tally *t = shadow_tally_new();
		struct shadow_tally *back = shadow_tally_new();
		struct saved s = { 0 };
		char *a, *b;

		for (int i = 1; i <= 20; i++) {
			add(t, i, (enum shadow_outcome)(i % 3), "/x");
			if (i == at)
				ck_assert_int_eq(
					shadow_tally_save(t, on_save, &s), 0);
		}
		load(back, &s);
		ck_assert_int_eq(shadow_tally_sequence(back), at);
		for (int i = 1; i <= 20; i++)
			add(back, i, (enum shadow_outcome)(i % 3), "/x");
		a = status(t);
		b = status(back);
		ck_assert_str_eq(a, b);
		free(a);
		free(b);
		shadow_tally_free(&t);
		shadow_tally_free(&back);
	}
}
END_TEST

START_TEST(saves_what_changed_until_it_is_saved)
{
	struct shadow_tally *t = shadow_tally_new();
	struct saved s = { 0 };

	add(t, 1, SHADOW_MATCH, NULL);
	ck_assert_int_eq(shadow_tally_save(t, on_save, &s), 0);
	ck_assert_uint_eq(s.count, 2);		/* row, sequence */
	ck_assert_uint_eq(shadow_tally_unsaved(t), 0);
	shadow_tally_unsave(t);			/* the disk was full */
	ck_assert_uint_gt(shadow_tally_unsaved(t), 0);
	ck_assert_int_eq(shadow_tally_save(t, on_save, &s), 0);
	ck_assert_uint_eq(s.count, 4);
	ck_assert_int_eq(shadow_tally_save(t, on_save, &s), 0);
	ck_assert_uint_eq(s.count, 5);		/* nothing but sequence */
	load(t, &s);
	shadow_tally_free(&t);
}
END_TEST

TCase *
case_tally(void)
{
	TCase *t = tcase_create("tally");

	tcase_add_test(t, sums_and_means);
	tcase_add_test(t, a_sequence_counts_once);
	tcase_add_test(t, newest_differences);
	tcase_add_test(t, counts_are_of_one_candidate);
	tcase_add_test(t, recovers_exactly);
	tcase_add_test(t, saves_what_changed_until_it_is_saved);
	return t;
}
