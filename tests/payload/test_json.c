/* SPDX-License-Identifier: Apache-2.0 */
/* What is JSON and what is not; pointers; getters; writing. */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>

#include "payload/payload.h"

static const char *const taken[] = {
	"0", "-0", "1.5e-10", "\"\"", "null", "true", "false", "[]", "{}",
	" [ 1 , 2 ] ", "{\"a\":{\"b\":[1,{\"c\":null}]}}", "\"\\u20ac\"",
	"\"\\ud83d\\ude00\"", "{\"\":1}", "{\"a\":1,\"a\":2}", "1e999",
	"12345678901234567890123456789012345678901234567890",
};

static const struct span refused[] = {
#define R(s) { s, sizeof(s) - 1 }
	R(""), R(" "), R("01"), R("1."), R(".5"), R("+1"), R("-"), R("1e"),
	R("0x1"), R("NaN"), R("Infinity"), R("tru"), R("nul"), R("'a'"),
	R("\"a"), R("\"\\x\""), R("\"\\u12\""), R("\"\\u0000\""),
	R("\"\\ud83d\""), R("\"\\ude00\""), R("\"\\ud83d\\u0041\""),
	R("\"a\nb\""), R("\"a\tb\""), R("[1,]"), R("[1 2]"), R("[,1]"),
	R("{\"a\"}"), R("{\"a\":}"), R("{a:1}"), R("{\"a\":1,}"), R("[1]]"),
	R("1 2"), R("{} x"), R("[1\0]"), R("\0"), R("\"\xff\""),
	R("\"\xc0\xaf\""), R("\"\xed\xa0\x80\""), R("// c\n1"), R("["),
	R("{\"a\":1"), R("\"\\"), R("\v1"),
	R("1234567890123456789012345678901234567890123456789012345678901234"),
#undef R
};

START_TEST(takes)
{
	struct error err = { 0 };
	struct cJSON *p = payload_parse(span_of(taken[_i]), &err);

	ck_assert_msg(p != NULL, "%s: %s", taken[_i], err.text);
	payload_free(&p);
}
END_TEST

START_TEST(refuses)
{
	struct error err = { 0 };
	struct cJSON *p = payload_parse(refused[_i], &err);

	ck_assert_msg(p == NULL, "took %s", refused[_i].at);
	ck_assert(err.set && err.text[0]);
}
END_TEST

START_TEST(error_has_a_position)
{
	struct error err = { 0 };

	ck_assert_ptr_null(payload_parse(span_of("{\n \"a\": 01\n}"), &err));
	ck_assert_int_eq(err.line, 2);
	ck_assert_int_eq(err.column, 8);
}
END_TEST

static struct cJSON *
nested(unsigned depth)
{
	struct buf b = { 0 };
	struct cJSON *p;

	for (unsigned i = 0; i < depth; i++)
		buf_addc(&b, '[');
	for (unsigned i = 0; i < depth; i++)
		buf_addc(&b, ']');
	p = payload_parse(buf_span(&b), NULL);
	buf_fini(&b);
	return p;
}

START_TEST(depth_has_a_limit)
{
	struct cJSON *p = nested(1000);

	ck_assert_ptr_nonnull(p);
	payload_free(&p);
	ck_assert_ptr_null(nested(1001));
	ck_assert_ptr_null(nested(100000));
	ck_assert_int_eq(payload_check(span_of("[[1]]"), 1, NULL), -1);
	ck_assert_int_eq(payload_check(span_of("[[1]]"), 2, NULL), 0);
}
END_TEST

/* RFC 6901 section 5. */
static const struct {
	const char *pointer, *value;
} pointers[] = {
	{ "/foo/0", "\"bar\"" },  { "/", "0" },	     { "/a~1b", "1" },
	{ "/c%d", "2" },	  { "/m~0n", "8" },  { "/foo/01", NULL },
	{ "/foo/2", NULL },	  { "/foo/-", NULL }, { "foo", NULL },
	{ "/foo", "[\"bar\",\"baz\"]" }, { "/k\"l", "6" }, { "/twice", "2" },
	{ "/foo/0/x", NULL },	  { "/m~0", NULL },  { "/m~0n~0", NULL },
};

