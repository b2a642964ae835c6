/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/json.c. */
#include "tests/base/suites.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/json.h"

#define BAD "\xef\xbf\xbd"

static struct buf out;

static struct json *
fresh(void)
{
	static struct json j;

	buf_clear(&out);
	json_init(&j, &out);
	return &j;
}

static const char *
quoted(const char *s, size_t n)
{
	json_span(fresh(), (struct span){ s, n });
	return buf_str(&out);
}

#define CASE(in, expected, utf8) { in, sizeof(in) - 1, expected, utf8 }

/* input, written form, is it kept exactly? */
static const struct {
	const char *in;
	size_t len;
	const char *expected;
	bool utf8;
} strings[] = {
	CASE("", "\"\"", true),
	CASE("plain", "\"plain\"", true),
	CASE("say \"hi\" \\ /", "\"say \\\"hi\\\" \\\\ /\"", true),
	CASE("\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"", true),
	CASE("\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\"", true),
	CASE("\x7f", "\"\\u007f\"", true),
	CASE("\x1f", "\"\\u001f\"", true),
	CASE("\"", "\"\\\"\"", true),
	CASE("\\", "\"\\\\\"", true),
	CASE("a\0b", "\"a\\u0000b\"", false),
	/* C1 controls, and the first character after them */
	CASE("\xc2\x80\xc2\x9b\xc2\xa0", "\"\\u0080\\u009b\xc2\xa0\"", true),
	/* writing direction: hides what an operator reads */
	CASE("\xe2\x80\xae\xe2\x81\xa6\xd8\x9c\xe2\x80\xa8",
	     "\"\\u202e\\u2066\\u061c\\u2028\"", true),
	CASE("\xe2\x80\xaf\xe2\x80\x8d", "\"\xe2\x80\xaf\xe2\x80\x8d\"",
	     true),
	/* shortest and longest of each length */
	CASE("\xdf\xbf", "\"\xdf\xbf\"", true),
	CASE("\xe0\xa0\x80", "\"\xe0\xa0\x80\"", true),
	CASE("\xed\x9f\xbf", "\"\xed\x9f\xbf\"", true),
	CASE("\xee\x80\x80", "\"\xee\x80\x80\"", true),
	CASE("\xef\xbf\xbf", "\"\xef\xbf\xbf\"", true),
	CASE("\xf0\x90\x80\x80", "\"\xf0\x90\x80\x80\"", true),
	CASE("\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\"", true),
	/* overlong forms */
	CASE("\xc0\xaf", "\"" BAD BAD "\"", false),
	CASE("\xc1\xbf", "\"" BAD BAD "\"", false),
	CASE("\xe0\x80\xaf", "\"" BAD BAD BAD "\"", false),
	CASE("\xe0\x9f\xbf", "\"" BAD BAD BAD "\"", false),
	CASE("\xf0\x80\x80\xaf", "\"" BAD BAD BAD BAD "\"", false),
	CASE("\xf0\x8f\xbf\xbf", "\"" BAD BAD BAD BAD "\"", false),
	/* surrogates, above U+10FFFF, never-bytes */
	CASE("\xed\xa0\x80", "\"" BAD BAD BAD "\"", false),
	CASE("\xed\xbf\xbf", "\"" BAD BAD BAD "\"", false),
	CASE("\xf4\x90\x80\x80", "\"" BAD BAD BAD BAD "\"", false),
	CASE("\xf5\x80\x80\x80", "\"" BAD BAD BAD BAD "\"", false),
	CASE("\xfe\xff", "\"" BAD BAD "\"", false),
	/* tails alone, heads alone, cut at the end, cut by ASCII */
	CASE("\x80", "\"" BAD "\"", false),
	CASE("\xc3", "\"" BAD "\"", false),
	CASE("x\xe2\x82", "\"x" BAD BAD "\"", false),
	CASE("\xf0\x9f\x98", "\"" BAD BAD BAD "\"", false),
	CASE("\xc3(", "\"" BAD "(\"", false),
	CASE("\xe2\x82\"", "\"" BAD BAD "\\\"\"", false),
};

/* As a member between two others: kept as it is, or no trace of it. */
static void
check_member(struct span s, bool exact)
{
	struct buf text = { 0 }, expected = { 0 };
	struct json js;

	buf_adds(&expected, "{\"a\":1");
	if (exact)
		buf_printf(&expected, ",\"t\":%s", quoted(s.at, s.len));
	buf_adds(&expected, ",\"b\":2}");
	json_init(&js, &text);
	json_object_begin(&js);
	json_key(&js, "a");
	json_u64(&js, 1);
	ck_assert_int_eq(json_text_member(&js, "t", s), exact);
	json_key(&js, "b");
	json_u64(&js, 2);
	json_object_end(&js);
	ck_assert_str_eq(buf_str(&text), buf_str(&expected));
	buf_fini(&text);
	buf_fini(&expected);
}

START_TEST(writes_strings)
{
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		struct span s = { strings[i].in, strings[i].len };

		ck_assert_str_eq(quoted(s.at, s.len), strings[i].expected);
		ck_assert_msg(json_is_utf8(s) == strings[i].utf8, "row %zu", i);
		check_member(s, strings[i].utf8);
	}
}
END_TEST

