/* SPDX-License-Identifier: Apache-2.0 */
/* What may stand in an attribute of an event, by its type. */
#include "base/attribute.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/trace.h"
#include "base/uri.h"

static const struct attribute_row rows[] = {
#define ATTRIBUTE(sym, name, type, max, giver) \
	{ name, ATTRIBUTE_##type, max, ATTRIBUTE_##giver },
#include "base/attributes.def"
#undef ATTRIBUTE
};

const struct attribute_row *
attribute_row(enum attribute a)
{
	return &rows[a];
}

enum attribute
attribute_find(struct span name)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(rows) && !span_is(name, rows[i].name))
		i++;
	return (enum attribute)i;
}

int
attribute_check_name(struct span name, struct error *err)
{
	int shown = name.len > ATTRIBUTE_NAME_MAX ? ATTRIBUTE_NAME_MAX
						  : (int)name.len;

	if (name.len == 0)
		return error_set(err, "an attribute has an empty name");
	for (size_t i = 0; i < name.len; i++)
		if ((name.at[i] < 'a' || name.at[i] > 'z') &&
		    (name.at[i] < '0' || name.at[i] > '9'))
			return error_set(err, "\"%.*s\" is no attribute: names "
					 "are lower-case letters and digits",
					 shown, name.at);
	if (name.len > ATTRIBUTE_NAME_MAX)
		return error_set(err, "\"%.*s...\": names of attributes have "
				 "at most %d characters, better 20", shown,
				 name.at, ATTRIBUTE_NAME_MAX);
	return 0;
}

/* ---- strings ---- */

/* The text is UTF-8: the length of its first character. */
static size_t
char_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xe0)
		return 2;
	return first < 0xf0 ? 3 : 4;
}

static unsigned
char_code(const char *at, size_t len)
{
	static const unsigned char masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	unsigned code = (unsigned char)at[0] & masks[len];

	for (size_t i = 1; i < len; i++)
		code = code << 6 | ((unsigned char)at[i] & 0x3f);
	return code;
}

static bool
is_allowed(unsigned code)
{
	if (code < ' ' || (code >= 0x7f && code <= 0x9f))
		return false;
	return (code < 0xfdd0 || code > 0xfdef) && (code & 0xfffe) != 0xfffe;
}

/* Where the next character is that may not be there, or the end. */
static size_t
next_wrong(const char *text, size_t len, size_t from)
{
	while (from < len) {
		size_t n = char_length((unsigned char)text[from]);

		if (!is_allowed(char_code(text + from, n)))
			break;
		from += n;
	}
	return from;
}

/* json_is_utf8 takes a text with NUL for binary; here it is a control
 * character like others. */
static bool
is_utf8(const char *text, size_t len)
{
	while (len > 0) {
		const char *nul = memchr(text, '\0', len);
		size_t n = nul ? (size_t)(nul - text) : len;

		if (!json_is_utf8((struct span){ text, n }))
			return false;
		n += nul != NULL;
		text += n;
		len -= n;
	}
	return true;
}

int
attribute_check_text(const char *name, struct span value, struct error *err)
{
	size_t wrong;

	if (!is_utf8(value.at, value.len))
		return error_set(err, "%s is not UTF-8", name);
	wrong = next_wrong(value.at, value.len, 0);
	if (wrong == value.len)
		return 0;
	return error_set(err, "%s has a control character, or what is no "
			 "character, at byte %zu", name, wrong + 1);
}

int
attribute_mend(char *text, size_t len)
{
	if (!is_utf8(text, len))
		return -1;
	for (size_t i = next_wrong(text, len, 0); i < len;
	     i = next_wrong(text, len, i))
		memset(text + i, '?', char_length((unsigned char)text[i]));
	return 0;
}

/* ---- media types (RFC 9110 8.3.1) ---- */

static bool
is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool
take_token(struct span *s)
{
	size_t n = 0;

	while (n < s->len && is_token_char(s->at[n]))
		n++;
	s->at += n;
	s->len -= n;
	return n > 0;
}

static bool
take_char(struct span *s, char c)
{
	if (s->len == 0 || s->at[0] != c)
		return false;
	s->at++;
	s->len--;
	return true;
}

