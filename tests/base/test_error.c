/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/error.c. */
#include "tests/base/suites.h"

#include <string.h>

#include "base/error.h"

START_TEST(first_error_wins)
{
	struct error err = {0};

	ck_assert_int_eq(error_at(&err, 3, 7, "bad %s", "word"), -1);
	ck_assert_int_eq(error_set(&err, "later"), -1);
	ck_assert_str_eq(err.text, "bad word");
	ck_assert_int_eq(err.line, 3);
	ck_assert_int_eq(err.column, 7);
}
END_TEST

START_TEST(no_memory_is_known_apart)
{
	struct error err = {0}, bad = {0};

	ck_assert_int_eq(error_no_memory(&err, "for a %s", "body"), -1);
	error_context(&err, "event 7");
	ck_assert_int_eq(err.no_memory, 1);
	ck_assert_str_eq(err.text, "event 7: for a body");
	error_set(&bad, "not JSON");
	error_no_memory(&bad, "later");
	ck_assert_int_eq(bad.no_memory, 0);
	ck_assert_str_eq(bad.text, "not JSON");
}
END_TEST

START_TEST(accepts_null)
{
	char out[16];

	ck_assert_int_eq(error_no_memory(NULL, "x"), -1);

	ck_assert_int_eq(error_set(NULL, "x"), -1);
	ck_assert_int_eq(error_at(NULL, 1, 1, "x"), -1);
	ck_assert_int_eq(error_context(NULL, "x"), -1);
	ck_assert_str_eq(error_format(NULL, "f", out, sizeof(out)), "");
}
END_TEST

START_TEST(context_goes_before)
{
	struct error err = {0};

	error_context(&err, "unset");
	ck_assert_int_eq(err.set, 0);
	error_set(&err, "no such file");
	error_context(&err, "reading %s", "a.json");
	error_context(&err, "reload");
	ck_assert_str_eq(err.text, "reload: reading a.json: no such file");
}
END_TEST

START_TEST(long_texts_are_cut)
{
	struct error err = {0};

	error_set(&err, "%2000s", "x");
	ck_assert_uint_eq(strlen(err.text), ERROR_TEXT_MAX - 1);
	error_context(&err, "%600s", "y");
	ck_assert_uint_eq(strlen(err.text), ERROR_TEXT_MAX - 1);
}
END_TEST

START_TEST(formats)
{
	struct error at = { 1, 2, 3, 0, "t" },
		     line = { 1, 2, 0, 0, "t" };
	struct error plain = { 1, 0, 0, 0, "t" };
	char out[64];

	ck_assert_str_eq(error_format(&at, "f", out, 64), "f:2:3: t");
	ck_assert_str_eq(error_format(&at, NULL, out, 64), "2:3: t");
	ck_assert_str_eq(error_format(&line, "f", out, 64), "f:2: t");
	ck_assert_str_eq(error_format(&plain, "f", out, 64), "f: t");
	ck_assert_str_eq(error_format(&plain, NULL, out, 64), "t");
	ck_assert_str_eq(error_format(&at, "f", out, 4), "f:2");
}
END_TEST

TCase *
error_tests(void)
{
	TCase *tc = tcase_create("error");

	tcase_add_test(tc, first_error_wins);
	tcase_add_test(tc, no_memory_is_known_apart);
	tcase_add_test(tc, accepts_null);
	tcase_add_test(tc, context_goes_before);
	tcase_add_test(tc, long_texts_are_cut);
	tcase_add_test(tc, formats);
	return tc;
}
