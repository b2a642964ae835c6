/* SPDX-License-Identifier: Apache-2.0 */
/* A borrowed run of bytes: pointer and length, never NUL-terminated. */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct span {
	const char *at;
	size_t len;
};

#define SPAN_LITERAL(s) ((struct span){ (s), sizeof(s) - 1 })

static inline struct span
span_of(const char *s)
{
	return (struct span){ s, s ? strlen(s) : 0 };
}

static inline bool
span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool
span_is(struct span a, const char *s)
{
	return span_equal(a, span_of(s));
}

/* span_equal_nocase compares ASCII letters without case. */
static inline bool
span_equal_nocase(struct span a, struct span b)
{
	/* Field names of one length mostly differ in their first letter. */
	return a.len == b.len &&
	       (a.len == 0 || (((a.at[0] ^ b.at[0]) & ~0x20) == 0 &&
			       strncasecmp(a.at, b.at, a.len) == 0));
}

static inline bool
span_is_nocase(struct span a, const char *s)
{
	return span_equal_nocase(a, span_of(s));
}

static inline bool
span_is_ows(char c)
{
	return c == ' ' || c == '\t';
}

/* span_trim drops spaces and tabs at both ends (OWS, RFC 9110 5.6.3). */
static inline struct span
span_trim(struct span s)
{
	while (s.len > 0 && span_is_ows(s.at[0])) {
		s.at++;
		s.len--;
	}
	while (s.len > 0 && span_is_ows(s.at[s.len - 1]))
		s.len--;
	return s;
}

/* span_next_token cuts the next element off a comma-separated list
 * (RFC 9110 5.6.1): empty elements are skipped; false at the end. */
bool span_next_token(struct span *list, struct span *token);

#endif
