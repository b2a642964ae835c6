/* SPDX-License-Identifier: Apache-2.0 */
/* Looks up what a placeholder of "emit" stands for. */
#include <string.h>

#include "base/message.h"
#include "bus/emit.h"
#include "payload/payload.h"

/* Deeper bodies stay text: consumers' parsers have limits, too. */
#define BODY_DEPTH_MAX 64

static const char *const places[] = {
#define SOURCE(sym, text, argument, place, sentence) place,
#include "base/emit.def"
#undef SOURCE
};

int
emit_view_open(struct emit_view *v, const struct bus_record *r,
	       struct span data)
{
	*v = (struct emit_view){ .r = r };
	v->exchange = payload_parse(data, NULL);
	return v->exchange ? 0 : -1;
}

void
emit_view_close(struct emit_view *v)
{
	payload_free(&v->bodies[0]);
	payload_free(&v->bodies[1]);
	payload_free(&v->exchange);
	buf_fini(&v->decoded);
}

/* ---- bodies ---- */

static bool
is_json(struct span text)
{
	return payload_check(text, BODY_DEPTH_MAX, NULL) == 0;
}

static bool
find_body(struct emit_view *v, const struct emit_value *value,
	  struct emit_found *out)
{
	int side = value->source == EMIT_RESPONSE_BODY;
	const struct cJSON *message =
		payload_at(v->exchange, places[value->source]);
	const char *body = payload_string(payload_member(message, "body"),
					  NULL);

	/* A part of a body is not the body. */
	if (!body || payload_bool(payload_member(message, "truncated"), false))
		return false;
	if (!v->looked[side] && is_json(span_of(body)))
		v->bodies[side] = payload_parse(span_of(body), NULL);
	v->looked[side] = true;
	out->json = payload_at(v->bodies[side], value->arg);
	out->text = span_of(body);
	return out->json || (!*value->arg && !v->bodies[side]);
}

/* ---- path and query ---- */

static int
hex_pair(struct span s)
{
	int value = 0;

	if (s.len < 2)
		return -1;
	for (int i = 0; i < 2; i++) {
		char c = s.at[i];
		char low = (char)(c | 0x20);

		if (c >= '0' && c <= '9')
			value = value * 16 + c - '0';
		else if (low >= 'a' && low <= 'f')
			value = value * 16 + low - 'a' + 10;
		else
			return -1;
	}
	return value;
}

static struct span
decode(struct emit_view *v, struct span s, char space)
{
	buf_clear(&v->decoded);
	for (; s.len > 0; s.at++, s.len--) {
		int byte = s.at[0] == '%' ? hex_pair((struct span){
						    s.at + 1, s.len - 1 })
					  : -1;

		if (byte > 0) {
			buf_addc(&v->decoded, (char)byte);
			s.at += 2;
			s.len -= 2;
		} else {
			buf_addc(&v->decoded, s.at[0] == space ? ' '
							       : s.at[0]);
		}
	}
	return buf_span(&v->decoded);
}

/* Origin form of a target, the authority of the absolute form cut off. */
static struct span
origin_form(struct span target)
{
	const char *scheme, *slash;

	if (target.len == 0 || target.at[0] == '/')
		return target;
	scheme = memmem(target.at, target.len, "://", 3);
	if (!scheme)
		return target;
	scheme += 3;
	slash = memchr(scheme, '/',
		       (size_t)(target.at + target.len - scheme));
	if (!slash)
		return (struct span){ "/", 1 };
	return (struct span){ slash,
			      (size_t)(target.at + target.len - slash) };
}

/* The segments of the path as rules see it. */
static bool
cut_segments(struct span path, unsigned skip, bool tail, struct span *out)
{
	const char *end = path.at + path.len, *at = path.at;

	for (;; at++) {
		const char *next = at + 1 <= end
					   ? memchr(at + 1, '/',
						    (size_t)(end - at - 1))
					   : NULL;

		if (skip-- == 0) {
			const char *stop = next && !tail ? next : end;

			*out = (struct span){ at + 1,
					      (size_t)(stop - at - 1) };
			return true;
		}
		if (!next)
			return false;
		at = next - 1;
	}
}

static bool
find_in_path(struct emit_view *v, const struct emit_value *value,
	     struct span target, struct emit_found *out)
{
	const char *query = memchr(target.at, '?', target.len);
	struct buf normal = { 0 };
	struct span segment;
	bool found = false;
	char *to;
	long n;

	if (query)
		target.len = (size_t)(query - target.at);
	to = buf_reserve(&normal, target.len + 2);
	n = to ? message_normal_path(target, to, target.len + 2) : -1;
	if (n > 0 && cut_segments((struct span){ to, (size_t)n },
				  value->segment, value->tail, &segment)) {
		out->text = decode(v, segment, '\0');
		found = true;
	}
	buf_fini(&normal);
	return found;
}

static bool
find_in_query(struct emit_view *v, const struct emit_value *value,
	      struct span target, struct emit_found *out)
{
	const char *query = memchr(target.at, '?', target.len);
	struct span text, raw;

	if (!query)
		return false;
	text = (struct span){ query + 1,
			      target.len - (size_t)(query + 1 - target.at) };
	if (!message_query_param(text, span_of(value->arg), &raw))
		return false;
	out->text = decode(v, raw, '+');
	return true;
}

bool
emit_view_find(struct emit_view *v, const struct emit_value *value,
	       struct emit_found *out)
{
	const struct cJSON *at = payload_at(v->exchange,
					    places[value->source]);
	const char *target;

	*out = (struct emit_found){ .json = NULL };
	switch (value->source) {
	case EMIT_REQUEST_BODY:
	case EMIT_RESPONSE_BODY:
		return find_body(v, value, out);
	case EMIT_PATH:
	case EMIT_QUERY:
		target = payload_string(at, NULL);
		if (!target)
			return false;
		return value->source == EMIT_PATH
			       ? find_in_path(v, value,
					      origin_form(span_of(target)),
					      out)
			       : find_in_query(v, value, span_of(target), out);
	case EMIT_REQUEST_HEADER:
	case EMIT_RESPONSE_HEADER:
		out->json = payload_member(at, value->arg);
		return out->json;
	case EMIT_RULE:
	case EMIT_STAGE:
	case EMIT_TARGET:
	case EMIT_STARTED:
	case EMIT_METHOD:
	case EMIT_REQUEST_TARGET:
	case EMIT_HOST:
	case EMIT_CLIENT:
	case EMIT_STATUS:
	case EMIT_SOURCE_COUNT:
		break;
	}
	out->json = at;
	return out->json;
}
