/* SPDX-License-Identifier: Apache-2.0 */
/* proxy/limits.c: what one address may have, and that the table is bounded. */
#include "proxy/limits.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/attr.h"

static struct network_address
address(const char *text)
{
	struct network_address a = { 0 };

	ck_assert(network_read_address(span_of(text), &a));
	return a;
}

START_TEST(counts_connections)
{
	struct limits *l CLEANUP(limits_free) = limits_new(2, 0);
	struct network_address a = address("192.0.2.1");
	struct network_address b = address("192.0.2.2");

	ck_assert(limits_connect(l, &a, 1) && limits_connect(l, &a, 1));
	ck_assert(!limits_connect(l, &a, 1));
	ck_assert(limits_connect(l, &b, 1));
	limits_disconnect(l, &a);
	ck_assert(limits_connect(l, &a, 1));
	ck_assert(!limits_connect(l, &a, 1));
	ck_assert(limits_request(l, &a, 1));
}
END_TEST

START_TEST(one_customer_has_a_64)
{
	struct limits *l CLEANUP(limits_free) = limits_new(1, 0);
	struct network_address a = address("2001:db8:1:2::1");
	struct network_address b = address("2001:db8:1:2:ffff::9");
	struct network_address c = address("2001:db8:1:3::1");

	ck_assert(limits_connect(l, &a, 1));
	ck_assert(!limits_connect(l, &b, 1));
	ck_assert(limits_connect(l, &c, 1));
}
END_TEST

START_TEST(limits_the_rate)
{
	struct limits *l CLEANUP(limits_free) = limits_new(0, 10);
	struct network_address a = address("192.0.2.1");
	struct network_address b = address("192.0.2.2");
	unsigned i, served = 0;

	for (i = 0; i < 100; i++)
		served += limits_request(l, &a, 5000);
	ck_assert_uint_eq(served, 10);
	ck_assert(limits_request(l, &b, 5000));
	ck_assert(!limits_request(l, &a, 5099));
	ck_assert(limits_request(l, &a, 5100));
	for (served = 0, i = 0; i < 1000; i++)
		served += limits_request(l, &a, 6000 + i * 10);
	ck_assert_uint_ge(served, 100);
	ck_assert_uint_le(served, 112);
	ck_assert(limits_connect(l, &a, 1));
}
END_TEST

START_TEST(nobody_without_an_address)
{
	struct limits *l CLEANUP(limits_free) = limits_new(1, 1);
	struct network_address unix_peer = { .family = NETWORK_UNIX };

	for (int i = 0; i < 10; i++)
		ck_assert(limits_connect(l, &unix_peer, 1) &&
			  limits_request(l, &unix_peer, 1));
}
END_TEST

#define FLOOD 300000u

static struct network_address
numbered(unsigned i)
{
	return (struct network_address){
		.family = NETWORK_IPV4,
		.bytes = { (uint8_t)(i >> 16), (uint8_t)(i >> 8),
			   (uint8_t)i },
	};
}

/* More addresses than the table holds, and room again once they are gone. */
START_TEST(a_full_table_lets_pass)
{
	static enum limits_verdict was[FLOOD];
	struct limits *l CLEANUP(limits_free) = limits_new(1, 0);
	struct network_address a;
	unsigned i, k, uncounted = 0;

	for (k = 0; k < 2; k++) {
		for (i = 0; i < FLOOD; i++) {
			a = numbered(i);
			was[i] = limits_connect(l, &a, 1);
			ck_assert_int_ne(was[i], LIMITS_REFUSED);
			uncounted += was[i] == LIMITS_UNCOUNTED;
		}
		for (i = 0; i < FLOOD; i++) {
			a = numbered(i);
			if (was[i] == LIMITS_COUNTED)
				limits_disconnect(l, &a);
		}
	}
	ck_assert_uint_gt(uncounted, FLOOD);
	a = address("192.0.2.1");
	ck_assert(limits_connect(l, &a, 1));
	ck_assert(!limits_connect(l, &a, 1));
}
END_TEST

START_TEST(files_make_connections)
{
	ck_assert_uint_eq(limits_by_files(256), 96);
	ck_assert_uint_eq(limits_by_files(65536), 32736);
	ck_assert_uint_eq(limits_by_files(10), 16);
	ck_assert_uint_eq(limits_by_files(UINT64_MAX), 1u << 24);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("limits");
	TCase *c = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(c, 30);
	tcase_add_test(c, counts_connections);
	tcase_add_test(c, one_customer_has_a_64);
	tcase_add_test(c, limits_the_rate);
	tcase_add_test(c, nobody_without_an_address);
	tcase_add_test(c, a_full_table_lets_pass);
	tcase_add_test(c, files_make_connections);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
