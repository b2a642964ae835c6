/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's upstream addresses, and which of several is asked. */
#include "proxy/pool.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/tls_client.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

#define SHUN_MS 2000u		/* an address that cannot be reached */

static void
pool_free(struct pool *p)
{
	tls_client_session_free(&p->session);
	tls_client_unref(&p->tls);
	free((char *)p->address.text);
	free((char *)p->address.host);
	free(p);
}

/* A connection that was verified as one host, or with one certificate, is
 * never used for another. */
static bool
pool_is(const struct pool *p, const struct rules_address *a,
	const struct tls_client *tls)
{
	return p->tls == tls && !strcmp(p->address.text, a->text) &&
	       (!tls || !strcmp(p->address.host, a->host));
}

struct pool *
pool_find(struct worker *w, const struct rules_address *a,
	  struct tls_client *tls)
{
	struct pool *p;

	for (p = w->pools; p; p = p->next)
		if (pool_is(p, a, tls))
			return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->address = *a;
	p->address.text = strdup(a->text);
	p->address.host = strdup(a->host);
	p->tls = tls_client_ref(tls);
	if (!p->address.text || !p->address.host) {
		pool_free(p);
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
		pool_free(p);
	}
	w->pools = NULL;
}
