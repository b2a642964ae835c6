/* SPDX-License-Identifier: Apache-2.0 */
/* proxy/proxy_protocol.c: which headers are read, and as what. */
#include "proxy/proxy_protocol.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4_BLOCK "\xc0\0\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb"
#define TEXT(s) s, sizeof(s) - 1
#define X20 "xxxxxxxxxxxxxxxxxxxx"

static const struct row {
	const char *data;
	size_t size;
	enum proxy_header_result result;
	size_t length;
	const char *source;	/* NULL: it names none */
	unsigned port;
} rows[] = {
	{ TEXT("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET"),
	  PROXY_HEADER_READ, 45, "192.0.2.1", 443 },
	{ TEXT("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"),
	  PROXY_HEADER_READ, 36, "2001:db8::1", 65535 },
	{ TEXT("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 1\r\n"),
	  PROXY_HEADER_READ, 37, "192.0.2.1", 1 },
	{ TEXT("PROXY UNKNOWN\r\n"), PROXY_HEADER_READ, 15, NULL, 0 },
	{ TEXT("PROXY UNKNOWN what ever\r\n"), PROXY_HEADER_READ, 25, NULL,
	  0 },
	{ TEXT(SIGNATURE "\x21\x11\0\x0c" V4_BLOCK), PROXY_HEADER_READ, 28,
	  "192.0.2.1", 443 },
	{ TEXT(SIGNATURE "\x21\x11\xff\xff" V4_BLOCK), PROXY_HEADER_READ,
	  65551, "192.0.2.1", 443 },
	{ TEXT(SIGNATURE "\x20\0\0\0"), PROXY_HEADER_READ, 16, NULL, 0 },
	{ TEXT(SIGNATURE "\x20\x11\0\x05"), PROXY_HEADER_READ, 21, NULL, 0 },
	{ TEXT(SIGNATURE "\x21\0\0\0"), PROXY_HEADER_READ, 16, NULL, 0 },
	{ TEXT(SIGNATURE "\x21\x31\0\xd8"), PROXY_HEADER_READ, 232, NULL, 0 },
	/* more is needed */
	{ TEXT(""), PROXY_HEADER_MORE, 0, NULL, 0 },
	{ TEXT("PR"), PROXY_HEADER_MORE, 0, NULL, 0 },
	{ TEXT("PROXY TCP4 1.2.3.4"), PROXY_HEADER_MORE, 0, NULL, 0 },
	{ TEXT("PROXY UNKNOWN\r"), PROXY_HEADER_MORE, 0, NULL, 0 },
	{ TEXT("\r\n\r\n"), PROXY_HEADER_MORE, 0, NULL, 0 },
	{ TEXT(SIGNATURE "\x21\x11\0\x0c\xc0"), PROXY_HEADER_MORE, 0, NULL,
	  0 },
	/* no header, or not exactly one */
	{ TEXT("GET / HTTP/1.1\r\n"), PROXY_HEADER_BAD, 0, NULL, 0 },
	{ TEXT("proxy TCP4"), PROXY_HEADER_BAD, 0, NULL, 0 },
	{ TEXT("PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n"), PROXY_HEADER_BAD, 0,
	  NULL, 0 },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), PROXY_HEADER_BAD, 0, NULL,
	  0 },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n"), PROXY_HEADER_BAD, 0,
	  NULL, 0 },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n"), PROXY_HEADER_BAD, 0,
	  NULL, 0 },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"), PROXY_HEADER_BAD,
	  0, NULL, 0 },
	{ TEXT("PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n"), PROXY_HEADER_BAD, 0, NULL,
	  0 },
	{ TEXT("PROXY TCP4 ::1 ::1 1 1\r\n"), PROXY_HEADER_BAD, 0, NULL, 0 },
	{ TEXT("PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n"), PROXY_HEADER_BAD, 0,
	  NULL, 0 },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n\r\n"), PROXY_HEADER_BAD, 0,
	  NULL, 0 },
	{ TEXT("PROXY UNKNOWN\rx"), PROXY_HEADER_BAD, 0, NULL, 0 },
	{ TEXT("PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n"), PROXY_HEADER_BAD, 0,
	  NULL, 0 },
	{ TEXT("PROXY UNKNOWN " X20 X20 X20 X20 X20 "\r\n"), PROXY_HEADER_BAD,
	  0, NULL, 0 },
	{ TEXT(SIGNATURE "\x11\x11\0\x0c" V4_BLOCK), PROXY_HEADER_BAD, 0,
	  NULL, 0 },
	{ TEXT(SIGNATURE "\x22\x11\0\x0c" V4_BLOCK), PROXY_HEADER_BAD, 0,
	  NULL, 0 },
	{ TEXT(SIGNATURE "\x21\x12\0\x0c" V4_BLOCK), PROXY_HEADER_BAD, 0,
	  NULL, 0 },
	{ TEXT(SIGNATURE "\x21\x11\0\x0b" V4_BLOCK), PROXY_HEADER_BAD, 0,
	  NULL, 0 },
	{ TEXT(SIGNATURE "\x21\x31\0\xd7"), PROXY_HEADER_BAD, 0, NULL, 0 },
	{ TEXT("\r\n\r\n\0\r\nQUIT\r"), PROXY_HEADER_BAD, 0, NULL, 0 },
};

START_TEST(reads)
{
	const struct row *row = &rows[_i];
	struct proxy_header h;
	char text[NETWORK_TEXT_MAX] = "";

	ck_assert_int_eq(proxy_header_read(row->data, row->size, &h),
			 row->result);
	if (row->result != PROXY_HEADER_READ)
		return;
	ck_assert_uint_eq(h.length, row->length);
	ck_assert(h.names_source == (row->source != NULL));
	if (!row->source)
		return;
	network_text(&h.source, text);
	ck_assert_str_eq(text, row->source);
	ck_assert_uint_eq(h.port, row->port);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("proxy_protocol");
	TCase *c = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_loop_test(c, reads, 0, ARRAY_SIZE(rows));
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
