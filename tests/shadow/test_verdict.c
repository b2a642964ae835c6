/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts stay bounded and survive being written and read. */
#include "shadow/verdict.h"

#include <stdlib.h>

#include "tests/shadow/cases.h"

static void
write_text(const struct shadow_verdict *v, struct buf *out)
{
	struct json j;

	json_init(&j, out);
	shadow_verdict_write(v, &j);
	ck_assert(!out->failed);
}

START_TEST(round_trip)
{
	struct shadow_verdict v = { .rule = "r", .candidate = "c",
				    .legacy_us = 5, .candidate_us = 7 };
	struct shadow_verdict back;
	struct buf text = { 0 };

	shadow_verdict_add(&v, "/a", "value", SPAN_LITERAL("1"),
			   SPAN_LITERAL("\"two\""));
	write_text(&v, &text);
	ck_assert_int_eq(shadow_verdict_read(buf_span(&text), &back), 0);
	ck_assert_int_eq(back.outcome, SHADOW_DIFFERENCE);
	ck_assert_str_eq(back.rule, "r");
	ck_assert_str_eq(back.candidate, "c");
	ck_assert_uint_eq(back.count, 1);
	ck_assert_uint_eq(back.total, 1);
	ck_assert_str_eq(back.at[0].pointer, "/a");
	ck_assert_str_eq(back.at[0].kind, "value");
	ck_assert_str_eq(back.at[0].candidate, "\"two\"");
	ck_assert_uint_eq(back.legacy_us, 5);
	ck_assert_uint_eq(back.candidate_us, 7);
	buf_fini(&text);
}
END_TEST

START_TEST(exact_form)
{
	struct shadow_verdict v = { .rule = "r", .candidate = "c" };
	struct buf text = { 0 };

	shadow_verdict_fail(&v, "no answer");
	write_text(&v, &text);
	ck_assert_str_eq(buf_str(&text),
		"{\"rule\":\"r\",\"candidate\":\"c\",\"verdict\":\"failed\","
		"\"reason\":\"no answer\",\"differences\":[],"
		"\"difference_count\":0,\"latency\":{\"legacy_us\":0,"
		"\"candidate_us\":0}}");
	buf_fini(&text);
}
END_TEST

START_TEST(values_are_cut_between_characters)
{
	struct shadow_verdict v = { 0 };
	char long_text[1000];

	for (size_t i = 0; i + 1 < sizeof(long_text); i += 2)
		memcpy(long_text + i, "\xc3\xa9", 2);	/* e acute */
	memcpy(long_text, "x", 1);
	memmove(long_text + 1, long_text + 2, sizeof(long_text) - 2);
	shadow_verdict_add(&v, "/a", "value",
			   (struct span){ long_text, 999 },
			   (struct span){ long_text, 999 });
	ck_assert_uint_eq(strlen(v.at[0].legacy), 255);
	ck_assert(json_is_utf8(span_of(v.at[0].legacy)));
}
END_TEST

START_TEST(a_verdict_stays_small)
{
	struct shadow_verdict v = { 0 };
	struct buf text = { 0 };
	static char big[100000];

	memset(big, 'x', sizeof(big) - 1);
	for (int i = 0; i < 1000; i++)
		shadow_verdict_add(&v, big, "value", span_of(big),
				   span_of(big));
	write_text(&v, &text);
	ck_assert_uint_eq(v.count, SHADOW_DIFFERENCES_MAX);
	ck_assert_uint_eq(v.total, 1000);
	ck_assert_uint_lt(text.len, 20 * 1024);
	buf_fini(&text);
}
END_TEST

static const char *const no_verdicts[] = {
	"", "{}", "[]", "7", "{\"verdict\":\"maybe\"}",
};

START_TEST(refuses_what_is_no_verdict)
{
	struct shadow_verdict v;

	ck_assert_int_eq(shadow_verdict_read(span_of(no_verdicts[_i]), &v),
			 -1);
}
END_TEST

TCase *
case_verdict(void)
{
	TCase *t = tcase_create("verdict");

	tcase_add_test(t, round_trip);
	tcase_add_test(t, exact_form);
	tcase_add_test(t, values_are_cut_between_characters);
	tcase_add_test(t, a_verdict_stays_small);
	tcase_add_loop_test(t, refuses_what_is_no_verdict, 0,
			    ARRAY_SIZE(no_verdicts));
	return t;
}
