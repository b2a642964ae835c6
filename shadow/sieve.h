/* SPDX-License-Identifier: Apache-2.0 */
/* Comparisons that know of noise: those that learn it, and those it is taken
 * out of. */
#ifndef SHADOW_SIEVE_H
#define SHADOW_SIEVE_H

#include "shadow/compare.h"
#include "shadow/noise.h"

/* What a place's column was found to be; walking it again for each of its
 * elements would be quadratic. */
#define SHADOW_SIEVE_COLUMNS 64

struct shadow_sieve {
	const struct shadow_noise_row *row;	/* NULL: learning */
	struct shadow_verdict *v;
	struct shadow_noise_seen seen;
	bool repeats;		/* what was taken last was so before */
	size_t column_count;
	struct shadow_column {
		char folded[SHADOW_VALUE_MAX + 1];
		bool agrees;
	} columns[SHADOW_SIEVE_COLUMNS];
};

/* shadow_sieve_put makes v ask s (zeroed here) about each difference. */
void shadow_sieve_put(struct shadow_sieve *s,
		      const struct shadow_noise_row *row,
		      struct shadow_verdict *v);
/* shadow_sieve_take: what takes the difference away, or NULL; in a
 * comparison under way. */
const struct shadow_noise_place *
shadow_sieve_take(struct shadow_sieve *s, const struct shadow_difference *d);

/* shadow_sieve_compare is shadow_compare less the noise of that row (NULL:
 * none); false: without noise, or without memory for it. Else seen is what
 * was met. Any thread. */
bool shadow_sieve_compare(const struct shadow_plan *plan,
			  const struct shadow_rule *rule,
			  const struct shadow_answer *legacy,
			  const struct shadow_answer *candidate,
			  const struct shadow_noise_row *row,
			  struct shadow_verdict *v,
			  struct shadow_noise_seen *seen);

/* shadow_sieve_learn compares two answers of the legacy and fills seen;
 * false when they are no pair to learn from. */
bool shadow_sieve_learn(const struct shadow_plan *plan,
			const struct shadow_rule *rule,
			const struct shadow_answer *first,
			const struct shadow_answer *second,
			struct shadow_noise_seen *seen);

#endif
