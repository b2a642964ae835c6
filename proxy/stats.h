/* SPDX-License-Identifier: Apache-2.0 */
/* Counts per rule, kept by name over reloads; a block per worker. */
#ifndef PROXY_STATS_H
#define PROXY_STATS_H

#include <stdatomic.h>
#include <stdint.h>

struct stats;

enum rule_stat { RULE_REQUESTS, RULE_BY_LEGACY, RULE_BY_TARGET,
		 RULE_BY_PROXY, RULE_ERRORS,
		 /* of a canary: struct ramp_side of both, member by member */
		 RULE_CANARY_TARGET,
		 RULE_CANARY_LEGACY = RULE_CANARY_TARGET + 4,
		 RULE_STAT_COUNT = RULE_CANARY_LEGACY + 4 };

/* Written by its worker only, read by anyone. */
struct rule_stats {
	_Alignas(64) _Atomic uint64_t at[RULE_STAT_COUNT];
};

struct stats *stats_new(unsigned workers);
void stats_free(struct stats **s);
/* stats_rule returns the worker's block of that rule name, made on first
 * use and kept; NULL without memory. Any thread (a mutex). */
struct rule_stats *stats_rule(struct stats *s, const char *rule,
			      unsigned worker);
/* stats_sum adds up over workers; zeros for an unknown rule. */
void stats_sum(struct stats *s, const char *rule,
	       uint64_t out[RULE_STAT_COUNT]);

static inline void
rule_stats_add(struct rule_stats *s, unsigned which, uint64_t n)
{
	uint64_t v;

	if (!s)
		return;
	v = atomic_load_explicit(&s->at[which], memory_order_relaxed);
	atomic_store_explicit(&s->at[which], v + n, memory_order_relaxed);
}

static inline void
rule_stats_inc(struct rule_stats *s, enum rule_stat which)
{
	rule_stats_add(s, which, 1);
}

#endif
