/* SPDX-License-Identifier: Apache-2.0 */
/* Filters on types and subjects: lists of patterns, docs/bus-protocol.md.
 *
 * A filter is data of whoever consumes: matching allocates nothing, does not
 * recurse and takes at most length times length squared steps. */
#include "journal/internal.h"

/* Where to go on after a mismatch: the last `*` may take one more character
 * of its token, the last `**` one more of anything. */
struct stars {
	const char *one, *one_at;
	const char *any, *any_at;
};

static bool
retry_from_star(struct stars *s, struct span value, char separator,
		const char **p, const char **v)
{
	const char *end = value.at + value.len;

	if (s->one && s->one_at < end && *s->one_at != separator) {
		*p = s->one;
		*v = ++s->one_at;
		return true;
	}
	s->one = NULL;
	if (!s->any || s->any_at == end)
		return false;
	*p = s->any;
	*v = ++s->any_at;
	return true;
}

/* Takes one `*` or `**`; true when it is the pattern's last, which takes all
 * that follows. */
static bool
take_star(struct stars *s, const char **p, const char *p_end, const char *v)
{
	bool twice = *p + 1 < p_end && (*p)[1] == '*';

	*p += twice ? 2 : 1;
	s->one = twice ? NULL : *p;
	s->one_at = v;
	if (twice) {
		s->any = *p;
		s->any_at = v;
	}
	return *p == p_end;
}

static bool
take_literal(const char **p, const char *p_end, const char **v,
	     const char *v_end)
{
	const char *at = *p;

	if (at < p_end && *at == '\\' && at + 1 < p_end)
		at++;
	if (at == p_end || *v == v_end || *at != **v)
		return false;
	*p = at + 1;
	++*v;
	return true;
}

static bool
pattern_matches(struct span pattern, struct span value, char separator)
{
	const char *p = pattern.at, *p_end = p + pattern.len;
	const char *v = value.at, *v_end = v + value.len;
	struct stars s = { 0 };

	for (;;) {
		if (p == p_end && v == v_end)
			return true;
		if (p < p_end && *p == '*') {
			if (take_star(&s, &p, p_end, v))
				return true;
		} else if (!take_literal(&p, p_end, &v, v_end) &&
			   !retry_from_star(&s, value, separator, &p, &v)) {
			return false;
		}
	}
}

/* Cuts the next pattern off; a comma after a backslash is no end. */
static bool
next_pattern(struct span *list, struct span *pattern)
{
	size_t n = 0;

	while (n < list->len && list->at[n] != ',')
		n += list->at[n] == '\\' && n + 1 < list->len ? 2 : 1;
	if (list->len == 0)
		return false;
	*pattern = span_trim((struct span){ list->at, n });
	n += n < list->len;
	list->at += n;
	list->len -= n;
	return true;
}

static bool
matches_list(const char *filter, struct span value, char separator)
{
	struct span list = span_of(filter), pattern;
	bool matches = true, wants = false;

	if (!filter)
		return true;
	if (value.len == 0)
		value.at = "";
	while (next_pattern(&list, &pattern)) {
		bool excludes = pattern.len > 0 && *pattern.at == '!';

		if (pattern.len == 0)
			continue;
		if (excludes) {
			pattern.at++;
			pattern.len--;
		} else if (!wants) {	/* the first that says what to take */
			wants = true;
			matches = false;
		}
		if (!pattern_matches(pattern, value, separator))
			continue;
		if (excludes)
			return false;
		matches = true;
	}
	return matches;
}

bool
journal_filter_type(const char *filter, struct span type)
{
	return matches_list(filter, type, '.');
}

bool
journal_filter_subject(const char *filter, struct span subject)
{
	return matches_list(filter, subject, '/');
}

bool
journal_filter_takes(const struct journal_filter *f,
		     const struct journal_row *row)
{
	return (!f->shadow_only || row->shadow) &&
	       journal_filter_type(f->type, row->type) &&
	       journal_filter_subject(f->subject, row->subject);
}
