/* SPDX-License-Identifier: Apache-2.0 */
/* Quantiles of small histograms, added up, saved and loaded. */
#include "shadow/latency.h"

#include <stdlib.h>

#include "tests/shadow/cases.h"

START_TEST(quantiles_are_true_to_a_sixteenth)
{
	for (uint64_t v = 0; v < 4000000000u; v = v * 17 / 16 + 1) {
		struct shadow_histogram h = { 0 };
		double got;

		shadow_histogram_add(&h, (uint32_t)v);
		got = shadow_histogram_quantile(&h, 0.5);
		ck_assert_double_le(got, (double)v * 17 / 16);
		ck_assert_double_ge(got, (double)v * 15 / 16);
	}
}
END_TEST

START_TEST(the_last_value_has_a_bucket)
{
	struct shadow_histogram h = { 0 };

	shadow_histogram_add(&h, UINT32_MAX);
	ck_assert_uint_eq(h.at[SHADOW_BUCKETS - 1], 1);
	ck_assert_uint_eq(shadow_histogram_quantile(&h, 0.5), 4160749568u);
}
END_TEST

START_TEST(median_and_tail)
{
	struct shadow_histogram h = { 0 };

	ck_assert_uint_eq(shadow_histogram_quantile(&h, 0.99), 0);
	for (int i = 0; i < 98; i++)
		shadow_histogram_add(&h, 4);
	shadow_histogram_add(&h, 7);
	shadow_histogram_add(&h, 100000);
	ck_assert_uint_eq(shadow_histogram_quantile(&h, 0.5), 4);
	ck_assert_uint_eq(shadow_histogram_quantile(&h, 0.99), 7);
	ck_assert_uint_gt(shadow_histogram_quantile(&h, 0.999), 90000);
}
END_TEST

static void
text_of(const struct shadow_latency *l, struct buf *out)
{
	struct json j;

	json_init(&j, out);
	shadow_latency_save(l, &j);
	ck_assert(!out->failed);
}

/* In halves or at once, written or not: the same sums. */
START_TEST(adds_up_and_comes_back)
{
	struct shadow_latency all = { 0 }, even = { 0 }, odd = { 0 };
	struct shadow_latency back = { 0 };
	struct buf a = { 0 }, b = { 0 };
	struct cJSON *tree;

	for (uint32_t i = 0; i < 1000; i++) {
		shadow_latency_add(&all, i * 7, i * 11);
		shadow_latency_add(i % 2 ? &odd : &even, i * 7, i * 11);
	}
	shadow_latency_merge(&even, &odd);
	text_of(&all, &a);
	text_of(&even, &b);
	ck_assert_str_eq(buf_str(&a), buf_str(&b));
	tree = payload_parse(buf_span(&a), NULL);
	shadow_latency_load(&back, tree);
	ck_assert_int_eq(memcmp(&all, &back, sizeof(all)), 0);
	payload_free(&tree);
	buf_fini(&a);
	buf_fini(&b);
}
END_TEST

START_TEST(report)
{
	struct shadow_latency l = { 0 };
	struct buf text = { 0 };
	struct json j;

	json_init(&j, &text);
	shadow_latency_report(&l, &j);
	ck_assert_str_eq(buf_str(&text), "null");
	buf_clear(&text);
	shadow_latency_add(&l, 4, 2);
	json_init(&j, &text);
	shadow_latency_report(&l, &j);
	ck_assert_str_eq(buf_str(&text), "{\"pairs\":1,"
		"\"legacy\":{\"mean_us\":4,\"p50_us\":4,\"p99_us\":4},"
		"\"candidate\":{\"mean_us\":2,\"p50_us\":2,\"p99_us\":2},"
		"\"ratio\":{\"mean\":0.5,\"p50\":0.496,\"p99\":0.496}}");
	buf_fini(&text);
}
END_TEST

TCase *
case_latency(void)
{
	TCase *t = tcase_create("latency");

	tcase_add_test(t, quantiles_are_true_to_a_sixteenth);
	tcase_add_test(t, the_last_value_has_a_bucket);
	tcase_add_test(t, median_and_tail);
	tcase_add_test(t, adds_up_and_comes_back);
	tcase_add_test(t, report);
	return t;
}
