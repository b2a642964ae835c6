/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/redact.c. In the tables, <x> stands for the digest of x. */
#include "tests/base/suites.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/redact.h"

static const struct digest_key key = { { 1, 2, 3 } };
static const char *const headers[] = { "X-Api-Key" };
static const char *const query[] = { "token", "pass word" };
static const struct redact redact = {
	.headers = headers, .header_count = 1, .query = query, .query_count = 2,
};

/* Replaces each <x> of a table's row by what must stand there. */
static const char *
expand(const char *row, struct buf *out)
{
	char text[REDACT_TEXT_SIZE];

	buf_clear(out);
	while (*row) {
		const char *close = *row == '<' ? strchr(row, '>') : NULL;

		if (!close) {
			buf_addc(out, *row++);
			continue;
		}
		buf_adds(out, redact_text(&key, (struct span){ row + 1,
					  (size_t)(close - row - 1) }, text));
		row = close + 1;
	}
	return buf_str(out);
}

START_TEST(knows_secret_headers)
{
	static const char *const secret[] = {
		"authorization", "Proxy-Authorization", "COOKIE", "Set-Cookie",
		"x-api-key",
	};

	for (size_t i = 0; i < ARRAY_SIZE(secret); i++)
		ck_assert(redact_header_is_secret(&redact, span_of(secret[i])));
	ck_assert(!redact_header_is_secret(&redact, SPAN_LITERAL("host")));
	ck_assert(!redact_header_is_secret(&redact, SPAN_LITERAL("")));
	ck_assert(redact_header_is_secret(NULL, SPAN_LITERAL("cookie")));
	ck_assert(!redact_header_is_secret(NULL, SPAN_LITERAL("x-api-key")));
}
END_TEST

START_TEST(knows_secret_parameters)
{
	static const char *const secret[] = {
		"token", "%74oken", "tok%65%6e", "pass word", "pass+word",
		"pass%20word",
	};
	static const char *const open[] = {
		"Token", "toke", "tokens", "", "%", "token%", "%zzoken",
	};

	for (size_t i = 0; i < ARRAY_SIZE(secret); i++)
		ck_assert(redact_query_is_secret(&redact, span_of(secret[i])));
	for (size_t i = 0; i < ARRAY_SIZE(open); i++)
		ck_assert(!redact_query_is_secret(&redact, span_of(open[i])));
}
END_TEST

START_TEST(equal_secrets_stay_equal)
{
	char a[REDACT_TEXT_SIZE], b[REDACT_TEXT_SIZE];

	redact_text(&key, SPAN_LITERAL("s3cret"), a);
	ck_assert_uint_eq(strlen(a), 25);
	ck_assert_int_eq(strncmp(a, "redacted:", 9), 0);
	ck_assert_uint_eq(strspn(a + 9, "0123456789abcdef"), 16);
	ck_assert_str_eq(redact_text(&key, SPAN_LITERAL("s3cret"), b), a);
	ck_assert_str_ne(redact_text(&key, SPAN_LITERAL("s3creT"), b), a);
}
END_TEST

START_TEST(targets)
{
	static const char *const table[][2] = {
		{ "/a", "/a" },
		{ "/a?", "/a?" },
		{ "/a?x=1", "/a?x=1" },
		{ "/a?token=abc", "/a?token=<abc>" },
		{ "/a?x=1&token=abc&y=2", "/a?x=1&token=<abc>&y=2" },
		{ "/a?token=a&token=b", "/a?token=<a>&token=<b>" },
		{ "/a?%74oken=abc", "/a?%74oken=<abc>" },
		{ "/a?token=a=b?c/d", "/a?token=<a=b?c/d>" },
		{ "/a?token", "/a?token" },
		{ "/a?token&x", "/a?token&x" },
		{ "/a?token=&x", "/a?token=&x" },
		/* a server may split at ';', another may not */
		{ "/a?x=1;token=abc", "/a?x=1;token=<abc>" },
		{ "/a?token=abc;def&x=1", "/a?token=<abc;def>&x=1" },
		{ "/a?&&token=z&", "/a?&&token=<z>&" },
		{ "/token=abc", "/token=abc" },
		{ "http://h/a?token=z", "http://h/a?token=<z>" },
		{ "http://u:p@h:80/a@b", "http://<u:p>@h:80/a@b" },
		{ "http://u@x@h", "http://<u@x>@h" },
		{ "/a://u:p@h", "/a://u:p@h" },
		{ "*", "*" },
		{ "", "" },
	};
	struct buf got = {0}, want = {0};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		buf_clear(&got);
		redact_target(&redact, &key, span_of(table[i][0]), &got);
		ck_assert_str_eq(buf_str(&got), expand(table[i][1], &want));
	}
	buf_fini(&got);
	buf_fini(&want);
}
END_TEST

START_TEST(cookies)
{
	static const char *const table[][2] = {
		{ "", "" },
		{ "a=1", "a=<1>" },
		{ "a=1; b=\"2\"; c=x=y", "a=<1>; b=<\"2\">; c=<x=y>" },
		{ "a=1;b=2;", "a=<1>;b=<2>;" },
		{ "lone", "<lone>" },
		{ "a=; b=1", "a=; b=<1>" },
		{ ";;", ";;" },
	};
	struct buf got = {0}, want = {0};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		buf_clear(&got);
		redact_cookies(&key, span_of(table[i][0]), &got);
		ck_assert_str_eq(buf_str(&got), expand(table[i][1], &want));
	}
	buf_fini(&got);
	buf_fini(&want);
}
END_TEST

START_TEST(set_cookies_keep_attributes)
{
	static const char *const table[][2] = {
		{ "", "" },
		{ "sid=abc", "sid=<abc>" },
		{ "sid=abc; Path=/; HttpOnly; Max-Age=5",
		  "sid=<abc>; Path=/; HttpOnly; Max-Age=5" },
		{ "sid=a=b;Expires=Thu, 01 Jan 1970 00:00:00 GMT",
		  "sid=<a=b>;Expires=Thu, 01 Jan 1970 00:00:00 GMT" },
		{ "lone; Secure", "<lone>; Secure" },
		{ "sid=; Path=/", "sid=; Path=/" },
	};
	struct buf got = {0}, want = {0};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		buf_clear(&got);
		redact_set_cookie(&key, span_of(table[i][0]), &got);
		ck_assert_str_eq(buf_str(&got), expand(table[i][1], &want));
	}
	buf_fini(&got);
	buf_fini(&want);
}
END_TEST

TCase *
redact_tests(void)
{
	TCase *tc = tcase_create("redact");

	tcase_add_test(tc, knows_secret_headers);
	tcase_add_test(tc, knows_secret_parameters);
	tcase_add_test(tc, equal_secrets_stay_equal);
	tcase_add_test(tc, targets);
	tcase_add_test(tc, cookies);
	tcase_add_test(tc, set_cookies_keep_attributes);
	return tc;
}
