/* SPDX-License-Identifier: Apache-2.0 */
/* What differs by value only becomes one: paths, pointers, reasons. */
#include "shadow/fold.h"

#include <ctype.h>
#include <stdio.h>

#include "base/attr.h"

#define SEGMENT_MOST 40
#define SEGMENTS_MOST 8
#define UNKNOWN_METHOD "OTHER"

/* What a segment is made of. */
struct letters {
	size_t digits, lower, upper, hexadecimal, dashes, dots, strange;
};

static struct letters
count_letters(struct span s)
{
	struct letters n = { 0 };

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		n.digits += c >= '0' && c <= '9';
		n.lower += c >= 'a' && c <= 'z';
		n.upper += c >= 'A' && c <= 'Z';
		n.hexadecimal += c < 0x80 && isxdigit(c);
		n.dashes += c == '-';
		n.dots += c == '.';
		n.strange += c <= ' ' || c >= 0x7f || strchr("%=@+,", c);
	}
	return n;
}

/* Numbers, dates, UUIDs, hashes, and what is letters and digits mixed: an
 * endpoint's own words have few digits ("v2", "oauth2"). */
static bool
looks_like_id(struct span s)
{
	struct letters n = count_letters(s);
	size_t letters = n.lower + n.upper;

	if (n.digits == 0)
		return s.len >= 24 && n.hexadecimal == s.len;
	if (n.digits + n.dashes == s.len)
		return true;
	if (n.hexadecimal + n.dashes == s.len && s.len >= 8)
		return true;
	if (n.digits >= 3 && s.len >= 5)
		return letters > 0 || n.dots > 2;
	return s.len >= 16 && n.lower && n.upper;
}

static bool
is_value(struct span segment)
{
	return segment.len > SEGMENT_MOST ||
	       count_letters(segment).strange > 0 || looks_like_id(segment);
}

/* ---- endpoints ---- */

static const char *
known_method(const char *method)
{
	static const char *const known[] = {
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
		"TRACE",
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(method, known[i]) == 0)
			return known[i];
	return UNKNOWN_METHOD;
}

/* "/orders/{rest...}" stands for any number of endpoints. */
static bool
has_tail(const char *template)
{
	return strstr(template, "...}") != NULL;
}

struct words {
	char *at;
	size_t len, size;
};

static void
say(struct words *w, const char *text, size_t len)
{
	if (w->len + len >= w->size)
		len = w->size - 1 - w->len;
	memcpy(w->at + w->len, text, len);
	w->len += len;
	w->at[w->len] = '\0';
}

/* The path alone: a target may be a whole URL, and has a query. */
static const char *
path_of(const char *target)
{
	const char *scheme = strstr(target, "://");
	const char *slash = scheme && *target != '/' ? strchr(scheme + 3, '/')
						     : target;

	return slash ? slash : "/";
}

static void
say_segment(struct words *w, struct span segment)
{
	say(w, "/", 1);
	if (is_value(segment))
		say(w, "{id}", 4);
	else
		say(w, segment.at, segment.len);
}

static void
fold_path(struct words *w, const char *target)
{
	const char *at = path_of(target);

	if (*at != '/')		/* OPTIONS * */
		say(w, "*", 1);
	for (size_t n = 0; *at == '/'; n++) {
		size_t len = strcspn(at + 1, "/?;#");

		if (n == SEGMENTS_MOST) {
			say(w, "/**", 3);
			return;
		}
		say_segment(w, (struct span){ at + 1, len });
		at += 1 + len;
		if (*at == ';')		/* a matrix parameter */
			at += strcspn(at, "/?#");
	}
}

void
shadow_fold_endpoint(const char *method, const char *template,
		     const char *target, int status,
		     char out[SHADOW_ENDPOINT_MAX])
{
	struct words w = { out, 0, SHADOW_ENDPOINT_MAX };

	method = known_method(method);
	say(&w, method, strlen(method));
	say(&w, " ", 1);
	if (*template && !has_tail(template))
		say(&w, template, strlen(template));
	else if (status == 404)
		say(&w, "(not found)", 11);
	else
		fold_path(&w, target);
}

/* ---- pointers and reasons ---- */

void
shadow_fold_pointer(const char *pointer, char *out, size_t size)
{
	struct words w = { out, 0, size };

	*out = '\0';
	if (*pointer != '/') {
		say(&w, pointer, strlen(pointer));
		return;
	}
	while (*pointer == '/') {
		struct span token = { pointer + 1, strcspn(pointer + 1, "/") };

		say(&w, "/", 1);
		if (looks_like_id(token))
			say(&w, "*", 1);
		else
			say(&w, token.at, token.len);
		pointer = token.at + token.len;
	}
}

void
shadow_fold_reason(const char *reason, char *out, size_t size)
{
	struct words w = { out, 0, size };

	*out = '\0';
	while (*reason) {
		size_t digits = strspn(reason, "0123456789");

		if (digits)
			say(&w, "#", 1);
		else
			say(&w, reason, 1);
		reason += digits ? digits : 1;
	}
}
