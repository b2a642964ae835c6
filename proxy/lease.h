/* SPDX-License-Identifier: Apache-2.0 */
/* How a worker holds a rule set: counted without atomics per exchange. */
#ifndef PROXY_LEASE_H
#define PROXY_LEASE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "journal/journal.h"
#include "rules/rules.h"

struct endpoint_set;
struct gate;
struct pool;
struct rule_stats;
struct target;
struct tls_clients;
struct worker;

/* The process's newest rules; workers look at the generation only. */
struct rules_holder {
	pthread_mutex_t lock;
	struct rules *current;		/* one reference */
	struct tls_clients *tls;	/* of its targets; one reference */
	_Atomic uint64_t generation;
	struct target *targets;		/* all there ever were */
	unsigned workers;		/* how many there will be */
};

/* rules_holder_swap takes the references of `rules` and `tls` and puts their
 * targets in force; -1 without memory: the old ones go on and the references
 * stay the caller's. Any thread. */
MUST_CHECK int rules_holder_swap(struct rules_holder *h, struct rules *rules,
				 struct tls_clients *tls);
/* rules_holder_fini drops rules and targets; nobody else is left. */
void rules_holder_fini(struct rules_holder *h);
/* rules_holder_get returns a reference of the caller's own. */
struct rules *rules_holder_get(struct rules_holder *h);

/* One worker's view of one target; all zeros for a command. */
struct lease_target {
	struct target *shared;
	struct gate *gate;
	struct endpoint_set *set;
	struct pool **pools;		/* one an address of the set */
	unsigned count;
};

/* One worker's view of one rule set. It is given back through the worker's
 * journal queue: records pushed before may still point into the rules. */
struct lease {
	struct journal_item item;
	struct rules *rules;
	struct tls_clients *tls;
	unsigned exchanges;		/* running under these rules */
	struct lease_target *targets;	/* [target index] */
	struct rule_stats **stats;	/* [rule index] */
	struct lease *next;
};

/* lease_refresh makes w->lease the newest set when there is a newer one. */
void lease_refresh(struct worker *w);
/* lease_collect gives back superseded leases that nothing runs under. */
void lease_collect(struct worker *w);
void lease_fini(struct worker *w);

#endif
