/* SPDX-License-Identifier: Apache-2.0 */
/* Every difference is said to count or to be taken away by its entry. */
#include "shadow/why.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/shadow/cases.h"

static const char *const ignored[] = { "/at", "/items/*/etag" };
static const char *const headers[] = { "etag" };
static const struct payload_tolerance tolerance[] = {
	{ "/price", 0.01, PAYLOAD_TOLERANCE_NUMBER }
};
static const struct payload_unordered unordered[] = { { "/tags", NULL },
						      { "/items", "sku" } };
static const struct shadow_rule rule = {
	.name = "r",
	.ignore = ignored, .ignore_count = 2,
	.headers = headers, .header_count = 1,
	.tolerance = tolerance, .tolerance_count = 1,
	.unordered = unordered, .unordered_count = 2,
};

/* expect: "AT KIND" or "AT KIND KEY ENTRY"; what is not named must not be. */
static const struct {
	const char *legacy, *candidate;
	const char *expect[6];
} table[] = {
	{ "{\"at\":1}", "{\"at\":1}", { NULL } },
	{ "{\"at\":1,\"a\":1}", "{\"at\":2,\"a\":2}",
	  { "/a value", "/at value ignore /at" } },
	{ "{\"at\":1}", "{}", { "/at missing ignore /at" } },
	{ "{\"price\":1}", "{\"price\":1.005}",
	  { "/price value tolerance /price" } },
	{ "{\"price\":1}", "{\"price\":1.5}", { "/price value" } },
	{ "{\"price\":1}", "{\"price\":\"1\"}", { "/price type" } },
	{ "{\"tags\":[1,2]}", "{\"tags\":[2,1]}",
	  { "/tags/0 value unordered /tags",
	    "/tags/1 value unordered /tags" } },
	{ "{\"tags\":[1,2]}", "{\"tags\":[2,3]}",
	  { "/tags/0 value unordered /tags", "/tags/1 value unordered /tags",
	    "/tags/0 missing", "/tags/1 extra" } },
	{ "{\"items\":[{\"sku\":1,\"etag\":1,\"n\":1},{\"sku\":2,\"n\":1}]}",
	  "{\"items\":[{\"sku\":1,\"etag\":2,\"n\":2},{\"sku\":2,\"n\":1}]}",
	  { "/items/0/etag value ignore /items/*/etag",
	    "/items/0/n value" } },
};

static void
text_of(const struct shadow_reason *r, char *out, size_t size)
{
	snprintf(out, size, "%s %s%s%s%s%s", r->at.pointer, r->at.kind,
		 r->key ? " " : "", r->key ? r->key : "",
		 r->entry ? " " : "", r->entry ? r->entry : "");
}

static bool
is_expected(const char *const *expect, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(table[0].expect) && expect[i]; i++)
		if (strcmp(expect[i], text) == 0)
			return true;
	return false;
}

START_TEST(each_is_attributed)
{
	const struct shadow_plan plan = { 0 };
	const struct shadow_answer a = {
		.status = 200, .body = span_of(table[_i].legacy)
	}, b = { .status = 200, .body = span_of(table[_i].candidate) };
	struct shadow_verdict v = { .outcome = SHADOW_MATCH };
	struct shadow_why w;
	size_t n = 0;

	shadow_why(&plan, &rule, &a, &b, NULL, &w);
	ck_assert(!w.failed);
	for (size_t i = 0; i < w.count; i++) {
		char text[600];

		text_of(&w.list[i], text, sizeof(text));
		ck_assert_msg(is_expected(table[_i].expect, text), "%s", text);
	}
	while (n < ARRAY_SIZE(table[_i].expect) && table[_i].expect[n])
		n++;
	ck_assert_uint_eq(w.count, n);
	/* What counts is what the comparer itself says. */
	shadow_compare(&plan, &rule, &a, &b, &v);
	ck_assert_uint_eq(shadow_why_counting(&w), v.total);
	shadow_why_fini(&w);
}
END_TEST

