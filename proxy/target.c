/* SPDX-License-Identifier: Apache-2.0 */
/* Breaker and ejection of a target, with the log lines that say so. */
#include "proxy/target.h"

#include "base/counter.h"
#include "base/log.h"

/* ---- breaker ---- */

static void
breaker_changed(const struct target *t, const struct rules_target *c,
		enum breaker_state to)
{
	switch (to) {
	case BREAKER_OPEN:
		counter_inc(COUNTER_BREAKER_OPENED);
		log_warn("target.breaker-open", "%s: too many requests fail; "
			 "it is left alone for %u ms", t->name,
			 c->breaker.open_ms);
		break;
	case BREAKER_HALF_OPEN:
		log_info("target.breaker-half-open", "%s: %u requests may try "
			 "it", t->name, c->breaker.half_open);
		break;
	case BREAKER_CLOSED:
		log_info("target.breaker-closed", "%s: it answers again",
			 t->name);
		break;
	}
}

uint32_t
target_admit(struct target *t, const struct rules_target *c, uint64_t now_ms)
{
	enum breaker_state before, after;
	uint32_t ticket;

	pthread_mutex_lock(&t->lock);
	before = t->breaker.state;
	ticket = breaker_admit(&t->breaker, &c->breaker, now_ms);
	after = t->breaker.state;
	pthread_mutex_unlock(&t->lock);
	if (before != after)
		breaker_changed(t, c, after);
	if (!ticket)
		counter_inc(COUNTER_BREAKER_REFUSED);
	return ticket;
}

void
target_report(struct target *t, const struct rules_target *c, uint64_t now_ms,
	      uint32_t ticket, enum breaker_outcome how)
{
	enum breaker_state before, after;

	pthread_mutex_lock(&t->lock);
	before = t->breaker.state;
	breaker_report(&t->breaker, &c->breaker, now_ms, ticket, how);
	after = t->breaker.state;
	pthread_mutex_unlock(&t->lock);
	if (before != after)
		breaker_changed(t, c, after);
}

uint64_t
target_breaker_ms(struct target *t, const struct rules_target *c,
		  uint64_t now_ms)
{
	uint64_t left;

	pthread_mutex_lock(&t->lock);
	left = breaker_open_ms(&t->breaker, &c->breaker, now_ms);
	pthread_mutex_unlock(&t->lock);
	return left;
}

bool
target_is_calm(struct target *t)
{
	bool closed;

	pthread_mutex_lock(&t->lock);
	closed = t->breaker.state == BREAKER_CLOSED;
	pthread_mutex_unlock(&t->lock);
	return closed && atomic_load(&t->queued) == 0;
}

/* ---- ejection ---- */

static unsigned
count_ejected(const struct endpoint_set *set, uint64_t now_ms)
{
	unsigned i, n = 0;

	for (i = 0; i < set->count; i++)
		if (health_state(&set->at[i]->health, now_ms) ==
		    HEALTH_EJECTED)
			n++;
	return n;
}

/* Two workers must not both eject the last one that can be spared. */
void
target_failed(struct target *t, const struct rules_target *c,
	      struct endpoint_set *set, struct endpoint *e,
	      enum health_failure what, uint64_t now_ms)
{
	unsigned ms = 0;

	if (!health_failed(&e->health, &c->eject, what))
		return;
	pthread_mutex_lock(&t->lock);
	if (count_ejected(set, now_ms) < health_spared(set->count))
		ms = health_eject(&e->health, &c->eject, now_ms);
	pthread_mutex_unlock(&t->lock);
	if (!ms)
		return;
	counter_inc(COUNTER_ENDPOINT_EJECTED);
	log_warn("target.ejected", "%s: %s fails; it is left out for %u ms",
		 t->name, e->address.text, ms);
}
