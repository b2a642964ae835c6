/* SPDX-License-Identifier: Apache-2.0 */
/* Collects llhttp's spans into a field table; nothing is copied. The checks
 * that llhttp leaves to its user are in check.c. */
#include "proxy/parse.h"

#include <stddef.h>
#include <string.h>

#include "base/invariant.h"

static struct parse *
parse_of(llhttp_t *ll)
{
	return (struct parse *)((char *)ll - offsetof(struct parse, ll));
}

/* Spans of one item come in pieces that lie next to each other, since the
 * head stays in one buffer; a gap means a folded line (RFC 9112 5.2). */
static void
span_extend(struct parse *p, struct span *s, const char *at, size_t n)
{
	if (!s->at)
		*s = (struct span){ at, n };
	else if (s->at + s->len == at)
		s->len += n;
	else
		p->folded = true;
}

static int
on_start(llhttp_t *ll, const char *at, size_t n)
{
	struct parse *p = parse_of(ll);

	span_extend(p, &p->start, at, n);
	return 0;
}

static int
on_target(llhttp_t *ll, const char *at, size_t n)
{
	struct parse *p = parse_of(ll);

	span_extend(p, &p->target, at, n);
	return p->target.len > PARSE_TARGET_MAX ? -1 : 0;
}

static int
fields_grow(struct parse *p)
{
	unsigned cap = p->field_cap ? p->field_cap * 2 : 32;
	struct message_field *bigger;

	if (p->field_count >= PARSE_FIELDS_MAX)
		return -1;
	bigger = arena_alloc(p->arena, cap * (sizeof(*bigger) + 1));
	if (!bigger)
		return -1;
	if (p->field_count)
		memcpy(bigger, p->fields, p->field_count * sizeof(*bigger));
	p->fields = bigger;
	p->known = (uint8_t *)(bigger + cap);
	p->field_cap = cap;
	return 0;
}

static int
on_name(llhttp_t *ll, const char *at, size_t n)
{
	struct parse *p = parse_of(ll);

	if (p->head_done)
		return trailer_name(p, at, n);
	if (p->in_value || p->field_count == 0) {
		if (p->field_count == p->field_cap && fields_grow(p)) {
			p->overflow = true;
			return -1;
		}
		p->fields[p->field_count++] =
			(struct message_field){ { at, n }, { NULL, 0 } };
		p->in_value = false;
		return 0;
	}
	span_extend(p, &p->fields[p->field_count - 1].name, at, n);
	return 0;
}

static int
on_value(llhttp_t *ll, const char *at, size_t n)
{
	struct parse *p = parse_of(ll);

	if (p->head_done)
		return trailer_value(p, at, n);
	p->in_value = true;
	/* Of an empty value llhttp points behind the line. */
	if (n == 0)
		return 0;
	span_extend(p, &p->fields[p->field_count - 1].value, at, n);
	return 0;
}

static int
on_value_end(llhttp_t *ll)
{
	struct parse *p = parse_of(ll);

	if (p->head_done)
		return trailer_end(p);
	p->in_value = true;	/* an empty one has no span */
	return 0;
}

static int
on_head_end(llhttp_t *ll)
{
	struct parse *p = parse_of(ll);

	/* An upgrade is a tunnel's business (tunnel.c), not the parser's. */
	ll->upgrade = 0;
	p->head_done = true;
	return HPE_PAUSED;
}

static int
on_body(llhttp_t *ll, const char *at, size_t n)
{
	struct parse *p = parse_of(ll);

	memmove(p->body_to + p->body_len, at, n);
	p->body_len += n;
	return 0;
}

/* Stops behind the line of the last chunk: trailers begin. */
static int
on_chunk_size(llhttp_t *ll)
{
	if (ll->content_length > 0)
		return 0;
	parse_of(ll)->last_byte = '\n';
	return HPE_PAUSED;
}

