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

/* ---- values that go past the tree ---- */

static const struct {
	const char *text;
	size_t count;		/* of values that are lifted */
} lifted[] = {
	{ "{\"data\":{\"a\":[1,\"x\\n\\\\\\\"y\"]}}", 1 },
	{ "{\"op\":1,\"data\": 5,\"z\":\"data\"}", 1 },
	{ "{\"data\":\"a long text without anything of note in it\"}", 1 },
	{ "{\"e\":[{\"data\":1},{\"data\":[]},{\"data\":null}]}", 3 },
	{ "{\"data\":{\"data\":1}}", 1 },
	{ "{\"data\":1,\"data\":2}", 2 },
	/* written otherwise */
	{ "{\"data\":[1, 2]}", 0 },
	{ "{\"data\":\"a\\/b\"}", 0 },
	{ "{\"data\":\"\\u0041\"}", 0 },
	{ "{\"data\":\"\xc3\xa9\"}", 0 },
	{ "{\"data\":\"\xe2\x80\xae and more than sixteen bytes\"}", 0 },
	{ "{\"data\":\"more than sixteen bytes and then\x7f\"}", 0 },
	{ "{\"e\":[{\"data\":1},{\"data\":[1 ]}]}", 1 },
	/* a number that stands for nothing must not be taken for a place */
	{ "{\"data\":[1],\"d\\u0061ta\":281474976710656}", 0 },
	{ "{\"e\":[{\"d\\u0061ta\":7},{\"data\":1}]}", 0 },
	/* elsewhere */
	{ "{\"a\":{\"data\":[1]}}", 0 },
	{ "{\"xdata\":1,\"dat\":2,\"Data\":3}", 0 },
	{ "[{\"data\":[1]}]", 0 },
	{ "{}", 0 },
};

/* As payload_write would have it, of the ordinary tree. */
static void
write_member(const struct cJSON *o, struct span text, size_t count,
	     struct buf *out)
{
	const struct cJSON *m = payload_member(o, "data");
	struct span s = { "", 0 };

	if (count > 0)
		s = payload_lifted(m, text);
	if (s.len > 0)
		buf_add(out, s.at, s.len);
	else
		payload_write(m, out);
	buf_addc(out, ';');
}

static void
write_data(const struct cJSON *p, struct span text, size_t count,
	   struct buf *out)
{
	const struct cJSON *list = payload_member(p, "e");

	write_member(p, text, count, out);
	for (const struct cJSON *i = payload_first(list); i;
	     i = payload_next(i))
		write_member(i, text, count, out);
}

/* Returns the count, or -1 when both refuse the text. */
static long
lifts_the_same(struct span text)
{
	struct cJSON *plain = payload_parse(text, NULL), *p;
	struct buf a = { 0 }, b = { 0 };
	size_t count;

	p = payload_parse_lifted(text, 1000, "data", &count, NULL);
	ck_assert(!plain == !p);
	if (!p)
		return -1;
	write_data(plain, text, 0, &a);
	write_data(p, text, count, &b);
	ck_assert_str_eq(buf_str(&a), buf_str(&b));
	buf_fini(&a);
	buf_fini(&b);
	payload_free(&plain);
	payload_free(&p);
	return (long)count;
}

START_TEST(lifts_what_is_written_alike)
{
	ck_assert_int_eq(lifts_the_same(span_of(lifted[_i].text)),
			 (long)lifted[_i].count);
}
END_TEST

START_TEST(lifts_damaged_text_alike)
{
	static const char seed[] =
		"{\"e\":[{\"data\":[1,2.5e3]},{\"data\":{\"x\":\"\\n\\\"\"}}]"
		",\"data\":\"plain text of some length\",\"data\":-0}";
	static const char odd[] = "\"\\/u {}[],:0n\x7f\xc3\xa9";
	uint32_t random = 54321;
	char text[sizeof(seed)];
	size_t taken_in = 0;

	for (int round = 0; round < 50000; round++) {
		memcpy(text, seed, sizeof(seed));
		for (int i = 0; i < 1 + round % 3; i++) {
			random = random * 1664525 + 1013904223;
			text[(random >> 8) % (sizeof(seed) - 1)] =
				odd[(random >> 20) % (sizeof(odd) - 1)];
		}
		taken_in += lifts_the_same((struct span){
			text, sizeof(seed) - 1 }) > 0;
	}
	ck_assert_uint_gt(taken_in, 1000);
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
	tcase_add_loop_test(t, lifts_what_is_written_alike, 0,
			    ARRAY_SIZE(lifted));
	tcase_add_test(t, lifts_damaged_text_alike);
	tcase_add_test(t, survives_mutations);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
