/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies and rules that cost as much as their author could think of. */
#include "tests/hundred/hostile.h"

#include <check.h>
#include <stdio.h>

#include "base/span.h"

#define MIB ((size_t)1 << 20)
#define SIZE (MIB / 4)	/* of what was linear from the beginning */
#define DEEP 100000
#define MANY 1000000
#define JSON "application/json"

static void
repeat(struct buf *out, const char *s, size_t n)
{
	while (n-- > 0)
		buf_adds(out, s);
}

void
hostile_plain(struct buf *out, size_t size)
{
	buf_addc(out, '[');
	for (unsigned i = 0; out->len + 80 < size; i++)
		buf_printf(out, "%s{\"id\":%u,\"name\":\"pencil\","
			   "\"price\":1.25,\"tags\":[\"a\",\"b\"]}",
			   i ? "," : "", i);
	buf_addc(out, ']');
}

static void
deep_arrays(struct buf *out, enum hostile_side side)
{
	(void)side;
	repeat(out, "[", DEEP);
	repeat(out, "]", DEEP);
}

static void
deep_objects(struct buf *out, enum hostile_side side)
{
	(void)side;
	repeat(out, "{\"a\":", DEEP);
	buf_addc(out, '0');
	repeat(out, "}", DEEP);
}

/* As deep as is read, again and again. */
static void
combs(struct buf *out, enum hostile_side side)
{
	(void)side;
	buf_adds(out, "[0");
	while (out->len < SIZE) {
		buf_addc(out, ',');
		repeat(out, "[", 990);
		repeat(out, "]", 990);
	}
	buf_addc(out, ']');
}

static void
million_keys(struct buf *out, enum hostile_side side)
{
	buf_addc(out, '{');
	for (unsigned i = 0; i < MANY; i++)
		buf_printf(out, "%s\"k%u\":0", i ? "," : "",
			   side == HOSTILE_LEFT ? i : MANY - 1 - i);
	buf_addc(out, '}');
}

static void
equal_keys(struct buf *out, enum hostile_side side)
{
	buf_adds(out, "{\"a\":0");
	while (out->len < SIZE)
		buf_adds(out, ",\"a\":0");
	buf_adds(out, side == HOSTILE_LEFT ? ",\"a\":1}" : ",\"a\":2}");
}

static void
zeros(struct buf *out, enum hostile_side side)
{
	buf_adds(out, side == HOSTILE_LEFT ? "[0" : "[1");
	repeat(out, ",0", SIZE / 2);
	buf_addc(out, ']');
}

static void
empty_members(struct buf *out, enum hostile_side side)
{
	(void)side;
	buf_adds(out, "{\"\":\"\"");
	repeat(out, ",\"\":-0", SIZE / 6);
	buf_addc(out, '}');
}

/* Every value below a long name has a long pointer. */
static void
long_name(struct buf *out, enum hostile_side side)
{
	buf_adds(out, "{\"cards\":{\"");
	repeat(out, "n", MIB / 4);
	buf_adds(out, "\":{\"a\":0");
	repeat(out, side == HOSTILE_LEFT ? ",\"a\":0" : ",\"a\":1", MIB / 24);
	buf_adds(out, "}}}");
}

/* Elements of a set with one hash, no two of them equal: their own order is
 * no part of it. */
static void
one_hash(struct buf *out, enum hostile_side side)
{
	const unsigned n = 500;

	buf_adds(out, "{\"sets\":[");
	for (unsigned i = 0; i < n; i++) {
		buf_adds(out, i ? ",[" : "[");
		/* What differs comes last. */
		repeat(out, "7,", n - 8);
		for (unsigned k = 0; k < 8; k++)
			buf_printf(out, "%u,", (i * 8 + k) % n);
		for (unsigned k = 0; k < n; k++)
			if (k < i * 8 % n || k >= i * 8 % n + 8)
				buf_printf(out, "%u,", k);
		buf_adds(out, side == HOSTILE_LEFT ? "2,3]" : "3,2]");
	}
	buf_adds(out, "]}");
}

/* One of them is found never, all others behind it. */
static void
near_numbers(struct buf *out, enum hostile_side side)
{
	buf_printf(out, "{\"sums\":[%d", side == HOSTILE_LEFT ? -1 : -9);
	for (unsigned i = 0; out->len < MIB / 2; i++)
		buf_printf(out, ",%u", side == HOSTILE_LEFT ? i : i + 500000);
	buf_adds(out, "]}");
}

static void
many_sets(struct buf *out, enum hostile_side side)
{
	buf_adds(out, "{\"many\":[[]");
	while (out->len < MIB / 2) {
		buf_adds(out, ",[0");
		for (unsigned i = 1; i < 900; i++)
			buf_printf(out, ",%u",
				   side == HOSTILE_LEFT ? i : i + 5000);
		buf_addc(out, ']');
	}
	buf_adds(out, "]}");
}

