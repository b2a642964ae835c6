/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/prefer.c and base/idempotency.c. */
#include "tests/base/suites.h"

#include "base/attr.h"
#include "base/idempotency.h"
#include "base/prefer.h"

#define TEXT_254 TEXT_127 TEXT_127
#define TEXT_127 TEXT_63 TEXT_63 "x"
#define TEXT_63 TEXT_31 TEXT_31 "x"
#define TEXT_31 "1234567890123456789012345678901"

/* Fields of one name; NULL ends them. */
static struct message_fields
fields_of(const char *name, const char *const values[3],
	  struct message_field out[4])
{
	size_t n = 0;

	out[n++] = (struct message_field){ SPAN_LITERAL("X-Other"),
					   SPAN_LITERAL("wait=9") };
	for (size_t i = 0; i < 3 && values[i]; i++)
		out[n++] = (struct message_field){ span_of(name),
						   span_of(values[i]) };
	return (struct message_fields){ out, n };
}

static const struct {
	const char *values[3];
	struct prefer want;
} preferences[] = {
	{ { NULL }, { false, false, 0 } },
	{ { "" }, { false, false, 0 } },
	{ { "respond-async" }, { true, false, 0 } },
	{ { "Respond-ASYNC" }, { true, false, 0 } },
	{ { "respond-async, wait=10" }, { true, true, 10 } },
	{ { "wait=10,respond-async" }, { true, true, 10 } },
	{ { "respond-async", "wait=10" }, { true, true, 10 } },
	{ { " ,, respond-async ,, \t, " }, { true, false, 0 } },
	{ { "respond-async=\"\"" }, { true, false, 0 } },
	{ { "respond-async=" }, { true, false, 0 } },
	{ { "respond-async=1" }, { false, false, 0 } },
	{ { "respond-async;x=y; z" }, { true, false, 0 } },
	{ { "respond-asynchronous" }, { false, false, 0 } },
	{ { "respond async" }, { false, false, 0 } },
	{ { "x;respond-async" }, { false, false, 0 } },
	{ { "x=\"respond-async, wait=3\"" }, { false, false, 0 } },
	{ { "x=\"a\\\", wait=3\", wait=4" }, { false, true, 4 } },
	{ { "x=\"a, wait=3" }, { false, true, 3 } },
	{ { "x=\"a\\" }, { false, false, 0 } },
	{ { "wait = 7" }, { false, true, 7 } },
	{ { "wait=\"7\"" }, { false, true, 7 } },
	{ { "wait=0" }, { false, true, 0 } },
	{ { "wait=007;x" }, { false, true, 7 } },
	{ { "wait" }, { false, false, 0 } },
	{ { "wait=" }, { false, false, 0 } },
	{ { "wait=-1" }, { false, false, 0 } },
	{ { "wait=1.5" }, { false, false, 0 } },
	{ { "wait=5s" }, { false, false, 0 } },
	{ { "wait=5 6" }, { false, false, 0 } },
	{ { "wait=86401" }, { false, true, 86400 } },
	{ { "wait=99999999999999999999" }, { false, true, 86400 } },
	{ { "wait=5, wait=6" }, { false, true, 5 } },
	{ { "wait=5", "wait=6" }, { false, true, 5 } },
	{ { "wait=x, wait=6" }, { false, false, 0 } },
	{ { "respond-async=no, respond-async" }, { false, false, 0 } },
	{ { "return=minimal, handling=lenient", "wait=2", "respond-async" },
	  { true, true, 2 } },
};

START_TEST(reads_preferences)
{
	struct message_field f[4];
	struct prefer p;

	prefer_read(fields_of("prefer", preferences[_i].values, f), &p);
	ck_assert_int_eq(p.respond_async,
			 preferences[_i].want.respond_async);
	ck_assert_int_eq(p.has_wait, preferences[_i].want.has_wait);
	ck_assert_uint_eq(p.wait_s, preferences[_i].want.wait_s);
}
END_TEST

static const struct {
	const char *values[3];
	enum idempotency_field want;
	const char *key;
} keys[] = {
	{ { NULL }, IDEMPOTENCY_ABSENT, "" },
	{ { "\"8e03978e-40d5\"" }, IDEMPOTENCY_GIVEN, "8e03978e-40d5" },
	{ { "8e03978e-40d5" }, IDEMPOTENCY_GIVEN, "8e03978e-40d5" },
	{ { "\"a\";x=1" }, IDEMPOTENCY_GIVEN, "a" },
	{ { "\"a\" ; x" }, IDEMPOTENCY_GIVEN, "a" },
	{ { "a;x" }, IDEMPOTENCY_GIVEN, "a" },
	{ { "a ;x" }, IDEMPOTENCY_GIVEN, "a" },
	{ { "\"a b, c;d\"" }, IDEMPOTENCY_GIVEN, "a b, c;d" },
	{ { "\"a\\\"\\\\b\"" }, IDEMPOTENCY_GIVEN, "a\"\\b" },
	{ { "\" \"" }, IDEMPOTENCY_GIVEN, " " },
	{ { "\"" TEXT_254 "y\"" }, IDEMPOTENCY_GIVEN, TEXT_254 "y" },
	{ { TEXT_254 "y" }, IDEMPOTENCY_GIVEN, TEXT_254 "y" },
	{ { "\"" TEXT_254 "yz\"" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { TEXT_254 "yz" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { "" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { "\"\"" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { ";x" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { "\"" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { "\"a" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { "\"a\\" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { "\"a\\b\"" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { "\"a\"b" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { "\"a\", \"b\"" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { "a, b" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { "a b" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { "a\"b" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { "\"a\tb\"" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { "\"\xc3\xa4\"" }, IDEMPOTENCY_MALFORMED, NULL },
	{ { "\"a\"", "\"a\"" }, IDEMPOTENCY_MALFORMED, NULL },
};

START_TEST(reads_keys)
{
	struct message_field f[4];
	struct idempotency_key key;

	ck_assert_int_eq(idempotency_read(fields_of("idempotency-KEY",
						    keys[_i].values, f),
					  &key), keys[_i].want);
	if (!keys[_i].key)
		return;
	ck_assert_uint_eq(key.len, strlen(keys[_i].key));
	ck_assert_mem_eq(key.text, keys[_i].key, key.len);
}
END_TEST

TCase *
prefer_tests(void)
{
	TCase *tc = tcase_create("prefer");

	tcase_add_loop_test(tc, reads_preferences, 0,
			    (int)ARRAY_SIZE(preferences));
	tcase_add_loop_test(tc, reads_keys, 0, (int)ARRAY_SIZE(keys));
	return tc;
}
