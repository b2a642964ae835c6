/* SPDX-License-Identifier: Apache-2.0 */
/* JSON strings: one pass that copies plain bytes in strides, escapes what
 * RFC 8259 7 asks for and checks UTF-8 (RFC 3629) on the way. */
#include "base/escape.h"

#include <endian.h>
#include <string.h>

#include "base/json.h"

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

/* Sixteen bytes side by side: a vector of the compiler, not of a machine.
 * Signed, so that one comparison finds what is below space or above ASCII. */
typedef int8_t bytes16 __attribute__((vector_size(16)));

static inline bytes16
care_bytes(const char *p)
{
	bytes16 v;

	memcpy(&v, p, sizeof(v));
	return (v < 0x20) | (v == 0x7f) | (v == '"') | (v == '\\');
}

static inline bool
stride_is_plain(const char *p)
{
	bytes16 care = care_bytes(p) | care_bytes(p + 16);
	uint64_t halves[2];

	memcpy(halves, &care, sizeof(halves));
	return (halves[0] | halves[1]) == 0;
}

/* Copies as many whole strides of plain bytes as there are. */
static size_t
copy_plain(char *to, const char *p, size_t n)
{
	size_t done = 0;

	while (n - done >= STRIDE && stride_is_plain(p + done)) {
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

	to[0] = '\\';
	to[1] = 'u';
	for (int i = 0; i < 4; i++)
		to[2 + i] = hex[c >> (12 - 4 * i) & 15];
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

/* Characters that terminals and editors obey though JSON lets them pass: C1
 * controls (U+0080 to U+009F), marks, embeddings, overrides and isolates of
 * the writing direction, line and paragraph separators. 0: none of them. */
static unsigned
hidden_control(const unsigned char *p, unsigned len)
{
	unsigned c = 0;

	if (len == 2)
		c = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
	else if (len == 3)
		c = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 |
		    (p[2] & 0x3fu);
	if ((c >= 0x80 && c < 0xa0) || c == 0x61c ||
	    (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069))
		return c;
	return 0;
}

/* Writes the character at p that needs care and returns its length. *exact is
 * cleared for what json_is_utf8 does not accept. */
static size_t
put_careful(char **to, const char *p, const char *end, bool *exact)
{
	const unsigned char *at = (const unsigned char *)p;
	unsigned len, hidden;

	if (at[0] < 0x80) {
		if (at[0] == '\0')
			*exact = false;
		*to = put_escape(*to, at[0]);
		return 1;
	}
	len = utf8_length(at, (size_t)(end - p));
	if (len == 0) {
		*exact = false;
		memcpy(*to, "\xef\xbf\xbd", 3);
		*to += 3;
		return 1;
	}
	hidden = hidden_control(at, len);
	if (hidden) {
		*to = put_unicode(*to, hidden);
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
escape_piece(char *to, const char **from, const char *stop, const char *end,
	     bool *exact)
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
			p += put_careful(&to, p, end, exact);
		while (p < stop && needs_care((unsigned char)*p));
	}
	*from = p;
	return to;
}

#define ROOM(piece) (((piece) + WORD) * WORST_GROWTH)

/* A buffer with a limit must not fail for room that is reserved but never
 * used, so its pieces are escaped aside first. */
static const char *
add_piece(struct buf *out, const char *p, size_t piece, const char *end,
	  bool *exact)
{
	char aside[ROOM(PIECE_BYTES)];
	char *to;

	if (out->limit_bytes) {
		to = escape_piece(aside, &p, p + piece, end, exact);
		buf_add(out, aside, (size_t)(to - aside));
		return p;
	}
	to = buf_reserve(out, ROOM(piece));
	if (!to)
		return end;
	to = escape_piece(to, &p, p + piece, end, exact);
	out->len = (size_t)(to - out->data);
	return p;
}

/* One look at the outcome for four vectors: half the work for long text. */
static inline bool
two_strides_are_plain(const char *p)
{
	bytes16 care = care_bytes(p) | care_bytes(p + 16) |
		       care_bytes(p + STRIDE) | care_bytes(p + STRIDE + 16);
	uint64_t halves[2];

	memcpy(halves, &care, sizeof(halves));
	return (halves[0] | halves[1]) == 0;
}

/* How many whole strides from p on need no care at all. */
static size_t
skip_plain(const char *p, size_t n)
{
	size_t done = 0;

	while (n - done >= (size_t)2 * STRIDE &&
	       two_strides_are_plain(p + done))
		done += (size_t)2 * STRIDE;
	while (n - done >= STRIDE && stride_is_plain(p + done))
		done += STRIDE;
	return done;
}

/* Does nothing in s need care? The last word overlaps the one before. */
static bool
is_plain(struct span s)
{
	size_t i = 0;

	if (s.len < WORD) {
		while (i < s.len && !needs_care((unsigned char)s.at[i]))
			i++;
		return i == s.len;
	}
	i = skip_plain(s.at, s.len);
	for (; s.len - i > WORD; i += WORD)
		if (care_bits(load_word(s.at + i)))
			return false;
	return !care_bits(load_word(s.at + s.len - WORD));
}

/* Most strings are short and plain: no pieces, no room for the worst. */
static void
add_quoted(struct buf *out, struct span plain)
{
	char *to = buf_reserve(out, plain.len + 2);

	if (!to)
		return;
	to[0] = '"';
	if (plain.len)
		memcpy(to + 1, plain.at, plain.len);
	to[plain.len + 1] = '"';
	out->len += plain.len + 2;
}

enum inexact { INEXACT_GOES_ON, INEXACT_STOPS };

static bool
quote(struct buf *out, struct span s, enum inexact what)
{
	const char *p = s.at, *end = s.len ? s.at + s.len : s.at;
	bool exact = true;

	if (is_plain(s)) {
		add_quoted(out, s);
		return true;
	}
	buf_addc(out, '"');
	while (p < end && (exact || what == INEXACT_GOES_ON)) {
		size_t left = (size_t)(end - p);

		p = add_piece(out, p, left < PIECE_BYTES ? left : PIECE_BYTES,
			      end, &exact);
	}
	buf_addc(out, '"');
	return exact;
}

void
escape_quoted(struct buf *out, struct span s)
{
	(void)quote(out, s, INEXACT_GOES_ON);
}

bool
escape_exact(struct buf *out, struct span s)
{
	return quote(out, s, INEXACT_STOPS);
}

/* How many whole double strides from p on are ASCII without NUL. */
static size_t
skip_ascii(const char *p, size_t n)
{
	size_t done = 0;

	for (; n - done >= (size_t)2 * STRIDE; done += (size_t)2 * STRIDE) {
		bytes16 v[4], odd;
		uint64_t halves[2];

		memcpy(v, p + done, sizeof(v));
		odd = (v[0] < 1) | (v[1] < 1) | (v[2] < 1) | (v[3] < 1);
		memcpy(halves, &odd, sizeof(halves));
		if (halves[0] | halves[1])
			break;
	}
	return done;
}

/* The same in the eight bytes at p, from the start: borrows go up. */
static inline unsigned
ascii_prefix(const char *p)
{
	uint64_t w = load_word(p);
	uint64_t odd = (w | (w - EACH_BYTE(1))) & HIGH_BITS;

	return odd ? (unsigned)__builtin_ctzll(odd) / 8u : WORD;
}

/* Strides of ASCII at once, then words; the rest one character a turn. */
bool
json_is_utf8(struct span s)
{
	size_t i = 0;

	while (i < s.len) {
		unsigned n = 0;

		if (s.len - i >= WORD)
			n = ascii_prefix(s.at + i);
		if (n == WORD) {
			i += n;
			i += skip_ascii(s.at + i, s.len - i);
			continue;
		}
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