/* Sets of which each element has its key far down in a long object. */
static void
far_keys(struct buf *out, enum hostile_side side)
{
	buf_adds(out, "{\"rows\":[0");
	for (unsigned i = 0; i < 300; i++) {
		buf_adds(out, ",{\"k\":[1,2,3");
		buf_printf(out, ",%u", side == HOSTILE_LEFT ? i : 999 - i);
		buf_printf(out, ",%u]", side == HOSTILE_LEFT ? 999 - i : i);
		repeat(out, ",\"x\":0", 500);
		buf_addc(out, '}');
	}
	buf_adds(out, "]}");
}

static void
long_numbers(struct buf *out, enum hostile_side side)
{
	buf_adds(out, "[0");
	while (out->len < SIZE)
		buf_printf(out, ",%s.00000000000000000000000000001e-9%d",
			   "123456789012345678901234567", side);
	buf_addc(out, ']');
}

static void
controls(struct buf *out, enum hostile_side side)
{
	(void)side;
	repeat(out, "\x01", SIZE);
}

static void
not_utf8(struct buf *out, enum hostile_side side)
{
	(void)side;
	repeat(out, "\xff", SIZE);
}

static void
spaces(struct buf *out, enum hostile_side side)
{
	repeat(out, " ", SIZE);
	buf_adds(out, side == HOSTILE_LEFT ? "[" : "{");
}

static void
escapes(struct buf *out, enum hostile_side side)
{
	(void)side;
	buf_addc(out, '"');
	repeat(out, "\\u0001", SIZE / 6);
	buf_addc(out, '"');
}

static void
form(struct buf *out, enum hostile_side side)
{
	(void)side;
	repeat(out, "token&=&%74oken=%&", SIZE / 18);
}

static void
parts(struct buf *out, enum hostile_side side)
{
	(void)side;
	repeat(out, "tokentoketokttot\r\n", SIZE / 18);
}

static void
take_output(struct buf *out, const char *command)
{
	FILE *f = popen(command, "re");
	char block[4096];
	size_t n;

	ck_assert_ptr_nonnull(f);
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		buf_add(out, block, n);
	ck_assert_int_eq(pclose(f), 0);
	ck_assert_uint_gt(out->len, 100);
}

/* 16 MiB of zeros in 70 KiB. */
static void
bomb(struct buf *out, enum hostile_side side)
{
	(void)side;
	take_output(out, "head -c 16777216 /dev/zero | gzip -1");
}

/* A hundred kilobytes of brackets, in four kilobytes. */
static void
small_brackets(struct buf *out, enum hostile_side side)
{
	(void)side;
	take_output(out, "(printf '[\"'; head -c 3000 /dev/urandom | "
			 "base64 -w0; printf '\"'; yes ',[]' | "
			 "head -n 40000 | tr -d '\\n'; printf ']') | gzip -9");
}

/* Three megabytes of brackets in thirty kilobytes. */
static void
many_brackets(struct buf *out, enum hostile_side side)
{
	(void)side;
	take_output(out, "(printf '[\"'; head -c 27000 /dev/urandom | "
			 "base64 -w0; printf '\"'; yes ',[]' | "
			 "head -n 1000000 | tr -d '\\n'; printf ']') | "
			 "gzip -9");
}

/* As much text as is taken out of a coding. */
static void
much_text(struct buf *out, enum hostile_side side)
{
	(void)side;
	take_output(out, "(head -c 70000 /dev/urandom; "
			 "head -c 6900000 /dev/zero) | gzip -9");
}

/* For patterns: backtracking in each of many, or in one. */
static void
many_texts(struct buf *out, enum hostile_side side)
{
	buf_adds(out, "{\"texts\":[\"\"");
	for (unsigned i = 0; out->len < SIZE; i++)
		buf_printf(out, ",\"aaaaaaaaaaaaaaaaaaaaaaaaaaaa%u%c\"", i,
			   side == HOSTILE_LEFT ? 'l' : 'r');
	buf_adds(out, "]}");
}

static void
one_text(struct buf *out, enum hostile_side side)
{
	repeat(out, "aaaaaaaaaaaaaaaa", SIZE / 16);
	buf_addc(out, side == HOSTILE_LEFT ? 'l' : 'r');
}

