/* SPDX-License-Identifier: Apache-2.0 */
/* A group's settings: defaults, limits, and back from their own JSON. */
#include <check.h>
#include <stdlib.h>

#include "bus/groups.h"
#include "payload/payload.h"

static int
read_settings(const char *json, struct groups_settings *s, struct error *err)
{
	struct cJSON *o = payload_parse(span_of(json), err);
	int rc;

	ck_assert_msg(o != NULL, "%s", err->text);
	rc = groups_settings_read(o, s, err);
	payload_free(&o);
	return rc;
}

static const struct {
	const char *settings, *message;
} bad[] = {
	{ "{\"lease_ms\":0}", "lease_ms" },
	{ "{\"lease_ms\":\"x\"}", "lease_ms" },
	{ "{\"max_in_flight\":-1}", "max_in_flight" },
	{ "{\"max_attempts\":1e9}", "max_attempts" },
	{ "{\"backoff_ms\":5}", "backoff_ms" },
	{ "{\"backoff_ms\":[-1]}", "backoff_ms" },
	{ "{\"backoff_ms\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}",
	  "backoff_ms" },
	{ "{\"filter\":\"a\"}", "filter" },
	{ "{\"filter\":{\"type\":1}}", "filter.type" },
	{ "{\"start\":\"later\"}", "start" },
	{ "{\"start\":\"2026-01-05\"}", "start" },
	{ "{\"rate\":-1}", "rate" },
};

START_TEST(bad_settings_say_what)
{
	struct groups_settings s;
	struct error err = { 0 };

	groups_settings_default(&s);
	ck_assert_int_eq(read_settings(bad[_i].settings, &s, &err), -1);
	ck_assert_msg(strstr(err.text, bad[_i].message), "%s", err.text);
}
END_TEST

/* What is saved of a group must read as the same group. */
START_TEST(written_settings_read_back)
{
	struct groups_settings s, back;
	struct error err = { 0 };
	struct buf text = { 0 };
	struct json j;

	groups_settings_default(&s);
	ck_assert_int_eq(read_settings(
		"{\"filter\":{\"type\":\"a.*,b\",\"subject\":\"\\u00e9\","
		"\"shadow\":true},\"lease_ms\":10,\"max_in_flight\":2,"
		"\"max_attempts\":3,\"rate\":7,"
		"\"backoff_ms\":[4,0,5]}", &s, &err), 0);
	json_init(&j, &text);
	groups_settings_write(&j, &s);
	groups_settings_default(&back);
	ck_assert_int_eq(read_settings(buf_str(&text), &back, &err), 0);
	ck_assert_str_eq(back.type, "a.*,b");
	ck_assert_str_eq(back.subject, "\xc3\xa9");
	ck_assert(back.shadow_only);
	ck_assert_uint_eq(back.lease_ms, 10);
	ck_assert_uint_eq(back.max_in_flight, 2);
	ck_assert_uint_eq(back.max_attempts, 3);
	ck_assert_uint_eq(back.rate, 7);
	ck_assert_uint_eq(groups_settings_differ(&s, &back, NULL), 0);
	back.rate = 8;
	back.backoff_count = 2;
	back.type[0] = 'A';
	ck_assert_uint_eq(groups_settings_differ(&s, &back, NULL), 3);
	back.type[0] = 'a';
	back.backoff_count = 3;
	ck_assert_uint_eq(back.backoff_count, 3);
	ck_assert_uint_eq(back.backoff_ms[2], 5);
	buf_fini(&text);
}
END_TEST

static const struct {
	const char *json;
	enum groups_start start;
	int64_t after, since_us;
} starts[] = {
	{ "{}", GROUPS_OLDEST, 0, 0 },
	{ "{\"start\":\"oldest\"}", GROUPS_OLDEST, -1, 0 },
	{ "{\"start\":\"newest\"}", GROUPS_NEWEST, -1, 0 },
	{ "{\"start\":1}", GROUPS_AFTER, 0, 0 },
	{ "{\"start\":42}", GROUPS_AFTER, 41, 0 },
	{ "{\"start\":\"2026-01-05T10:00:00Z\"}", GROUPS_SINCE, -1,
	  1767607200000000 },
};

START_TEST(start_is_read)
{
	struct groups_settings s;
	struct error err = { 0 };

	groups_settings_default(&s);
	ck_assert_int_eq(read_settings(starts[_i].json, &s, &err), 0);
	ck_assert_int_eq(s.place.start, starts[_i].start);
	ck_assert_int_eq(s.place.after, starts[_i].after);
	ck_assert_int_eq(s.place.since_us, starts[_i].since_us);
}
END_TEST

START_TEST(names_are_checked)
{
	char name[GROUPS_NAME_SIZE + 1];
	struct error err = { 0 };

	memset(name, 'a', sizeof(name) - 1);
	name[GROUPS_NAME_SIZE] = '\0';
	ck_assert_int_eq(groups_name_check(name, &err), -1);
	name[GROUPS_NAME_SIZE - 1] = '\0';
	ck_assert_int_eq(groups_name_check(name, &err), 0);
	ck_assert_int_eq(groups_name_check("", &err), -1);
	ck_assert_int_eq(groups_name_check("a b", &err), -1);
	ck_assert_int_eq(groups_name_check("a\"b", &err), -1);
	ck_assert_int_eq(groups_name_check("a\nb", &err), -1);
	ck_assert_int_eq(groups_name_check("orders/eu-1", &err), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus/settings");
	TCase *t = tcase_create("settings");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, bad_settings_say_what, 0, ARRAY_SIZE(bad));
	tcase_add_test(t, written_settings_read_back);
	tcase_add_loop_test(t, start_is_read, 0, ARRAY_SIZE(starts));
	tcase_add_test(t, names_are_checked);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
