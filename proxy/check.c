/* SPDX-License-Identifier: Apache-2.0 */
/* What llhttp leaves to its user: line ends, Host, target, framing, and
 * which fields end at this hop (RFC 9110, RFC 9112). */
#include "proxy/parse.h"

#include "proxy/authority.h"
#include "proxy/forwarded.h"

#define SPAN_ROW(s) { (s), sizeof(s) - 1 }

/* Nobody sends more, and some origins take the largest number for none: what
 * we forward as a body would be the next request to them. */
#define LENGTH_MAX ((uint64_t)1 << 60)

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

static bool
target_is_valid(const struct parse *p)
{
	struct span t = p->target, a;

	if (t.len == 0 || memchr(t.at, '#', t.len) ||
	    memchr(t.at, '\\', t.len))
		return false;
	if (t.at[0] == '/')
		return true;
	if (t.len == 1 && t.at[0] == '*')
		return span_is(p->start, "OPTIONS");
	if (t.len < 8 || strncasecmp(t.at, "http://", 7))
		return false;
	a = authority_of((struct span){ t.at + 7, t.len - 7 });
	return authority_is_valid(a);
}

static enum problem
check_host(const struct parse *p)
{
	const struct message_field *host = parse_find(p, FIELD_HOST);

	if (p->repeated & FIELD_BIT(FIELD_HOST))
		return PROBLEM_BAD_HOST;
	if (!host)
		return p->ll.http_minor == 0 ? PROBLEM_NONE : PROBLEM_BAD_HOST;
	return authority_is_valid(host->value) ? PROBLEM_NONE :
						 PROBLEM_BAD_HOST;
}

/* Exactly one coding, chunked, in HTTP/1.1 and without Content-Length. */
static enum problem
check_codings(const struct parse *p)
{
	unsigned i, codings = 0, before;
	bool chunked = false;

	for (i = 0; i < p->field_count; i++) {
		struct span list = p->fields[i].value, token;

		if (p->known[i] != FIELD_TRANSFER_ENCODING)
			continue;
		before = codings;
		while (span_next_token(&list, &token)) {
			codings++;
			chunked = span_is_nocase(token, "chunked");
		}
		if (codings == before)	/* empty, or only commas */
			return PROBLEM_BAD_FRAMING;
	}
	if (p->ll.http_minor == 0 ||
	    p->seen & FIELD_BIT(FIELD_CONTENT_LENGTH))
		return PROBLEM_BAD_FRAMING;
	if (codings == 1 && chunked && (p->ll.flags & F_CHUNKED))
		return PROBLEM_NONE;
	return chunked ? PROBLEM_BAD_FRAMING : PROBLEM_CODING;
}

static enum problem
check_framing(const struct parse *p)
{
	if ((p->repeated & FIELD_BIT(FIELD_CONTENT_LENGTH)) ||
	    p->ll.content_length > LENGTH_MAX)
		return PROBLEM_BAD_FRAMING;
	return p->seen & FIELD_BIT(FIELD_TRANSFER_ENCODING) ?
		check_codings(p) : PROBLEM_NONE;
}

/* What no client may have stripped by naming it in Connection, besides the
 * fields of class END: names, and beginnings of names ("-" at the end). */
static const struct span end_to_end[] = {
	SPAN_ROW("accept"), SPAN_ROW("accept-"), SPAN_ROW("access-control-"),
	SPAN_ROW("baggage"), SPAN_ROW("cache-control"), SPAN_ROW("content-"),
	SPAN_ROW("idempotency-"), SPAN_ROW("if-"), SPAN_ROW("matapalo-"),
	SPAN_ROW("origin"), SPAN_ROW("pragma"),
	SPAN_ROW("proxy-authenticate"), SPAN_ROW("proxy-authorization"),
	SPAN_ROW("range"), SPAN_ROW("referer"), SPAN_ROW("sec-"),
	SPAN_ROW("set-cookie"), SPAN_ROW("transfer-encoding"),
	SPAN_ROW("user-agent"), SPAN_ROW("x-api-key"), SPAN_ROW("x-csrf-"),
	SPAN_ROW("x-http-method-override"), SPAN_ROW("x-request-id"),
};

/* Each field line is held against each option. */
#define CONNECTION_OPTIONS_MAX 32

static bool
is_end_to_end(struct span option)
{
	size_t i;

	if (field_class(field_of(option)) == FIELD_END ||
	    forwarded_is_ours(option, NULL))
		return true;
	for (i = 0; i < ARRAY_SIZE(end_to_end); i++) {
		struct span row = end_to_end[i], begin = option;

		if (row.at[row.len - 1] == '-' && begin.len > row.len)
			begin.len = row.len;
		if (span_equal_nocase(begin, row))
			return true;
	}
	return false;
}

/* A client must not strip what others rely on by naming it there. */
static enum problem
check_connection(const struct parse *p)
{
	unsigned i, options = 0;

	for (i = 0; p->names_fields && i < p->field_count; i++) {
		struct span list = p->fields[i].value, token;

		if (p->known[i] != FIELD_CONNECTION)
			continue;
		while (span_next_token(&list, &token))
			if (++options > CONNECTION_OPTIONS_MAX ||
			    is_end_to_end(token))
				return PROBLEM_BAD_CONNECTION;
	}
	return PROBLEM_NONE;
}

static enum problem
check_expect(const struct parse *p)
{
	const struct message_field *f = parse_find(p, FIELD_EXPECT);

	if (!f)
		return PROBLEM_NONE;
	if ((p->repeated & FIELD_BIT(FIELD_EXPECT)) ||
	    !span_is_nocase(f->value, "100-continue"))
		return PROBLEM_EXPECTATION;
	return PROBLEM_NONE;
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

/* HTTP-version SP 3DIGIT SP [reason] CRLF (RFC 9112 4); of old origins the
 * last space may be missing. A reason is text: llhttp lets all bytes pass. */
static bool
status_line_is_strict(const struct parse *p)
{
	const char *at = p->start.at + sizeof("1.1 200") - 1;
	const char *end = (p->field_count ? p->fields[0].name.at :
					    p->end - 2) - 2;

	if (at == end)
		return p->ll.status_code >= 200;
	if (*at != ' ')
		return false;
	for (; at < end; at++)
		if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f)
			return false;
	return true;
}

int
parse_check_response(const struct parse *p)
{
	bool length = p->seen & FIELD_BIT(FIELD_CONTENT_LENGTH);

	if (p->ll.http_major != 1 || p->ll.status_code < 100 ||
	    p->ll.status_code > 599 || !lines_are_strict(p) ||
	    !status_line_is_strict(p))
		return -1;
	if ((p->repeated & FIELD_BIT(FIELD_CONTENT_LENGTH)) ||
	    (length && p->ll.content_length > LENGTH_MAX))
		return -1;
	/* Chunked together with a length, or in HTTP/1.0, is faulty framing
	 * (RFC 9112 6.3, 6.1). */
	if ((length || p->ll.http_minor == 0) &&
	    (p->ll.flags & F_TRANSFER_ENCODING))
		return -1;
	return 0;
}

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
	return field_class(field_of(name)) == FIELD_HOP ||
	       (connection && connection_names(fields, name));
}
