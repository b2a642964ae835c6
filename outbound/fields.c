/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields of the outbound client: what is sent, what came back. */
#include "outbound/fields.h"

#include <stdio.h>
#include <stdlib.h>

/* Framing is libcurl's, and the rest is between two neighbours only
 * (RFC 9110 7.6.1). */
static const char *const not_forwarded[] = {
	"Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding",
	"Upgrade", "HTTP2-Settings", "Content-Length", "Expect", "Host",
};

/* What libcurl adds by itself unless told otherwise. */
static const char *const not_invented[] = {
	"Accept", "Content-Type", "Expect",
};

static bool
is_named_by_connection(struct message_fields fields, struct span name)
{
	for (size_t i = 0; i < fields.count; i++) {
		struct span list = fields.at[i].value, token;

		if (!span_is_nocase(fields.at[i].name, "Connection"))
			continue;
		while (span_next_token(&list, &token))
			if (span_equal_nocase(token, name))
				return true;
	}
	return false;
}

static bool
is_forwarded(struct message_fields fields, struct span name)
{
	if (name.len >= 6 && strncasecmp(name.at, "Proxy-", 6) == 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(not_forwarded); i++)
		if (span_is_nocase(name, not_forwarded[i]))
			return false;
	return !is_named_by_connection(fields, name);
}

static bool
is_token(struct span s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];
		unsigned char low = c | 0x20;

		if (!(c >= '0' && c <= '9') && !(low >= 'a' && low <= 'z') &&
		    (c == 0 || !strchr(others, c)))
			return false;
	}
	return s.len > 0;
}

/* RFC 9110 5.5: CR, LF and NUL in a value would start another line. */
static bool
is_one_line(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] == '\r' || s.at[i] == '\n' || s.at[i] == '\0')
			return false;
	return true;
}

static int
add_line(struct curl_slist **lines, const char *text, struct error *err)
{
	struct curl_slist *more = curl_slist_append(*lines, text);

	if (!more)
		return error_set(err, "no memory for header fields");
	*lines = more;
	return 0;
}

static int
add_field(struct curl_slist **lines, struct span name, struct span value,
	  struct error *err)
{
	struct buf line = { 0 };
	int r;

	if (!is_token(name) || !is_one_line(value))
		return error_set(err, "header field %.*s cannot be sent: "
				 "its name or value has a character that "
				 "RFC 9110 5.5 forbids",
				 (int)(name.len < 64 ? name.len : 64),
				 name.at);
	buf_add(&line, name.at, name.len);
	/* "Name;" is how libcurl is told to send an empty value. */
	buf_adds(&line, value.len ? ": " : ";");
	buf_add(&line, value.at, value.len);
	r = line.failed ? error_set(err, "no memory for header fields")
			: add_line(lines, buf_str(&line), err);
	buf_fini(&line);
	return r;
}

static int
suppress_inventions(const struct outbound_request *req,
		    struct curl_slist **lines, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(not_invented); i++) {
		char line[32];

		if (strcmp(not_invented[i], "Expect") != 0 &&
		    message_find(req->fields, not_invented[i]))
			continue;
		snprintf(line, sizeof(line), "%s:", not_invented[i]);
		if (add_line(lines, line, err) != 0)
			return -1;
	}
	return 0;
}

int
outbound_fields_build(const struct outbound_request *req,
		      struct curl_slist **lines, struct error *err)
{
	for (size_t i = 0; i < req->fields.count; i++) {
		const struct message_field *f = &req->fields.at[i];

		if (is_forwarded(req->fields, f->name) &&
		    add_field(lines, f->name, f->value, err) != 0)
			return -1;
	}
	if (req->host &&
	    add_field(lines, SPAN_LITERAL("Host"), span_of(req->host),
		      err) != 0)
		return -1;
	return suppress_inventions(req, lines, err);
}

static struct span
next_line(struct span *text)
{
	const char *end = memchr(text->at, '\n', text->len);
	size_t len = end ? (size_t)(end - text->at) : text->len;
	struct span line = { text->at, len };

	text->at += end ? len + 1 : len;
	text->len -= end ? len + 1 : len;
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

static size_t
count_lines(struct span text)
{
	size_t n = 0;

	while (text.len) {
		next_line(&text);
		n++;
	}
	return n;
}

int
outbound_fields_parse(struct outbound_answer *a)
{
	struct span text = buf_span(&a->fields_text);
	size_t lines = count_lines(text);

	a->fields = calloc(lines ? lines : 1, sizeof(*a->fields));
	if (!a->fields)
		return -1;
	while (text.len) {
		struct span line = next_line(&text);
		const char *colon = line.len ? memchr(line.at, ':', line.len)
					     : NULL;
		struct message_field *f = &a->fields[a->field_count];

		if (!colon)
			continue;
		f->name = (struct span){ line.at, (size_t)(colon - line.at) };
		f->value = span_trim((struct span){
			colon + 1, line.len - f->name.len - 1 });
		if (is_token(f->name))
			a->field_count++;
	}
	return 0;
}
