/* SPDX-License-Identifier: Apache-2.0 */
/* Parses path templates and compares what they match. */
#include "rules/template.h"

#include <ctype.h>
#include <string.h>

#include "base/message.h"

static bool
is_name(struct span s)
{
	if (s.len == 0 || isdigit((unsigned char)s.at[0]))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.at[i]) && s.at[i] != '_')
			return false;
	return true;
}

static int
parse_parameter(struct rules_load *l, const struct rules_node *at,
		struct template_segment *seg)
{
	struct span inner = { seg->text.at + 1, seg->text.len - 2 };

	seg->kind = TEMPLATE_PARAMETER;
	if (inner.len >= 3 && memcmp(inner.at + inner.len - 3, "...", 3) == 0) {
		seg->kind = TEMPLATE_TAIL;
		inner.len -= 3;
	}
	if (inner.len == 0)
		return load_fail(l, at, "a parameter needs a name: write "
				 "\"{id}\", or \"{rest...}\" for the rest");
	if (!is_name(inner))
		return load_fail(l, at, "\"%.*s\" is not a parameter's name: "
				 "use letters, digits and \"_\"",
				 (int)inner.len, inner.at);
	seg->text = inner;
	return 0;
}

/* Rules see paths in normal form only: a literal in any other form could
 * never match. */
static int
check_normal(struct rules_load *l, const struct rules_node *at,
	     struct span seg)
{
	char path[TEMPLATE_LENGTH_MAX + 2], normal[sizeof(path)];
	long n;

	path[0] = '/';
	memcpy(path + 1, seg.at, seg.len);
	n = message_normal_path((struct span){ path, seg.len + 1 }, normal,
				sizeof(normal));
	if (n < 0)
		return load_fail(l, at, "\"%.*s\" has a bad percent escape",
				 (int)seg.len, seg.at);
	if (span_is(seg, ".") || span_is(seg, ".."))
		return load_fail(l, at, "\".\" and \"..\" are resolved before "
				 "rules are matched: write the path that "
				 "remains");
	if ((size_t)n != seg.len + 1 || memcmp(path, normal, (size_t)n) != 0)
		return load_fail(l, at, "\"%.*s\" never matches, since paths "
				 "are compared in normal form: write \"%.*s\"",
				 (int)seg.len, seg.at, (int)n - 1, normal + 1);
	return 0;
}

static int
parse_literal(struct rules_load *l, const struct rules_node *at,
	      struct template_segment *seg)
{
	struct span s = seg->text;

	seg->kind = TEMPLATE_LITERAL;
	if (memchr(s.at, '{', s.len) || memchr(s.at, '}', s.len))
		return load_fail(l, at, "\"%.*s\": a parameter is a whole "
				 "segment between slashes", (int)s.len, s.at);
	if (span_is(s, "*") || span_is(s, "**"))
		return load_fail(l, at, "\"%.*s\" is not a wildcard here: "
				 "write \"{name}\" for one segment or "
				 "\"{rest...}\" for the rest", (int)s.len,
				 s.at);
	return check_normal(l, at, s);
}

static int
parse_segment(struct rules_load *l, const struct rules_node *at,
	      struct template_segment *seg)
{
	struct span s = seg->text;

	if (s.len >= 2 && s.at[0] == '{' && s.at[s.len - 1] == '}' &&
	    !memchr(s.at + 1, '{', s.len - 1))
		return parse_parameter(l, at, seg);
	return parse_literal(l, at, seg);
}

static int
check_order(struct rules_load *l, const struct rules_node *at,
	    const struct template_segment *seg, size_t i, size_t count)
{
	if (seg[i].kind == TEMPLATE_LITERAL) {
		if (seg[i].text.len == 0 && i + 1 < count)
			return load_fail(l, at, "\"//\": empty segments are "
					 "merged before rules are matched, "
					 "write \"/\"");
		return 0;
	}
	if (seg[i].kind == TEMPLATE_TAIL && i + 1 < count)
		return load_fail(l, at, "\"{%.*s...}\" takes the rest of the "
				 "path, so it must come last",
				 (int)seg[i].text.len, seg[i].text.at);
	for (size_t j = 0; j < i; j++)
		if (seg[j].kind != TEMPLATE_LITERAL &&
		    span_equal(seg[i].text, seg[j].text))
			return load_fail(l, at, "the parameter \"%.*s\" is "
					 "there twice", (int)seg[i].text.len,
					 seg[i].text.at);
	return 0;
}