/* The same rows at every place of a long text, so that each one meets every
 * position in a word, in a stride and at the border of a piece. */
START_TEST(writes_strings_anywhere)
{
	char text[1200], expected[1300];

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		size_t n = strings[i].len;
		size_t en = strlen(strings[i].expected) - 2;

		for (size_t at = 0; at < 1100; at += at == 72 ? 920 : 1) {
			size_t total = at + n + (i * 7 + at) % 50;

			memset(text, 'x', sizeof(text));
			memcpy(text + at, strings[i].in, n);
			expected[0] = '"';
			memset(expected + 1, 'x', sizeof(expected) - 1);
			memcpy(expected + 1 + at, strings[i].expected + 1, en);
			memcpy(expected + 1 + total - n + en, "\"", 2);
			ck_assert_str_eq(quoted(text, total), expected);
			ck_assert(json_is_utf8((struct span){ text, total }) ==
				  strings[i].utf8);
			check_member((struct span){ text, total },
				     strings[i].utf8);
		}
	}
}
END_TEST

static size_t
encode(unsigned c, char *to)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	to[0] = (char)(0xe0 | c >> 12);
	to[1] = (char)(0x80 | (c >> 6 & 0x3f));
	to[2] = (char)(0x80 | (c & 0x3f));
	return 3;
}

/* Reads back what json_span wrote of valid text; -1 when it is not JSON. */
static long
unquote(const char *s, char *to)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	char *start = to;

	if (*s++ != '"')
		return -1;
	for (; *s != '"'; s++) {
		unsigned c;

		if ((unsigned char)*s < 0x20)
			return -1;
		if (*s != '\\') {
			*to++ = *s;
			continue;
		}
		s++;
		if (*s != 'u') {
			const char *name = strchr(names, *s);

			if (!*s || !name)
				return -1;
			*to++ = values[name - names];
			continue;
		}
		if (sscanf(s + 1, "%4x", &c) != 1)
			return -1;
		to += encode(c, to);
		s += 4;
	}
	return s[1] ? -1 : to - start;
}

static size_t
random_character(char *to)
{
	static const char *const some[] = {
		"a", "\"", "\\", "\n", "\x1b", "\x7f", "\xc2\x85", "\xc3\xa9",
		"\xe2\x82\xac", "\xed\x9f\xbf", "\xe2\x80\xae",
		"\xf0\x9f\x98\x80", " ", "{",
		"plain words of some length that fill more than a stride",
	};
	const char *c = some[(size_t)rand() % ARRAY_SIZE(some)];

	memcpy(to, c, strlen(c));
	return strlen(c);
}

START_TEST(strings_round_trip)
{
	char text[4200], back[4200];

	srand(7);
	for (int i = 0; i < 2000; i++) {
		size_t n = 0, most = (size_t)rand() % 4000;

		while (n < most)
			n += random_character(text + n);
		ck_assert_int_eq(unquote(quoted(text, n), back), (long)n);
		ck_assert_mem_eq(text, back, n);
		ck_assert(json_is_utf8((struct span){ text, n }));
	}
}
END_TEST

/* Whatever the bytes: the output is valid UTF-8 without control bytes. */
START_TEST(any_bytes_become_text)
{
	char text[600];

	srand(8);
	for (int i = 0; i < 5000; i++) {
		size_t n = (size_t)rand() % sizeof(text), controls = 0;

		for (size_t k = 0; k < n; k++)
			text[k] = (char)(rand() % 3 ? rand() % 256
						    : 0x80 + rand() % 80);
		quoted(text, n);
		ck_assert(!out.failed);
		ck_assert(json_is_utf8(buf_span(&out)));
		for (size_t k = 0; k < out.len; k++)
			controls += (unsigned char)out.data[k] < 0x20;
		ck_assert_uint_eq(controls, 0);
	}
}
END_TEST

