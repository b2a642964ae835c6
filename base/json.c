/* SPDX-License-Identifier: Apache-2.0 */
/* JSON writer: structure, numbers and base64; strings are in escape.c. */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/escape.h"
#include "base/invariant.h"

#define DEPTH_MAX 31

static void
begin(struct json *j, char bracket)
{
	json_comma(j);
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
json_key_span(struct json *j, struct span name)
{
	json_comma(j);
	j->after_key = true;
	escape_quoted(j->out, name);
	buf_addc(j->out, ':');
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Folding after escaping is safe: escapes hold no capital letters. */
void
json_key_span_lower(struct json *j, struct span name)
{
	size_t from = j->out->len;
	char *at, *end;

	json_key_span(j, name);
	if (j->out->failed)
		return;
	at = j->out->data + from;
	end = j->out->data + j->out->len;
	for (; at < end; at++)
		*at = lower(*at);
}

void
json_span(struct json *j, struct span s)
{
	json_comma(j);
	escape_quoted(j->out, s);
}

bool
json_text_member(struct json *j, const char *literal, struct span text)
{
	struct json before = *j;
	size_t len = j->out->len;

	json_key(j, literal);
	json_comma(j);
	if (escape_exact(j->out, text) || j->out->failed)
		return true;
	*j = before;
	j->out->len = len;
	return false;
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
	json_comma(j);
	buf_add_u64(j->out, v);
}

void
json_i64(struct json *j, int64_t v)
{
	json_comma(j);
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
	json_comma(j);
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
	json_comma(j);
	buf_adds(j->out, v ? "true" : "false");
}

void
json_none(struct json *j)
{
	json_comma(j);
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

	json_comma(j);
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
	json_comma(j);
	buf_add(j->out, json_text.at, json_text.len);
}

/* ---- members ---- */

void
json_member_str(struct json *j, const char *literal, const char *s)
{
	json_key(j, literal);
	json_str(j, s);
}

void
json_member_i64(struct json *j, const char *literal, int64_t v)
{
	json_key(j, literal);
	json_i64(j, v);
}

void
json_member_bool(struct json *j, const char *literal, bool v)
{
	json_key(j, literal);
	json_bool(j, v);
}

void
json_member_time(struct json *j, const char *literal, int64_t us)
{
	char text[CLOCK_RFC3339_SIZE];

	json_member_str(j, literal, clock_rfc3339(us, text));
}

void
json_given_str(struct json *j, const char *literal, const char *s)
{
	if (s && *s)
		json_member_str(j, literal, s);
}

void
json_given_i64(struct json *j, const char *literal, int64_t v)
{
	if (v)
		json_member_i64(j, literal, v);
}

void
json_given_bool(struct json *j, const char *literal, bool v)
{
	if (v)
		json_member_bool(j, literal, v);
}

void
json_given_time(struct json *j, const char *literal, int64_t us)
{
	if (us)
		json_member_time(j, literal, us);
}
