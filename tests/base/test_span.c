/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/span.c. */
#include "tests/base/suites.h"

#include "base/attr.h"
#include "base/span.h"

START_TEST(compares)
{
	struct span none = { NULL, 0 };

	ck_assert(span_is(SPAN_LITERAL("abc"), "abc"));
	ck_assert(!span_is(SPAN_LITERAL("abc"), "ABC"));
	ck_assert(!span_is(SPAN_LITERAL("abc"), "ab"));
	ck_assert(span_is_nocase(SPAN_LITERAL("aBc"), "AbC"));
	ck_assert(!span_is_nocase(SPAN_LITERAL("abc"), "abcd"));
	ck_assert(span_is(none, ""));
	ck_assert(span_equal(none, span_of(NULL)));
	ck_assert(span_equal_nocase(none, none));
}
END_TEST

START_TEST(trims)
{
	static const char *const table[][2] = {
		{ "", "" },	   { " \t ", "" },	{ "a", "a" },
		{ " a b\t", "a b" }, { "\na ", "\na" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		ck_assert(span_is(span_trim(span_of(table[i][0])),
				  table[i][1]));
	ck_assert_uint_eq(span_trim((struct span){ NULL, 0 }).len, 0);
}
END_TEST

START_TEST(cuts_lists)
{
	static const struct {
		const char *list, *tokens[4];
	} table[] = {
		{ "", { NULL } },
		{ " , ,, ", { NULL } },
		{ "close", { "close" } },
		{ "a,b", { "a", "b" } },
		{ ", keep-alive ,\tUpgrade,", { "keep-alive", "Upgrade" } },
		/* a stray quote hides nothing */
		{ "\"x, close", { "\"x", "close" } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct span list = span_of(table[i].list), token;

		for (size_t k = 0; table[i].tokens[k]; k++) {
			ck_assert(span_next_token(&list, &token));
			ck_assert(span_is(token, table[i].tokens[k]));
		}
		ck_assert(!span_next_token(&list, &token));
	}
}
END_TEST

TCase *
span_tests(void)
{
	TCase *tc = tcase_create("span");

	tcase_add_test(tc, compares);
	tcase_add_test(tc, trims);
	tcase_add_test(tc, cuts_lists);
	return tc;
}