static int
check_text(struct rules_load *l, const struct rules_node *at, const char *s)
{
	if (*s != '/')
		return load_fail(l, at, "a path begins with \"/\"");
	if (strlen(s) > TEMPLATE_LENGTH_MAX)
		return load_fail(l, at, "longer than %d bytes",
				 TEMPLATE_LENGTH_MAX);
	if (strpbrk(s, "?#"))
		return load_fail(l, at, "a path has no \"?\" and no \"#\": "
				 "for parameters use \"query\"");
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f)
			return load_fail(l, at, "only visible ASCII and no "
					 "blank can stand in a path: write "
					 "percent escapes");
	return 0;
}

static size_t
count_segments(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == '/';
	return n;
}

int
template_parse(struct rules_load *l, const struct rules_node *at,
	       const char *s, struct template *out)
{
	struct template_segment *seg;
	size_t count;

	if (check_text(l, at, s) < 0)
		return -1;
	count = count_segments(s);
	if (count > TEMPLATE_SEGMENTS_MAX)
		return load_fail(l, at, "more than %d segments",
				 TEMPLATE_SEGMENTS_MAX);
	seg = load_alloc(l, count, sizeof(*seg));
	if (!seg)
		return -1;
	for (size_t i = 0; i < count; i++) {
		size_t len = strcspn(++s, "/");

		seg[i].text = (struct span){ s, len };
		if (parse_segment(l, at, &seg[i]) < 0 ||
		    check_order(l, at, seg, i, count) < 0)
			return -1;
		s += len;
	}
	*out = (struct template){ seg, count, TEMPLATE_END };
	return 0;
}

enum template_kind
template_kind_at(const struct template *t, size_t i)
{
	return i < t->count ? t->segments[i].kind : t->rest;
}

static int
compare_text(struct span a, struct span b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.at, b.at, n) : 0;

	return c ? c : (a.len > b.len) - (a.len < b.len);
}

int
template_compare(const struct template *a, const struct template *b)
{
	for (size_t i = 0;; i++) {
		enum template_kind ka = template_kind_at(a, i);
		enum template_kind kb = template_kind_at(b, i);
		int c = 0;

		if (ka != kb)
			return ka < kb ? -1 : 1;
		if (ka == TEMPLATE_END || ka == TEMPLATE_NONE)
			return 0;
		if (ka == TEMPLATE_LITERAL)
			c = compare_text(a->segments[i].text,
					 b->segments[i].text);
		if (c)
			return c;
	}
}

/* An empty last segment ("/a/") is no parameter's value. */
static bool
segment_covers(const struct template_segment *a,
	       const struct template_segment *b)
{
	if (a->kind == TEMPLATE_LITERAL)
		return b->kind == TEMPLATE_LITERAL &&
		       span_equal(a->text, b->text);
	return b->kind == TEMPLATE_PARAMETER || b->text.len > 0;
}

static bool
takes_all(enum template_kind k)
{
	return k == TEMPLATE_TAIL || k == TEMPLATE_NONE;
}

bool
template_overlap(const struct template *a, const struct template *b)
{
	for (size_t i = 0;; i++) {
		enum template_kind ka = template_kind_at(a, i);
		enum template_kind kb = template_kind_at(b, i);

		if (ka == TEMPLATE_NONE || kb == TEMPLATE_NONE)
			return true;
		if (ka == TEMPLATE_END || kb == TEMPLATE_END)
			return ka == kb;
		if (takes_all(ka) || takes_all(kb))
			return true;
		if (!segment_covers(&a->segments[i], &b->segments[i]) &&
		    !segment_covers(&b->segments[i], &a->segments[i]))
			return false;
	}
}

bool
template_covers(const struct template *a, const struct template *b)
{
	for (size_t i = 0;; i++) {
		enum template_kind ka = template_kind_at(a, i);
		enum template_kind kb = template_kind_at(b, i);

		if (ka == TEMPLATE_NONE || kb == TEMPLATE_NONE)
			return ka == TEMPLATE_NONE;
		if (ka == TEMPLATE_END || kb == TEMPLATE_END)
			return ka == kb;
		if (takes_all(ka) || takes_all(kb))
			return takes_all(ka);
		if (!segment_covers(&a->segments[i], &b->segments[i]))
			return false;
	}
}
