/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/network.c. */
#include "tests/base/suites.h"

#include "base/attr.h"
#include "base/network.h"

#include <netinet/in.h>

static struct network_address
address(const char *text)
{
	struct network_address a = { 0 };

	if (!strcmp(text, "unix"))
		a.family = NETWORK_UNIX;
	else if (strcmp(text, "none"))
		ck_assert(network_read_address(span_of(text), &a));
	return a;
}

START_TEST(contains)
{
	static const struct {
		const char *network, *address;
		bool expected;
	} table[] = {
		{ "10.0.0.0/8", "10.255.0.1", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "10.0.0.0/8", "::ffff:10.1.1.1", true },
		{ "10.0.0.0/8", "::10.1.1.1", false },
		{ "10.0.0.128/25", "10.0.0.128", true },
		{ "10.0.0.128/25", "10.0.0.127", false },
		{ "10.0.0.1", "10.0.0.1", true },
		{ "10.0.0.1", "10.0.0.2", false },
		{ "0.0.0.0/0", "1.2.3.4", true },
		{ "0.0.0.0/0", "::1", false },
		{ "::/0", "::1", true },
		{ "::/0", "1.2.3.4", false },
		{ "2001:db8::/33", "2001:db8:7fff::", true },
		{ "2001:db8::/33", "2001:db8:8000::", false },
		{ "::1", "::1", true },
		{ "unix:", "unix", true },
		{ "unix:", "127.0.0.1", false },
		{ "0.0.0.0/0", "unix", false },
		{ "unix:", "none", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct network_address a = address(table[i].address);
		struct network n;

		ck_assert(!network_parse(table[i].network, &n, NULL));
		ck_assert_msg(network_contains(&n, &a) == table[i].expected,
			      "%s in %s", table[i].address, table[i].network);
	}
}
END_TEST

START_TEST(refuses)
{
	static const char *const table[] = {
		"",	       "10.0.0.0/33",  "10.0.0.0/",   "10.0.0.0/8x",
		"10.0.0/8",    "10.0.0.1/8",   "::/129",      "2001:db8::1/32",
		"10.0.0.0/-1", "localhost",    "unix:/path",  "[::1]",
		"10.0.0.0/08888",
	};
	struct network n;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct error err = { 0 };

		ck_assert_msg(network_parse(table[i], &n, &err), "%s",
			      table[i]);
		ck_assert_str_ne(err.text, "");
	}
}
END_TEST

START_TEST(has_one_text)
{
	static const char *const table[][2] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "2001:DB8:0::1", "2001:db8::1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
	};
	char text[NETWORK_TEXT_MAX];
	struct network_address none = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct network_address a = address(table[i][0]);

		ck_assert_uint_eq(network_text(&a, text),
				  strlen(table[i][1]));
		ck_assert_str_eq(text, table[i][1]);
	}
	ck_assert_uint_eq(network_text(&none, text), 0);
}
END_TEST

START_TEST(knows_the_port)
{
	const struct sockaddr_in v4 = { .sin_family = AF_INET,
					.sin_port = htons(443) };
	const struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
					 .sin6_port = htons(8443) };
	struct sockaddr_storage ss = { .ss_family = AF_UNIX };

	ck_assert_uint_eq(network_port_of_socket(&ss), 0);
	memcpy(&ss, &v4, sizeof(v4));
	ck_assert_uint_eq(network_port_of_socket(&ss), 443);
	memcpy(&ss, &v6, sizeof(v6));
	ck_assert_uint_eq(network_port_of_socket(&ss), 8443);
}
END_TEST

TCase *
network_tests(void)
{
	TCase *c = tcase_create("network");

	tcase_add_test(c, contains);
	tcase_add_test(c, refuses);
	tcase_add_test(c, has_one_text);
	tcase_add_test(c, knows_the_port);
	return c;
}
