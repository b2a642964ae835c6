/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an event in a group: the only place that changes its state.
 *
 *   READY -> LEASED -> SETTLED               acknowledged
 *               |-> WAITING -> LEASED ...    refused, lease over, consumer
 *               |                            gone: all count as an attempt
 *               '-> SETTLED                  out of attempts: dead letter */
#include "bus/group.h"

#include "base/counter.h"
#include "base/invariant.h"
#include "base/log.h"

bool
entry_is_free(const struct groups *g, const struct entry *e,
	      const struct consumer *c)
{
	if (e->state != ENTRY_READY &&
	    !(e->state == ENTRY_WAITING && e->due <= g->now.mono_ms))
		return false;
	return !e->key || e->key->in_flight == 0 || e->key->owner == c;
}

void
entry_lease(struct groups *g, struct group *p, struct entry *e,
	    struct consumer *c)
{
	INVARIANT(e->state == ENTRY_READY || e->state == ENTRY_WAITING);
	e->state = ENTRY_LEASED;
	e->attempts++;
	e->due = g->now.mono_ms + p->settings.lease_ms;
	e->owner = c;
	e->batch = c->batch;
	e->last_us = g->now.wall_us;
	if (e->attempts == 1)
		e->first_us = e->last_us;
	e->suspect = false;
	c->holding++;
	p->in_flight++;
	if (e->key) {
		e->key->owner = c;
		e->key->in_flight++;
	}
	counter_inc(COUNTER_BUS_DELIVERED);
	if (e->attempts > 1)
		counter_inc(COUNTER_BUS_REDELIVERED);
}

/* Takes the event out of its owner's hands. */
static void
entry_release(struct group *p, struct entry *e)
{
	if (e->state != ENTRY_LEASED)
		return;
	e->owner->holding--;
	e->owner = NULL;
	p->in_flight--;
	if (e->key && --e->key->in_flight == 0)
		e->key->owner = NULL;
}

void
entry_settle(struct groups *g, struct group *p, struct entry *e)
{
	struct change c = { .kind = CHANGE_DONE, .sequence = e->sequence };

	INVARIANT(e->state != ENTRY_SETTLED);
	entry_release(p, e);
	e->state = ENTRY_SETTLED;
	p->settled++;
	if (e->saved) {
		p->retrying--;
		(void)group_change(g, p, &c);
	}
	group_dirty(g, p, GROUP_FLUSH_MS);
}

/* Before the event is taken out of its owner's hands. */
static struct change
change_of(const struct entry *e, enum change_kind kind, const char *reason)
{
	struct change c = { .kind = kind, .sequence = e->sequence,
			    .attempts = e->attempts, .first_us = e->first_us,
			    .last_us = e->last_us, .origin = e->origin };

	if (e->owner)
		strncpy(c.consumer, e->owner->name, sizeof(c.consumer) - 1);
	strncpy(c.reason, reason ? reason : "", sizeof(c.reason) - 1);
	return c;
}

void
entry_bury(struct groups *g, struct group *p, struct entry *e,
	   const char *reason)
{
	struct change c = change_of(e, CHANGE_DEAD, reason);

	if (!group_change(g, p, &c)) {
		entry_release(p, e);
		e->state = ENTRY_WAITING;
		e->due = g->now.mono_ms + GROUP_NO_MEMORY_MS;
		return;
	}
	entry_settle(g, p, e);
	p->dead++;
	counter_inc(COUNTER_BUS_DEAD);
	log_warn("bus.dead-letter",
		 "group %s: event %lld is a dead letter after %u attempts: %s",
		 p->name, (long long)c.sequence, c.attempts, c.reason);
}

static unsigned
backoff_ms(const struct group *p, unsigned attempts)
{
	const struct groups_settings *s = &p->settings;
	size_t i = attempts > 0 ? attempts - 1 : 0;

	if (s->backoff_count == 0)
		return 0;
	return s->backoff_ms[i < s->backoff_count ? i : s->backoff_count - 1];
}