START_TEST(headers_that_are_not_listed)
{
	struct message_field mine[] = {
		{ SPAN_LITERAL("ETag"), SPAN_LITERAL("a") },
		{ SPAN_LITERAL("Date"), SPAN_LITERAL("1") },
	}, yours[] = {
		{ SPAN_LITERAL("etag"), SPAN_LITERAL("b") },
		{ SPAN_LITERAL("date"), SPAN_LITERAL("2") },
	};
	const struct shadow_plan plan = { 0 };
	const struct shadow_answer a = { .status = 200, .fields = { mine, 2 } },
		b = { .status = 201, .fields = { yours, 2 } };
	struct shadow_why w;
	char text[600];

	shadow_why(&plan, &rule, &a, &b, NULL, &w);
	ck_assert_uint_eq(w.count, 3);
	ck_assert_uint_eq(shadow_why_counting(&w), 2);
	text_of(&w.list[2], text, sizeof(text));
	ck_assert_str_eq(text, "header:Date value headers");
	shadow_why_fini(&w);
}
END_TEST

/* The kept answer of a candidate that compresses is decoded already. */
START_TEST(another_coding_is_allowed)
{
	struct message_field coded = { SPAN_LITERAL("Content-Encoding"),
				       SPAN_LITERAL("gzip") };
	const struct shadow_rule any = { .name = "r", .any_coding = true };
	const struct shadow_plan plan = { .has_decoded = true };
	const struct shadow_answer a = { .status = 200,
					 .body = SPAN_LITERAL("{\"a\":1}") },
		b = { .status = 200, .fields = { &coded, 1 },
		      .body = SPAN_LITERAL("{\"a\":1}") };
	struct shadow_why w;
	char text[600];

	shadow_why(&plan, &any, &a, &b, NULL, &w);
	ck_assert_uint_eq(w.count, 1);
	text_of(&w.list[0], text, sizeof(text));
	ck_assert_str_eq(text, "header:content-encoding extra coding any");
	shadow_why_fini(&w);
	shadow_why(&plan, &rule, &a, &b, NULL, &w);
	ck_assert_uint_eq(shadow_why_counting(&w), 1);
	shadow_why_fini(&w);
}
END_TEST

START_TEST(more_than_anybody_reads)
{
	const struct shadow_plan plan = { 0 };
	struct shadow_answer a = { .status = 200 }, b = { .status = 200 };
	struct buf x = { 0 }, y = { 0 };
	struct shadow_why w;

	for (int i = 0; i < SHADOW_WHY_MAX + 10; i++) {
		buf_printf(&x, "%s1", i ? "," : "[");
		buf_printf(&y, "%s2", i ? "," : "[");
	}
	buf_addc(&x, ']');
	buf_addc(&y, ']');
	a.body = buf_span(&x);
	b.body = buf_span(&y);
	shadow_why(&plan, &rule, &a, &b, NULL, &w);
	ck_assert_uint_eq(w.count, SHADOW_WHY_MAX);
	ck_assert_uint_eq(w.beyond, 10);
	ck_assert_uint_eq(shadow_why_counting(&w), SHADOW_WHY_MAX + 10);
	shadow_why_fini(&w);
	buf_fini(&x);
	buf_fini(&y);
}
END_TEST

static void
on_entry(void *arg, const char *key, const char *entry)
{
	buf_printf(arg, "%s %s;", key, entry);
}

START_TEST(all_entries)
{
	struct buf text = { 0 };

	shadow_why_entries(&rule, on_entry, &text);
	ck_assert_str_eq(buf_str(&text), "unordered /tags;unordered /items;"
		"ignore /at;ignore /items/*/etag;tolerance /price;"
		"headers etag;");
	buf_fini(&text);
}
END_TEST

TCase *
case_why(void)
{
	TCase *t = tcase_create("why");

	tcase_add_loop_test(t, each_is_attributed, 0, ARRAY_SIZE(table));
	tcase_add_test(t, headers_that_are_not_listed);
	tcase_add_test(t, another_coding_is_allowed);
	tcase_add_test(t, more_than_anybody_reads);
	tcase_add_test(t, all_entries);
	return t;
}
