/* SPDX-License-Identifier: Apache-2.0 */
/* Looking things up in an HTTP message: fields, cookies, query, path. */
#include "base/message.h"

#include <string.h>

#include "base/hex.h"

const struct message_field *
message_find_span(struct message_fields fields, struct span name)
{
	for (size_t i = 0; i < fields.count; i++)
		if (span_equal_nocase(fields.at[i].name, name))
			return &fields.at[i];
	return NULL;
}

/* Cuts the part before the next `separator` off `rest`; false at the end. */
static bool
next_part(struct span *rest, char separator, struct span *part)
{
	const char *sep;

	if (!rest->at)
		return false;
	sep = rest->len ? memchr(rest->at, separator, rest->len) : NULL;
	if (!sep) {
		*part = *rest;
		*rest = (struct span){ NULL, 0 };
		return true;
	}
	part->at = rest->at;
	part->len = (size_t)(sep - rest->at);
	rest->at = sep + 1;
	rest->len -= part->len + 1;
	return true;
}

/* Splits at the first '='; false when there is none (value is then empty). */
static bool
split_pair(struct span pair, struct span *name, struct span *value)
{
	const char *eq = pair.len ? memchr(pair.at, '=', pair.len) : NULL;

	if (!eq) {
		*name = pair;
		*value = (struct span){ "", 0 };
		return false;
	}
	*name = (struct span){ pair.at, (size_t)(eq - pair.at) };
	*value = (struct span){ eq + 1, pair.len - name->len - 1 };
	return true;
}

static bool
cookie_in_field(struct span rest, struct span wanted, struct span *value)
{
	struct span part, name, found;

	while (next_part(&rest, ';', &part)) {
		if (!split_pair(span_trim(part), &name, &found) ||
		    !span_equal(span_trim(name), wanted))
			continue;
		*value = span_trim(found);
		return true;
	}
	return false;
}

bool
message_cookie(struct message_fields fields, struct span name,
	       struct span *value)
{
	for (size_t i = 0; i < fields.count; i++)
		if (span_is_nocase(fields.at[i].name, "cookie") &&
		    cookie_in_field(fields.at[i].value, name, value))
			return true;
	return false;
}

/* A bare `name` counts as `name=`, as browsers and servers read it. */
bool
message_query_param(struct span query, struct span name, struct span *value)
{
	struct span part, key, found;

	while (next_part(&query, '&', &part)) {
		if (part.len == 0)
			continue;
		split_pair(part, &key, &found);
		if (span_equal(key, name)) {
			*value = found;
			return true;
		}
	}
	return false;
}

/* RFC 3986 2.3 */
static bool
is_unreserved(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

struct path_out {
	char *at;
	size_t len, size;
	size_t segment;		/* where the last segment starts */
};

static bool
put(struct path_out *o, char c)
{
	if (o->len == o->size)
		return false;
	o->at[o->len++] = c;
	return true;
}

static bool
put_percent(struct path_out *o, int hi, int lo)
{
	static const char hex[] = "0123456789ABCDEF";
	int c = hi << 4 | lo;

	if (is_unreserved(c))
		return put(o, (char)c);
	return put(o, '%') && put(o, hex[hi]) && put(o, hex[lo]);
}

/* Called at the end of a segment: drops "." and takes ".." and the segment
 * before it back (RFC 3986 5.2.4). Afterwards o ends with '/', or with an
 * ordinary segment. */
static void
resolve_dots(struct path_out *o)
{
	size_t n = o->len - o->segment;
	const char *seg = o->at + o->segment;

	if (n == 1 && seg[0] == '.') {
		o->len = o->segment;
	} else if (n == 2 && seg[0] == '.' && seg[1] == '.') {
		o->len = o->segment;
		if (o->len > 1)
			o->len--;
		while (o->at[o->len - 1] != '/')
			o->len--;
		o->segment = o->len;
	}
}

/* A slash after a slash adds nothing: empty segments are merged before dot
 * segments are resolved, which is how most servers read them. */
static bool
put_slash(struct path_out *o)
{
	resolve_dots(o);
	if (o->at[o->len - 1] != '/' && !put(o, '/'))
		return false;
	o->segment = o->len;
	return true;
}

static bool
put_escaped(struct path_out *o, struct span path, size_t i)
{
	int hi, lo;

	if (path.len - i < 3)
		return false;
	hi = hex_value(path.at[i + 1]);
	lo = hex_value(path.at[i + 2]);
	return hi >= 0 && lo >= 0 && put_percent(o, hi, lo);
}

long
message_normal_path(struct span path, char *out, size_t size)
{
	struct path_out o = { out, 1, size, 1 };

	if (path.len == 0 || size == 0)
		return -1;
	out[0] = path.at[0];
	if (span_is(path, "*"))
		return 1;
	if (path.at[0] != '/')
		return -1;
	for (size_t i = 1; i < path.len; i++) {
		char c = path.at[i];
		bool ok;

		if (c == '/') {
			ok = put_slash(&o);
		} else if (c == '%') {
			ok = put_escaped(&o, path, i);
			i += 2;
		} else {
			ok = put(&o, c);
		}
		if (!ok)
			return -1;
	}
	resolve_dots(&o);
	return (long)o.len;
}