void
entry_fail(struct groups *g, struct group *p, struct entry *e,
	   unsigned delay_ms, const char *reason)
{
	struct change c;

	if (e->attempts >= p->settings.max_attempts) {
		entry_bury(g, p, e, reason);
		return;
	}
	if (delay_ms == 0)
		delay_ms = backoff_ms(p, e->attempts);
	c = change_of(e, CHANGE_RETRY, reason);
	entry_release(p, e);
	e->state = ENTRY_WAITING;
	e->due = g->now.mono_ms + delay_ms;
	c.not_before_us = g->now.wall_us + (int64_t)delay_ms * 1000;
	p->retrying += !e->saved;
	e->saved = true;
	(void)group_change(g, p, &c);
	group_dirty(g, p, GROUP_FLUSH_MS);
}

/* Who leaves in order, or has not begun, has not tried. */
void
entry_hand_back(struct groups *g, struct group *p, struct entry *e)
{
	(void)g;
	entry_release(p, e);
	e->attempts--;
	e->state = ENTRY_READY;
}

/* A consumer without a name of its own cannot come back. */
static bool
has_name(const struct consumer *c)
{
	return strncmp(c->name, "connection-", 11) != 0 &&
	       strncmp(c->name, "local-", 6) != 0;
}

void
entry_keep(struct groups *g, struct group *p, struct entry *e)
{
	bool named = has_name(e->owner);
	struct change c = change_of(e, CHANGE_RETRY, named
					     ? GROUP_REASON_STOPPED
					     : GROUP_REASON_GONE);
	uint64_t left_ms = e->due > g->now.mono_ms ? e->due - g->now.mono_ms
						   : 0;

	if (e->owner->session == 0)	/* of this process: gone with it */
		return;
	if (!named && left_ms > GROUP_GRACE_MS)
		left_ms = GROUP_GRACE_MS;
	c.not_before_us = g->now.wall_us + (int64_t)left_ms * 1000;
	if (!group_change(g, p, &c))
		return;
	p->retrying += !e->saved;
	e->saved = true;
}

void
entry_regain(struct group *p, struct entry *e, struct consumer *c)
{
	INVARIANT(e->state == ENTRY_WAITING);
	e->state = ENTRY_LEASED;
	e->owner = c;
	c->holding++;
	p->in_flight++;
	if (!e->key)
		return;
	e->key->owner = c;
	e->key->in_flight++;
}

/* ---- answers ---- */

static void
entry_answer(struct groups *g, struct group *p, struct entry *e,
	     const struct groups_answer *a)
{
	switch (a->verdict) {
	case GROUPS_ACK:
		counter_inc(COUNTER_BUS_ACKED);
		entry_settle(g, p, e);
		return;
	case GROUPS_NAK:
		counter_inc(COUNTER_BUS_NAKED);
		entry_fail(g, p, e, a->delay_ms,
			   a->reason ? a->reason : "refused");
		return;
	case GROUPS_TERM:
		counter_inc(COUNTER_BUS_NAKED);
		entry_bury(g, p, e, a->reason ? a->reason : "refused for good");
		return;
	case GROUPS_TOUCH:
		e->due = g->now.mono_ms + p->settings.lease_ms;
		return;
	case GROUPS_RELEASE:
		entry_hand_back(g, p, e);
		return;
	}
}

/* Whether somebody may be waiting for just this event to be settled. */
static bool
is_tight(const struct group *p, const struct entry *e,
	 enum groups_verdict verdict)
{
	return verdict == GROUPS_NAK || verdict == GROUPS_RELEASE || e->key ||
	       p->in_flight >= p->settings.max_in_flight;
}

static enum groups_effect
settle_held(struct groups *g, struct group *p, const struct groups_who *who,
	    const struct groups_answer *a)
{
	struct consumer *c = consumer_find(p, who->consumer);
	struct entry *e = c ? entry_find(p, a->sequence) : NULL;
	bool tight;

	if (c)	/* it may have come back on another connection */
		(void)consumer_seen(g, p, who);
	if (!e || e->state != ENTRY_LEASED || e->owner != c)
		return GROUPS_STALE;
	tight = is_tight(p, e, a->verdict);
	entry_answer(g, p, e, a);
	return tight ? GROUPS_UNBLOCKED : GROUPS_SETTLED;
}

