/* SPDX-License-Identifier: Apache-2.0 */
/* The strict reading of JSON text (RFC 8259), in front of cJSON.
 *
 * cJSON takes 01, raw control characters and \u0000 (which cuts a string
 * short, so that two different texts would compare equal). Nothing reaches it
 * that this scanner has not accepted. */
#include "payload/internal.h"

#include <ctype.h>
#include <endian.h>

#include "base/json.h"

struct scan {
	const char *start, *at, *end;
	unsigned depth, depth_max;
	struct error *err;
	size_t odd;	/* so much is written otherwise than it was read */
	struct payload_lift *lift;	/* NULL: nothing is */
};

static int scan_value(struct scan *s);

/* The position is counted only when something is wrong. */
static int
scan_error(const struct scan *s, const char *what)
{
	int line = 1, column = 1;

	for (const char *p = s->start; p < s->at; p++) {
		column = *p == '\n' ? 1 : column + 1;
		line += *p == '\n';
	}
	return error_at(s->err, line, column, "not JSON: %s", what);
}

static void
skip_space(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' ||
				  *s->at == '\n' || *s->at == '\r')) {
		s->at++;
		s->odd++;
	}
}

static bool
take(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

static long
hex4(const struct scan *s)
{
	long v = 0;

	if (s->end - s->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		unsigned char c = (unsigned char)s->at[i];

		if (!isxdigit(c))
			return -1;
		v = v * 16 + (isdigit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return v;
}

static int
scan_unicode(struct scan *s)
{
	long high = hex4(s), low;

	if (high < 0)
		return scan_error(s, "\\u needs four hexadecimal digits");
	if (high == 0)
		return scan_error(s, "\\u0000 in a string is not supported");
	if (high >= 0xdc00 && high <= 0xdfff)
		return scan_error(s, "a low surrogate without a high one");
	s->at += 4;
	if (high < 0xd800 || high > 0xdbff)
		return 0;
	if (!take(s, '\\') || !take(s, 'u'))
		return scan_error(s, "a high surrogate without a low one");
	low = hex4(s);
	if (low < 0xdc00 || low > 0xdfff)
		return scan_error(s, "a high surrogate without a low one");
	s->at += 4;
	return 0;
}

static int
scan_escape(struct scan *s)
{
	if (s->at == s->end)
		return scan_error(s, "the text ends inside a string");
	if (*s->at == 'u' || *s->at == '/')
		s->odd++;
	if (take(s, 'u'))
		return scan_unicode(s);
	if (!*s->at || !strchr("\"\\/bfnrt", *s->at))
		return scan_error(s, "unknown escape in a string");
	s->at++;
	return 0;
}

typedef uint8_t bytes16 __attribute__((vector_size(16)));

/* Up to a quote, a backslash or a control character, sixteen bytes at a time
 * (a vector of the compiler, not of a machine); the last few are left. */
static const char *
skip_plain(const char *at, const char *end)
{
	uint64_t halves[2];
	bytes16 v;

	for (; end - at >= 16; at += 16) {
		memcpy(&v, at, sizeof(v));
		v = (bytes16)((v < 0x20) | (v == '"') | (v == '\\'));
		memcpy(halves, &v, sizeof(halves));
		if (halves[0])
			return at + __builtin_ctzll(le64toh(halves[0])) / 8;
		if (halves[1])
			return at + 8 +
			       __builtin_ctzll(le64toh(halves[1])) / 8;
	}
	return at;
}

static int
scan_string(struct scan *s)
{
	if (!take(s, '"'))
		return scan_error(s, "expected a string in double quotes");
	for (s->at = skip_plain(s->at, s->end); s->at < s->end;
	     s->at = skip_plain(s->at, s->end)) {
		unsigned char c = (unsigned char)*s->at;

		if (c < 0x20)
			return scan_error(s, "control character in a string");
		s->at++;
		if (c == '"')
			return 0;
		if (c == '\\' && scan_escape(s) < 0)
			return -1;
	}
	return scan_error(s, "the text ends inside a string");
}

static size_t
skip_digits(struct scan *s)
{
	const char *from = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return (size_t)(s->at - from);
}

static int
scan_exponent(struct scan *s)
{
	if (!take(s, 'e') && !take(s, 'E'))
		return 0;
	if (!take(s, '+'))
		(void)take(s, '-');
	return skip_digits(s) ? 0 : scan_error(s, "an exponent needs a digit");
}

static int
scan_number(struct scan *s)
{
	const char *from = s->at;

	(void)take(s, '-');
	if (!take(s, '0') && !skip_digits(s))
		return scan_error(s, "expected a value");
	if (take(s, '.') && !skip_digits(s))
		return scan_error(s, "a digit must follow the decimal point");
	if (scan_exponent(s) < 0)
		return -1;
	if (s->at - from > PAYLOAD_NUMBER_MAX)
		return scan_error(s, "a number of more than 63 characters");
	return 0;
}

static int
scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
		return scan_error(s, "expected a value");
	s->at += n;
	return 0;
}

/* And no DEL. */
static bool
is_ascii(struct span s)
{
	bytes16 v, odd = { 0 };
	uint64_t halves[2];
	size_t i = 0;

	for (; s.len - i >= sizeof(v); i += sizeof(v)) {
		memcpy(&v, s.at + i, sizeof(v));
		odd |= (bytes16)(v >= 0x7f);
	}
	for (; i < s.len; i++)
		if ((unsigned char)s.at[i] >= 0x7f)
			return false;
	memcpy(halves, &odd, sizeof(halves));
	return (halves[0] | halves[1]) == 0;
}

/* Only what would be written as it is may be copied: no space, no escape that
 * has another form, nothing that is escaped for its looks. */
static int
scan_lifted(struct scan *s)
{
	struct payload_lift *lift = s->lift;
	struct span value;
	size_t odd;
	int rc;

	skip_space(s);
	value.at = s->at;
	odd = s->odd;
	s->lift = NULL;
	rc = scan_value(s);
	s->lift = lift;
	value.len = (size_t)(s->at - value.at);
	if (rc == 0 && odd == s->odd && is_ascii(value))
		payload_lift_add(lift, value);
	return rc;
}

/* A name with an escape might be the one that is looked for. */
static bool
is_lifted(const struct scan *s, struct span name)
{
	struct payload_lift *lift = s->lift;

	if (!lift || (s->depth != 1 && s->depth != 3))
		return false;
	if (name.len && memchr(name.at, '\\', name.len))
		lift->off = true;
	return span_equal(name, lift->name);
}

static int
scan_member(struct scan *s)
{
	struct span name;

	skip_space(s);
	name.at = s->at + 1;
	if (scan_string(s) < 0)
		return -1;
	name.len = (size_t)(s->at - name.at) - 1;
	skip_space(s);
	if (!take(s, ':'))
		return scan_error(s, "expected ':' after a member name");
	return is_lifted(s, name) ? scan_lifted(s) : scan_value(s);
}

static int
scan_items(struct scan *s, char end, int (*item)(struct scan *),
	   const char *expected)
{
	s->at++;
	if (++s->depth > s->depth_max)
		return scan_error(s, "nested too deep");
	skip_space(s);
	if (!take(s, end)) {
		do {
			if (item(s) < 0)
				return -1;
			skip_space(s);
		} while (take(s, ','));
		if (!take(s, end))
			return scan_error(s, expected);
	}
	s->depth--;
	return 0;
}

static int
scan_value(struct scan *s)
{
	skip_space(s);
	if (s->at == s->end)
		return scan_error(s, "expected a value, found the end");
	switch (*s->at) {
	case '{':
		return scan_items(s, '}', scan_member, "expected ',' or '}'");
	case '[':
		return scan_items(s, ']', scan_value, "expected ',' or ']'");
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		return scan_number(s);
	}
}

int
payload_scan(struct span text, unsigned depth_max, struct payload_lift *lift,
	     struct error *err)
{
	struct scan s = { .start = text.at, .at = text.at,
			  .end = text.at + text.len, .err = err,
			  .lift = lift };

	s.depth_max = depth_max < PAYLOAD_DEPTH_MAX ? depth_max
						    : PAYLOAD_DEPTH_MAX;
	if (text.len == 0)
		return error_set(err, "not JSON: empty");
	if (!json_is_utf8(text))
		return error_set(err, "not JSON: invalid UTF-8");
	if (scan_value(&s) < 0)
		return -1;
	skip_space(&s);
	if (s.at != s.end)
		return scan_error(&s, "more text after the value");
	return 0;
}

int
payload_check(struct span text, unsigned depth_max, struct error *err)
{
	return payload_scan(text, depth_max, NULL, err);
}

static void
skip_string(struct span *rest)
{
	size_t i = 1;

	while (i < rest->len && rest->at[i] != '"') {
		size_t from = i;

		i = (size_t)(skip_plain(rest->at + i, rest->at + rest->len) -
			     rest->at);
		if (i == from)
			i += rest->at[i] == '\\' ? 2 : 1;
	}
	i = i < rest->len ? i + 1 : rest->len;
	rest->at += i;
	rest->len -= i;
}

bool
payload_scan_number(struct span *rest, struct span *token)
{
	while (rest->len > 0) {
		char c = *rest->at;

		if (c == '"') {
			skip_string(rest);
			continue;
		}
		if (c == '-' || (c >= '0' && c <= '9'))
			break;
		rest->at++;
		rest->len--;
	}
	*token = (struct span){ rest->at, 0 };
	while (rest->len > 0 && *rest->at && strchr("+-.0123456789eE",
						    *rest->at)) {
		rest->at++;
		rest->len--;
		token->len++;
	}
	return token->len > 0;
}
