/* SPDX-License-Identifier: Apache-2.0 */
/* JSON writer: one pass that copies plain bytes eight at a time, escapes
 * what RFC 8259 7 asks for and checks UTF-8 (RFC 3629) on the way. */
#include "base/json.h"

#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/invariant.h"

#define DEPTH_MAX 31
#define WORD 8u
#define STRIDE 32u
/* Input is escaped in pieces, so that the room reserved for the worst case
 * (six bytes for one) stays small. */
#define PIECE_BYTES 1024u
#define WORST_GROWTH 6u

#define EACH_BYTE(x) (0x0101010101010101u * (uint64_t)(x))
#define HIGH_BITS EACH_BYTE(0x80)

/* Sets the high bit of each byte that needs care: above ASCII, below space,
 * quote, backslash, DEL. Subtractions borrow from the byte above, so only
 * the lowest bit set is certain, and that there is none. */
static inline uint64_t
care_bits(uint64_t w)
{
	return (w | (w - EACH_BYTE(0x20)) | (w + EACH_BYTE(1)) |
		((w ^ EACH_BYTE('"')) - EACH_BYTE(1)) |
		((w ^ EACH_BYTE('\\')) - EACH_BYTE(1))) & HIGH_BITS;
}

static inline uint64_t
load_word(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return le64toh(w);
}

/* How many of the eight bytes at p, from the start, need no care. */
static inline unsigned
plain_prefix(const char *p)
{
	uint64_t care = care_bits(load_word(p));

	return care ? (unsigned)__builtin_ctzll(care) / 8u : WORD;
}

/* Copies as many whole strides of plain bytes as there are. */
static size_t
copy_plain(char *to, const char *p, size_t n)
{
	size_t done = 0;

	while (n - done >= STRIDE) {
		uint64_t care = 0;

		for (unsigned i = 0; i < STRIDE; i += WORD)
			care |= care_bits(load_word(p + done + i));
		if (care)
			break;
		memcpy(to + done, p + done, STRIDE);
		done += STRIDE;
	}
	return done;
}

static bool
is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Length of the well-formed UTF-8 sequence at p (Unicode table 3-7: no
 * overlong forms, no surrogates, nothing above U+10FFFF), 0 when there is
 * none. */
static unsigned
utf8_length(const unsigned char *p, size_t n)
{
	unsigned char low = 0x80, high = 0xbf;
	unsigned len;

	if (n == 0 || p[0] < 0x80)
		return n > 0;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (n < len || p[1] < low || p[1] > high)
		return 0;
	for (unsigned i = 2; i < len; i++)
		if (!is_tail(p[i]))
			return 0;
	return len;
}

static char *
put_unicode(char *to, unsigned c)
{
	static const char hex[] = "0123456789abcdef";

	memcpy(to, "\\u00", 4);
	to[4] = hex[c >> 4];
	to[5] = hex[c & 15];
	return to + 6;
}

