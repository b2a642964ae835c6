/* SPDX-License-Identifier: Apache-2.0 */
/* What llhttp leaves to its user: line ends, Host, target, framing, and
 * which fields end at this hop (RFC 9110, RFC 9112). */
#include "proxy/parse.h"

#include <ctype.h>

#define SPAN_ROW(s) { (s), sizeof(s) - 1 }

static bool
line_ends_well(const char *p, bool *folded)
{
	while (*p == ' ' || *p == '\t')
		p++;
	if (p[0] != '\r' || p[1] != '\n')
		return false;
	*folded = p[2] == ' ' || p[2] == '\t';
	return true;
}

static bool
only_spaces(const char *from, const char *to)
{
	while (from < to && (*from == ' ' || *from == '\t'))
		from++;
	return from == to;
}

/* Every line must end in CRLF and none may be folded (RFC 9112 2.2, 5.2);
 * no space before the colon (5.1). What head.c forwards by the line relies
 * on it. The bytes behind a value are in the buffer: the head was complete. */
static bool
lines_are_strict(const struct parse *p)
{
	const char *line = p->field_count ? p->fields[0].name.at : p->end - 2;
	unsigned i;
	bool folded;

	if (memcmp(line - 2, "\r\n", 2) || memcmp(p->end - 4, "\r\n\r\n", 4))
		return false;
	for (i = 0; i < p->field_count; i++) {
		const struct message_field *f = &p->fields[i];
		const char *colon = f->name.at + f->name.len;

		if (f->name.len == 0 || *colon != ':' ||
		    (f->value.len && !only_spaces(colon + 1, f->value.at)))
			return false;
		if (!line_ends_well(f->value.at + f->value.len, &folded) ||
		    folded)
			return false;
	}
	return true;
}

/* METHOD SP target SP HTTP/1.x CRLF, single spaces (RFC 9112 3). */
static bool
request_line_is_strict(const struct parse *p)
{
	const char *m_end = p->start.at + p->start.len;
	const char *t_end = p->target.at + p->target.len;

	return *m_end == ' ' && m_end + 1 == p->target.at && *t_end == ' ' &&
	       memcmp(t_end + 1, "HTTP/", 5) == 0 &&
	       memcmp(t_end + 9, "\r\n", 2) == 0;
}

/* Letters and digits almost always: the list is the slow path. */
static bool
host_char_is_valid(unsigned char c)
{
	return isalnum(c) || (c && strchr("-._~%!$&'()*+,;=:[]", c));
}

static bool
port_is_valid(struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!isdigit((unsigned char)s.at[i]))
			return false;
	return s.len <= 5;
}

/* uri-host [":" port] (RFC 9110 7.2); empty is allowed there, not here. */
static bool
authority_is_valid(struct span a)
{
	const char *colon;
	size_t i;

	if (a.len == 0 || a.len > 255)
		return false;
	for (i = 0; i < a.len; i++)
		if (!host_char_is_valid((unsigned char)a.at[i]))
			return false;
	if (a.at[0] == '[') {
		const char *close = memchr(a.at, ']', a.len);

		if (!close)
			return false;
		i = (size_t)(close + 1 - a.at);
		if (i == a.len)
			return true;
		return a.at[i] == ':' && port_is_valid((struct span){
			a.at + i + 1, a.len - i - 1 });
	}
	colon = memchr(a.at, ':', a.len);
	if (!colon)
		return true;
	i = (size_t)(colon - a.at);
	return i > 0 && port_is_valid((struct span){ colon + 1,
						     a.len - i - 1 });
}

static bool
target_is_valid(const struct parse *p)
{
	struct span t = p->target, a;
	const char *slash;

	if (t.len == 0 || memchr(t.at, '#', t.len) ||
	    memchr(t.at, '\\', t.len))
		return false;
	if (t.at[0] == '/')
		return true;
	if (t.len == 1 && t.at[0] == '*')
		return span_is(p->start, "OPTIONS");
	if (t.len < 8 || strncasecmp(t.at, "http://", 7))
		return false;
	slash = memchr(t.at + 7, '/', t.len - 7);
	a = (struct span){ t.at + 7,
			   slash ? (size_t)(slash - t.at - 7) : t.len - 7 };
	return authority_is_valid(a);
}

static enum problem
check_host(const struct parse *p)
{
	const struct message_field *host = NULL;
	unsigned i;

	for (i = 0; i < p->field_count; i++) {
		if (!span_is_nocase(p->fields[i].name, "host"))
			continue;
		if (host)
			return PROBLEM_BAD_HOST;
		host = &p->fields[i];
	}
	if (!host)
		return p->ll.http_minor == 0 ? PROBLEM_NONE : PROBLEM_BAD_HOST;
	return authority_is_valid(host->value) ? PROBLEM_NONE :
						 PROBLEM_BAD_HOST;
}

