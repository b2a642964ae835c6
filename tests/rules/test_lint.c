/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings of lint, and the expectations inside a file. */
#include <string.h>

#include "tests/rules/table.h"

static const char head[] =
	"{\"version\":1,\"targets\":{\"legacy\":{\"url\":"
	"\"http://127.0.0.1:1\"},\n\"new\":{\"url\":\"http://127.0.0.1:2\"}},"
	"\n\"rules\":[\n";

static struct rules *
load(const char *rules, const char *rest)
{
	struct error err = { 0 };
	struct buf text = { 0 };
	struct rules *r;

	buf_printf(&text, "%s%s]%s}", head, rules, rest);
	r = rules_load_text("t", text.data, text.len, &err);
	ck_assert_msg(r != NULL, "%d:%d: %s", err.line, err.column, err.text);
	buf_fini(&text);
	return r;
}

static void
lints(const char *rules, const char *expected)
{
	struct rules *r = load(rules, "");
	struct buf out = { 0 };
	size_t n = rules_lint(r, &out), lines = 0;

	ck_assert_str_eq(buf_str(&out), expected);
	for (const char *c = expected; *c; c++)
		lines += *c == '\n';
	ck_assert_uint_eq(n, lines);
	buf_fini(&out);
	rules_unref(&r);
}

#define NEW "\"target\":\"new\","

START_TEST(unused_target)
{
	lints("", "line 2: no rule uses the target \"new\"\n");
}
END_TEST

/* A label of 70 letters is no name: no server is asked. */
#define NO_NAME "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

START_TEST(unknown_host_is_a_warning)
{
	static const char text[] =
		"{\"version\":1,\n\"targets\":{\"legacy\":{\"url\":"
		"[\"http://" NO_NAME ":80\",\"http://127.0.0.1:1\"]}}}";
	static const char expected[] =
		"line 2: the host \"" NO_NAME "\" of target \"legacy\" "
		"cannot be found now: ";
	struct error err = { 0 };
	struct rules *r = rules_load_text("t", text, sizeof(text) - 1, &err);
	struct buf out = { 0 };

	ck_assert_msg(r != NULL, "%s", err.text);
	ck_assert_uint_eq(r->legacy->address_count, 1);
	ck_assert_uint_eq(r->legacy->host_count, 1);
	ck_assert_uint_eq(rules_lint(r, &out), 1);
	ck_assert_msg(!strncmp(buf_str(&out), expected, sizeof(expected) - 1),
		      "%s", buf_str(&out));
	buf_fini(&out);
	rules_unref(&r);
}
END_TEST

START_TEST(one_service_with_and_without_a_proxy_header)
{
	static const char text[] =
		"{\"version\":1,\n\"targets\":{\"legacy\":{\"url\":"
		"\"http://127.0.0.1:1\"},\n\"new\":{\"url\":"
		"\"http://127.0.0.1:1\",\"proxy_protocol\":\"v2\"}},"
		"\"default\":{\"stage\":\"migrated\",\"target\":\"new\"}}";
	struct error err = { 0 };
	struct rules *r = rules_load_text("t", text, sizeof(text) - 1, &err);
	struct buf out = { 0 };

	ck_assert_msg(r != NULL, "%s", err.text);
	ck_assert_int_eq(r->legacy->proxy_protocol, RULES_PROXY_NONE);
	ck_assert_uint_eq(rules_lint(r, &out), 1);
	ck_assert_str_eq(buf_str(&out),
			 "line 3: targets \"legacy\" and \"new\" are the "
			 "same service, and only one has "
			 "\"proxy_protocol\"\n");
	buf_fini(&out);
	rules_unref(&r);
}
END_TEST

START_TEST(surprising_overlaps)
{
	lints("{" NEW "\"name\":\"a\",\"match\":{\"path\":\"/a/{x}\"}},\n"
	      "{\"name\":\"b\",\"match\":{\"path\":\"/{x}/b\"}}",
	      "line 5: rule \"b\" overlaps with \"a\" (line 4), which wins "
	      "where both match\n");
	lints("{" NEW "\"name\":\"a\",\"match\":{\"path\":\"/a\","
	      "\"method\":\"GET\"}},\n{\"name\":\"b\",\"match\":{\"path\":"
	      "\"/{x}\",\"method\":\"GET\",\"host\":\"h\"}}",
	      "line 5: rule \"b\" overlaps with \"a\" (line 4), which wins "
	      "where both match\n");
}
END_TEST

