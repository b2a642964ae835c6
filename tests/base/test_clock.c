/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/clock.c. */
#include "tests/base/suites.h"

#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/clock.h"

#define S INT64_C(1000000)

static const struct {
	int64_t wall_us;
	const char *rfc3339, *http;
} dates[] = {
	{ 0, "1970-01-01T00:00:00.000000Z", "Thu, 01 Jan 1970 00:00:00 GMT" },
	{ -1, "1969-12-31T23:59:59.999999Z", "Wed, 31 Dec 1969 23:59:59 GMT" },
	{ 784111777 * S, "1994-11-06T08:49:37.000000Z",
	  "Sun, 06 Nov 1994 08:49:37 GMT" },
	{ 951782400 * S, "2000-02-29T00:00:00.000000Z",
	  "Tue, 29 Feb 2000 00:00:00 GMT" },
	{ 1709251199 * S + 5, "2024-02-29T23:59:59.000005Z",
	  "Thu, 29 Feb 2024 23:59:59 GMT" },
	{ 4107542400 * S, "2100-03-01T00:00:00.000000Z",
	  "Mon, 01 Mar 2100 00:00:00 GMT" },
	{ 253402300799 * S, "9999-12-31T23:59:59.000000Z",
	  "Fri, 31 Dec 9999 23:59:59 GMT" },
};

START_TEST(writes_dates)
{
	char out[CLOCK_RFC3339_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(dates); i++) {
		ck_assert_str_eq(clock_rfc3339(dates[i].wall_us, out),
				 dates[i].rfc3339);
		ck_assert_str_eq(clock_http_date(dates[i].wall_us, out),
				 dates[i].http);
	}
}
END_TEST

START_TEST(reads_back)
{
	for (size_t i = 0; i < ARRAY_SIZE(dates); i++) {
		int64_t us = 1;

		ck_assert_int_eq(clock_parse_rfc3339(dates[i].rfc3339, &us), 0);
		ck_assert_int_eq(us, dates[i].wall_us);
	}
}
END_TEST

START_TEST(agrees_with_libc)
{
	for (int64_t day = -40000; day < 200000; day += 13) {
		time_t t = (time_t)(day * 86400 + 3723);
		char mine[CLOCK_RFC3339_SIZE], theirs[64];
		struct tm tm;

		ck_assert_ptr_nonnull(gmtime_r(&t, &tm));
		strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%S.000000Z",
			 &tm);
		ck_assert_str_eq(clock_rfc3339((int64_t)t * S, mine), theirs);
	}
}
END_TEST

START_TEST(reads_other_forms)
{
	static const struct {
		const char *text;
		int64_t us;
	} good[] = {
		{ "1970-01-01T00:00:01Z", S },
		{ "1970-01-01t00:00:01z", S },
		{ "1970-01-01T00:00:00.5Z", S / 2 },
		{ "1970-01-01T00:00:00.1234567Z", 123456 },
		{ "1970-01-01T01:30:00+01:30", 0 },
		{ "1969-12-31T23:00:00-01:00", 0 },
		{ "2016-12-31T23:59:60Z", 1483228800 * S },
	};
	static const char *const bad[] = {
		"", "1970", "1970-01-01", "1970-01-01T00:00:00",
		"1970-01-01T00:00Z", "1970-13-01T00:00:00Z",
		"1970-00-01T00:00:00Z", "1970-02-29T00:00:00Z",
		"1970-04-31T00:00:00Z", "1970-01-00T00:00:00Z",
		"1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z",
		"1970-01-01T00:00:61Z", "1970-01-01T00:00:00.Z",
		"1970-01-01T00:00:00+0100", "1970-01-01T00:00:00+24:00",
		"1970-01-01T00:00:00Zx", "1970-01-01T00:00:00+01:0",
		" 1970-01-01T00:00:00Z", "197O-01-01T00:00:00Z",
	};
	int64_t us;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_int_eq(clock_parse_rfc3339(good[i].text, &us), 0);
		ck_assert_int_eq(us, good[i].us);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(clock_parse_rfc3339(bad[i], &us) == -1,
			      "accepted %s", bad[i]);
	ck_assert_int_eq(clock_parse_rfc3339(NULL, &us), -1);
}
END_TEST

TCase *
clock_tests(void)
{
	TCase *tc = tcase_create("clock");

	tcase_add_test(tc, writes_dates);
	tcase_add_test(tc, reads_back);
	tcase_add_test(tc, agrees_with_libc);
	tcase_add_test(tc, reads_other_forms);
	return tc;
}
