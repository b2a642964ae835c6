/* SPDX-License-Identifier: Apache-2.0 */
/* What ordered and unordered comparison share. */
#ifndef PAYLOAD_COMPARE_H
#define PAYLOAD_COMPARE_H

#include "payload/internal.h"

/* Steps of one whole comparison that may be spent on pairs of a set that turn
 * out to be none. Beyond them such elements count as different. */
#define COMPARE_BUDGET 1000000u

struct compare {
	const struct payload_compare *how;
	struct payload_path path;	/* where we are */
	size_t count, max_reported;
	int quiet;			/* > 0: only whether anything differs */
	size_t budget;			/* for pairs that are none */
	size_t work;			/* done in quiet comparisons */
	void (*fn)(void *arg, const char *pointer,
		   enum payload_difference_kind kind, const char *expected,
		   const char *actual);
	void *arg;
};

/* compare_values looks no further, while quiet, once something differs. */
void compare_values(struct compare *c, const cJSON *a, const cJSON *b);
/* compare_report counts a difference at the present path; a value may be
 * NULL (absent). */
void compare_report(struct compare *c, enum payload_difference_kind kind,
		    const cJSON *a, const cJSON *b);
bool compare_is_decided(const struct compare *c);
bool compare_is_ignored(const struct compare *c);
const struct payload_tolerance *
compare_tolerance(const struct compare *c);
/* compare_rewrite writes the string at the present place as it is compared;
 * false: as it stands. */
bool compare_rewrite(const struct compare *c, const char *s, struct buf *out);
/* compare_lone reports the element of one side only, unless ignored. */
void compare_lone(struct compare *c, size_t index, const cJSON *a,
		  const cJSON *b);
/* compare_unordered returns false when the array here is an ordered one. */
bool compare_unordered(struct compare *c, const cJSON *a, const cJSON *b);

#endif
