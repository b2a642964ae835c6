/* SPDX-License-Identifier: Apache-2.0 */
/* Durations, percentages and sizes: what is taken and what is not. */
#include "rules/units.h"
#include "tests/rules/table.h"

START_TEST(durations)
{
	static const struct {
		const char *text;
		unsigned ms;
	} good[] = {
		{ "1ms", 1 },	    { "250ms", 250 },	  { "3s", 3000 },
		{ "30m", 1800000 }, { "24h", 86400000 },  { "none", 0 },
		{ "007s", 7000 },   { "86400s", 86400000 },
	};
	static const char *const bad[] = {
		"", "s", "3", "3 s", " 3s", "3s ", "3S", "-3s", "+3s", "1.5s",
		"3sec", "0ms", "0h", "25h", "86400001ms",
		"18446744073709551617ms", "None", "3d", "0x1s",
	};
	unsigned ms;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(!units_duration(good[i].text, &ms), "%s",
			      good[i].text);
		ck_assert_uint_eq(ms, good[i].ms);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(units_duration(bad[i], &ms) != NULL, "\"%s\"",
			      bad[i]);
}
END_TEST

START_TEST(percentages)
{
	static const struct {
		const char *text;
		uint32_t ppm;
	} good[] = {
		{ "0%", 0 },		{ "10%", 100000 },
		{ "99.9%", 999000 },	{ "100%", 1000000 },
		{ "0.0001%", 1 },	{ "33.3333%", 333333 },
		{ "100.0000%", 1000000 }, { "7.05%", 70500 },
	};
	static const char *const bad[] = {
		"", "%", "10", "10 %", "-1%", "101%", "100.0001%", "1.%",
		".5%", "1.00001%", "1,5%", "1e2%", "99999999999999999999%",
	};
	uint32_t ppm;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(!units_percent(good[i].text, &ppm), "%s",
			      good[i].text);
		ck_assert_uint_eq(ppm, good[i].ppm);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(units_percent(bad[i], &ppm) != NULL, "\"%s\"",
			      bad[i]);
}
END_TEST

START_TEST(sizes)
{
	static const struct {
		const char *text;
		size_t bytes;
	} good[] = {
		{ "0B", 0 },	      { "512B", 512 },
		{ "64KiB", 65536 },   { "1MiB", 1048576 },
		{ "16MiB", 16777216 },
	};
	static const char *const bad[] = {
		"", "64", "64k", "64KB", "64kib", "1GiB", "17MiB", "-1B",
		"1.5MiB", "99999999999999999999MiB",
	};
	size_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(!units_size(good[i].text, &bytes), "%s",
			      good[i].text);
		ck_assert_uint_eq(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(units_size(bad[i], &bytes) != NULL, "\"%s\"",
			      bad[i]);
}
END_TEST

START_TEST(statuses)
{
	static const struct {
		const char *text;
		int in, out;
	} good[] = {
		{ "200-399", 200, 199 }, { "200-399", 399, 400 },
		{ "503", 503, 502 },	 { "200-299,404", 404, 403 },
		{ "2xx", 200, 300 },	 { "201,4xx", 499, 500 },
		{ "500-599", 599, 499 }, { "100-100", 100, 101 },
	};
	static const char *const bad[] = {
		"", "200-", "-200", "99", "600", "200-199", "2x", "6xx", "2XX",
		"2xx-3xx", "200,",
		",200", "200 - 300", "200--300", "200-300-400", "2000",
		"200,201,202,203,204,205,206,207,208", "None",
	};
	struct rules_statuses set;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(!units_statuses(good[i].text, &set), "%s",
			      good[i].text);
		ck_assert(rules_status_in(&set, good[i].in));
		ck_assert(!rules_status_in(&set, good[i].out));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(units_statuses(bad[i], &set) != NULL, "\"%s\"",
			      bad[i]);
	ck_assert(!units_statuses("none", &set));
	ck_assert(!rules_status_in(&set, 200));
}
END_TEST

static void
fill(TCase *t)
{
	tcase_add_test(t, durations);
	tcase_add_test(t, statuses);
	tcase_add_test(t, percentages);
	tcase_add_test(t, sizes);
}

int
main(void)
{
	return table_run("rules/units", fill);
}
