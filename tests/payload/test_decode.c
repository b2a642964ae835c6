/* SPDX-License-Identifier: Apache-2.0 */
/* Codings of bodies: what is undone, and what is not taken for text. */
#include "payload/decode.h"

#include <check.h>
#include <stdlib.h>
#include <zlib.h>

#include "payload/payload.h"

#define TEXT "{\"a\":1}"
#define GZIP "1f8b0800000000000203ab564a54b232ac0500afac1b5607000000"
#define ZLIB "789cab564a54b232ac0500082a0209"
#define RAW "ab564a54b232ac0500"
#define BR "0f03807b2261223a317d03"

/* "" in text: none comes out. */
static const struct {
	const char *codings, *hex;
	enum payload_coding result;
	const char *text;
} table[] = {
	{ "gzip", GZIP, PAYLOAD_CODING_UNDONE, TEXT },
	{ "X-GZip", GZIP, PAYLOAD_CODING_UNDONE, TEXT },
	{ "gzip", GZIP GZIP, PAYLOAD_CODING_UNDONE, TEXT TEXT },
	{ "deflate", ZLIB, PAYLOAD_CODING_UNDONE, TEXT },
	{ "deflate", RAW, PAYLOAD_CODING_UNDONE, TEXT },
	{ "br", BR, PAYLOAD_CODING_UNDONE, TEXT },
	{ "identity", "7b7d", PAYLOAD_CODING_NONE, "" },
	{ "", "7b7d", PAYLOAD_CODING_NONE, "" },
	{ " , gzip ,identity,", GZIP, PAYLOAD_CODING_UNDONE, TEXT },
	{ "zstd", GZIP, PAYLOAD_CODING_UNKNOWN, "" },
	{ "gzip, zstd", GZIP, PAYLOAD_CODING_UNKNOWN, "" },
	{ "zstd, gzip", GZIP, PAYLOAD_CODING_UNKNOWN, "" },
	{ "gzipped", GZIP, PAYLOAD_CODING_UNKNOWN, "" },
	{ "gzip", "7b7d", PAYLOAD_CODING_DAMAGED, "" },
	{ "gzip", GZIP "00", PAYLOAD_CODING_CUT, "" },
	{ "gzip", GZIP "7b7d", PAYLOAD_CODING_DAMAGED, "" },
	{ "deflate", ZLIB "00", PAYLOAD_CODING_DAMAGED, "" },
	{ "deflate", GZIP, PAYLOAD_CODING_DAMAGED, "" },
	{ "br", BR "00", PAYLOAD_CODING_DAMAGED, "" },
	{ "br", GZIP, PAYLOAD_CODING_DAMAGED, "" },
	{ "gzip, gzip", GZIP, PAYLOAD_CODING_DAMAGED, "" },
	/* a wrong checksum, a wrong length */
	{ "gzip", "1f8b0800000000000203ab564a54b232ac0500afac1b5707000000",
	  PAYLOAD_CODING_DAMAGED, "" },
	{ "gzip", "1f8b0800000000000203ab564a54b232ac0500afac1b5608000000",
	  PAYLOAD_CODING_DAMAGED, "" },
	{ "deflate", "789cab564a54b232ac0500082a020a", PAYLOAD_CODING_DAMAGED,
	  "" },
	/* a dictionary that nobody has */
	{ "deflate", "78bb00000001ab564a54b232ac0500082a0209",
	  PAYLOAD_CODING_DAMAGED, "" },
};

static int
digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static void
add_hex(struct buf *out, const char *hex)
{
	for (; hex[0] && hex[1]; hex += 2)
		buf_addc(out, (char)(digit(hex[0]) * 16 + digit(hex[1])));
}

START_TEST(undoes_what_it_can)
{
	struct buf body = { 0 }, out = { 0 };
	enum payload_coding c;

	add_hex(&body, table[_i].hex);
	c = payload_decode(span_of(table[_i].codings), buf_span(&body), &out);
	ck_assert_msg(c == table[_i].result, "\"%s\" of %s: %s",
		      table[_i].codings, table[_i].hex,
		      payload_coding_words(c));
	ck_assert_str_eq(buf_str(&out), table[_i].text);
	buf_fini(&body);
	buf_fini(&out);
}
END_TEST

