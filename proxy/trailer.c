/* SPDX-License-Identifier: Apache-2.0 */
/* Field lines behind a chunked body (RFC 9110 6.5, RFC 9112 7.1.2): gathered
 * while they arrive, in a bounded copy of those that may go on. */
#include <string.h>

#include "proxy/parse.h"

/* Fields that a recipient must know before the body, or that nobody behind
 * us may say in our name (RFC 9110 6.5.1). A last `*` is any ending. */
static const char *const not_behind_a_body[] = {
	/* framing and routing */
	"content-length", "host", "trailer", "http2-settings",
	/* how to read the body */
	"content-encoding", "content-type", "content-range",
	/* controls and conditions of the request */
	"cache-control", "expect", "max-forwards", "pragma", "range", "if-*",
	"prefer",
	/* who is asking */
	"authorization", "www-authenticate", "proxy-*", "cookie",
	"set-cookie",
	/* controls of the answer */
	"age", "date", "expires", "location", "retry-after", "vary",
	"warning",
	/* what gateways say about the connection */
	"via", "forwarded", "x-forwarded-*", "x-real-ip", "matapalo-*",
};

static bool
name_matches(struct span name, const char *pattern)
{
	size_t n = strlen(pattern);

	if (pattern[n - 1] == '*')
		return name.len >= n - 1 &&
		       strncasecmp(name.at, pattern, n - 1) == 0;
	return name.len == n && strncasecmp(name.at, pattern, n) == 0;
}

static bool
may_go_on(const struct parse *p, struct span name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(not_behind_a_body); i++)
		if (name_matches(name, not_behind_a_body[i]))
			return false;
	return !parse_is_hop_by_hop(parse_fields(p), name, true);
}

static int
overflow(struct parse *p)
{
	p->overflow = true;
	return -1;
}

static int
append(struct parse *p, const char *data, size_t n)
{
	struct trailers *t = &p->trailers;
	size_t cap = t->cap ? t->cap : 512;
	char *bigger;

	while (cap < t->len + n)
		cap *= 2;
	if (cap > t->cap) {
		bigger = arena_alloc(p->arena, cap);
		if (!bigger)
			return overflow(p);
		if (t->len)
			memcpy(bigger, t->text, t->len);
		t->text = bigger;
		t->cap = cap;
	}
	memcpy(t->text + t->len, data, n);
	t->len += n;
	return 0;
}

/* Counts what was received, not what goes on. */
static int
take(struct parse *p, const char *at, size_t n)
{
	struct trailers *t = &p->trailers;

	t->received += n;
	if (t->received > PARSE_TRAILER_BYTES_MAX)
		return overflow(p);
	t->piece_end = at + n;
	return append(p, at, n);
}

int
trailer_name(struct parse *p, const char *at, size_t n)
{
	struct trailers *t = &p->trailers;

	if (t->part != TRAILER_NAME) {
		if (++t->count > PARSE_TRAILERS_MAX)
			return overflow(p);
		t->part = TRAILER_NAME;
		t->line = t->len;
	}
	return take(p, at, n);
}

/* A piece that does not follow on the one before it means a folded line
 * (RFC 9112 5.2), which is refused as it is in a head. */
int
trailer_value(struct parse *p, const char *at, size_t n)
{
	struct trailers *t = &p->trailers;

	if (n == 0)
		return 0;
	if (t->part == TRAILER_NAME) {
		t->name_len = t->len - t->line;
		t->part = TRAILER_VALUE;
		if (append(p, ": ", 2))
			return -1;
	} else if (t->part == TRAILER_NONE || at != t->piece_end) {
		return -1;
	}
	return take(p, at, n);
}

int
trailer_end(struct parse *p)
{
	struct trailers *t = &p->trailers;

	if (t->part == TRAILER_NONE)
		return -1;		/* it has no name */
	if (t->part == TRAILER_NAME) {		/* an empty value */
		t->name_len = t->len - t->line;
		if (append(p, ":", 1))
			return -1;
	}
	t->part = TRAILER_NONE;
	if (t->name_len == 0)
		return -1;
	if (!may_go_on(p, (struct span){ t->text + t->line, t->name_len })) {
		t->len = t->line;
		return 0;
	}
	while (t->text[t->len - 1] == ' ' || t->text[t->len - 1] == '\t')
		t->len--;
	return append(p, "\r\n", 2);
}

void
trailer_buffer_begins(struct parse *p, const char *data)
{
	p->trailers.piece_end = p->trailers.open ? data : NULL;
}

void
trailer_buffer_ends(struct parse *p, const char *end)
{
	p->trailers.open = p->trailers.piece_end == end;
}
