/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns: what they rewrite, what is refused, and what they may cost. */
#include "base/pattern.h"

#include <check.h>
#include <string.h>

#include "tests/base/suites.h"

static const struct {
	const char *pattern, *with, *in, *out;
} table[] = {
	{ "[0-9]+", "N", "a1b22c", "aNbNc" },
	{ "https?://[^/]+", "", "see http://a/x https://b/y", "see /x /y" },
	{ "(\\w+)-(\\w+)", "$2 $$1 $1", "a-b", "b $1 a" },
	{ "(a)|(b)", "<$1$2>", "ab", "<a><b>" },
	{ "^x", "y", "xx\nxx\n", "yx\nyx\n" },
	{ "x$", "y", "xx\nxx", "xy\nxy" },
	{ "", "-", "a\xc3\xa9", "-a-\xc3\xa9-" },
	{ "b*", "-", "abba", "-a--a-" },
	{ "\xc3\xa9", "e", "caf\xc3\xa9", "cafe" },
	{ "a.c", "", "a\nc", "a\nc" },
	{ "z", "b", "", "" },
	{ "(?<=a)b", "c", "abab", "acac" },
};

START_TEST(rewrites)
{
	struct error err = { 0 };
	struct pattern *p = pattern_compile(table[_i].pattern, table[_i].with,
					    &err);
	struct buf out = { 0 };
	size_t steps = 100000;

	ck_assert_msg(p != NULL, "%s: %s", table[_i].pattern, err.text);
	ck_assert(pattern_rewrite(p, span_of(table[_i].in), &steps, &out));
	ck_assert_msg(strcmp(buf_str(&out), table[_i].out) == 0,
		      "%s: got \"%s\"", table[_i].pattern, buf_str(&out));
	buf_fini(&out);
	pattern_free(&p);
}
END_TEST

static const struct {
	const char *pattern, *with, *words;
} wrong[] = {
	{ "a(b", "", "character 3" },
	{ "[z-a]", "", "no pattern" },
	{ "\\C", "", "no pattern" },
	{ "a", "$", "write \"$$\"" },
	{ "a", "$0", "write \"$$\"" },
	{ "(a)", "$2", "has 1 groups" },
	{ "(1)(2)(3)(4)(5)(6)(7)(8)(9)(0)", "", "more than 9" },
};

START_TEST(refuses)
{
	struct error err = { 0 };
	struct pattern *p = pattern_compile(wrong[_i].pattern, wrong[_i].with,
					    &err);

	ck_assert_ptr_null(p);
	ck_assert_msg(strstr(err.text, wrong[_i].words) != NULL, "%s",
		      err.text);
	ck_assert_ptr_null(pattern_compile(wrong[_i].pattern, wrong[_i].with,
					   NULL));
}
END_TEST

/* What makes backtracking explode, and what makes each start run far. */
static const char *const costly[] = {
	"(a+)+[bx]", "(a|aa)+[bx]", "(.*)*[bx]", "a*[bx]",
	"(?:a?){50}[bx]", "(a*)*\\1[bx]", "^(a+a+)+$", "(?=(a+))a*[bx]\\1",
};

START_TEST(none_costs_more_than_its_steps)
{
	struct pattern *p = pattern_compile(costly[_i], "", NULL);
	static char text[200000];
	struct buf out = { 0 };
	size_t steps = 1000000;

	ck_assert_ptr_nonnull(p);
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 'c';
	ck_assert(!pattern_rewrite(p, (struct span){ text, sizeof(text) },
				   &steps, &out));
	buf_fini(&out);
	pattern_free(&p);
}
END_TEST

START_TEST(bytes_that_are_no_text_are_left_alone)
{
	struct pattern *p = pattern_compile("a", "b", NULL);
	struct buf out = { 0 };
	size_t steps = 1000;

	ck_assert(!pattern_rewrite(p, SPAN_LITERAL("a\xff"), &steps, &out));
	buf_fini(&out);
	pattern_free(&p);
}
END_TEST

TCase *
pattern_tests(void)
{
	TCase *t = tcase_create("pattern");

	tcase_add_loop_test(t, rewrites, 0, ARRAY_SIZE(table));
	tcase_add_loop_test(t, refuses, 0, ARRAY_SIZE(wrong));
	tcase_add_test(t, bytes_that_are_no_text_are_left_alone);
	tcase_add_loop_test(t, none_costs_more_than_its_steps, 0,
			    ARRAY_SIZE(costly));
	return t;
}