enum groups_effect
groups_settle(struct groups *g, const struct groups_who *who,
	      const struct groups_answer *a)
{
	enum groups_effect effect = GROUPS_STALE;
	struct group *p;

	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	p = group_find(g, who->group);
	if (p)
		effect = settle_held(g, p, who, a);
	pthread_mutex_unlock(&g->lock);
	return effect;
}

/* Settling adds nothing to the list and takes nothing out of it. */
static size_t
settle_between(struct groups *g, struct group *p, struct consumer *c,
	       const struct groups_range *r, const struct groups_answer *a,
	       enum groups_effect *effect)
{
	size_t n = 0;

	for (size_t i = entry_index(p, r->first);
	     i < p->count && p->at[i].sequence <= r->last; i++) {
		struct entry *e = &p->at[i];
		bool tight;

		if (e->state != ENTRY_LEASED || e->owner != c)
			continue;
		tight = is_tight(p, e, a->verdict);
		entry_answer(g, p, e, a);
		if (tight)
			*effect = GROUPS_UNBLOCKED;
		n++;
	}
	return n;
}

size_t
groups_settle_range(struct groups *g, const struct groups_who *who,
		    const struct groups_range *r,
		    const struct groups_answer *a, enum groups_effect *effect)
{
	struct group *p;
	struct consumer *c = NULL;
	size_t n = 0;

	*effect = GROUPS_SETTLED;
	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	p = group_find(g, who->group);
	if (p)
		c = consumer_find(p, who->consumer);
	if (c) {
		(void)consumer_seen(g, p, who);
		n = settle_between(g, p, c, r, a, effect);
	}
	pthread_mutex_unlock(&g->lock);
	if (n == 0)
		*effect = GROUPS_STALE;
	return n;
}

bool
groups_lease(struct groups *g, const struct groups_who *who, int64_t sequence,
	     struct groups_lease *lease)
{
	const struct entry *e = NULL;
	struct group *p;

	pthread_mutex_lock(&g->lock);
	p = group_find(g, who->group);
	if (p)
		e = entry_find(p, sequence);
	if (e && e->state == ENTRY_LEASED &&
	    !strcmp(e->owner->name, who->consumer))
		*lease = (struct groups_lease){ e->attempts, e->last_us };
	else
		e = NULL;
	pthread_mutex_unlock(&g->lock);
	return e;
}

/* ---- time ---- */

static bool
is_owner_gone(const struct groups *g, const struct entry *e)
{
	return e->owner->gone_at && e->owner->gone_at <= g->now.mono_ms;
}

static uint64_t
entry_next(const struct entry *e)
{
	uint64_t at = e->due;

	if (e->state == ENTRY_LEASED && e->owner->gone_at &&
	    e->owner->gone_at < at)
		at = e->owner->gone_at;
	return at;
}

static void
entry_expire(struct groups *g, struct group *p, struct entry *e)
{
	bool gone;

	if (e->state != ENTRY_LEASED)
		return;
	gone = is_owner_gone(g, e);
	if (!gone && e->due > g->now.mono_ms)
		return;
	counter_inc(COUNTER_BUS_EXPIRED);
	e->suspect = true;
	entry_fail(g, p, e, 0, gone ? GROUP_REASON_GONE : GROUP_REASON_LATE);
}

/* A WAITING event that is due counts no more: whoever waits is told now. */
uint64_t
group_expire(struct groups *g, struct group *p)
{
	uint64_t next = GROUPS_NEVER;

	for (size_t i = 0; i < p->count; i++) {
		struct entry *e = &p->at[i];
		uint64_t at;

		entry_expire(g, p, e);
		if (e->state != ENTRY_LEASED && e->state != ENTRY_WAITING)
			continue;
		at = entry_next(e);
		if (at > g->now.mono_ms && at < next)
			next = at;
	}
	return next;
}
