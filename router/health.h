/* SPDX-License-Identifier: Apache-2.0 */
/* Whether one address of a target may be asked: what its answers and what
 * the prober say. Time is given; any thread may read and write. */
#ifndef ROUTER_HEALTH_H
#define ROUTER_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "rules/rules.h"

#define HEALTH_WEIGHT_FULL 1000u
#define HEALTH_WEIGHT_FIRST 100u	/* at the start of a slow start */

/* All zeros is a healthy one. */
struct health {
	_Atomic uint32_t failures;	/* in a row */
	_Atomic uint32_t ejections;	/* in a row: each doubles the time */
	_Atomic uint64_t ejected_until_ms;
	_Atomic uint64_t back_ms;	/* slow start begins here; 0: none */
	_Atomic bool down;		/* the prober says so */
};

enum health_state { HEALTH_UP, HEALTH_EJECTED, HEALTH_DOWN };

enum health_state health_state(const struct health *h, uint64_t now_ms);
const char *health_state_name(enum health_state s);

/* health_failed counts a failure: one, or with HEALTH_UNREACHABLE as many as
 * eject. True when the address has now earned an ejection; the caller knows
 * whether another one can be spared (health_eject). */
enum health_failure { HEALTH_UNREACHABLE, HEALTH_BAD_ANSWER };
bool health_failed(struct health *h, const struct rules_eject *limits,
		   enum health_failure what);
/* health_eject takes it out; returns for how long, 0 when it was out. One
 * thread at a time. */
unsigned health_eject(struct health *h, const struct rules_eject *limits,
		      uint64_t now_ms);
/* health_succeeded forgets failures; ejections only when the address held
 * out as long as it was ejected. */
void health_succeeded_late(struct health *h, const struct rules_eject *limits,
			   uint64_t now_ms);
static inline void
health_succeeded(struct health *h, const struct rules_eject *limits,
		 uint64_t now_ms)
{
	if (atomic_load_explicit(&h->failures, memory_order_relaxed) ||
	    atomic_load_explicit(&h->ejections, memory_order_relaxed))
		health_succeeded_late(h, limits, now_ms);
}
/* health_spared: how many of `count` addresses may be ejected at a time. */
unsigned health_spared(unsigned count);

/* health_probed: the prober's verdict changed. */
void health_probed(struct health *h, bool up, uint64_t now_ms);
/* health_weight: 1 to HEALTH_WEIGHT_FULL, by the time since it is back. */
unsigned health_weight(const struct health *h, unsigned slow_start_ms,
		       uint64_t now_ms);

/* The prober's memory of one address. */
struct health_streak {
	unsigned good, bad;		/* in a row */
};
/* health_streak_add: the verdict changes after `healthy` good or
 * `unhealthy` bad results in a row. Returns 1: up, -1: down, 0: as it was. */
int health_streak_add(struct health_streak *s,
		      const struct rules_health *limits, bool good,
		      bool is_down);

#endif
