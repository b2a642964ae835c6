/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/seal.c. */
#include "tests/base/suites.h"

#include "base/attr.h"
#include "base/seal.h"

static const struct digest_key key = { { 1 } }, other = { { 2 } };
static const struct span about = SPAN_LITERAL("operation 1");
static const struct span plains[] = { SPAN_LITERAL(""), SPAN_LITERAL("a"),
				      SPAN_LITERAL("session=secret-7") };

START_TEST(opens_what_it_closed)
{
	CLEANUP(buf_fini) struct buf sealed = { 0 }, plain = { 0 };

	buf_adds(&sealed, "<");
	buf_adds(&plain, ">");
	ck_assert_int_eq(seal_close(&key, about, plains[_i], &sealed), 0);
	ck_assert_int_eq(sealed.data[0], '<');
	ck_assert(plains[_i].len < 2 ||
		  !memmem(sealed.data, sealed.len, plains[_i].at,
			  plains[_i].len));
	ck_assert_int_eq(seal_open(&key, about,
				   (struct span){ sealed.data + 1,
						  sealed.len - 1 },
				   &plain), 0);
	ck_assert_uint_eq(plain.len, plains[_i].len + 1);
	ck_assert_mem_eq(plain.data + 1, plains[_i].at, plains[_i].len);
}
END_TEST

START_TEST(no_two_look_alike)
{
	CLEANUP(buf_fini) struct buf one = { 0 }, two = { 0 };

	ck_assert_int_eq(seal_close(&key, about, plains[_i], &one), 0);
	ck_assert_int_eq(seal_close(&key, about, plains[_i], &two), 0);
	ck_assert_uint_eq(one.len, two.len);
	ck_assert(memcmp(one.data, two.data, one.len) != 0);
}
END_TEST

static void
stays_shut(const struct digest_key *k, struct span what, struct span sealed)
{
	CLEANUP(buf_fini) struct buf plain = { 0 };

	ck_assert_int_eq(seal_open(k, what, sealed, &plain), -1);
	ck_assert_uint_eq(plain.len, 0);
}

START_TEST(stays_shut_for_others)
{
	CLEANUP(buf_fini) struct buf sealed = { 0 };

	ck_assert_int_eq(seal_close(&key, about, plains[_i], &sealed), 0);
	stays_shut(&other, about, buf_span(&sealed));
	stays_shut(&key, SPAN_LITERAL("operation 2"), buf_span(&sealed));
	stays_shut(&key, SPAN_LITERAL(""), buf_span(&sealed));
	for (size_t n = 0; n < sealed.len; n++)
		stays_shut(&key, about, (struct span){ sealed.data, n });
	for (size_t i = 0; i < sealed.len; i++) {
		sealed.data[i] ^= 0x10;
		stays_shut(&key, about, buf_span(&sealed));
		sealed.data[i] ^= 0x10;
	}
}
END_TEST

TCase *
seal_tests(void)
{
	TCase *tc = tcase_create("seal");
	int n = (int)ARRAY_SIZE(plains);

	tcase_add_loop_test(tc, opens_what_it_closed, 0, n);
	tcase_add_loop_test(tc, no_two_look_alike, 0, n);
	tcase_add_loop_test(tc, stays_shut_for_others, 0, n);
	return tc;
}
