/* SPDX-License-Identifier: Apache-2.0 */
/* A group's rate: a bucket of deliveries that fills with time and holds a
 * tenth of a second's worth, so that no second gives more than a tenth too
 * many. Time is the monotonic clock's; a new rate keeps what is in it. */
#include "bus/group.h"

#define WAIT_LEAST_MS 10	/* then a fetch gets more than one */

static void
refill(struct groups *g, struct group *p)
{
	double rate = p->settings.rate, most = rate / 10 > 1 ? rate / 10 : 1;
	uint64_t passed = g->now.mono_ms - p->tokens_at;

	p->tokens += (double)passed * rate / 1000;
	p->tokens_at = g->now.mono_ms;
	if (p->tokens > most)
		p->tokens = most;
}

/* Whoever waits is woken once, by the pump. */
bool
group_may_deliver(struct groups *g, struct group *p)
{
	double missing_ms;

	refill(g, p);
	if (p->settings.rate == 0 || p->tokens >= 1)
		return true;
	if (p->rate_at != GROUPS_NEVER)
		return false;
	missing_ms = (1 - p->tokens) * 1000 / p->settings.rate + 1;
	if (missing_ms < WAIT_LEAST_MS)
		missing_ms = WAIT_LEAST_MS;
	p->rate_at = g->now.mono_ms + (uint64_t)missing_ms;
	if (g->env.wake)
		g->env.wake(g->env.arg);
	return false;
}

void
group_delivered(struct group *p)
{
	if (p->settings.rate > 0)
		p->tokens -= 1;
}

uint64_t
group_rate_next(struct groups *g, struct group *p)
{
	if (p->rate_at <= g->now.mono_ms)
		p->rate_at = GROUPS_NEVER;
	return p->rate_at;
}
