/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of Prefer: token [ = word ] *( ; [ parameter ] ), in a list. */
#include "base/prefer.h"

/* The first of each name was here, whatever it said. */
struct seen {
	bool respond_async, wait;
};

static bool
is_tchar(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static void
skip_ows(struct span *s)
{
	while (s->len > 0 && span_is_ows(s->at[0])) {
		s->at++;
		s->len--;
	}
}

static struct span
take_token(struct span *s)
{
	struct span token = { s->at, 0 };

	while (token.len < s->len && is_tchar(s->at[token.len]))
		token.len++;
	s->at += token.len;
	s->len -= token.len;
	return token;
}

/* What stands between the quotes, escapes left as they are: no value that
 * means something has one. false without the closing quote. */
static bool
take_quoted(struct span *s, struct span *value)
{
	size_t i = 1;

	while (i < s->len && s->at[i] != '"')
		i += s->at[i] == '\\' ? 2 : 1;
	if (i >= s->len)
		return false;
	*value = (struct span){ s->at + 1, i - 1 };
	s->at += i + 1;
	s->len -= i + 1;
	return true;
}

/* [ BWS "=" BWS word ]; an empty value is no value. */
static bool
take_value(struct span *s, struct span *value)
{
	*value = (struct span){ "", 0 };
	skip_ows(s);
	if (s->len == 0 || s->at[0] != '=')
		return true;
	s->at++;
	s->len--;
	skip_ows(s);
	if (s->len > 0 && s->at[0] == '"')
		return take_quoted(s, value);
	*value = take_token(s);
	return true;
}

/* To the comma that ends the element; those in quotes do not. */
static void
skip_element(struct span *s)
{
	struct span quoted;

	while (s->len > 0 && s->at[0] != ',') {
		if (s->at[0] == '"' && take_quoted(s, &quoted))
			continue;
		s->at++;
		s->len--;
	}
	if (s->len > 0) {
		s->at++;
		s->len--;
	}
}

/* delta-seconds (RFC 9111 1.2.2): too many are as many as there can be. */
static bool
read_seconds(struct span s, unsigned *out)
{
	*out = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
		*out = *out * 10 + (unsigned)(s.at[i] - '0');
		if (*out > PREFER_WAIT_MAX_S)
			*out = PREFER_WAIT_MAX_S;
	}
	return s.len > 0;
}

static void
note(struct span name, struct span value, bool well_formed,
     struct seen *seen, struct prefer *out)
{
	if (span_is_nocase(name, "respond-async") && !seen->respond_async) {
		seen->respond_async = true;
		out->respond_async = well_formed && value.len == 0;
	} else if (span_is_nocase(name, "wait") && !seen->wait) {
		seen->wait = true;
		out->has_wait = well_formed &&
				read_seconds(value, &out->wait_s);
	}
}

static void
read_list(struct span list, struct seen *seen, struct prefer *out)
{
	while (list.len > 0) {
		struct span name, value;
		bool good;

		skip_ows(&list);
		name = take_token(&list);
		good = take_value(&list, &value);
		skip_ows(&list);
		good = good && (list.len == 0 || list.at[0] == ',' ||
				list.at[0] == ';');
		note(name, value, good, seen, out);
		skip_element(&list);
	}
}

void
prefer_read(struct message_fields fields, struct prefer *out)
{
	struct seen seen = { false, false };

	*out = (struct prefer){ false, false, 0 };
	for (size_t i = 0; i < fields.count; i++)
		if (span_is_nocase(fields.at[i].name, "prefer"))
			read_list(fields.at[i].value, &seen, out);
	if (!out->has_wait)
		out->wait_s = 0;
}
