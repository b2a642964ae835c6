/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's upstream addresses, and which of several is asked. */
#include "proxy/pool.h"

#include <stdlib.h>

#include "base/counter.h"
#include "base/invariant.h"
#include "proxy/lease.h"
#include "proxy/tls_client.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

/* A connection that was verified as one host, or with one certificate, is
 * never used for another: an endpoint has one host. */
struct pool *
pool_ref(struct worker *w, struct endpoint *e, struct gate *g,
	 struct tls_client *tls, enum rules_proxy_protocol proxy_protocol)
{
	struct pool *p = w->pools;

	while (p && (p->endpoint != e || p->tls != tls ||
		     p->proxy_protocol != proxy_protocol))
		p = p->next;
	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return NULL;
		p->endpoint = endpoint_ref(e);
		p->gate = g;
		p->tls = tls_client_ref(tls);
		p->proxy_protocol = proxy_protocol;
		p->next = w->pools;
		w->pools = p;
	}
	p->leases++;
	return p;
}

void
pool_unref(struct worker *w, struct pool **pp)
{
	struct pool *p = *pp, **at = &w->pools;

	*pp = NULL;
	if (!p || --p->leases > 0)
		return;
	INVARIANT(p->busy == 0);
	upstream_close_idle(p);
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	tls_client_session_free(&p->session);
	tls_client_unref(&p->tls);
	endpoint_unref(&p->endpoint);
	free(p);
}

/* During a slow start an address is let into the choice now and then. */
static bool
is_admitted(struct worker *w, const struct pool *p, unsigned slow_start_ms)
{
	const struct health *h = &p->endpoint->health;
	unsigned weight;

	if (health_state(h, w->now_ms) != HEALTH_UP)
		return false;
	if (!slow_start_ms)
		return true;
	weight = health_weight(h, slow_start_ms, w->now_ms);
	return weight == HEALTH_WEIGHT_FULL ||
	       worker_random(w) % HEALTH_WEIGHT_FULL < weight;
}

enum choice { CHOICE_UP, CHOICE_ANY };

static int
least_loaded(struct worker *w, const struct lease_target *t,
	     unsigned slow_start_ms, uint64_t tried, enum choice among)
{
	unsigned i, k, first = w->turn % t->count;
	int best = -1;

	for (k = 0; k < t->count; k++) {
		const struct pool *p;

		i = (first + k) % t->count;
		p = t->pools[i];
		if (tried >> i & 1 ||
		    (best >= 0 && p->busy >= t->pools[best]->busy))
			continue;
		if (among == CHOICE_ANY || is_admitted(w, p, slow_start_ms))
			best = (int)i;
	}
	return best;
}

int
pool_pick(struct worker *w, const struct lease_target *t,
	  unsigned slow_start_ms, uint64_t tried)
{
	int best;

	if (t->count == 1 && !tried)
		return 0;
	if (t->count == 0)
		return -1;
	w->turn++;
	best = least_loaded(w, t, slow_start_ms, tried, CHOICE_UP);
	if (best >= 0)
		return best;
	best = least_loaded(w, t, slow_start_ms, tried, CHOICE_ANY);
	if (best >= 0)
		counter_inc(COUNTER_ENDPOINT_PANIC);
	return best;
}

void
pool_release_idle(struct worker *w, struct gate *g)
{
	struct pool *p;

	for (p = w->pools; p; p = p->next) {
		if (p->gate == g && p->idle) {
			upstream_close_oldest(p);
			return;
		}
	}
}

/* From before there was a limit: nobody would know that they can be had. */
static bool
has_uncounted(const struct pool *p)
{
	const struct upstream *up = p->idle;

	while (up && up->counted_idle)
		up = up->idle_next;
	return up && p->gate->max_connections;
}

void
pool_retire(struct worker *w)
{
	const struct lease *l = w->lease;
	struct pool *p;
	size_t i;
	unsigned k;

	for (p = w->pools; p; p = p->next)
		p->current = false;
	for (i = 0; i < l->rules->target_count; i++)
		for (k = 0; k < l->targets[i].count; k++)
			l->targets[i].pools[k]->current = true;
	for (p = w->pools; p; p = p->next)
		if (!p->current || has_uncounted(p))
			upstream_close_idle(p);
}
