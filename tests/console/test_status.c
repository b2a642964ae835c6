/* SPDX-License-Identifier: Apache-2.0 */
/* The board for a terminal, from whole and from broken /status objects. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "console/status.h"
#include "payload/payload.h"

static void
board_of(const char *text, struct buf *out)
{
	struct error err = { 0 };
	struct cJSON *tree = payload_parse(span_of(text), &err);

	ck_assert_msg(tree != NULL, "%s", err.text);
	status_write_board(tree, out);
	ck_assert(!out->failed);
	payload_free(&tree);
}

START_TEST(test_whole)
{
	struct buf out CLEANUP(buf_fini) = { 0 };

	board_of("{\"version\":\"0.1.0\",\"uptime_s\":3723,\"pid\":7,"
		 "\"listen\":[\"127.0.0.1:8080\"],\"ready\":true,"
		 "\"rules\":{\"path\":\"r.json\",\"loaded_at\":\"now\","
		 "\"error\":\"line 3\",\"list\":["
		 "{\"name\":\"product\",\"stage\":\"shadow\","
		 "\"target\":\"catalog\",\"requests\":1200,\"answered\":"
		 "{\"legacy\":1199,\"target\":0,\"matapalo\":1},"
		 "\"errors\":1},{\"name\":\"default\",\"stage\":\"mirror\"}]},"
		 "\"journal\":{\"last_sequence\":42,\"writable\":true},"
		 "\"counters\":{\"matapalo_exchanges_answered_total\":10,"
		 "\"matapalo_exchanges_recorded_total\":7,"
		 "\"matapalo_exchanges_dropped_total{reason=\\\"x\\\"}\":2,"
		 "\"matapalo_zero_total\":0},"
		 "\"bus\":{\"groups\":[{\"name\":\"orders\",\"lag_events\":5,"
		 "\"lag_seconds\":1.25,\"in_flight\":1,\"retrying\":2,"
		 "\"dead\":3,\"consumers\":4,\"paused\":true}]},"
		 "\"adapters\":[{\"name\":\"audit\",\"kind\":\"nokind\","
		 "\"state\":\"refused\",\"delivered\":0,"
		 "\"last_error\":\"there is no such kind\"}],"
		 "\"shadow\":{\"rules\":[{\"rule\":\"product\","
		 "\"samples\":1000,\"match_rate\":0.9991,"
		 "\"lower_bound\":0.9971,\"newest_differences\":[{\"pointer\":"
		 "\"/price\",\"kind\":\"value\",\"count\":3,"
		 "\"correlationid\":\"c1\"}]}]}}",
		 &out);
	ck_assert_str_eq(
		buf_str(&out),
		"matapalo 0.1.0, process 7, up 1h 02m 03s, ready\n"
		"listen   127.0.0.1:8080\n"
		"journal  sequence 42, writable\n"
		"rules    r.json, loaded now\n"
		"rules    REFUSED, the old ones stay: line 3\n"
		"\n"
		"RULE     STAGE   TARGET   REQUESTS  LEGACY  TARGET  OWN  "
		"ERRORS  MATCH\n"
		"product  shadow  catalog      1200    1199       0    1  "
		"     1  99.91 % of 1000, at least 99.71 %\n"
		"default  mirror                  0       0       0    0  "
		"     0\n"
		"\n"
		"GROUP   LAG  SECONDS  IN FLIGHT  RETRYING  DEAD  CONSUMERS  "
		"STATE\n"
		"orders    5      1.2          1         2     3          4  "
		"paused\n"
		"\n"
		"ADAPTER  KIND    STATE    DELIVERED  RETRIED  POISONED  "
		"LAST ERROR\n"
		"audit    nokind  refused          0        0         0  "
		"there is no such kind\n"
		"\n"
		"DIFFERENCES OF  AT      KIND   TIMES  NEWEST EXCHANGE\n"
		"product         /price  value      3  c1\n"
		"\n"
		"exchanges  10 answered = 7 recorded + 2 dropped + 1 on the "
		"way\n"
		"            10  matapalo_exchanges_answered_total\n"
		"             7  matapalo_exchanges_recorded_total\n"
		"             2  matapalo_exchanges_dropped_total{reason=\"x\"}"
		"\n");
}
END_TEST

/* Another version's object, or a broken one, must not end the command. */
static const char *const odd[] = {
	"{}",
	"[]",
	"null",
	"3",
	"\"x\"",
	"{\"rules\":3,\"bus\":[],\"shadow\":null,\"counters\":[1,2]}",
	"{\"rules\":{\"list\":{}},\"bus\":{\"groups\":[1,null,[]]}}",
	"{\"rules\":{\"list\":[1,{\"name\":2,\"answered\":[]}]}}",
	"{\"listen\":{\"a\":1},\"uptime_s\":-5,\"pid\":\"x\"}",
	("{\"shadow\":{\"rules\":[{\"rule\":1,\"samples\":\"many\"}]},"
	 "\"rules\":{\"list\":[{\"name\":\"a\"}]}}"),
};

START_TEST(test_odd)
{
	struct buf out CLEANUP(buf_fini) = { 0 };

	board_of(odd[_i], &out);
	ck_assert_ptr_nonnull(strstr(buf_str(&out), "matapalo "));
}
END_TEST

/* A rule's name is the operator's text, but it must not drive a terminal. */
START_TEST(test_control_characters)
{
	struct buf out CLEANUP(buf_fini) = { 0 };

	board_of("{\"rules\":{\"list\":[{\"name\":\"a\\u001b[2Jb\"}]}}", &out);
	ck_assert_ptr_nonnull(strstr(buf_str(&out), "a?[2Jb"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("status");
	TCase *tc = tcase_create("status");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, test_whole);
	tcase_add_loop_test(tc, test_odd, 0, ARRAY_SIZE(odd));
	tcase_add_test(tc, test_control_characters);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
