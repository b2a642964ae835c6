/* SPDX-License-Identifier: Apache-2.0 */
/* A comparison laid open: every way in which two answers are unlike, and
 * which entry of the rule keeps it from counting. */
#ifndef SHADOW_WHY_H
#define SHADOW_WHY_H

#include "shadow/compare.h"
#include "shadow/noise.h"

/* Differences that are looked at; what is beyond is counted alone. */
#define SHADOW_WHY_MAX 1000
#define SHADOW_WHY_NOISE "noise"

struct shadow_reason {
	struct shadow_difference at;
	/* NULL: it counts. Else the key of "compare", and which entry of it;
	 * of a header that is not listed, the key alone. */
	const char *key, *entry;
	const struct shadow_noise_place *noise;	/* or NULL */
};
struct shadow_why {
	struct shadow_reason *list;
	size_t count;
	size_t beyond;		/* found, and not in the list */
	bool failed;		/* no memory: not all is here */
};

/* shadow_why compares with nothing of the rule's lists in force, then with one
 * entry more each time: what goes with an entry is what it suppresses. For
 * people: as many comparisons as there are entries. Entries are lent by the
 * rule. noise: what was learned of the legacy at that endpoint, or NULL; its
 * key is SHADOW_WHY_NOISE. shadow_why_fini either way. Any thread. */
void shadow_why(const struct shadow_plan *plan, const struct shadow_rule *rule,
		const struct shadow_answer *legacy,
		const struct shadow_answer *candidate,
		const struct shadow_noise_row *noise, struct shadow_why *out);
void shadow_why_fini(struct shadow_why *w);
/* shadow_why_counting: how many of them count. */
size_t shadow_why_counting(const struct shadow_why *w);

/* shadow_why_entries calls fn with each entry of the rule's lists. */
void shadow_why_entries(const struct shadow_rule *rule,
			void (*fn)(void *arg, const char *key,
				   const char *entry),
			void *arg);

#endif
