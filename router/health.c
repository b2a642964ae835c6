/* SPDX-License-Identifier: Apache-2.0 */
/* Ejection for a growing time, return with a growing weight. */
#include "router/health.h"

static uint64_t
load(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

enum health_state
health_state(const struct health *h, uint64_t now_ms)
{
	if (atomic_load_explicit(&h->down, memory_order_relaxed))
		return HEALTH_DOWN;
	return load(&h->ejected_until_ms) > now_ms ? HEALTH_EJECTED :
						     HEALTH_UP;
}

const char *
health_state_name(enum health_state s)
{
	static const char *const names[] = {
		[HEALTH_UP] = "up",
		[HEALTH_EJECTED] = "ejected",
		[HEALTH_DOWN] = "down",
	};

	return names[s];
}

bool
health_failed(struct health *h, const struct rules_eject *limits,
	      enum health_failure what)
{
	unsigned by = 1;

	switch (what) {
	case HEALTH_UNREACHABLE:
		by = limits->after;
		break;
	case HEALTH_BAD_ANSWER:
		break;
	}
	return atomic_fetch_add(&h->failures, by) + by >= limits->after;
}

static unsigned
ejection_ms(const struct rules_eject *limits, unsigned times)
{
	uint64_t ms = limits->for_ms;

	while (times-- > 0 && ms < limits->at_most_ms)
		ms *= 2;
	return ms < limits->at_most_ms ? (unsigned)ms : limits->at_most_ms;
}

/* Back again, one more failure is enough to be ejected again. */
unsigned
health_eject(struct health *h, const struct rules_eject *limits,
	     uint64_t now_ms)
{
	unsigned ms;

	if (load(&h->ejected_until_ms) > now_ms)
		return 0;
	ms = ejection_ms(limits, atomic_fetch_add(&h->ejections, 1));
	atomic_store(&h->failures, limits->after - 1);
	atomic_store(&h->ejected_until_ms, now_ms + ms);
	atomic_store(&h->back_ms, now_ms + ms);
	return ms;
}

void
health_succeeded_late(struct health *h, const struct rules_eject *limits,
		      uint64_t now_ms)
{
	uint64_t back_ms = load(&h->ejected_until_ms);
	unsigned times = atomic_load(&h->ejections);

	/* The answer may be to a request from before the ejection. */
	if (back_ms > now_ms)
		return;
	atomic_store(&h->failures, 0);
	if (times && now_ms >= back_ms + ejection_ms(limits, times - 1))
		atomic_store(&h->ejections, 0);
}

unsigned
health_spared(unsigned count)
{
	return count / 2;
}

void
health_probed(struct health *h, bool up, uint64_t now_ms)
{
	if (up)
		atomic_store(&h->back_ms, now_ms);
	atomic_store(&h->down, !up);
}

unsigned
health_weight(const struct health *h, unsigned slow_start_ms, uint64_t now_ms)
{
	uint64_t back_ms = load(&h->back_ms), since;

	if (!slow_start_ms || !back_ms)
		return HEALTH_WEIGHT_FULL;
	since = now_ms > back_ms ? now_ms - back_ms : 0;
	if (since >= slow_start_ms)
		return HEALTH_WEIGHT_FULL;
	return HEALTH_WEIGHT_FIRST +
	       (unsigned)((HEALTH_WEIGHT_FULL - HEALTH_WEIGHT_FIRST) * since /
			  slow_start_ms);
}

int
health_streak_add(struct health_streak *s, const struct rules_health *limits,
		  bool good, bool is_down)
{
	s->good = good ? s->good + 1 : 0;
	s->bad = good ? 0 : s->bad + 1;
	if (is_down)
		return s->good >= limits->healthy ? 1 : 0;
	return s->bad >= limits->unhealthy ? -1 : 0;
}
