/* SPDX-License-Identifier: Apache-2.0 */
/* Latencies in buckets that are at most 1/64 wide: percentiles without a list
 * of samples. One thread. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 64	/* buckets for each doubling */
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * 34)

struct histogram {
	uint64_t count, most_us;
	uint32_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t us);

/* The upper end of the bucket that holds the share (0 to 1); 0 if empty. */
uint64_t histogram_at(const struct histogram *h, double share);

#endif