START_TEST(nested_and_disjoint_rules_are_fine)
{
	lints("{" NEW "\"name\":\"a\",\"match\":{\"path\":\"/a/b\"}},\n"
	      "{\"name\":\"b\",\"match\":{\"path\":\"/a/{x}\"}},\n"
	      "{\"name\":\"c\",\"match\":{\"path\":\"/a/{x...}\"}},\n"
	      "{\"name\":\"d\",\"match\":{\"path\":\"/{x}/c\","
	      "\"method\":\"PUT\"}},\n"
	      "{\"name\":\"e\",\"match\":{\"path\":\"/c/{x}\","
	      "\"method\":\"GET\"}}",
	      "line 7: rule \"d\" overlaps with \"b\" (line 5), which wins "
	      "where both match\n"
	      "line 7: rule \"d\" overlaps with \"c\" (line 6), which wins "
	      "where both match\n");
}
END_TEST

START_TEST(shadows_and_shares_that_do_nothing)
{
	lints("{" NEW "\"name\":\"a\",\"match\":{\"method\":\"POST\"},"
	      "\"stage\":\"shadow\"}",
	      "line 4: rule \"a\" has unsafe methods only, which are not "
	      "copied to a shadow without \"shadow_unsafe\": nothing is "
	      "compared\n");
	lints("{" NEW "\"name\":\"a\",\"match\":{\"method\":[\"POST\","
	      "\"GET\"]},\"stage\":\"shadow\",\"sample\":\"0%\"}",
	      "line 4: rule \"a\" samples 0%: nothing is compared\n");
	lints("{" NEW "\"name\":\"a\",\"match\":{\"path\":\"/\"},"
	      "\"stage\":\"canary\",\"share\":\"0%\"}",
	      "line 4: rule \"a\" is a canary with a share of 0%: nobody "
	      "moves\n");
	lints("{" NEW "\"name\":\"a\",\"match\":{\"path\":\"/\"},"
	      "\"stage\":\"canary\",\"share\":\"100%\"}",
	      "line 4: rule \"a\" is a canary with a share of 100%: stage "
	      "\"migrated\" says the same\n");
}
END_TEST

START_TEST(expectations_are_run)
{
	struct rules *r = load(
		"{" NEW "\"name\":\"a\",\"match\":{\"path\":\"/a\"},"
		"\"stage\":\"migrated\"},\n{\"name\":\"b\",\"match\":"
		"{\"path\":\"/b\"},\"stage\":\"retired\"}",
		",\"expect\":[\n"
		"{\"request\":\"GET /a\",\"rule\":\"a\",\"answers\":\"new\"},"
		"\n{\"request\":\"GET /b\",\"rule\":\"b\","
		"\"answers\":\"gone\"},\n"
		"{\"request\":\"GET /c\",\"rule\":\"a\"},\n"
		"{\"request\":\"GET /a\",\"rule\":\"a\","
		"\"answers\":\"legacy\"}]");
	struct buf out = { 0 };
	size_t ran = 0;

	ck_assert_uint_eq(rules_run_expect(r, &out, &ran), 2);
	ck_assert_uint_eq(ran, 4);
	ck_assert_str_eq(buf_str(&out),
			 "line 8: GET /c: expected rule \"a\", but \"default\" "
			 "(line 0) wins\n"
			 "line 9: GET /a: expected \"legacy\" to answer, but "
			 "it is \"new\" (rule \"a\", stage migrated)\n");
	buf_fini(&out);
	rules_unref(&r);
}
END_TEST

static void
fill(TCase *t)
{
	tcase_add_test(t, unused_target);
	tcase_add_test(t, unknown_host_is_a_warning);
	tcase_add_test(t, one_service_with_and_without_a_proxy_header);
	tcase_add_test(t, surprising_overlaps);
	tcase_add_test(t, nested_and_disjoint_rules_are_fine);
	tcase_add_test(t, shadows_and_shares_that_do_nothing);
	tcase_add_test(t, expectations_are_run);
}

int
main(void)
{
	return table_run("rules/lint", fill);
}
