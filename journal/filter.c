/* SPDX-License-Identifier: Apache-2.0 */
/* Filters on types and subjects: lists of exact values and prefixes. */
#include "journal/internal.h"

static bool
pattern_matches(struct span pattern, struct span value)
{
	size_t n = pattern.len;

	if (n == 0 || pattern.at[n - 1] != '*')
		return span_equal(pattern, value);
	n--;
	return value.len >= n && (n == 0 || !memcmp(value.at, pattern.at, n));
}

bool
journal_filter_matches(const char *filter, struct span value)
{
	struct span list = span_of(filter), pattern;

	if (!filter)
		return true;
	while (span_next_token(&list, &pattern))
		if (pattern_matches(pattern, value))
			return true;
	return false;
}

bool
journal_filter_takes(const struct journal_filter *f,
		     const struct journal_row *row)
{
	return (!f->shadow_only || row->shadow) &&
	       journal_filter_matches(f->type, row->type) &&
	       journal_filter_matches(f->subject, row->subject);
}
