/* SPDX-License-Identifier: Apache-2.0 */
/* Series of rules and groups, from whole and from broken /status objects. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "console/metrics.h"
#include "payload/payload.h"

static void
metrics_of(const char *text, struct buf *out)
{
	struct cJSON *tree = payload_parse(span_of(text), NULL);

	metrics_write(tree, out);
	ck_assert(!out->failed);
	payload_free(&tree);
}

static bool
has(struct buf *out, const char *text)
{
	return strstr(buf_str(out), text) != NULL;
}

static const char whole[] =
	"{\"rules\":{\"list\":[{\"name\":\"product\",\"requests\":12,"
	"\"answered\":{\"legacy\":7,\"target\":4,\"matapalo\":1},"
	"\"errors\":2},{\"name\":\"default\"}]},\"bus\":{\"groups\":["
	"{\"name\":\"a\\\"b\\\\c\\nd\",\"lag_events\":5,"
	"\"lag_seconds\":1.25,\"dead\":3,\"consumers\":4}]}}";

START_TEST(test_whole)
{
	struct buf out CLEANUP(buf_fini) = { 0 };

	metrics_of(whole, &out);
	ck_assert(has(&out, "# TYPE matapalo_rule_requests_total counter\n"
			    "matapalo_rule_requests_total{rule=\"product\"} 12"
			    "\nmatapalo_rule_requests_total{rule=\"default\"} "
			    "0\n"));
	ck_assert(has(&out, "\nmatapalo_rule_answered_total{rule=\"product\","
			    "by=\"target\"} 4\n"));
	ck_assert(has(&out, "\nmatapalo_rule_errors_total{rule=\"product\"} "
			    "2\n"));
	ck_assert(has(&out, "\nmatapalo_group_lag_seconds"
			    "{group=\"a\\\"b\\\\c\\nd\"} 1.25\n"));
	ck_assert(has(&out, "\nmatapalo_series_left_out 0\n"));
}
END_TEST

static const char *const odd[] = {
	"", "null", "3", "[]", "{}", "{\"rules\":3,\"bus\":[]}",
	"{\"rules\":{\"list\":[1,null,{}]},\"bus\":{\"groups\":{}}}",
};

START_TEST(test_odd)
{
	struct buf out CLEANUP(buf_fini) = { 0 };

	metrics_of(odd[_i], &out);
	ck_assert(has(&out, "# TYPE matapalo_group_lag_events gauge\n"));
}
END_TEST

/* Any consumer may name a group. */
START_TEST(test_bounded)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	struct buf out CLEANUP(buf_fini) = { 0 };
	size_t series = 0;

	buf_adds(&text, "{\"bus\":{\"groups\":[");
	for (int i = 0; i < METRICS_SERIES_MAX; i++)
		buf_printf(&text, "%s{\"name\":\"g%d\"}", i ? "," : "", i);
	buf_adds(&text, "]}}");
	metrics_of(buf_str(&text), &out);
	for (const char *at = buf_str(&out);
	     (at = strstr(at, "{group=")) != NULL; at++)
		series++;
	ck_assert_uint_eq(series, METRICS_SERIES_MAX);
	ck_assert(has(&out, "\nmatapalo_series_left_out 70000\n"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("metrics");
	TCase *tc = tcase_create("metrics");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, test_whole);
	tcase_add_loop_test(tc, test_odd, 0, ARRAY_SIZE(odd));
	tcase_add_test(tc, test_bounded);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
