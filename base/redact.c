/* SPDX-License-Identifier: Apache-2.0 */
/* Redaction: secrets become keyed digests, everything around them stays. */
#include "base/redact.h"

#include <string.h>

#include "base/attr.h"
#include "base/buf.h"

#define PREFIX "redacted:"
#define HEX_CHARS 16

bool
redact_header_is_secret(const struct redact *r, struct span name)
{
	static const struct span always[] = {
		{ "authorization", 13 }, { "proxy-authorization", 19 },
		{ "cookie", 6 }, { "set-cookie", 10 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		if (span_equal_nocase(name, always[i]))
			return true;
	for (size_t i = 0; r && i < r->header_count; i++)
		if (span_is_nocase(name, r->headers[i]))
			return true;
	return false;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next byte of a percent-encoded name; '+' is a space in a query. */
static unsigned char
next_decoded(struct span *s)
{
	char c = s->at[0];
	size_t eaten = 1;

	if (c == '+') {
		c = ' ';
	} else if (c == '%' && s->len >= 3 && hex_value(s->at[1]) >= 0 &&
		   hex_value(s->at[2]) >= 0) {
		c = (char)(hex_value(s->at[1]) << 4 | hex_value(s->at[2]));
		eaten = 3;
	}
	s->at += eaten;
	s->len -= eaten;
	return (unsigned char)c;
}

/* A name is a secret's however it is encoded: "%74oken" is "token". */
static bool
decodes_to(struct span encoded, const char *name)
{
	for (; *name && encoded.len > 0; name++)
		if (next_decoded(&encoded) != (unsigned char)*name)
			return false;
	return !*name && encoded.len == 0;
}

bool
redact_query_is_secret(const struct redact *r, struct span name)
{
	for (size_t i = 0; r && i < r->query_count; i++)
		if (span_is(name, r->query[i]) ||
		    decodes_to(name, r->query[i]))
			return true;
	return false;
}

const char *
redact_text(const struct digest_key *key, struct span secret, char *out)
{
	_Static_assert(sizeof(PREFIX) + HEX_CHARS <= REDACT_TEXT_SIZE,
		       "redacted text must fit");
	memcpy(out, PREFIX, sizeof(PREFIX) - 1);
	digest_keyed_hex(key, secret, out + sizeof(PREFIX) - 1, HEX_CHARS);
	return out;
}

static void
add_redacted(const struct digest_key *key, struct span secret,
	     struct buf *out)
{
	char text[REDACT_TEXT_SIZE];

	buf_adds(out, redact_text(key, secret, text));
}

/* Length of s up to the first of the characters in `stops`. */
static size_t
until(struct span s, const char *stops)
{
	size_t n = 0;

	while (n < s.len && (s.at[n] == '\0' || !strchr(stops, s.at[n])))
		n++;
	return n;
}

static struct span
skip(struct span s, size_t n)
{
	return (struct span){ s.len ? s.at + n : s.at, s.len - n };
}

/* One `name` or `name=value`, from the start of rest; returns its length. A
 * parameter begins after '&' or ';' (some servers split there), but a secret
 * value ends at '&' only: better too much hidden than too little. */
static size_t
redact_param(const struct redact *r, const struct digest_key *key,
	     struct span rest, struct buf *out)
{
	struct span name = { rest.at, until(rest, "=&;") };
	struct span value;

	if (name.len == rest.len || rest.at[name.len] != '=' ||
	    !redact_query_is_secret(r, name)) {
		size_t n = until(rest, "&;");

		buf_add(out, rest.at, n);
		return n;
	}
	value = skip(rest, name.len + 1);
	value.len = until(value, "&");
	buf_add(out, name.at, name.len + 1);
	if (value.len > 0)
		add_redacted(key, value, out);
	return name.len + 1 + value.len;
}

/* User and password of an absolute-form target (`http://user:pw@host/`) are
 * secret, too. Returns the length that is done with. */
static size_t
redact_authority(const struct digest_key *key, struct span path,
		 struct buf *out)
{
	const char *scheme = path.len ? memmem(path.at, path.len, "://", 3)
				      : NULL;
	struct span user;
	size_t start;

	if (!scheme || path.at[0] == '/')
		return 0;
	start = (size_t)(scheme - path.at) + 3;
	user = skip(path, start);
	user.len = until(user, "/");
	while (user.len > 0 && user.at[user.len - 1] != '@')
		user.len--;
	buf_add(out, path.at, start);
	if (user.len == 0)
		return start;
	user.len--;
	add_redacted(key, user, out);
	return start + user.len;
}

void
redact_target(const struct redact *r, const struct digest_key *key,
	      struct span target, struct buf *out)
{
	struct span path = { target.at, until(target, "?") };
	size_t n;

	if (target.len == 0)	/* its bytes may be nowhere */
		return;
	n = redact_authority(key, path, out);
	buf_add(out, path.at + n, path.len - n);
	target = skip(target, path.len);
	while (target.len > 0) {
		buf_addc(out, target.at[0]);	/* '?', '&' or ';' */
		target = skip(target, 1);
		n = redact_param(r, key, target, out);
		target = skip(target, n);
	}
}

/* One `name=value` of a cookie; white space around it stays. A piece without
 * '=' is a value without a name, hence secret as a whole. */
static void
redact_pair(const struct digest_key *key, struct span piece, struct buf *out)
{
	struct span pair = span_trim(piece);
	size_t before = (size_t)(pair.at - piece.at);
	size_t name_len = until(pair, "=");

	buf_add(out, piece.at, before);
	if (name_len < pair.len) {
		buf_add(out, pair.at, name_len + 1);
		pair = skip(pair, name_len + 1);
	}
	if (pair.len > 0)
		add_redacted(key, pair, out);
}

void
redact_cookies(const struct digest_key *key, struct span value,
	       struct buf *out)
{
	while (value.len > 0) {
		size_t n = until(value, ";");

		redact_pair(key, (struct span){ value.at, n }, out);
		value = skip(value, n);
		if (value.len > 0) {
			buf_addc(out, ';');
			value = skip(value, 1);
		}
	}
}

void
redact_set_cookie(const struct digest_key *key, struct span value,
		  struct buf *out)
{
	size_t n = until(value, ";");

	redact_pair(key, (struct span){ value.at, n }, out);
	buf_add(out, value.at + n, value.len - n);
}
