/* SPDX-License-Identifier: Apache-2.0 */
/* URI-references by the grammar of RFC 3986, appendix A. */
#include "base/uri.h"

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* unreserved, sub-delims, escapes, and what else is said. */
static bool
has_only(struct span s, const char *more)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];

		if (c == '%' && i + 2 < s.len && is_hex(s.at[i + 1]) &&
		    is_hex(s.at[i + 2])) {
			i += 2;
			continue;
		}
		if (!is_letter(c) && !is_digit(c) &&
		    (!c || !(strchr("-._~!$&'()*+,;=", c) || strchr(more, c))))
			return false;
	}
	return true;
}

/* Cuts what is before the first of the marks off; the mark stays. */
static struct span
cut_before(struct span *s, const char *marks)
{
	struct span head = { s->at, 0 };

	while (head.len < s->len && !strchr(marks, s->at[head.len]))
		head.len++;
	s->at += head.len;
	s->len -= head.len;
	return head;
}

static bool
is_scheme(struct span s)
{
	if (s.len == 0 || !is_letter(s.at[0]))
		return false;
	for (size_t i = 1; i < s.len; i++)
		if (!is_letter(s.at[i]) && !is_digit(s.at[i]) &&
		    !memchr("+-.", s.at[i], 3))
			return false;
	return true;
}

static bool
is_port(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_digit(s.at[i]))
			return false;
	return true;
}

/* "[" ... "]" and, behind it, nothing or a port. */
static bool
is_literal(struct span s)
{
	const char *end = memchr(s.at, ']', s.len);
	size_t n = end ? (size_t)(end - s.at) : 0;

	if (n < 3 || memchr(s.at, '%', n) ||
	    !has_only((struct span){ s.at + 1, n - 1 }, ":"))
		return false;
	if (n + 1 == s.len)
		return true;
	return s.at[n + 1] == ':' &&
	       is_port((struct span){ s.at + n + 2, s.len - n - 2 });
}

static bool
is_authority(struct span s)
{
	const char *at = memchr(s.at, '@', s.len), *colon;
	size_t n;

	if (at) {
		n = (size_t)(at - s.at);
		if (!has_only((struct span){ s.at, n }, ":"))
			return false;
		s.at += n + 1;
		s.len -= n + 1;
	}
	if (s.len > 0 && s.at[0] == '[')
		return is_literal(s);
	colon = memchr(s.at, ':', s.len);
	n = colon ? (size_t)(colon - s.at) : s.len;
	return has_only((struct span){ s.at, n }, "") &&
	       (!colon || is_port((struct span){ colon + 1, s.len - n - 1 }));
}

/* What is behind the scheme, or all of it. */
static bool
is_rest(struct span s)
{
	struct span part;

	if (s.len >= 2 && s.at[0] == '/' && s.at[1] == '/') {
		s.at += 2;
		s.len -= 2;
		if (!is_authority(cut_before(&s, "/?#")))
			return false;
	}
	if (!has_only(cut_before(&s, "?#"), ":@/"))
		return false;
	if (s.len > 0 && s.at[0] == '?') {
		part = cut_before(&s, "#");
		if (!has_only((struct span){ part.at + 1, part.len - 1 },
			      ":@/?"))
			return false;
	}
	return s.len == 0 ||
	       has_only((struct span){ s.at + 1, s.len - 1 }, ":@/?");
}

/* Relative ones have no colon in their first segment (4.2). */
static bool
has_scheme(struct span s, struct span *rest)
{
	*rest = s;
	(void)cut_before(rest, ":/?#");
	return rest->len > 0 && rest->at[0] == ':';
}

bool
uri_is_absolute(struct span s)
{
	struct span rest;

	if (!has_scheme(s, &rest) ||
	    !is_scheme((struct span){ s.at, (size_t)(rest.at - s.at) }))
		return false;
	return is_rest((struct span){ rest.at + 1, rest.len - 1 });
}

bool
uri_is_reference(struct span s)
{
	struct span rest;

	if (s.len == 0)
		return false;
	return has_scheme(s, &rest) ? uri_is_absolute(s) : is_rest(s);
}