static int
on_message_end(llhttp_t *ll)
{
	parse_of(ll)->message_done = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t request_settings = {
	.on_method = on_start,
	.on_url = on_target,
	.on_header_field = on_name,
	.on_header_value = on_value,
	.on_header_value_complete = on_value_end,
	.on_headers_complete = on_head_end,
	.on_body = on_body,
	.on_chunk_header = on_chunk_size,
	.on_message_complete = on_message_end,
};

static const llhttp_settings_t response_settings = {
	.on_version = on_start,
	.on_header_field = on_name,
	.on_header_value = on_value,
	.on_header_value_complete = on_value_end,
	.on_headers_complete = on_head_end,
	.on_body = on_body,
	.on_chunk_header = on_chunk_size,
	.on_message_complete = on_message_end,
};

static void
parse_init(struct parse *p, struct arena *a, llhttp_type_t type,
	   const llhttp_settings_t *settings)
{
	/* llhttp clears its own part. */
	memset(&p->arena, 0, sizeof(*p) - offsetof(struct parse, arena));
	p->arena = a;
	llhttp_init(&p->ll, type, settings);
}

void
parse_init_request(struct parse *p, struct arena *a)
{
	parse_init(p, a, HTTP_REQUEST, &request_settings);
}

void
parse_init_response(struct parse *p, struct arena *a)
{
	parse_init(p, a, HTTP_RESPONSE, &response_settings);
}

/* Does Connection name anything but what ends at this hop in any case? */
static bool
names_more(struct span list)
{
	struct span token;

	while (span_next_token(&list, &token))
		if (field_class(field_of(token)) != FIELD_HOP)
			return true;
	return false;
}

/* The one place where names are compared. */
static void
fields_read(struct parse *p)
{
	unsigned i;

	for (i = 0; i < p->field_count; i++) {
		struct message_field *f = &p->fields[i];
		enum field known = field_of(f->name);

		if (!f->value.at)
			f->value.at = f->name.at + f->name.len + 1;
		f->value = span_trim(f->value);
		p->known[i] = (uint8_t)known;
		p->repeated |= p->seen & FIELD_BIT(known);
		p->seen |= FIELD_BIT(known);
		if (known == FIELD_CONNECTION && names_more(f->value))
			p->names_fields = true;
	}
}

/* Methods are an open set, llhttp's is closed. What it knows of RTSP it
 * refuses only behind the target. */
static bool
method_is_unknown(const struct parse *p, llhttp_errno_t e, const char *data,
		  size_t n)
{
	const char *at = llhttp_get_error_pos(&p->ll), *end = data + n;
	bool begun = p->start.len > 0 || (at && at > data);

	if (e == HPE_INVALID_CONSTANT)
		return p->target.len > 0 && p->ll.method >= HTTP_DESCRIBE &&
		       p->ll.method <= HTTP_FLUSH;
	if (e != HPE_INVALID_METHOD)
		return false;
	begun |= parse_is_token_char(*at);
	while (at < end && parse_is_token_char(*at))
		at++;
	return begun && (at == end || *at == ' ');
}

enum parse_result
parse_head(struct parse *p, const char *data, size_t n, size_t *used)
{
	llhttp_errno_t e = llhttp_execute(&p->ll, data, n);

	*used = n;
	if (e == HPE_OK)
		return PARSE_MORE;
	if (e == HPE_PAUSED && p->head_done && !p->folded) {
		*used = (size_t)(llhttp_get_error_pos(&p->ll) - data);
		p->end = data + *used;
		fields_read(p);
		return PARSE_HEAD;
	}
	p->unknown_method = method_is_unknown(p, e, data, n);
	return PARSE_BAD;
}

static void
span_move(struct span *s, const char *from, const char *to)
{
	if (s->at)
		s->at = to + (s->at - from);
}

void
parse_rebase(struct parse *p, const char *from, const char *to)
{
	unsigned i;

	span_move(&p->start, from, to);
	span_move(&p->target, from, to);
	for (i = 0; i < p->field_count; i++) {
		span_move(&p->fields[i].name, from, to);
		span_move(&p->fields[i].value, from, to);
	}
	/* llhttp keeps the start of an open span only within one call. */
}

/* llhttp takes a lone LF for the end of the trailers. */
static bool
trailer_lines_end_well(struct parse *p, const char *at, const char *end)
{
	for (; at < end; at++) {
		if ((*at == '\n') != (p->last_byte == '\r'))
			return false;
		p->last_byte = *at;
	}
	return true;
}

/* Leaves *from where the trailers begin in this piece, if they do. */
static llhttp_errno_t
execute_chunks(struct parse *p, const char *data, size_t n,
	       const char **from)
{
	bool had_begun = p->last_byte;
	llhttp_errno_t e = llhttp_execute(&p->ll, data, n);

	*from = data;
	if (e != HPE_PAUSED || p->message_done || had_begun)
		return e;
	*from = llhttp_get_error_pos(&p->ll);
	llhttp_resume(&p->ll);
	return llhttp_execute(&p->ll, *from, (size_t)(data + n - *from));
}

enum parse_result
parse_chunked(struct parse *p, char *data, size_t n, size_t *used,
	      size_t *body_len)
{
	const char *trailers;
	llhttp_errno_t e;

	INVARIANT(p->head_done);
	if (llhttp_get_errno(&p->ll) == HPE_PAUSED)
		llhttp_resume(&p->ll);
	p->body_to = data;
	p->body_len = 0;
	trailer_buffer_begins(p, data);
	e = execute_chunks(p, data, n, &trailers);
	trailer_buffer_ends(p, data + n);
	*used = n;
	*body_len = p->body_len;
	if (e == HPE_PAUSED && p->message_done)
		*used = (size_t)(llhttp_get_error_pos(&p->ll) - data);
	else if (e != HPE_OK)
		return PARSE_BAD;
	if (p->last_byte && !trailer_lines_end_well(p, trailers, data + *used))
		return PARSE_BAD;
	return p->message_done ? PARSE_DONE : PARSE_MORE;
}

static bool
method_is(const struct parse *p, const char *m)
{
	return span_is(p->start, m);
}

enum parse_framing
parse_request_framing(const struct parse *p)
{
	if (p->ll.flags & F_CHUNKED)
		return PARSE_CHUNKED;
	if ((p->ll.flags & F_CONTENT_LENGTH) && p->ll.content_length > 0)
		return PARSE_LENGTH;
	INVARIANT(!method_is(p, "CONNECT"));
	return PARSE_NO_BODY;
}

enum parse_framing
parse_response_framing(const struct parse *p)
{
	int status = p->ll.status_code;

	if ((p->ll.flags & F_SKIPBODY) || status / 100 == 1 ||
	    status == 204 || status == 304)
		return PARSE_NO_BODY;
	if (p->ll.flags & F_CHUNKED)
		return PARSE_CHUNKED;
	if (p->ll.flags & F_TRANSFER_ENCODING)
		return PARSE_UNTIL_CLOSE;
	if (p->ll.flags & F_CONTENT_LENGTH)
		return p->ll.content_length ? PARSE_LENGTH : PARSE_NO_BODY;
	return PARSE_UNTIL_CLOSE;
}
