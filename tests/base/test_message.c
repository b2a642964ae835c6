/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/message.c. */
#include "tests/base/suites.h"

#include <string.h>

#include "base/attr.h"
#include "base/message.h"

#define FIELD(n, v) { SPAN_LITERAL(n), SPAN_LITERAL(v) }

static const struct message_field list[] = {
	FIELD("Host", "shop.example"),
	FIELD("X-Empty", ""),
	FIELD("Cookie", "session=abc; theme=\"dark\";lone; a=b=c"),
	FIELD("host", "second"),
	FIELD("cookie", " late = 1 ;session=second; empty="),
};
static const struct message_fields fields = { list, ARRAY_SIZE(list) };

START_TEST(finds_fields)
{
	ck_assert_ptr_eq(message_find(fields, "HOST"), &list[0]);
	ck_assert_ptr_eq(message_find(fields, "x-empty"), &list[1]);
	ck_assert_ptr_eq(message_find_span(fields, SPAN_LITERAL("hOST")),
			 &list[0]);
	ck_assert_ptr_null(message_find_span(fields, SPAN_LITERAL("hos")));
	ck_assert_ptr_null(message_find(fields, "hos"));
	ck_assert_ptr_null(message_find(fields, "hostt"));
	ck_assert_ptr_null(message_find((struct message_fields){ NULL, 0 },
					"host"));
}
END_TEST

/* name, value; no value: absent */
START_TEST(finds_cookies)
{
	static const char *const table[][2] = {
		{ "session", "abc" },	{ "theme", "\"dark\"" },
		{ "a", "b=c" },		{ "late", "1" },
		{ "empty", "" },	{ "Session", NULL },
		{ "sess", NULL },	{ "lone", NULL },
		{ "b", NULL },		{ "", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct span value;
		bool found = message_cookie(fields, span_of(table[i][0]),
					    &value);

		ck_assert_msg(found == !!table[i][1], "%s", table[i][0]);
		if (found)
			ck_assert(span_is(value, table[i][1]));
	}
}
END_TEST

START_TEST(finds_query_parameters)
{
	static const char *const table[][3] = {
		{ "a=1&b=2", "a", "1" },    { "a=1&b=2", "b", "2" },
		{ "a=1&a=2", "a", "1" },    { "aa=1&a=2", "a", "2" },
		{ "a=b=c", "a", "b=c" },    { "a", "a", "" },
		{ "a=", "a", "" },	    { "a=%20x", "a", "%20x" },
		{ "%61=1", "a", NULL },	    { "A=1", "a", NULL },
		{ "", "a", NULL },	    { "&&a=1&", "a", "1" },
		{ "b=a", "a", NULL },	    { "&", "", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct span value;
		bool found = message_query_param(span_of(table[i][0]),
						 span_of(table[i][1]), &value);

		ck_assert_msg(found == !!table[i][2], "%s", table[i][0]);
		if (found)
			ck_assert(span_is(value, table[i][2]));
	}
	ck_assert(!message_query_param((struct span){ NULL, 0 },
				       SPAN_LITERAL("a"), &(struct span){ 0 }));
}
END_TEST

/* path, normal form; no form: refused */
static const char *const paths[][2] = {
	{ "/", "/" },
	{ "*", "*" },
	{ "/a/b", "/a/b" },
	{ "/a/b/", "/a/b/" },
	/* RFC 3986 5.2.4 and 6.2.2.3 */
	{ "/a/b/c/./../../g", "/a/g" },
	{ "/./a", "/a" },
	{ "/a/.", "/a/" },
	{ "/a/./", "/a/" },
	{ "/a/..", "/" },
	{ "/a/../", "/" },
	{ "/a/b/..", "/a/" },
	{ "/..", "/" },
	{ "/../../a", "/a" },
	{ "/../a/../..", "/" },
	{ "/a/...", "/a/..." },
	{ "/a/..b/.c", "/a/..b/.c" },
	/* empty segments */
	{ "//", "/" },
	{ "//a", "/a" },
	{ "/a//b///c", "/a/b/c" },
	{ "/a//", "/a/" },
	{ "/a//../b", "/b" },
	{ "/a/.//..//b", "/b" },
	/* escapes: 6.2.2.1 and 6.2.2.2 */
	{ "/%61%5a%30%2D%2e%5f%7E", "/aZ0-._~" },
	{ "/%2f", "/%2F" },
	{ "/a%2fb", "/a%2Fb" },
	{ "/a%2f..%2fb", "/a%2F..%2Fb" },
	{ "/caf%c3%a9", "/caf%C3%A9" },
	{ "/%3f%23%25", "/%3F%23%25" },
	{ "/%252e%252e/x", "/%252e%252e/x" },
	{ "/%00", "/%00" },
	/* dots that hide in escapes are dots */
	{ "/a/%2e%2e/b", "/b" },
	{ "/a/%2E./b", "/b" },
	{ "/a/.%2e", "/" },
	{ "/a/%2e/b", "/a/b" },
	/* not a path */
	{ "", NULL },
	{ "a", NULL },
	{ "a/b", NULL },
	{ "**", NULL },
	{ "*/", NULL },
	{ "%2fa", NULL },
	{ "/%", NULL },
	{ "/%4", NULL },
	{ "/%4g", NULL },
	{ "/%g4", NULL },
	{ "/%%41", NULL },
	{ "/a/%2", NULL },
};

START_TEST(normalises_paths)
{
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const char *want = paths[i][1];
		size_t len = strlen(paths[i][0]);
		char out[64];
		long n = message_normal_path(span_of(paths[i][0]), out,
					     len ? len : 1);

		ck_assert_msg(n == (want ? (long)strlen(want) : -1),
			      "%s: %ld", paths[i][0], n);
		if (want)
			ck_assert_msg(memcmp(out, want, strlen(want)) == 0,
				      "%s: %.*s", paths[i][0], (int)n, out);
	}
}
END_TEST

/* A normal form is its own normal form: nobody gets a second reading. */
START_TEST(normal_form_is_stable)
{
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		char out[64];

		if (!paths[i][1] || strstr(paths[i][1], "%252e"))
			continue;
		ck_assert_int_eq(message_normal_path(span_of(paths[i][1]), out,
						     sizeof(out)),
				 (long)strlen(paths[i][1]));
		ck_assert_mem_eq(out, paths[i][1], strlen(paths[i][1]));
	}
}
END_TEST

START_TEST(small_room_is_refused)
{
	char out[8];

	ck_assert_int_eq(message_normal_path(SPAN_LITERAL("/abc"), out, 4), 4);
	ck_assert_int_eq(message_normal_path(SPAN_LITERAL("/abc"), out, 3), -1);
	ck_assert_int_eq(message_normal_path(SPAN_LITERAL("/ab/"), out, 3), -1);
	ck_assert_int_eq(message_normal_path(SPAN_LITERAL("/%2f"), out, 3), -1);
	ck_assert_int_eq(message_normal_path(SPAN_LITERAL("/"), out, 0), -1);
	ck_assert_int_eq(message_normal_path((struct span){ NULL, 0 }, out, 8),
			 -1);
}
END_TEST

TCase *
message_tests(void)
{
	TCase *tc = tcase_create("message");

	tcase_add_test(tc, finds_fields);
	tcase_add_test(tc, finds_cookies);
	tcase_add_test(tc, finds_query_parameters);
	tcase_add_test(tc, normalises_paths);
	tcase_add_test(tc, normal_form_is_stable);
	tcase_add_test(tc, small_room_is_refused);
	return tc;
}
