/* SPDX-License-Identifier: Apache-2.0 */
/* What a shadow found as text and as a page: nothing of it is markup. */
#include "console/diff.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define EVIL "<b onload='x'>&\\u001b[2J"

static const char report[] =
	"{\"schema\":\"urn:matapalo:schema:diff:v1\",\"sequence\":7,"
	"\"rules\":[{\"rule\":\"" EVIL "\",\"candidate\":\"" EVIL "\","
	"\"samples\":3,\"matches\":1,\"differences\":2,\"failures\":0,"
	"\"match_rate\":0.333,\"lower_bound\":0.06,\"latency\":null,"
	"\"endpoints\":[{\"endpoint\":\"GET " EVIL "\",\"samples\":3,"
	"\"matches\":1,\"differences\":2,\"failures\":0,\"match_rate\":0.333,"
	"\"lower_bound\":0.06,\"latency\":{\"pairs\":3,\"legacy\":"
	"{\"mean_us\":1500},\"candidate\":{\"mean_us\":3000},\"ratio\":"
	"{\"mean\":2}},\"clusters\":[{\"pointer\":\"/" EVIL "\",\"kind\":"
	"\"value\",\"count\":2,\"first_us\":0,\"last_us\":1000000,"
	"\"examples\":[{\"exchange\":\"" EVIL "\",\"verdict_sequence\":5,"
	"\"time_us\":0}]}],\"other_clusters\":4}]}]}";

static struct cJSON *tree;
static struct buf out;

static void
setup(void)
{
	struct error err = { 0 };

	tree = payload_parse(span_of(report), &err);
	ck_assert_msg(tree != NULL, "%s", err.text);
}

static void
teardown(void)
{
	payload_free(&tree);
	buf_fini(&out);
}

START_TEST(page_has_no_foreign_markup)
{
	const struct diff_filter all = { 0 };
	const char *text;

	diff_write_html(tree, &all, NULL, &out);
	text = buf_str(&out);
	ck_assert_ptr_null(strstr(text, "<b onload"));
	ck_assert_ptr_nonnull(strstr(text, "&lt;b onload=&#39;x&#39;&gt;"
					   "&amp;"));
	ck_assert_ptr_null(strchr(text, '\x1b'));
	ck_assert_ptr_nonnull(strstr(text, "1.5 &rarr; 3.0"));
	ck_assert_ptr_null(strstr(text, "<script"));
}
END_TEST

START_TEST(table_drives_no_terminal)
{
	const struct diff_filter all = { 0 };

	diff_write_table(tree, &all, &out);
	ck_assert_ptr_null(strchr(buf_str(&out), '\x1b'));
	ck_assert_ptr_nonnull(strstr(buf_str(&out), "33.30 %"));
}
END_TEST

START_TEST(filters)
{
	const struct cJSON *rule = payload_at(tree, "/rules/0");
	const struct cJSON *endpoint = payload_at(rule, "/endpoints/0");
	struct diff_filter f = { .rule = "other" };

	ck_assert(!diff_takes_rule(&f, rule));
	f.rule = NULL;
	ck_assert(diff_takes_rule(&f, rule));
	ck_assert(diff_takes_endpoint(&f, endpoint));
	f.path = "onload";
	ck_assert(diff_takes_endpoint(&f, endpoint));
	f.path = "/absent";
	ck_assert(!diff_takes_endpoint(&f, endpoint));
}
END_TEST

START_TEST(noise_drives_no_terminal)
{
	const struct diff_filter all = { 0 }, other = { .rule = "other" };
	struct shadow_noise *n = shadow_noise_new();
	struct shadow_noise_seen seen = { 0 };

	ck_assert_ptr_nonnull(n);
	diff_write_noise(n, &all, &out);
	ck_assert_uint_eq(out.len, 0);
	shadow_noise_see(&seen, "/a\x1b[2J", "value", false);
	for (int i = 0; i < 30; i++)
		shadow_noise_learn(n, "r", 1, "GET /x", &seen, 1);
	diff_write_noise(n, &other, &out);
	ck_assert_uint_eq(out.len, 0);
	diff_write_noise(n, &all, &out);
	ck_assert_ptr_null(strchr(buf_str(&out), '\x1b'));
	ck_assert_ptr_nonnull(strstr(buf_str(&out), "30 of 30"));
	ck_assert_ptr_nonnull(strstr(buf_str(&out), "suppressed as noise"));
	shadow_noise_free(&n);
}
END_TEST

/* The exchange is gone, and its names are hostile. */
START_TEST(a_case_without_its_answers)
{
	struct shadow_case c = { .v = { .rule = "r\x1b[2J",
					.candidate = "c" } };

	shadow_verdict_add(&c.v, "/a", "value", SPAN_LITERAL("1\x1b[2J"),
			   SPAN_LITERAL("2"));
	diff_write_case(&c, &out);
	ck_assert_ptr_null(strchr(buf_str(&out), '\x1b'));
	ck_assert_ptr_nonnull(strstr(buf_str(&out), "/a (value)"));
	ck_assert_ptr_nonnull(strstr(buf_str(&out), "not in the journal"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("diff");
	TCase *t = tcase_create("diff");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, page_has_no_foreign_markup);
	tcase_add_test(t, table_drives_no_terminal);
	tcase_add_test(t, filters);
	tcase_add_test(t, noise_drives_no_terminal);
	tcase_add_test(t, a_case_without_its_answers);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
