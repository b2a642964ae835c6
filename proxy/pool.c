/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's upstream addresses, and which of several is asked. */
#include "proxy/pool.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/upstream.h"
#include "proxy/worker.h"

#define SHUN_MS 2000u		/* an address that cannot be reached */

struct pool *
pool_find(struct worker *w, const struct rules_address *a)
{
	struct pool *p;

	for (p = w->pools; p; p = p->next)
		if (!strcmp(p->address.text, a->text))
			return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->address = *a;
	p->address.text = strdup(a->text);
	if (!p->address.text) {
		free(p);
		return NULL;
	}
	p->next = w->pools;
	w->pools = p;
	return p;
}

static bool
is_better(const struct pool *a, const struct pool *b, uint64_t now_ms)
{
	bool a_shunned = a->shunned_until_ms > now_ms;
	bool b_shunned = b->shunned_until_ms > now_ms;

	return a_shunned != b_shunned ? b_shunned : a->busy < b->busy;
}

struct pool *
pool_pick(struct worker *w, struct pool **pools, size_t n)
{
	size_t i, first = n > 1 ? w->turn++ % n : 0;
	struct pool *best = pools[first];

	for (i = 0; i < n; i++)
		if (is_better(pools[i], best, w->now_ms))
			best = pools[i];
	return best;
}

void
pool_shun(struct worker *w, struct pool *pool)
{
	pool->shunned_until_ms = w->now_ms + SHUN_MS;
}

void
pool_fini(struct worker *w)
{
	struct pool *p, *next;

	for (p = w->pools; p; p = next) {
		next = p->next;
		upstream_close_idle(p);
		free((char *)p->address.text);
		free(p);
	}
	w->pools = NULL;
}