static bool
take_quoted(struct span *s)
{
	if (!take_char(s, '"'))
		return false;
	while (s->len > 0 && s->at[0] != '"') {
		if (s->at[0] == '\\' && s->len == 1)
			return false;
		s->len -= s->at[0] == '\\' ? 2 : 1;
		s->at += s->at[0] == '\\' ? 2 : 1;
	}
	return take_char(s, '"');
}

static void
skip_blanks(struct span *s)
{
	while (s->len > 0 && span_is_ows(s->at[0])) {
		s->at++;
		s->len--;
	}
}

static bool
is_media_type(struct span s)
{
	if (!take_token(&s) || !take_char(&s, '/') || !take_token(&s))
		return false;
	while (s.len > 0) {
		skip_blanks(&s);
		if (!take_char(&s, ';'))
			return false;
		skip_blanks(&s);
		if (!take_token(&s) || !take_char(&s, '='))
			return false;
		if (!take_quoted(&s) && !take_token(&s))
			return false;
	}
	return true;
}

bool
attribute_is_json(struct span type)
{
	static const struct span suffix = { "+json", 5 };
	const char *end = memchr(type.at, ';', type.len), *slash;
	struct span sub;

	if (end)
		type.len = (size_t)(end - type.at);
	type = span_trim(type);
	slash = memchr(type.at, '/', type.len);
	if (!slash)
		return false;
	sub.at = slash + 1;
	sub.len = (size_t)(type.at + type.len - sub.at);
	if (span_is_nocase(sub, "json"))
		return true;
	return sub.len > suffix.len &&
	       span_equal_nocase((struct span){ sub.at + sub.len - suffix.len,
						suffix.len }, suffix);
}

/* ---- by type ---- */

static bool
is_timestamp(struct span value)
{
	char text[65];
	int64_t us;

	if (value.len >= sizeof(text))
		return false;
	memcpy(text, value.at, value.len);
	text[value.len] = '\0';
	/* A blank for the T is what RFC 3339 lets applications agree on. */
	return !memchr(text, ' ', value.len) &&
	       clock_parse_rfc3339(text, &us) == 0;
}

static bool
is_trace_state(struct span value)
{
	struct trace_state t = { .count = 0 };

	trace_state_add(&t, value);
	return t.count > 0 && !t.invalid;
}

/* What it should be, or NULL when it is that. */
static const char *
wanted(enum attribute_type type, struct span value)
{
	char parent[TRACE_PARENT_SIZE];
	struct id id;

	switch (type) {
	case ATTRIBUTE_STRING:
		return NULL;
	case ATTRIBUTE_UUID:
		return id_parse(value.at, value.len, &id) == 0
			       ? NULL
			       : "a UUID of 36 characters";
	case ATTRIBUTE_URI:
		return uri_is_absolute(value)
			       ? NULL
			       : "a URI, with its scheme (RFC 3986)";
	case ATTRIBUTE_URI_REFERENCE:
		return uri_is_reference(value) ? NULL
					       : "a URI-reference (RFC 3986)";
	case ATTRIBUTE_TIMESTAMP:
		return is_timestamp(value)
			       ? NULL
			       : "a time such as 2026-01-05T10:00:00Z "
				 "(RFC 3339)";
	case ATTRIBUTE_MEDIA_TYPE:
		return is_media_type(value)
			       ? NULL
			       : "a media type such as application/json";
	case ATTRIBUTE_TRACE_PARENT:
		return trace_parent_read(value, parent)
			       ? NULL
			       : "valid (W3C Trace Context)";
	case ATTRIBUTE_TRACE_STATE:
		return is_trace_state(value) ? NULL
					     : "valid (W3C Trace Context)";
	case ATTRIBUTE_VERSION:
		return span_is(value, "1.0") ? NULL : "\"1.0\"";
	}
	return NULL;
}

int
attribute_check(enum attribute a, struct span value, struct error *err)
{
	const struct attribute_row *row = &rows[a];
	const char *instead;

	if (value.len == 0)
		return error_set(err, "%s is empty", row->name);
	if (value.len > row->max)
		return error_set(err, "%s has %zu bytes, the limit is %zu",
				 row->name, value.len, row->max);
	if (attribute_check_text(row->name, value, err) < 0)
		return -1;
	instead = wanted(row->type, value);
	return instead ? error_set(err, "%s must be %s", row->name, instead)
		       : 0;
}