static char *
put_escape(char *to, unsigned char c)
{
	static const char shorts[256] = {
		['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
		['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
	};

	if (!shorts[c])
		return put_unicode(to, c);
	to[0] = '\\';
	to[1] = shorts[c];
	return to + 2;
}

/* Writes the character at p that needs care and returns its length. C1
 * controls (U+0080 to U+009F) are escaped, too: terminals obey them. */
static size_t
put_careful(char **to, const char *p, const char *end)
{
	const unsigned char *at = (const unsigned char *)p;
	unsigned len;

	if (at[0] < 0x80) {
		*to = put_escape(*to, at[0]);
		return 1;
	}
	len = utf8_length(at, (size_t)(end - p));
	if (len == 0) {
		memcpy(*to, "\xef\xbf\xbd", 3);
		*to += 3;
		return 1;
	}
	if (at[0] == 0xc2 && at[1] < 0xa0) {
		*to = put_unicode(*to, at[1]);
		return len;
	}
	for (unsigned i = 0; i < len; i++)
		*(*to)++ = p[i];
	return len;
}

static bool
needs_care(unsigned char c)
{
	return c < 0x20 || c >= 0x7f || c == '"' || c == '\\';
}

/* Escapes from p at least up to stop (a character may reach beyond it, never
 * beyond end) and returns the end of what it wrote. Words are copied whole
 * and counted afterwards: the room at `to` allows for it. */
static char *
escape_piece(char *to, const char **from, const char *stop, const char *end)
{
	const char *p = *from;

	while (p < stop) {
		if ((size_t)(end - p) >= WORD) {
			size_t n = plain_prefix(p);

			memcpy(to, p, WORD);
			if (n == WORD && p + n < stop)
				n += copy_plain(to + n, p + n,
						(size_t)(stop - p) - n);
			p += n;
			to += n;
			if (n >= WORD)
				continue;
		} else if (!needs_care((unsigned char)*p)) {
			*to++ = *p++;
			continue;
		}
		do
			p += put_careful(&to, p, end);
		while (p < stop && needs_care((unsigned char)*p));
	}
	*from = p;
	return to;
}

#define ROOM(piece) (((piece) + WORD) * WORST_GROWTH)

/* A buffer with a limit must not fail for room that is reserved but never
 * used, so its pieces are escaped aside first. */
static const char *
add_piece(struct buf *out, const char *p, size_t piece, const char *end)
{
	char aside[ROOM(PIECE_BYTES)];
	char *to;

	if (out->limit_bytes) {
		to = escape_piece(aside, &p, p + piece, end);
		buf_add(out, aside, (size_t)(to - aside));
		return p;
	}
	to = buf_reserve(out, ROOM(piece));
	if (!to)
		return end;
	to = escape_piece(to, &p, p + piece, end);
	out->len = (size_t)(to - out->data);
	return p;
}

static void
add_quoted(struct buf *out, struct span s)
{
	const char *p = s.at, *end = s.len ? s.at + s.len : s.at;

	buf_addc(out, '"');
	while (p < end) {
		size_t left = (size_t)(end - p);

		p = add_piece(out, p, left < PIECE_BYTES ? left : PIECE_BYTES,
			      end);
	}
	buf_addc(out, '"');
}

/* What goes before any value or key. */
static void
comma(struct json *j)
{
	uint32_t bit = UINT32_C(1) << j->depth;

	if (j->after_key) {
		j->after_key = false;
		return;
	}
	if (j->has_item & bit)
		buf_addc(j->out, ',');
	j->has_item |= bit;
}

static void
begin(struct json *j, char bracket)
{
	comma(j);
	INVARIANT(j->depth < DEPTH_MAX);
	j->depth++;
	j->has_item &= ~(UINT32_C(1) << j->depth);
	buf_addc(j->out, bracket);
}

static void
end(struct json *j, char bracket)
{
	INVARIANT(j->depth > 0 && !j->after_key);
	j->depth--;
	buf_addc(j->out, bracket);
}

void
json_init(struct json *j, struct buf *out)
{
	*j = (struct json){ .out = out };
}

void
json_object_begin(struct json *j)
{
	begin(j, '{');
}

void
json_object_end(struct json *j)
{
	end(j, '}');
}

void
json_array_begin(struct json *j)
{
	begin(j, '[');
}

void
json_array_end(struct json *j)
{
	end(j, ']');
}

void
json_key(struct json *j, const char *literal)
{
	size_t n = strlen(literal);
	char *to;

	comma(j);
	j->after_key = true;
	to = buf_reserve(j->out, n + 3);
	if (!to)
		return;
	to[0] = '"';
	memcpy(to + 1, literal, n);
	to[n + 1] = '"';
	to[n + 2] = ':';
	j->out->len += n + 3;
}

void
json_key_span(struct json *j, struct span name)
{
	comma(j);
	j->after_key = true;
	add_quoted(j->out, name);
	buf_addc(j->out, ':');
}

/* Folding after escaping is safe: escapes hold no capital letters. */
void
json_key_span_lower(struct json *j, struct span name)
{
	size_t from = j->out->len;

	json_key_span(j, name);
	for (size_t i = from; i < j->out->len; i++) {
		char c = j->out->data[i];

		if (c >= 'A' && c <= 'Z')
			j->out->data[i] = (char)(c + ('a' - 'A'));
	}
}

void
json_span(struct json *j, struct span s)
{
	comma(j);
	add_quoted(j->out, s);
}

void
json_str(struct json *j, const char *s)
{
	if (s)
		json_span(j, span_of(s));
	else
		json_none(j);
}

void
json_u64(struct json *j, uint64_t v)
{
	comma(j);
	buf_add_u64(j->out, v);
}

void
json_i64(struct json *j, int64_t v)
{
	comma(j);
	if (v < 0)
		buf_addc(j->out, '-');
	buf_add_u64(j->out, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* Fifteen digits where they read back as the same number, else seventeen;
 * the decimal point is JSON's whatever the locale says. */
void
json_double(struct json *j, double v)
{
	char text[32];
	char *point;
	double back;

	if (!isfinite(v)) {
		json_none(j);
		return;
	}
	comma(j);
	snprintf(text, sizeof(text), "%.15g", v);
	if (sscanf(text, "%lf", &back) != 1 || back < v || back > v)
		snprintf(text, sizeof(text), "%.17g", v);
	point = strchr(text, ',');
	if (point)
		*point = '.';
	buf_adds(j->out, text);
}

void
json_bool(struct json *j, bool v)
{
	comma(j);
	buf_adds(j->out, v ? "true" : "false");
}

void
json_none(struct json *j)
{
	comma(j);
	buf_add(j->out, "null", 4);
}

static char *
put_base64(char *to, const unsigned char *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t v = (uint32_t)p[0] << 16;

	v |= n > 1 ? (uint32_t)p[1] << 8 : 0;
	v |= n > 2 ? p[2] : 0;
	to[0] = digits[v >> 18];
	to[1] = digits[v >> 12 & 63];
	to[2] = '=';
	to[3] = '=';
	if (n > 1)
		to[2] = digits[v >> 6 & 63];
	if (n > 2)
		to[3] = digits[v & 63];
	return to + 4;
}

void
json_base64(struct json *j, struct span bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.at;
	char *to;

	comma(j);
	to = buf_reserve(j->out, (bytes.len + 2) / 3 * 4 + 2);
	if (!to)
		return;
	*to++ = '"';
	for (size_t i = 0; i < bytes.len; i += 3)
		to = put_base64(to, p + i, bytes.len - i);
	*to++ = '"';
	j->out->len = (size_t)(to - j->out->data);
}

void
json_raw(struct json *j, struct span json_text)
{
	comma(j);
	buf_add(j->out, json_text.at, json_text.len);
}

/* Eight ASCII bytes without NUL at once; the rest one character a turn. */
bool
json_is_utf8(struct span s)
{
	size_t i = 0;

	while (i < s.len) {
		unsigned n = 0;

		if (s.len - i >= WORD)
			n = plain_prefix(s.at + i);
		if (n == 0) {
			n = utf8_length((const unsigned char *)s.at + i,
					s.len - i);
			if (n == 0 || s.at[i] == '\0')
				return false;
		}
		i += n;
	}
	return true;
}