START_TEST(pointer_finds)
{
	static const char doc[] =
		"{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,"
		"\"k\\\"l\":6,\"m~n\":8,\"twice\":1,\"twice\":2}";
	struct cJSON *p = payload_parse(span_of(doc), NULL);
	const struct cJSON *at = payload_at(p, pointers[_i].pointer);
	struct buf text = { 0 };

	ck_assert_int_eq(at != NULL, pointers[_i].value != NULL);
	if (at) {
		payload_write(at, &text);
		ck_assert_str_eq(buf_str(&text), pointers[_i].value);
	}
	ck_assert_ptr_eq(payload_at(p, ""), p);
	buf_fini(&text);
	payload_free(&p);
}
END_TEST

START_TEST(getters_are_total)
{
	struct cJSON *p = payload_parse(
		span_of("{\"i\":9007199254740993,\"s\":\"x\",\"t\":true,"
			"\"h\":1e300,\"d\":2.5,\"m\":-9223372036854775808}"),
		NULL);

	ck_assert_int_eq(payload_int(payload_at(p, "/i"), 0),
			 9007199254740993);
	ck_assert(payload_int(payload_at(p, "/m"), 0) == INT64_MIN);
	ck_assert_int_eq(payload_int(payload_at(p, "/h"), 7), 7);
	ck_assert_int_eq(payload_int(payload_at(p, "/d"), 7), 2);
	ck_assert_int_eq(payload_int(payload_at(p, "/s"), 7), 7);
	ck_assert_int_eq(payload_int(NULL, 7), 7);
	ck_assert_double_eq(payload_number(payload_at(p, "/d"), 0), 2.5);
	ck_assert_str_eq(payload_string(payload_at(p, "/s"), ""), "x");
	ck_assert_str_eq(payload_string(payload_at(p, "/i"), "no"), "no");
	ck_assert(payload_bool(payload_at(p, "/t"), false));
	ck_assert(payload_bool(NULL, true));
	ck_assert_ptr_null(payload_member(payload_at(p, "/i"), "x"));
	ck_assert_ptr_null(payload_first(NULL));
	ck_assert_ptr_null(payload_next(NULL));
	ck_assert_str_eq(payload_name(payload_first(p)), "i");
	payload_free(&p);
}
END_TEST

START_TEST(writes_numbers_as_they_were)
{
	static const char text[] =
		"{\"a\":[12345678901234567890,1.50,-0,1E+2,\"\\u0001\\\"\","
		"null,true,{}],\"b\":999999999999999}";
	struct cJSON *p = payload_parse(span_of(text), NULL);
	struct buf out = { 0 };

	payload_write(p, &out);
	ck_assert_str_eq(buf_str(&out), text);
	buf_fini(&out);
	payload_free(&p);
}
END_TEST

START_TEST(byte_order_mark_is_skipped)
{
	struct cJSON *p = payload_parse(span_of("\xef\xbb\xbf[1]"), NULL);

	ck_assert(payload_is_array(p));
	payload_free(&p);
}
END_TEST

/* Random damage must be taken or refused, never crash (sanitizers watch). */
START_TEST(survives_mutations)
{
	static const char seed[] =
		"{\"a\":[1,2.5e3,\"x\\u00e9\\n\",{\"b\":null}],\"c\":true}";
	uint32_t random = 12345;
	char text[sizeof(seed)];

	for (int round = 0; round < 20000; round++) {
		struct cJSON *p;

		memcpy(text, seed, sizeof(seed));
		for (int i = 0; i < 3; i++) {
			random = random * 1664525 + 1013904223;
			text[(random >> 8) % (sizeof(seed) - 1)] =
				(char)(random >> 24);
		}
		p = payload_parse((struct span){ text, random % sizeof(seed) },
				  NULL);
		payload_free(&p);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("payload/json");
	TCase *t = tcase_create("json");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, takes, 0, ARRAY_SIZE(taken));
	tcase_add_loop_test(t, refuses, 0, ARRAY_SIZE(refused));
	tcase_add_test(t, error_has_a_position);
	tcase_add_test(t, depth_has_a_limit);
	tcase_add_loop_test(t, pointer_finds, 0, ARRAY_SIZE(pointers));
	tcase_add_test(t, getters_are_total);
	tcase_add_test(t, writes_numbers_as_they_were);
	tcase_add_test(t, byte_order_mark_is_skipped);
	tcase_add_test(t, survives_mutations);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
