/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/buf.c. */
#include "tests/base/suites.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

START_TEST(appends)
{
	struct buf b = {0};

	ck_assert_str_eq(buf_str(&b), "");
	buf_adds(&b, "a");
	buf_addc(&b, 'b');
	buf_add(&b, "cd", 2);
	buf_add(&b, NULL, 0);
	buf_printf(&b, "%d%s", 12, "x");
	buf_add_u64(&b, 0);
	buf_add_u64(&b, UINT64_MAX);
	ck_assert_str_eq(buf_str(&b), "abcd12x018446744073709551615");
	ck_assert_uint_eq(b.len, strlen(buf_str(&b)));
	ck_assert(span_is(buf_span(&b), buf_str(&b)));
	buf_fini(&b);
	ck_assert_ptr_null(b.data);
}
END_TEST

START_TEST(grows)
{
	struct buf b = {0};

	for (int i = 0; i < 100000; i++)
		buf_addc(&b, (char)('a' + i % 26));
	ck_assert(!b.failed);
	ck_assert_uint_eq(b.len, 100000);
	for (int i = 0; i < 100000; i++)
		ck_assert_int_eq(b.data[i], 'a' + i % 26);
	ck_assert_uint_le(b.cap, 2 * 100000 + 256);
	buf_fini(&b);
}
END_TEST

/* The end of the capacity is where a NUL would be written too far. */
START_TEST(terminates_at_any_length)
{
	for (size_t n = 250; n < 260; n++) {
		struct buf b = {0};

		for (size_t i = 0; i < n; i++)
			buf_addc(&b, 'x');
		ck_assert_uint_eq(strlen(buf_str(&b)), n);
		buf_fini(&b);
	}
}
END_TEST

START_TEST(failure_is_sticky)
{
	struct buf b = { .limit_bytes = 10 };

	buf_adds(&b, "0123456789");
	ck_assert(!b.failed);
	ck_assert_str_eq(buf_str(&b), "0123456789");
	buf_addc(&b, 'x');
	ck_assert(b.failed);
	ck_assert_uint_eq(b.len, 10);
	ck_assert_str_eq(buf_str(&b), "");
	ck_assert_ptr_null(buf_reserve(&b, 0));
	b.len = 0;	/* room again, yet still failed */
	buf_adds(&b, "y");
	buf_printf(&b, "z");
	ck_assert_uint_eq(b.len, 0);
	buf_clear(&b);
	buf_adds(&b, "again");
	ck_assert_str_eq(buf_str(&b), "again");
	buf_printf(&b, "%s", "too long");
	ck_assert(b.failed);
	buf_fini(&b);
}
END_TEST

START_TEST(impossible_sizes_fail)
{
	struct buf b = {0};

	ck_assert_ptr_null(buf_reserve(&b, SIZE_MAX - 10));
	ck_assert(b.failed);
	buf_fini(&b);
}
END_TEST

START_TEST(reserves)
{
	struct buf b = {0};
	char *to = buf_reserve(&b, 1000);

	ck_assert_ptr_nonnull(to);
	memset(to, 'r', 1000);
	b.len += 1000;
	ck_assert_uint_eq(strlen(buf_str(&b)), 1000);
	buf_fini(&b);
}
END_TEST

START_TEST(steals)
{
	struct buf b = {0};
	size_t len = 99;
	char *s = buf_steal(&b, &len);

	ck_assert_str_eq(s, "");
	ck_assert_uint_eq(len, 0);
	free(s);
	buf_adds(&b, "mine");
	s = buf_steal(&b, &len);
	ck_assert_str_eq(s, "mine");
	ck_assert_uint_eq(len, 4);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_ptr_null(b.data);
	free(s);
	b.limit_bytes = 1;
	buf_adds(&b, "ab");
	ck_assert_ptr_null(buf_steal(&b, NULL));
}
END_TEST

TCase *
buf_tests(void)
{
	TCase *tc = tcase_create("buf");

	tcase_add_test(tc, appends);
	tcase_add_test(tc, grows);
	tcase_add_test(tc, terminates_at_any_length);
	tcase_add_test(tc, failure_is_sticky);
	tcase_add_test(tc, impossible_sizes_fail);
	tcase_add_test(tc, reserves);
	tcase_add_test(tc, steals);
	return tc;
}
