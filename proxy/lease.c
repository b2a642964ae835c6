/* SPDX-License-Identifier: Apache-2.0 */
/* Picks up new rules between events and gives old ones back in order. */
#include "proxy/lease.h"

#include <stdlib.h>

#include "base/log.h"
#include "proxy/stats.h"
#include "proxy/tls_client.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

void
rules_holder_swap(struct rules_holder *h, struct rules *rules,
		  struct tls_clients *tls)
{
	struct tls_clients *old_tls;
	struct rules *old;

	pthread_mutex_lock(&h->lock);
	old = h->current;
	old_tls = h->tls;
	h->current = rules;
	h->tls = tls;
	atomic_fetch_add(&h->generation, 1);
	pthread_mutex_unlock(&h->lock);
	rules_unref(&old);
	tls_clients_unref(&old_tls);
}

struct rules *
rules_holder_get(struct rules_holder *h)
{
	struct rules *r;

	pthread_mutex_lock(&h->lock);
	r = rules_ref(h->current);
	pthread_mutex_unlock(&h->lock);
	return r;
}

void
rules_holder_fini(struct rules_holder *h)
{
	rules_unref(&h->current);
	tls_clients_unref(&h->tls);
}

static void
lease_take(struct lease *l, struct rules_holder *h, uint64_t *generation)
{
	pthread_mutex_lock(&h->lock);
	l->rules = rules_ref(h->current);
	l->tls = tls_clients_ref(h->tls);
	*generation = atomic_load(&h->generation);
	pthread_mutex_unlock(&h->lock);
}

static void
lease_free(struct lease *l)
{
	size_t i;

	for (i = 0; l->pools && i < l->rules->target_count; i++)
		free(l->pools[i]);
	free(l->pools);
	free(l->stats);
	rules_unref(&l->rules);
	tls_clients_unref(&l->tls);
	free(l);
}

static int
lease_pools(struct worker *w, struct lease *l, const struct rules_target *t)
{
	struct pool **list = calloc(t->address_count + 1, sizeof(*list));
	size_t i;

	if (!list)
		return -1;
	l->pools[t->index] = list;
	for (i = 0; i < t->address_count; i++) {
		list[i] = pool_find(w, &t->addresses[i],
				    tls_clients_at(l->tls, t->index));
		if (!list[i])
			return -1;
	}
	return 0;
}

static int
lease_fill(struct worker *w, struct lease *l)
{
	const struct rules *r = l->rules;
	size_t i;

	l->pools = calloc(r->target_count + 1, sizeof(*l->pools));
	l->stats = calloc(r->rule_count + 1, sizeof(*l->stats));
	if (!l->pools || !l->stats)
		return -1;
	for (i = 0; i < r->target_count; i++)
		if (lease_pools(w, l, &r->targets[i]))
			return -1;
	for (i = 0; i < r->rule_count; i++)
		l->stats[r->rules[i].index] = stats_rule(
			w->proxy->stats, r->rules[i].name, w->index);
	return 0;
}

void
lease_refresh(struct worker *w)
{
	struct rules_holder *h = &w->proxy->rules;
	struct lease *l;

	if (atomic_load_explicit(&h->generation, memory_order_acquire) ==
	    w->rules_generation)
		return;
	l = calloc(1, sizeof(*l));
	if (!l)
		return;		/* the old rules go on; tried again */
	lease_take(l, h, &w->rules_generation);
	if (lease_fill(w, l)) {
		log_error("rules.no-memory", "worker %u keeps the old rules",
			  w->index);
		lease_free(l);
		return;
	}
	if (w->lease) {
		w->lease->next = w->old_leases;
		w->old_leases = w->lease;
	}
	w->lease = l;
}

static int
return_apply(struct journal_item *item, struct journal_tx *tx)
{
	(void)item;
	(void)tx;
	return 0;
}

static void
return_done(struct journal_item *item, enum journal_status status)
{
	(void)status;
	lease_free((struct lease *)item);	/* item is the first member */
}

static const struct journal_item_ops return_ops = {
	.apply = return_apply,
	.done = return_done,
};

void
lease_collect(struct worker *w)
{
	struct lease **at = &w->old_leases, *l;

	while ((l = *at) != NULL) {
		struct lease *next = l->next;

		l->item.ops = &return_ops;
		if (l->exchanges == 0 && journal_push(w->queue, &l->item))
			*at = next;
		else
			at = &l->next;
	}
}

void
lease_fini(struct worker *w)
{
	if (w->lease) {
		w->lease->next = w->old_leases;
		w->old_leases = w->lease;
		w->lease = NULL;
	}
	lease_collect(w);
}