START_TEST(writes_structure)
{
	struct json *j = fresh();

	json_object_begin(j);
	json_key(j, "a");
	json_array_begin(j);
	json_array_end(j);
	json_key_span(j, SPAN_LITERAL("b\"\n"));
	json_object_begin(j);
	json_object_end(j);
	json_key_span_lower(j, SPAN_LITERAL("X-Odd\x1f\xc3\x89Z"));
	json_array_begin(j);
	json_u64(j, 1);
	json_array_begin(j);
	json_str(j, NULL);
	json_str(j, "s");
	json_array_end(j);
	json_bool(j, true);
	json_bool(j, false);
	json_raw(j, SPAN_LITERAL("{\"raw\":1}"));
	json_none(j);
	json_array_end(j);
	json_object_end(j);
	ck_assert_str_eq(buf_str(&out),
		"{\"a\":[],\"b\\\"\\n\":{},\"x-odd\\u001f\xc3\x89z\":"
		"[1,[null,\"s\"],true,false,{\"raw\":1},null]}");
}
END_TEST

START_TEST(writes_integers)
{
	struct json *j = fresh();

	json_array_begin(j);
	json_u64(j, 0);
	json_u64(j, UINT64_MAX);
	json_i64(j, INT64_MIN);
	json_i64(j, INT64_MAX);
	json_i64(j, -7);
	json_array_end(j);
	ck_assert_str_eq(buf_str(&out),
		"[0,18446744073709551615,-9223372036854775808,"
		"9223372036854775807,-7]");
}
END_TEST

START_TEST(writes_doubles)
{
	static const double kept[] = { 0.1, 1.0 / 3, DBL_MAX, DBL_MIN, -2.5,
				       1e21, 123456789.123456789, 5e-324 };
	struct json *j = fresh();

	json_array_begin(j);
	json_double(j, 0.1);
	json_double(j, -3);
	json_double(j, NAN);
	json_double(j, INFINITY);
	json_double(j, -INFINITY);
	json_array_end(j);
	ck_assert_str_eq(buf_str(&out), "[0.1,-3,null,null,null]");
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		json_double(fresh(), kept[i]);
		ck_assert(!(strtod(buf_str(&out), NULL) < kept[i]) &&
			  !(strtod(buf_str(&out), NULL) > kept[i]));
	}
}
END_TEST

/* RFC 4648 section 10 */
START_TEST(writes_base64)
{
	static const char *const table[][2] = {
		{ "", "\"\"" },		{ "f", "\"Zg==\"" },
		{ "fo", "\"Zm8=\"" },	{ "foo", "\"Zm9v\"" },
		{ "foob", "\"Zm9vYg==\"" }, { "fooba", "\"Zm9vYmE=\"" },
		{ "foobar", "\"Zm9vYmFy\"" },
		{ "\xff\xef\xbe\xfb", "\"/+++" "+w==\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		json_base64(fresh(), span_of(table[i][0]));
		ck_assert_str_eq(buf_str(&out), table[i][1]);
	}
	json_base64(fresh(), (struct span){ "\0\0\0\0", 4 });
	ck_assert_str_eq(buf_str(&out), "\"AAAAAA==\"");
}
END_TEST

/* Room that is reserved for the worst case must not count. */
START_TEST(limits_are_exact)
{
	struct buf b = { .limit_bytes = 100 };
	struct json j;
	char text[99];

	memset(text, 'x', sizeof(text));
	json_init(&j, &b);
	json_span(&j, (struct span){ text, 98 });
	ck_assert(!b.failed);
	ck_assert_uint_eq(b.len, 100);
	buf_clear(&b);
	json_init(&j, &b);
	json_span(&j, (struct span){ text, 99 });
	ck_assert(b.failed);
	ck_assert_uint_le(b.len, 100);
	json_key_span_lower(&j, SPAN_LITERAL("ABC"));
	json_base64(&j, SPAN_LITERAL("ABC"));
	ck_assert_uint_le(b.len, 100);
	buf_fini(&b);
}
END_TEST

START_TEST(depth_is_an_invariant)
{
	struct json *j = fresh();

	for (int i = 0; i < 32; i++)
		json_array_begin(j);
}
END_TEST

static void
drop_out(void)
{
	buf_fini(&out);
}

TCase *
json_tests(void)
{
	TCase *tc = tcase_create("json");

	tcase_add_checked_fixture(tc, NULL, drop_out);
	tcase_add_test(tc, writes_strings);
	tcase_add_test(tc, writes_strings_anywhere);
	tcase_add_test(tc, strings_round_trip);
	tcase_add_test(tc, any_bytes_become_text);
	tcase_add_test(tc, writes_structure);
	tcase_add_test(tc, writes_integers);
	tcase_add_test(tc, writes_doubles);
	tcase_add_test(tc, writes_base64);
	tcase_add_test(tc, limits_are_exact);
	tcase_add_test_raise_signal(tc, depth_is_an_invariant, 6);
	tcase_set_timeout(tc, 60);
	return tc;
}
