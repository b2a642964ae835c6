/* SPDX-License-Identifier: Apache-2.0 */
/* Servers differ in what a path means: whether dot segments and empty ones
 * count, whether %2F or a backslash is a slash, whether `;` ends a segment,
 * whether it is decoded twice, or decoded as UTF-8 that is longer than it
 * should be, or cut at a NUL. Each row is a kind of server. A bad escape is
 * kept as it stands. */
#include "rules/reading.h"

#include <stdint.h>
#include <string.h>

#include "base/attr.h"
#include "base/hex.h"

enum {
	DOTS = 1,	/* "." and ".." are resolved */
	MERGE = 2,	/* empty segments are dropped */
	SLASHES = 4,	/* %2F and %5C part segments */
	PARAMETERS = 8,	/* ";x" is no part of a segment */
	TWICE = 16,	/* %252E is "." */
	OVERLONG = 32,	/* %C0%AE is "." */
	NUL_ENDS = 64,	/* nothing counts from %00 on */
};

static const unsigned readings[] = {
	0, DOTS, MERGE, DOTS | MERGE, DOTS | MERGE | SLASHES,
	DOTS | PARAMETERS, DOTS | MERGE | PARAMETERS,
	DOTS | MERGE | SLASHES | PARAMETERS, DOTS | MERGE | TWICE,
	DOTS | MERGE | SLASHES | OVERLONG, DOTS | MERGE | NUL_ENDS,
	DOTS | MERGE | SLASHES | PARAMETERS | TWICE | OVERLONG | NUL_ENDS,
};

struct reader {
	struct span in;
	size_t at;
	unsigned how;
	char *out;
	size_t len, size, segment;	/* where the last segment starts */
	bool in_parameter, climbs;
};

/* The value of the escape at i, or -1. */
static int
escape_at(struct span s, size_t i)
{
	int hi, lo;

	if (i + 3 > s.len || s.at[i] != '%')
		return -1;
	hi = hex_value(s.at[i + 1]);
	lo = hex_value(s.at[i + 2]);
	return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

/* An escaped ASCII character in two to four bytes; 0 when it is none. */
static int
overlong_at(struct span s, size_t i, size_t *used)
{
	int lead = escape_at(s, i), value, next;
	size_t n = lead == 0xc0 || lead == 0xc1 ? 1 : lead == 0xe0 ? 2 :
		   lead == 0xf0 ? 3 : 0;

	if (n == 0)
		return 0;
	value = n == 1 ? lead & 1 : 0;
	for (size_t k = 1; k <= n; k++) {
		next = escape_at(s, i + 3 * k);
		if (next < 0x80 || next > 0xbf)
			return 0;
		value = value << 6 | (next & 0x3f);
	}
	*used = 3 * (n + 1);
	return value < 0x80 ? value : 0;
}

static bool
is_unreserved(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("-._~", c));
}

static bool
put(struct reader *r, char c)
{
	if (r->len == r->size)
		return false;
	r->out[r->len++] = c;
	return true;
}

static bool
put_escape(struct reader *r, int c)
{
	static const char hex[] = "0123456789ABCDEF";

	return put(r, '%') && put(r, hex[c >> 4]) && put(r, hex[c & 15]);
}

static void
step_up(struct reader *r)
{
	r->len = r->segment;
	if (r->len == 1) {
		r->climbs = true;
		return;
	}
	r->len--;
	while (r->out[r->len - 1] != '/')
		r->len--;
}

/* Leaves the segment, or takes it back; true when it stays. */
static bool
end_segment(struct reader *r)
{
	size_t n = r->len - r->segment;
	const char *s = r->out + r->segment;

	r->in_parameter = false;
	if ((r->how & MERGE) && n == 0)
		return false;
	if ((r->how & DOTS) && n == 1 && s[0] == '.') {
		r->len = r->segment;
		return false;
	}
	if ((r->how & DOTS) && n == 2 && s[0] == '.' && s[1] == '.') {
		step_up(r);
		return false;
	}
	return true;
}

static bool
put_slash(struct reader *r)
{
	if (end_segment(r) && !put(r, '/'))
		return false;
	r->segment = r->len;
	return true;
}

static bool
put_raw(struct reader *r, char c)
{
	if (c == '/')
		return put_slash(r);
	if (c == ';' && (r->how & PARAMETERS))
		r->in_parameter = true;
	return r->in_parameter || put(r, c);
}

/* What the escape at the present place is read as, and its length. */
static int
decode(struct reader *r, size_t *used)
{
	int c = escape_at(r->in, r->at), longer;

	*used = 3;
	if (c == '%' && (r->how & TWICE) && r->at + 5 <= r->in.len) {
		char inner[3] = { '%', r->in.at[r->at + 3],
				  r->in.at[r->at + 4] };
		int twice = escape_at((struct span){ inner, 3 }, 0);

		if (twice >= 0) {
			*used = 5;
			return twice;
		}
	}
	if ((r->how & OVERLONG) && c >= 0xc0) {
		longer = overlong_at(r->in, r->at, used);
		if (longer)
			return longer;
		*used = 3;
	}
	return c;
}

/* False when the path ends here, by a NUL or for want of room. */
static bool
read_one(struct reader *r)
{
	size_t used = 1;
	int c = r->in.at[r->at] == '%' ? decode(r, &used) : -1;

	if (c < 0) {
		c = r->in.at[r->at];
		r->at++;
		return put_raw(r, (char)c);
	}
	r->at += used;
	if (c == 0 && (r->how & NUL_ENDS)) {
		r->at = r->in.len;
		return true;
	}
	if ((c == '/' || c == '\\') && (r->how & SLASHES))
		return put_slash(r);
	if (r->in_parameter)
		return true;
	return is_unreserved(c) ? put(r, (char)c) : put_escape(r, c);
}

size_t
reading_count(void)
{
	return ARRAY_SIZE(readings);
}

long
reading_write(size_t k, struct span path, char *out, size_t size,
	      bool *climbs)
{
	struct reader r = { .in = path, .at = 1, .how = readings[k],
			    .out = out, .len = 1, .size = size,
			    .segment = 1 };

	if (path.len == 0 || path.at[0] != '/' || size == 0)
		return -1;
	out[0] = '/';
	while (r.at < path.len)
		if (!read_one(&r))
			return -1;
	(void)end_segment(&r);
	if (r.climbs)
		*climbs = true;
	return (long)r.len;
}

/* Of escapes, those of reserved characters and of letters beyond ASCII mean
 * the same to everybody. */
static bool
escape_is_plain(struct span path, size_t i)
{
	int c = escape_at(path, i);
	size_t used;

	return c > 0 && c != '/' && c != '\\' && c != '%' && c != '.' &&
	       overlong_at(path, i, &used) == 0;
}

bool
reading_is_plain(struct span path)
{
	for (size_t i = 0; i < path.len; i++) {
		char c = path.at[i];

		if (c == ';' || (c == '%' && !escape_is_plain(path, i)))
			return false;
		if (c == '/' && i + 1 < path.len &&
		    (path.at[i + 1] == '/' || path.at[i + 1] == '.'))
			return false;
	}
	return true;
}
