/* SPDX-License-Identifier: Apache-2.0 */
/* Fields and bodies as events hold them. */
#include "shadow/side.h"

#include "tests/shadow/cases.h"

static const struct {
	const char *json, *body;
	size_t len;
	bool complete;
} bodies[] = {
	{ "{}", "", 0, true },
	{ "{\"body\":\"hi\"}", "hi", 2, true },
	{ "{\"body_base64\":\"\"}", "", 0, true },
	{ "{\"body_base64\":\"AA==\"}", "\0", 1, true },
	{ "{\"body_base64\":\"AP8=\"}", "\0\xff", 2, true },
	{ "{\"body_base64\":\"YWJj\"}", "abc", 3, true },
	{ "{\"body_base64\":\"+/+/\"}", "\xfb\xff\xbf", 3, true },
	{ "{\"json\":{\"a\":[1,2]}}", "{\"a\":[1,2]}", 11, true },
	{ "{\"body\":\"x\",\"json\":1}", "x", 1, true },
	{ "{\"body\":\"x\",\"truncated\":true}", "x", 1, false },
	{ "{\"withheld\":true,\"body_bytes\":5}", "", 0, false },
};

START_TEST(reads_bodies)
{
	struct cJSON *t = payload_parse(span_of(bodies[_i].json), NULL);
	struct shadow_side side = { 0 };
	struct error err = { 0 };

	ck_assert_msg(shadow_side_decode(t, &side, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(side.body.len, bodies[_i].len);
	ck_assert_int_eq(memcmp(side.body.at, bodies[_i].body,
				side.body.len), 0);
	ck_assert(side.complete == bodies[_i].complete);
	shadow_side_fini(&side);
	payload_free(&t);
}
END_TEST

START_TEST(reads_fields_in_order)
{
	struct cJSON *t = payload_parse(SPAN_LITERAL(
		"{\"headers\":{\"a\":\"1\",\"set-cookie\":[\"x\",\"y\"],"
		"\"n\":7}}"), NULL);
	struct shadow_side side = { 0 };

	ck_assert_int_eq(shadow_side_decode(t, &side, NULL), 0);
	ck_assert_uint_eq(side.field_count, 3);
	ck_assert(span_is(side.fields[0].name, "a"));
	ck_assert(span_is(side.fields[1].name, "set-cookie"));
	ck_assert(span_is(side.fields[1].value, "x"));
	ck_assert(span_is(side.fields[2].value, "y"));
	shadow_side_fini(&side);
	payload_free(&t);
}
END_TEST

START_TEST(bad_base64_is_an_error)
{
	struct cJSON *t = payload_parse(
		SPAN_LITERAL("{\"body_base64\":\"a b\"}"), NULL);
	struct shadow_side side = { 0 };
	struct error err = { 0 };

	ck_assert_int_eq(shadow_side_decode(t, &side, &err), -1);
	ck_assert_str_eq(err.text, "body_base64 is not base64");
	shadow_side_fini(&side);
	payload_free(&t);
}
END_TEST

TCase *
case_side(void)
{
	TCase *t = tcase_create("side");

	tcase_add_loop_test(t, reads_bodies, 0, ARRAY_SIZE(bodies));
	tcase_add_test(t, reads_fields_in_order);
	tcase_add_test(t, bad_base64_is_an_error);
	return t;
}