/* A part is never the whole, wherever it ends. */
START_TEST(no_part_is_the_whole)
{
	static const char *const whole[] = { GZIP, ZLIB, BR };
	static const char *const coding[] = { "gzip", "deflate", "br" };
	struct buf body = { 0 }, out = { 0 };

	add_hex(&body, whole[_i]);
	for (size_t n = 1; n < body.len; n++) {
		struct span part = { body.data, n };
		enum payload_coding c = payload_decode(span_of(coding[_i]),
						       part, &out);

		/* one byte of zlib has no frame yet */
		ck_assert_msg(c == PAYLOAD_CODING_CUT ||
			      (n == 1 && c == PAYLOAD_CODING_DAMAGED),
			      "%zu bytes of %s: %s", n, coding[_i],
			      payload_coding_words(c));
		ck_assert_uint_eq(out.len, 0);
	}
	buf_fini(&body);
	buf_fini(&out);
}
END_TEST

static void
deflate_zeros(struct buf *out, size_t n)
{
	uLongf len = compressBound(n);
	unsigned char *zeros = calloc(1, n);
	unsigned char *to = (unsigned char *)buf_reserve(out, len);

	ck_assert(zeros && to);
	ck_assert_int_eq(compress2(to, &len, zeros, n, 9), Z_OK);
	out->len += len;
	free(zeros);
}

/* To the byte: the limit itself is no overflow. */
START_TEST(what_comes_out_is_bounded)
{
	static const size_t sizes[] = { 64 * 1024, 1024 * 1024, 24 << 20 };
	size_t n = sizes[_i];
	struct buf body = { 0 }, out = { 0 };
	enum payload_coding c;
	size_t limit;

	deflate_zeros(&body, n);
	limit = PAYLOAD_DECODED_FLOOR + PAYLOAD_DECODED_FACTOR * body.len;
	if (limit > PAYLOAD_DECODED_MAX)
		limit = PAYLOAD_DECODED_MAX;
	c = payload_decode(SPAN_LITERAL("deflate"), buf_span(&body), &out);
	ck_assert_int_eq(c, n <= limit ? PAYLOAD_CODING_UNDONE
				       : PAYLOAD_CODING_TOO_LARGE);
	ck_assert_uint_eq(out.len, n <= limit ? n : 0);
	ck_assert_uint_le(out.cap, 2 * limit + 8192);
	buf_fini(&body);
	buf_fini(&out);
}
END_TEST

START_TEST(many_codings_are_refused)
{
	struct buf out = { 0 };

	ck_assert_int_eq(payload_decode(SPAN_LITERAL("br,br,br,br,br"),
					SPAN_LITERAL("\x06"), &out),
			 PAYLOAD_CODING_CUT);
	ck_assert_int_eq(payload_decode(SPAN_LITERAL("br,,identity"),
					SPAN_LITERAL("\x06"), &out),
			 PAYLOAD_CODING_UNDONE);
	buf_fini(&out);
}
END_TEST

/* The estimate is what keeps brackets from becoming gigabytes. */
START_TEST(a_tree_costs_by_its_nodes)
{
	size_t flat = payload_tree_cost(SPAN_LITERAL("\"abcdef\""));

	ck_assert_uint_gt(payload_tree_cost(SPAN_LITERAL("[[],[],[]]")),
			  3 * flat);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("payload/decode");
	TCase *t = tcase_create("decode");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, undoes_what_it_can, 0, ARRAY_SIZE(table));
	tcase_add_loop_test(t, no_part_is_the_whole, 0, 3);
	tcase_add_loop_test(t, what_comes_out_is_bounded, 0, 3);
	tcase_add_test(t, many_codings_are_refused);
	tcase_add_test(t, a_tree_costs_by_its_nodes);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
