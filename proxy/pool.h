/* SPDX-License-Identifier: Apache-2.0 */
/* One LIFO keep-alive pool per address and worker; the choice among them. */
#ifndef PROXY_POOL_H
#define PROXY_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "rules/rules.h"

struct ssl_session_st;
struct tls_client;
struct upstream;
struct worker;

struct pool {
	struct pool *next;
	struct rules_address address;	/* text is the pool's own copy */
	struct upstream *idle;		/* newest first */
	unsigned idle_count, busy;
	uint64_t shunned_until_ms;	/* could not be reached */
	struct tls_client *tls;		/* own reference; NULL: plain */
	struct ssl_session_st *session;	/* to be resumed, or NULL */
};

/* pool_find returns the worker's pool of that address under these TLS
 * settings (NULL: plain), made on first use; NULL without memory. */
struct pool *pool_find(struct worker *w, const struct rules_address *a,
		       struct tls_client *tls);
/* pool_pick: the least loaded of n pools, in turn when they are equal; those
 * that could not be reached a moment ago come last. */
struct pool *pool_pick(struct worker *w, struct pool **pools, size_t n);
/* pool_shun: no connection could be made just now. */
void pool_shun(struct worker *w, struct pool *pool);
void pool_fini(struct worker *w);

#endif
