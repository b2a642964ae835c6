/* SPDX-License-Identifier: Apache-2.0 */
/* Resolver and prober of the process, from the side of the workers. */
#include "proxy/prober.h"
#include "proxy/resolver.h"
#include "proxy/run.h"

/* On the resolver's thread: targets have other addresses. */
static void
addresses_changed(void *arg)
{
	struct run *r = arg;
	unsigned i;

	for (i = 0; i < r->worker_count; i++)
		worker_wake(&r->workers[i]);
	prober_wake(r->prober);
}

int
watchers_start(struct run *r, struct error *err)
{
	r->prober = prober_start(&r->proxy.rules, err);
	if (!r->prober)
		return -1;
	r->resolver = resolver_start(&r->proxy.rules, rules_lookup,
				     addresses_changed, r, err);
	return r->resolver ? promotion_start(r->promotion, err) : -1;
}

void
watchers_wake(struct run *r)
{
	resolver_wake(r->resolver);
	prober_wake(r->prober);
}

void
watchers_stop(struct run *r)
{
	resolver_stop(&r->resolver);
	prober_stop(&r->prober);
}
