/* SPDX-License-Identifier: Apache-2.0 */
/* How long both sides took for the same requests: sums and histograms. */
#ifndef SHADOW_LATENCY_H
#define SHADOW_LATENCY_H

#include <stdint.h>

#include "base/json.h"
#include "payload/payload.h"

/* Eight buckets an octave: a quantile is true to 1/16. */
#define SHADOW_BUCKETS 240u

struct shadow_histogram {
	uint32_t at[SHADOW_BUCKETS];
};

void shadow_histogram_add(struct shadow_histogram *h, uint32_t value);
/* shadow_histogram_quantile: the middle of the bucket in which the q-th part
 * ends, 0 without values. */
uint32_t shadow_histogram_quantile(const struct shadow_histogram *h, double q);

/* Of pairs that had two answers. Two of them add up, member by member. */
struct shadow_latency {
	uint64_t pairs;
	uint64_t legacy_us, candidate_us;	/* sums */
	struct shadow_histogram legacy, candidate;	/* us */
	struct shadow_histogram permille;	/* candidate of legacy */
};

void shadow_latency_add(struct shadow_latency *l, uint32_t legacy_us,
			uint32_t candidate_us);
void shadow_latency_merge(struct shadow_latency *l,
			  const struct shadow_latency *other);
/* The durable form, one object, and back. */
void shadow_latency_save(const struct shadow_latency *l, struct json *out);
void shadow_latency_load(struct shadow_latency *l, const struct cJSON *tree);
/* shadow_latency_report writes means, medians, 99th percentiles and ratios
 * as an object; null without pairs. */
void shadow_latency_report(const struct shadow_latency *l, struct json *out);

#endif
