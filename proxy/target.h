/* SPDX-License-Identifier: Apache-2.0 */
/* What the process knows of a target: its addresses with their health, its
 * breaker, its connections. Shared by all workers; found by name, so that it
 * outlives a reload. */
#ifndef PROXY_TARGET_H
#define PROXY_TARGET_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "router/breaker.h"
#include "router/health.h"

struct gate;
struct rules_holder;

/* One address of one target. */
struct endpoint {
	atomic_uint refs;
	struct rules_address address;	/* text and host are its own */
	char *lookup;			/* "name:port" it was found by, or "" */
	struct health health;
};

/* The addresses of a target at one time; never changed, replaced. */
struct endpoint_set {
	atomic_uint refs;
	unsigned count;
	struct endpoint *at[];
};

struct target {
	struct target *next;
	char *name;
	struct endpoint_set *set;	/* under the holder's lock */
	struct endpoint_set *fresh;	/* likewise, during a swap */
	pthread_mutex_t lock;		/* breaker, and who is ejected */
	struct breaker breaker;
	atomic_uint open, idle;		/* connections; idle: when limited */
	atomic_uint queued;		/* exchanges that wait for one */
	_Atomic uint64_t waiting;	/* bit per worker: it has a queue */
	struct gate *gates;		/* one a worker */
	unsigned gate_count;
};

struct endpoint_set *endpoint_set_ref(struct endpoint_set *s);
void endpoint_set_unref(struct endpoint_set **s);
struct endpoint *endpoint_ref(struct endpoint *e);
void endpoint_unref(struct endpoint **e);

/* These want the holder's lock. targets_prepare makes what the rules need
 * and can fail; targets_commit puts it in force, targets_abandon forgets it.
 * target_find returns NULL for a command. */
MUST_CHECK int targets_prepare(struct rules_holder *h,
			       const struct rules *rules);
void targets_commit(struct rules_holder *h);
void targets_abandon(struct rules_holder *h);
struct target *target_find(struct rules_holder *h, const char *name);
void targets_free(struct rules_holder *h);

/* target_resolved replaces the addresses found by a host name; 1 when they
 * are others now, 0, or -1 without memory. Wants the holder's lock. */
int target_resolved(struct target *t, const struct rules_host *host,
		    const struct rules_found *found, size_t count);

/* Any thread. target_admit asks the breaker: a ticket for target_report, 0
 * when it is open. `c` must have a breaker. */
uint32_t target_admit(struct target *t, const struct rules_target *c,
		      uint64_t now_ms);
void target_report(struct target *t, const struct rules_target *c,
		   uint64_t now_ms, uint32_t ticket, enum breaker_outcome how);
/* target_breaker_ms: how long it stays open; 0 when it may be asked. */
uint64_t target_breaker_ms(struct target *t, const struct rules_target *c,
			   uint64_t now_ms);
/* target_is_calm: its breaker is closed and nobody waits for a connection:
 * what nobody waits for may be asked, too. */
bool target_is_calm(struct target *t);
/* target_failed: an address failed a live request; it may be ejected. */
void target_failed(struct target *t, const struct rules_target *c,
		   struct endpoint_set *set, struct endpoint *e,
		   enum health_failure what, uint64_t now_ms);

#endif