const struct hostile hostile_bodies[] = {
	{ "deep arrays", JSON, "", deep_arrays },
	{ "deep objects", JSON, "", deep_objects },
	{ "combs", JSON, "", combs },
	{ "a million keys", JSON, "", million_keys },
	{ "equal keys", JSON, "", equal_keys },
	{ "zeros", JSON, "", zeros },
	{ "empty members", JSON, "", empty_members },
	{ "a long name", JSON, "", long_name },
	{ "a set of one hash", JSON, "", one_hash },
	{ "numbers near each other", JSON, "", near_numbers },
	{ "many sets", JSON, "", many_sets },
	{ "keys far down", JSON, "", far_keys },
	{ "long numbers", JSON, "", long_numbers },
	{ "control characters", "text/plain", "", controls },
	{ "no UTF-8", "text/plain", "", not_utf8 },
	{ "white space", JSON, "", spaces },
	{ "escapes", JSON, "", escapes },
	{ "a form", "application/x-www-form-urlencoded", "", form },
	{ "parts", "multipart/form-data; boundary=t", "", parts },
	{ "many texts for a pattern", JSON, "", many_texts },
	{ "one text for a pattern", "text/plain", "", one_text },
	{ "a bomb", JSON, "gzip", bomb },
	{ "a bomb that says deflate", JSON, "deflate", bomb },
	{ "a bomb that says br", JSON, "br", bomb },
	{ "a bomb that says nothing", JSON, "", bomb },
	{ "a small bomb of brackets", JSON, "gzip", small_brackets },
	{ "a bomb of brackets", JSON, "gzip", many_brackets },
	{ "much text", JSON, "gzip", much_text },
};
const size_t hostile_body_count = ARRAY_SIZE(hostile_bodies);

/* ---- rules ---- */

#define RULES_HEAD "{\"version\":1,\"targets\":{\"legacy\":" \
		   "{\"url\":\"http://127.0.0.1:9\"}},"
#define RULES_BYTES MIB

void
hostile_plain_rules(struct buf *out, size_t size)
{
	buf_adds(out, RULES_HEAD "\"redact\":{\"query\":[\"q\"");
	for (unsigned i = 0; out->len + 32 < size; i++)
		buf_printf(out, ",\"parameter-%u\"", i);
	buf_adds(out, "]}}");
}

static void
deep_rules(struct buf *out, enum hostile_side side)
{
	buf_adds(out, RULES_HEAD "\"redact\":");
	deep_objects(out, side);
	buf_addc(out, '}');
}

static void
unknown_keys(struct buf *out, enum hostile_side side)
{
	(void)side;
	buf_addc(out, '{');
	for (unsigned i = 0; out->len < RULES_BYTES; i++)
		buf_printf(out, "%s\"%u\":0", i ? "," : "", i);
	buf_addc(out, '}');
}

static void
adapters(struct buf *out, enum hostile_side side)
{
	(void)side;
	buf_adds(out, RULES_HEAD "\"adapters\":{\"a\":{}");
	for (unsigned i = 0; out->len < RULES_BYTES; i++)
		buf_printf(out, ",\"a%u\":{}", i);
	buf_adds(out, "}}");
}

static void
pointers(struct buf *out, enum hostile_side side)
{
	(void)side;
	buf_adds(out, RULES_HEAD "\"redact\":{\"json\":[\"/a\"");
	while (out->len < RULES_BYTES)
		buf_adds(out, ",\"\"");
	buf_adds(out, "]}}");
}

static void
rules_of_one_path(struct buf *out, enum hostile_side side)
{
	(void)side;
	buf_adds(out, RULES_HEAD "\"rules\":[");
	for (unsigned i = 0; i < 900; i++)
		buf_printf(out, "%s{\"name\":\"r%u\",\"stage\":\"mirror\","
			   "\"match\":{\"path\":\"/{a}/{b}/{c}\",\"header\":"
			   "{\"x\":\"%u\"}}}", i ? "," : "", i, i);
	buf_adds(out, "]}");
}

static void
rules_of_many_paths(struct buf *out, enum hostile_side side)
{
	(void)side;
	buf_adds(out, RULES_HEAD "\"rules\":[");
	for (unsigned i = 0; i < 10000; i++)
		buf_printf(out, "%s{\"name\":\"r%u\",\"stage\":\"mirror\","
			   "\"match\":{\"path\":\"/a/{b}/%u/{c...}\"}}",
			   i ? "," : "", i, i);
	buf_adds(out, "]}");
}

static void
stars(struct buf *out, enum hostile_side side)
{
	(void)side;
	buf_adds(out, RULES_HEAD "\"default\":{\"stage\":\"mirror\","
				 "\"compare\":{\"ignore\":[\"/x\"");
	while (out->len < RULES_BYTES)
		buf_adds(out, ",\"/*/*/*/*/*/*/*/*\"");
	buf_adds(out, "]}}}");
}

const struct hostile hostile_rules[] = {
	{ "deep rules", "", "", deep_rules },
	{ "unknown keys", "", "", unknown_keys },
	{ "adapters", "", "", adapters },
	{ "pointers", "", "", pointers },
	{ "rules of one path", "", "", rules_of_one_path },
	{ "rules of many paths", "", "", rules_of_many_paths },
	{ "stars", "", "", stars },
	{ "deep text", "", "", deep_arrays },
	{ "white space", "", "", spaces },
	{ "escapes", "", "", escapes },
};
const size_t hostile_rules_count = ARRAY_SIZE(hostile_rules);
