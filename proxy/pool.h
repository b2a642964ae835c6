/* SPDX-License-Identifier: Apache-2.0 */
/* One LIFO keep-alive pool per address and worker; the choice among them. */
#ifndef PROXY_POOL_H
#define PROXY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/gate.h"
#include "proxy/target.h"

struct lease_target;
struct ssl_session_st;
struct tls_client;
struct upstream;
struct worker;

/* Lives as long as a lease of the worker names it. */
struct pool {
	struct pool *next;
	struct endpoint *endpoint;	/* one reference */
	struct gate *gate;
	struct upstream *idle;		/* newest first */
	unsigned idle_count, busy;
	struct tls_client *tls;		/* own reference; NULL: plain */
	struct ssl_session_st *session;	/* to be resumed, or NULL */
	enum rules_proxy_protocol proxy_protocol;
	unsigned leases;
	bool current;			/* in the newest lease */
	bool talkative;			/* was heard behind an answer */
};

/* pool_ref returns the worker's pool of that address under these TLS settings
 * (NULL: plain) and with that PROXY header, made on first use; NULL without
 * memory. pool_unref ends it with its last lease. */
struct pool *pool_ref(struct worker *w, struct endpoint *e, struct gate *g,
		      struct tls_client *tls,
		      enum rules_proxy_protocol proxy_protocol);
void pool_unref(struct worker *w, struct pool **pool);
/* pool_pick: the least loaded of those that are up, in turn when they are
 * equal; all count when none is up. Its index, -1 when all were tried (a bit
 * each). */
int pool_pick(struct worker *w, const struct lease_target *t,
	      unsigned slow_start_ms, uint64_t tried);
/* pool_release_idle closes one idle connection of the gate's target. */
void pool_release_idle(struct worker *w, struct gate *g);
/* pool_retire closes what is idle at addresses that the newest lease does
 * not have, or from before it had a limit. */
void pool_retire(struct worker *w);

#endif
