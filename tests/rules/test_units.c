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

static void
fill(TCase *t)
{
	tcase_add_test(t, durations);
	tcase_add_test(t, percentages);
	tcase_add_test(t, sizes);
}

int
main(void)
{
	return table_run("rules/units", fill);
}
