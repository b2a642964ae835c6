/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/arena.c. */
#include "tests/base/suites.h"

#include <stdint.h>
#include <string.h>

#include "base/arena.h"

START_TEST(aligns)
{
	char first[256];
	struct arena a;

	arena_init(&a, first + 1, sizeof(first) - 1, 100000);
	for (size_t n = 0; n < 300; n += 7) {
		char *p = arena_alloc(&a, n);

		ck_assert_ptr_nonnull(p);
		ck_assert_uint_eq((uintptr_t)p % 16, 0);
		memset(p, 0xa5, n);
	}
	arena_fini(&a);
}
END_TEST

START_TEST(stops_at_the_limit)
{
	char first[64];
	struct arena a;

	arena_init(&a, first, sizeof(first), 1024);
	ck_assert_ptr_null(arena_alloc(&a, 1025));
	ck_assert_ptr_nonnull(arena_alloc(&a, 1000));
	ck_assert_ptr_null(arena_alloc(&a, 32));
	ck_assert_ptr_nonnull(arena_alloc(&a, 16));
	ck_assert_ptr_null(arena_alloc(&a, 1));
	ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
	ck_assert_ptr_null(arena_copy(&a, "x", SIZE_MAX));
	ck_assert_uint_le(a.used_bytes, a.limit_bytes);
	arena_reset(&a);
	ck_assert_ptr_nonnull(arena_alloc(&a, 1024));
	arena_fini(&a);
}
END_TEST

START_TEST(keeps_what_it_gave)
{
	struct arena a;
	char *made[200];

	arena_init(&a, NULL, 0, 1 << 20);
	for (size_t i = 0; i < 200; i++) {
		made[i] = arena_alloc(&a, 10 + i * 5);
		ck_assert_ptr_nonnull(made[i]);
		memset(made[i], (int)i, 10 + i * 5);
	}
	for (size_t i = 0; i < 200; i++)
		for (size_t k = 0; k < 10 + i * 5; k++)
			ck_assert_int_eq((unsigned char)made[i][k], (int)i);
	arena_fini(&a);
}
END_TEST

START_TEST(big_blocks_keep_the_small_one)
{
	struct arena a;
	char *small, *next;

	arena_init(&a, NULL, 0, 1 << 20);
	small = arena_alloc(&a, 16);
	ck_assert_ptr_nonnull(arena_alloc(&a, 100000));
	next = arena_alloc(&a, 16);
	ck_assert_ptr_eq(next, small + 16);
	arena_fini(&a);
}
END_TEST

START_TEST(copies_and_prints)
{
	char first[128];
	struct arena a;

	arena_init(&a, first, sizeof(first), 4096);
	ck_assert_str_eq(arena_copy(&a, "hello!", 5), "hello");
	ck_assert_str_eq(arena_copy(&a, NULL, 0), "");
	ck_assert_str_eq(arena_printf(&a, "%s-%d", "x", 42), "x-42");
	ck_assert_ptr_null(arena_printf(&a, "%5000d", 1));
	arena_reset(&a);
	ck_assert_ptr_eq((char *)arena_alloc(&a, 1), a.at - 16);
	ck_assert(a.at >= first && a.at <= first + sizeof(first));
	arena_fini(&a);
}
END_TEST

TCase *
arena_tests(void)
{
	TCase *tc = tcase_create("arena");

	tcase_add_test(tc, aligns);
	tcase_add_test(tc, stops_at_the_limit);
	tcase_add_test(tc, keeps_what_it_gave);
	tcase_add_test(tc, big_blocks_keep_the_small_one);
	tcase_add_test(tc, copies_and_prints);
	return tc;
}
