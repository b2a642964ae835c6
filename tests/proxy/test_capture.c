/* SPDX-License-Identifier: Apache-2.0 */
/* proxy/capture.c: a capped copy, true to the byte, with the digest of what
 * was cut. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/exchange.h"

static char data[200000];

static void
fill(void)
{
	size_t i;

	digest_start();
	for (i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 31 + i / 251);
}

static void
digest_of(size_t n, char out[DIGEST_HEX_SIZE])
{
	struct digest_stream *d = digest_stream_new();

	digest_stream_add(d, data, n);
	digest_stream_end(d, out);
	digest_stream_free(&d);
}

START_TEST(one_stable_piece_is_borrowed)
{
	struct capture c = { .limit = 1000 };

	capture_add(&c, data, 1000, true);
	ck_assert_ptr_eq(c.first.at, data);
	ck_assert_ptr_null(c.heap);
	ck_assert(!c.truncated);
	capture_fini(&c);
}
END_TEST

/* Cuts a body of `total` bytes into pieces; what is kept and the digest do
 * not depend on how. */
static void
check_cut(size_t total, size_t piece, size_t limit, bool first_stable)
{
	struct capture c = { .limit = limit };
	char want[DIGEST_HEX_SIZE], got[DIGEST_HEX_SIZE];
	size_t at, n;

	for (at = 0; at < total; at += n) {
		n = total - at < piece ? total - at : piece;
		capture_add(&c, data + at, n, first_stable && at == 0);
	}
	ck_assert_int_eq(c.truncated, total > limit);
	if (total > limit) {
		digest_of(total, want);
		digest_stream_end(c.digest, got);
		ck_assert_str_eq(got, want);
		ck_assert_uint_eq(c.len, limit);
	}
	if (!c.first.at) {
		ck_assert_uint_eq(c.len, total < limit ? total : limit);
		ck_assert(c.len == 0 || !memcmp(c.heap, data, c.len));
	}
	capture_fini(&c);
}

START_TEST(cap_and_digest_do_not_depend_on_the_pieces)
{
	static const size_t totals[] = { 0, 1, 4095, 4096, 65535, 65536,
					 65537, 200000 };
	static const size_t pieces[] = { 1000, 4096, 65536, 200000 };
	static const size_t limits[] = { 0, 10, 65536 };
	size_t t, p, l;

	for (t = 0; t < ARRAY_SIZE(totals); t++)
		for (p = 0; p < ARRAY_SIZE(pieces); p++)
			for (l = 0; l < ARRAY_SIZE(limits); l++) {
				check_cut(totals[t], pieces[p], limits[l],
					  false);
				check_cut(totals[t], pieces[p], limits[l],
					  true);
			}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("capture");
	TCase *t = tcase_create("capture");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, fill, NULL);
	tcase_add_test(t, one_stable_piece_is_borrowed);
	tcase_add_test(t, cap_and_digest_do_not_depend_on_the_pieces);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
