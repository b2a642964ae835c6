/* SPDX-License-Identifier: Apache-2.0 */
/* How long both sides took for the same requests: sums and histograms. */
#include "shadow/latency.h"

#define PER_OCTAVE 8u
#define OCTAVE_BITS 3

/* Up to 7 each value has a bucket; then the first four bits choose it. */
static size_t
bucket_of(uint32_t value)
{
	int shift;

	if (value < PER_OCTAVE)
		return value;
	shift = 31 - __builtin_clz(value) - OCTAVE_BITS;
	return (size_t)(shift + 1) * PER_OCTAVE +
	       ((value >> shift) & (PER_OCTAVE - 1));
}

static uint32_t
middle_of(size_t bucket)
{
	uint32_t shift = (uint32_t)(bucket / PER_OCTAVE);

	if (shift == 0)
		return (uint32_t)bucket;
	shift--;
	return ((PER_OCTAVE + (uint32_t)(bucket % PER_OCTAVE)) << shift) +
	       ((1u << shift) >> 1);
}

void
shadow_histogram_add(struct shadow_histogram *h, uint32_t value)
{
	h->at[bucket_of(value)]++;
}

static uint64_t
histogram_count(const struct shadow_histogram *h)
{
	uint64_t n = 0;

	for (size_t i = 0; i < SHADOW_BUCKETS; i++)
		n += h->at[i];
	return n;
}

uint32_t
shadow_histogram_quantile(const struct shadow_histogram *h, double q)
{
	double until = q * (double)histogram_count(h);
	uint64_t n = 0;

	for (size_t i = 0; i < SHADOW_BUCKETS; i++) {
		n += h->at[i];
		if (n > 0 && (double)n >= until)
			return middle_of(i);
	}
	return 0;
}

static void
histogram_merge(struct shadow_histogram *h,
		const struct shadow_histogram *other)
{
	for (size_t i = 0; i < SHADOW_BUCKETS; i++)
		h->at[i] += other->at[i];
}

/* bucket, count, bucket, count: few of them are in use. */
static void
histogram_save(const char *name, const struct shadow_histogram *h,
	       struct json *out)
{
	json_key_span(out, span_of(name));
	json_array_begin(out);
	for (size_t i = 0; i < SHADOW_BUCKETS; i++)
		if (h->at[i]) {
			json_u64(out, i);
			json_u64(out, h->at[i]);
		}
	json_array_end(out);
}

static void
histogram_load(struct shadow_histogram *h, const struct cJSON *list)
{
	const struct cJSON *at = payload_first(list);

	while (at && payload_next(at)) {
		int64_t bucket = payload_int(at, -1);

		at = payload_next(at);
		if (bucket >= 0 && bucket < (int64_t)SHADOW_BUCKETS)
			h->at[bucket] = (uint32_t)payload_int(at, 0);
		at = payload_next(at);
	}
}

void
shadow_latency_add(struct shadow_latency *l, uint32_t legacy_us,
		   uint32_t candidate_us)
{
	uint64_t permille = (uint64_t)candidate_us * 1000 /
			    (legacy_us ? legacy_us : 1);

	l->pairs++;
	l->legacy_us += legacy_us;
	l->candidate_us += candidate_us;
	shadow_histogram_add(&l->legacy, legacy_us);
	shadow_histogram_add(&l->candidate, candidate_us);
	shadow_histogram_add(&l->permille, permille > UINT32_MAX
						   ? UINT32_MAX
						   : (uint32_t)permille);
}

void
shadow_latency_merge(struct shadow_latency *l,
		     const struct shadow_latency *other)
{
	l->pairs += other->pairs;
	l->legacy_us += other->legacy_us;
	l->candidate_us += other->candidate_us;
	histogram_merge(&l->legacy, &other->legacy);
	histogram_merge(&l->candidate, &other->candidate);
	histogram_merge(&l->permille, &other->permille);
}

static void
put(struct json *out, const char *name, uint64_t value)
{
	json_key_span(out, span_of(name));
	json_u64(out, value);
}

void
shadow_latency_save(const struct shadow_latency *l, struct json *out)
{
	json_object_begin(out);
	put(out, "pairs", l->pairs);
	put(out, "legacy_us", l->legacy_us);
	put(out, "candidate_us", l->candidate_us);
	histogram_save("legacy", &l->legacy, out);
	histogram_save("candidate", &l->candidate, out);
	histogram_save("permille", &l->permille, out);
	json_object_end(out);
}

static uint64_t
number(const struct cJSON *tree, const char *name)
{
	int64_t n = payload_int(payload_member(tree, name), 0);

	return n < 0 ? 0 : (uint64_t)n;
}

void
shadow_latency_load(struct shadow_latency *l, const struct cJSON *tree)
{
	l->pairs = number(tree, "pairs");
	l->legacy_us = number(tree, "legacy_us");
	l->candidate_us = number(tree, "candidate_us");
	histogram_load(&l->legacy, payload_member(tree, "legacy"));
	histogram_load(&l->candidate, payload_member(tree, "candidate"));
	histogram_load(&l->permille, payload_member(tree, "permille"));
}

static void
report_side(struct json *out, const char *name, uint64_t mean,
	    const struct shadow_histogram *h)
{
	json_key_span(out, span_of(name));
	json_object_begin(out);
	put(out, "mean_us", mean);
	put(out, "p50_us", shadow_histogram_quantile(h, 0.5));
	put(out, "p99_us", shadow_histogram_quantile(h, 0.99));
	json_object_end(out);
}

static void
report_ratio(const struct shadow_latency *l, struct json *out)
{
	json_key(out, "ratio");
	json_object_begin(out);
	json_key(out, "mean");
	json_double(out, (double)l->candidate_us /
				 (l->legacy_us ? (double)l->legacy_us : 1));
	json_key(out, "p50");
	json_double(out, shadow_histogram_quantile(&l->permille, 0.5) / 1e3);
	json_key(out, "p99");
	json_double(out, shadow_histogram_quantile(&l->permille, 0.99) / 1e3);
	json_object_end(out);
}

void
shadow_latency_report(const struct shadow_latency *l, struct json *out)
{
	if (l->pairs == 0) {
		json_none(out);
		return;
	}
	json_object_begin(out);
	put(out, "pairs", l->pairs);
	report_side(out, "legacy", l->legacy_us / l->pairs, &l->legacy);
	report_side(out, "candidate", l->candidate_us / l->pairs,
		    &l->candidate);
	report_ratio(l, out);
	json_object_end(out);
}
