/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets: exact below 64 us, then 64 for each doubling. */
#include "bench/histogram.h"

#include <string.h>

static unsigned
bucket_of(uint64_t us)
{
	unsigned shift = 0, at;

	while (us >> shift >= 2 * HISTOGRAM_STEPS)
		shift++;
	at = shift * HISTOGRAM_STEPS + (unsigned)(us >> shift);
	return at < HISTOGRAM_BUCKETS ? at : HISTOGRAM_BUCKETS - 1;
}

static uint64_t
end_of(unsigned at)
{
	unsigned shift;

	if (at < 2 * HISTOGRAM_STEPS)
		return at;
	shift = at / HISTOGRAM_STEPS - 1;
	return ((uint64_t)(at - shift * HISTOGRAM_STEPS) + 1) << shift;
}

void
histogram_clear(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
}

void
histogram_add(struct histogram *h, uint64_t us)
{
	h->count++;
	h->buckets[bucket_of(us)]++;
	if (us > h->most_us)
		h->most_us = us;
}

uint64_t
histogram_at(const struct histogram *h, double share)
{
	uint64_t seen = 0, wanted = (uint64_t)(share * (double)h->count);
	unsigned i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen > wanted)
			return end_of(i) < h->most_us ? end_of(i) : h->most_us;
	}
	return h->most_us;
}
