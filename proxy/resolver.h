/* SPDX-License-Identifier: Apache-2.0 */
/* One thread that looks host names of targets up again. */
#ifndef PROXY_RESOLVER_H
#define PROXY_RESOLVER_H

#include "base/attr.h"
#include "base/error.h"
#include "rules/rules.h"

struct resolver;
struct rules_holder;

/* How names become addresses; rules_lookup but in tests. */
typedef int resolver_lookup(const char *name, const char *port,
			    struct rules_found *list, size_t max,
			    struct error *err);

/* resolver_start begins; `changed` is called on the resolver's thread after a
 * target got other addresses. The holder must outlive resolver_stop. */
MUST_CHECK struct resolver *resolver_start(struct rules_holder *h,
					   resolver_lookup *lookup,
					   void (*changed)(void *arg),
					   void *arg, struct error *err);
/* resolver_wake: there are new rules. */
void resolver_wake(struct resolver *r);
/* resolver_stop does not wait for a name server: a thread that hangs in one
 * ends by itself and touches nothing more. Clears the pointer. */
void resolver_stop(struct resolver **r);

#endif