/* Exactly one coding, chunked, in HTTP/1.1 and without Content-Length. */
static enum problem
check_framing(const struct parse *p)
{
	unsigned i, codings = 0, lengths = 0, before;
	bool chunked = false;

	for (i = 0; i < p->field_count; i++) {
		struct span list = p->fields[i].value, token;

		if (span_is_nocase(p->fields[i].name, "content-length"))
			lengths++;
		if (!span_is_nocase(p->fields[i].name, "transfer-encoding"))
			continue;
		before = codings;
		while (span_next_token(&list, &token)) {
			codings++;
			chunked = span_is_nocase(token, "chunked");
		}
		if (codings == before)	/* empty, or only commas */
			return PROBLEM_BAD_FRAMING;
	}
	if (lengths > 1 || (lengths && codings))
		return PROBLEM_BAD_FRAMING;
	if (codings == 0)
		return PROBLEM_NONE;
	if (p->ll.http_minor == 0)
		return PROBLEM_BAD_FRAMING;
	if (codings == 1 && chunked && (p->ll.flags & F_CHUNKED))
		return PROBLEM_NONE;
	return chunked ? PROBLEM_BAD_FRAMING : PROBLEM_CODING;
}

/* Fields that a client must not strip by naming them in Connection. */
static const char *const end_to_end[] = {
	"host", "content-length", "content-type", "authorization", "cookie",
	"via", "forwarded", "x-forwarded-for", "x-forwarded-proto",
	"x-forwarded-host", "x-forwarded-port", "x-real-ip", "expect",
	"prefer",
};

static enum problem
check_connection(const struct parse *p)
{
	unsigned i, k;

	for (i = 0; i < p->field_count; i++) {
		struct span list = p->fields[i].value, token;

		if (!span_is_nocase(p->fields[i].name, "connection"))
			continue;
		while (span_next_token(&list, &token))
			for (k = 0; k < ARRAY_SIZE(end_to_end); k++)
				if (span_is_nocase(token, end_to_end[k]))
					return PROBLEM_BAD_CONNECTION;
	}
	return PROBLEM_NONE;
}

static enum problem
check_expect(const struct parse *p)
{
	const struct message_field *f = message_find(parse_fields(p),
						     "expect");

	if (!f || span_is_nocase(f->value, "100-continue"))
		return PROBLEM_NONE;
	return PROBLEM_EXPECTATION;
}

static enum problem
check_start(const struct parse *p)
{
	if (p->ll.http_major != 1 || p->ll.http_minor > 1)
		return PROBLEM_VERSION;
	if (!request_line_is_strict(p) || !lines_are_strict(p))
		return PROBLEM_BAD_REQUEST;
	if (span_is(p->start, "CONNECT") || span_is(p->start, "TRACE"))
		return PROBLEM_METHOD;
	if (span_is(p->start, "PRI") || !target_is_valid(p))
		return PROBLEM_BAD_TARGET;
	return PROBLEM_NONE;
}

int
parse_check_request(const struct parse *p, enum problem *why)
{
	static enum problem (*const checks[])(const struct parse *) = {
		check_start, check_host, check_framing, check_connection,
		check_expect,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(checks); i++) {
		*why = checks[i](p);
		if (*why != PROBLEM_NONE)
			return -1;
	}
	return 0;
}

int
parse_check_response(const struct parse *p)
{
	unsigned i, lengths = 0;

	if (p->ll.http_major != 1 || p->ll.status_code < 100 ||
	    p->ll.status_code > 599 || !lines_are_strict(p))
		return -1;
	for (i = 0; i < p->field_count; i++)
		if (span_is_nocase(p->fields[i].name, "content-length"))
			lengths++;
	if (lengths > 1)
		return -1;
	/* Chunked together with a length is faulty framing (6.3). */
	if (lengths && (p->ll.flags & F_TRANSFER_ENCODING))
		return -1;
	return 0;
}

static const struct span hop_by_hop[] = {
	SPAN_ROW("connection"), SPAN_ROW("keep-alive"),
	SPAN_ROW("proxy-connection"), SPAN_ROW("te"),
	SPAN_ROW("transfer-encoding"), SPAN_ROW("upgrade"),
};

/* The lengths of those names: most fields are told apart by it alone. */
#define HOP_BY_HOP_LENGTHS \
	(1u << 2 | 1u << 7 | 1u << 10 | 1u << 16 | 1u << 17)

static bool
connection_names(struct message_fields fields, struct span name)
{
	size_t i;

	for (i = 0; i < fields.count; i++) {
		struct span list = fields.at[i].value, token;

		if (!span_is_nocase(fields.at[i].name, "connection"))
			continue;
		while (span_next_token(&list, &token))
			if (span_equal_nocase(token, name))
				return true;
	}
	return false;
}

bool
parse_is_hop_by_hop(struct message_fields fields, struct span name,
		    bool connection)
{
	size_t i;

	if (name.len < 32 && (HOP_BY_HOP_LENGTHS >> name.len & 1))
		for (i = 0; i < ARRAY_SIZE(hop_by_hop); i++)
			if (span_equal_nocase(name, hop_by_hop[i]))
				return true;
	return connection && connection_names(fields, name);
}
