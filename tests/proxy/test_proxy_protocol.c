/* SPDX-License-Identifier: Apache-2.0 */
/* proxy/proxy_protocol.c: which headers are read, and as what; what is
 * written, byte by byte. */
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

/* ---- writing ---- */

#define V6_BLOCK "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" \
		 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x67\x20\xfb"
#define MAPPED_BLOCK "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01" \
		     "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01" \
		     "\x12\x67\x20\xfb"
#define LONG "2001:1234:5678:9abc:def0:1234:5678:9abc"

static const struct written {
	const char *from, *to;		/* "": a Unix socket's */
	uint16_t from_port, to_port;
	const char *v1;
	const char *v2;			/* NULL: read back only */
	size_t v2_size;
} written[] = {
	{ "192.0.2.1", "198.51.100.7", 56324, 443,
	  "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
	  TEXT(SIGNATURE "\x21\x11\0\x0c" V4_BLOCK) },
	{ "2001:db8::1", "::1", 4711, 8443,
	  "PROXY TCP6 2001:db8::1 ::1 4711 8443\r\n",
	  TEXT(SIGNATURE "\x21\x21\0\x24" V6_BLOCK) },
	/* one family a header */
	{ "192.0.2.1", "::1", 4711, 8443,
	  "PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 8443\r\n",
	  TEXT(SIGNATURE "\x21\x21\0\x24" MAPPED_BLOCK) },
	{ "2001:db8::1", "192.0.2.2", 0, 80,
	  "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.2 0 80\r\n", NULL, 0 },
	{ LONG, LONG, 65535, 65535,
	  "PROXY TCP6 " LONG " " LONG " 65535 65535\r\n", NULL, 0 },
	/* no destination */
	{ "192.0.2.1", "", 7, 0, "PROXY TCP4 192.0.2.1 0.0.0.0 7 0\r\n",
	  NULL, 0 },
	{ "2001:db8::1", "", 7, 0, "PROXY TCP6 2001:db8::1 :: 7 0\r\n",
	  NULL, 0 },
	/* no client */
	{ "", "192.0.2.2", 0, 80, "PROXY UNKNOWN\r\n",
	  TEXT(SIGNATURE "\x21\0\0\0") },
	{ "", "", 0, 0, "PROXY UNKNOWN\r\n",
	  TEXT(SIGNATURE "\x21\0\0\0") },
};

static struct network_address
address(const char *text)
{
	struct network_address a = { .family = NETWORK_UNIX };

	ck_assert(!*text || network_read_address(span_of(text), &a));
	return a;
}

/* What we write is what we read. */
static void
reads_back(const struct written *row, const char *data, size_t size)
{
	struct network_address from = address(row->from);
	struct network_address to = address(row->to);
	struct proxy_header h;

	ck_assert_int_eq(proxy_header_read(data, size, &h),
			 PROXY_HEADER_READ);
	ck_assert_uint_eq(h.length, size);
	ck_assert(h.names_source == (*row->from != '\0'));
	if (!h.names_source)
		return;
	ck_assert_mem_eq(&h.source, &from, sizeof(from));
	ck_assert_uint_eq(h.source_port, row->from_port);
	ck_assert_uint_eq(h.port, row->to_port);
	if (*row->to)
		ck_assert_mem_eq(&h.destination, &to, sizeof(to));
}

START_TEST(writes)
{
	const struct written *row = &written[_i];
	const struct proxy_header h = {
		.source = address(row->from),
		.destination = address(row->to),
		.source_port = row->from_port,
		.port = row->to_port,
	};
	char out[PROXY_HEADER_WRITE_BYTES];
	size_t n = proxy_header_v1(&h, out);

	ck_assert_uint_eq(n, strlen(row->v1));
	ck_assert_mem_eq(out, row->v1, n);
	reads_back(row, out, n);
	n = proxy_header_v2(&h, out);
	if (row->v2) {
		ck_assert_uint_eq(n, row->v2_size);
		ck_assert_mem_eq(out, row->v2, n);
	}
	reads_back(row, out, n);
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
	tcase_add_loop_test(c, writes, 0, ARRAY_SIZE(written));
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
