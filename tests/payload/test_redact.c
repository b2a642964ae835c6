/* SPDX-License-Identifier: Apache-2.0 */
/* Redaction: what is named goes, the rest stays as it was. */
#include <check.h>
#include <stdlib.h>

#include "base/redact.h"
#include "payload/payload.h"

static const struct digest_key key = { { 7 } };

static const struct {
	const char *text, *pointers[3], *want;	/* @ stands for a digest */
} cases[] = {
	{ "{\"a\":1}", { "/b" }, "{\"a\":1}" },
	{ "{\"pw\":\"s\",\"n\":1.50}", { "/pw" }, "{\"pw\":\"@\",\"n\":1.50}" },
	{ "{\"u\":[{\"t\":\"a\"},{\"t\":\"b\"}]}", { "/u/*/t" },
	  "{\"u\":[{\"t\":\"@\"},{\"t\":\"@\"}]}" },
	{ "{\"c\":{\"n\":[1,2]},\"d\":2}", { "/c" }, "{\"c\":\"@\",\"d\":2}" },
	{ "{\"a/b\":{\"~\":9}}", { "/a~1b/~0" }, "{\"a/b\":{\"~\":\"@\"}}" },
	{ "{\"p\":1,\"p\":2}", { "/p" }, "{\"p\":\"@\",\"p\":\"@\"}" },
	{ "\"whole\"", { "" }, "\"@\"" },
	{ "{\"p\":null,\"q\":true}", { "/p", "/q" },
	  "{\"p\":\"@\",\"q\":\"@\"}" },
};

/* Puts "@" where the text has a digest. */
static void
fold_digests(const char *text, struct buf *out)
{
	static const char mark[] = "redacted:";

	for (const char *p = text; *p; p++) {
		if (strncmp(p, mark, sizeof(mark) - 1) == 0) {
			buf_addc(out, '@');
			p += sizeof(mark) - 1 + 16 - 1;
		} else {
			buf_addc(out, *p);
		}
	}
}

START_TEST(replaces)
{
	struct buf out = { 0 }, folded = { 0 };
	size_t n = 0;

	while (n < 3 && cases[_i].pointers[n])
		n++;
	ck_assert_int_eq(payload_redact(span_of(cases[_i].text),
					cases[_i].pointers, n, &key, &out), 0);
	fold_digests(buf_str(&out), &folded);
	ck_assert_str_eq(buf_str(&folded), cases[_i].want);
	buf_fini(&out);
	buf_fini(&folded);
}
END_TEST

START_TEST(equal_secrets_stay_equal)
{
	const char *pointers[] = { "/*" };
	struct buf out = { 0 };
	struct cJSON *p;

	ck_assert_int_eq(payload_redact(span_of("[\"s\", \"s\", \"t\", 1.0]"),
					pointers, 1, &key, &out), 0);
	p = payload_parse(buf_span(&out), NULL);
	ck_assert_str_eq(payload_string(payload_at(p, "/0"), "?"),
			 payload_string(payload_at(p, "/1"), "!"));
	ck_assert_str_ne(payload_string(payload_at(p, "/0"), "?"),
			 payload_string(payload_at(p, "/2"), "?"));
	payload_free(&p);
	buf_fini(&out);
}
END_TEST

START_TEST(what_is_not_json_is_left_to_the_caller)
{
	const char *pointers[] = { "/a" };
	struct buf out = { 0 };

	buf_adds(&out, "kept");
	ck_assert_int_eq(payload_redact(span_of("{\"a\":"), pointers, 1, &key,
					&out), -1);
	ck_assert_str_eq(buf_str(&out), "kept");
	buf_fini(&out);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("payload/redact");
	TCase *t = tcase_create("redact");
	SRunner *r = srunner_create(s);
	int failed;

	digest_start();
	tcase_add_loop_test(t, replaces, 0, ARRAY_SIZE(cases));
	tcase_add_test(t, equal_secrets_stay_equal);
	tcase_add_test(t, what_is_not_json_is_left_to_the_caller);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
