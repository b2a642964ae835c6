/* SPDX-License-Identifier: Apache-2.0 */
/* Picks up new rules between events and gives old ones back in order. */
#include "proxy/lease.h"

#include <stdlib.h>

#include "base/log.h"
#include "proxy/gate.h"
#include "proxy/pool.h"
#include "proxy/stats.h"
#include "proxy/target.h"
#include "proxy/tls_client.h"
#include "proxy/worker.h"

int
rules_holder_swap(struct rules_holder *h, struct rules *rules,
		  struct tls_clients *tls)
{
	struct tls_clients *old_tls = NULL;
	struct rules *old = NULL;
	int failed;

	pthread_mutex_lock(&h->lock);
	failed = targets_prepare(h, rules);
	if (failed) {
		targets_abandon(h);
	} else {
		targets_commit(h);
		old = h->current;
		old_tls = h->tls;
		h->current = rules;
		h->tls = tls;
		atomic_fetch_add(&h->generation, 1);
	}
	pthread_mutex_unlock(&h->lock);
	rules_unref(&old);
	tls_clients_unref(&old_tls);
	return failed;
}

void
rules_holder_fini(struct rules_holder *h)
{
	targets_free(h);
	rules_unref(&h->current);
	tls_clients_unref(&h->tls);
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

/* On the journal's thread, or before the worker ever used it. */
static void
lease_free(struct lease *l)
{
	size_t i;

	for (i = 0; l->targets && i < l->rules->target_count; i++) {
		endpoint_set_unref(&l->targets[i].set);
		free(l->targets[i].pools);
	}
	free(l->targets);
	free(l->stats);
	rules_unref(&l->rules);
	tls_clients_unref(&l->tls);
	free(l);
}

/* Pools are the worker's: it lets go of them itself. */
static void
lease_drop_pools(struct worker *w, struct lease *l)
{
	size_t i;
	unsigned k;

	for (i = 0; l->targets && i < l->rules->target_count; i++) {
		for (k = 0; l->targets[i].pools && k < l->targets[i].count;
		     k++)
			pool_unref(w, &l->targets[i].pools[k]);
		l->targets[i].count = 0;
	}
}

/* Rules and addresses of one and the same moment. */
static int
lease_take(struct rules_holder *h, struct lease *l, uint64_t *generation)
{
	size_t i;

	pthread_mutex_lock(&h->lock);
	l->rules = rules_ref(h->current);
	l->tls = tls_clients_ref(h->tls);
	*generation = atomic_load(&h->generation);
	l->targets = calloc(l->rules->target_count + 1, sizeof(*l->targets));
	for (i = 0; l->targets && i < l->rules->target_count; i++) {
		const struct rules_target *c = &l->rules->targets[i];
		struct target *t = c->kind == RULES_TARGET_COMMAND ? NULL :
				   target_find(h, c->name);

		if (!t)
			continue;
		l->targets[i].shared = t;
		l->targets[i].set = endpoint_set_ref(t->set);
	}
	pthread_mutex_unlock(&h->lock);
	return l->targets ? 0 : -1;
}

static int
lease_pools(struct worker *w, struct lease_target *t, struct tls_client *tls,
	    enum rules_proxy_protocol proxy_protocol)
{
	unsigned i;

	t->pools = calloc(t->set->count + 1, sizeof(struct pool *));
	if (!t->pools)
		return -1;
	for (i = 0; i < t->set->count; i++) {
		t->pools[i] = pool_ref(w, t->set->at[i], t->gate, tls,
				       proxy_protocol);
		if (!t->pools[i])
			return -1;
		t->count++;
	}
	return 0;
}

static int
lease_fill(struct worker *w, struct lease *l)
{
	const struct rules *r = l->rules;
	size_t i;

	l->stats = calloc(r->rule_count + 1, sizeof(*l->stats));
	if (!l->stats)
		return -1;
	for (i = 0; i < r->target_count; i++) {
		struct lease_target *t = &l->targets[i];

		if (!t->shared)
			continue;
		t->gate = &t->shared->gates[w->index];
		if (lease_pools(w, t, tls_clients_at(l->tls, i),
				r->targets[i].proxy_protocol))
			return -1;
	}
	for (i = 0; i < r->rule_count; i++)
		l->stats[r->rules[i].index] = stats_rule(
			w->proxy->stats, r->rules[i].name, w->index);
	return 0;
}

static void
lease_adopt(struct worker *w, struct lease *l)
{
	size_t i;

	if (w->lease) {
		w->lease->next = w->old_leases;
		w->old_leases = w->lease;
	}
	w->lease = l;
	for (i = 0; i < l->rules->target_count; i++)
		if (l->targets[i].gate)
			gate_open(l->targets[i].gate, w,
				  &l->rules->targets[i]);
	pool_retire(w);
}

/* Said once for each generation, tried again at each turn. */
static void
lease_failed(struct worker *w, uint64_t generation)
{
	if (w->rules_failed == generation)
		return;
	w->rules_failed = generation;
	log_error("rules.no-memory", "worker %u keeps the old rules and tries "
		  "again", w->index);
}

void
lease_refresh(struct worker *w)
{
	struct rules_holder *h = &w->proxy->rules;
	uint64_t generation = atomic_load_explicit(&h->generation,
						   memory_order_acquire);
	struct lease *l;

	if (generation == w->rules_generation)
		return;
	l = calloc(1, sizeof(*l));
	if (!l || lease_take(h, l, &generation) || lease_fill(w, l)) {
		lease_failed(w, generation);
		if (l) {
			lease_drop_pools(w, l);
			lease_free(l);
		}
		return;
	}
	w->rules_generation = generation;
	lease_adopt(w, l);
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

	if (w->detached)
		return;		/* lease_fini frees them */
	while ((l = *at) != NULL) {
		struct lease *next = l->next;

		l->item.ops = &return_ops;
		if (l->exchanges == 0)
			lease_drop_pools(w, l);
		if (l->exchanges == 0 && journal_push(w->queue, &l->item))
			*at = next;
		else
			at = &l->next;
	}
}

/* The journal is closed: nothing of it looks at these rules any more. */
static void
lease_free_all(struct worker *w)
{
	struct lease *l;

	while ((l = w->old_leases) != NULL) {
		w->old_leases = l->next;
		lease_drop_pools(w, l);
		lease_free(l);
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
	if (w->detached)
		lease_free_all(w);
	else
		lease_collect(w);
}
