/* SPDX-License-Identifier: Apache-2.0 */
/* Looks each name up when it is due. A failed or empty answer keeps the
 * addresses that are known: a name server's outage is not the service's. */
#include "proxy/resolver.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/id.h"
#include "base/log.h"
#include "proxy/lease.h"
#include "proxy/target.h"

#define FAILED_MS 5000u		/* a name that is not known: sooner */
#define STOP_MS 200u

struct name {
	struct name *next;
	char *target, *host, *port;
	unsigned every_ms;
	uint64_t next_ms;
	bool failing, listed;
};

struct resolver {
	pthread_mutex_t lock;		/* before the holder's */
	pthread_cond_t wake;
	pthread_t thread;
	struct rules_holder *holder;
	resolver_lookup *lookup;
	void (*changed)(void *arg);
	void *arg;
	bool stopped, ended;
	uint64_t generation, random;
	struct name *names;		/* the thread's own */
};

/* ---- the list ---- */

static void
name_free(struct name *n)
{
	free(n->target);
	free(n->host);
	free(n->port);
	free(n);
}

static struct name *
name_find(struct resolver *r, const char *target, const struct rules_host *h)
{
	struct name *n = r->names;

	while (n && (strcmp(n->target, target) || strcmp(n->host, h->name) ||
		     strcmp(n->port, h->port)))
		n = n->next;
	return n;
}

/* A tenth more or less, so that proxies do not ask in step. */
static unsigned
jittered(struct resolver *r, unsigned ms)
{
	r->random = r->random * UINT64_C(6364136223846793005) + 1;
	return ms - ms / 10 + (unsigned)((r->random >> 33) % (ms / 5 + 1));
}

static unsigned
pause_ms(struct resolver *r, const struct name *n)
{
	bool soon = n->failing && n->every_ms > FAILED_MS;

	return jittered(r, soon ? FAILED_MS : n->every_ms);
}

static void
name_add(struct resolver *r, const struct rules_target *t,
	 const struct rules_host *h, uint64_t now_ms)
{
	struct name *n = name_find(r, t->name, h);

	if (!n) {
		n = calloc(1, sizeof(*n));
		if (!n)
			return;
		n->target = strdup(t->name);
		n->host = strdup(h->name);
		n->port = strdup(h->port);
		if (!n->target || !n->host || !n->port) {
			name_free(n);
			return;
		}
		n->next = r->names;
		r->names = n;
	}
	n->listed = true;
	if (n->every_ms == t->resolve_ms)
		return;
	n->every_ms = t->resolve_ms;
	n->failing = h->error != NULL;
	n->next_ms = now_ms + pause_ms(r, n);
}

static void
names_refresh(struct resolver *r)
{
	struct rules *rules = rules_holder_get(r->holder);
	struct name **at = &r->names, *n;
	uint64_t now_ms = clock_mono_ms();
	size_t i, k;

	for (n = r->names; n; n = n->next)
		n->listed = false;
	for (i = 0; i < rules->target_count; i++)
		for (k = 0; k < rules->targets[i].host_count; k++)
			if (rules->targets[i].resolve_ms)
				name_add(r, &rules->targets[i],
					 &rules->targets[i].hosts[k], now_ms);
	while ((n = *at) != NULL) {
		if (n->listed) {
			at = &n->next;
			continue;
		}
		*at = n->next;
		name_free(n);
	}
	rules_unref(&rules);
}

/* ---- one name ---- */

static void
name_failed(struct name *n, const struct error *err)
{
	counter_inc(COUNTER_RESOLVE_FAILED);
	if (!n->failing)
		log_warn("target.unknown-host", "%s: the host %s cannot be "
			 "found: %s; its addresses stay", n->target, n->host,
			 err->text);
	n->failing = true;
}

/* Under the resolver's lock: the holder is there. */
static void
name_found(struct resolver *r, struct name *n, const struct rules_found *found,
	   size_t count)
{
	const struct rules_host host = { .name = n->host, .port = n->port };
	struct rules_holder *h = r->holder;
	struct target *t;
	int others = 0;

	if (n->failing)
		log_info("target.known-host", "%s: the host %s is found again",
			 n->target, n->host);
	n->failing = false;
	pthread_mutex_lock(&h->lock);
	t = target_find(h, n->target);
	if (t && t->set)
		others = target_resolved(t, &host, found, count);
	if (others > 0)
		atomic_fetch_add(&h->generation, 1);
	pthread_mutex_unlock(&h->lock);
	if (others <= 0)
		return;
	counter_inc(COUNTER_RESOLVE_CHANGED);
	log_info("target.addresses", "%s: the host %s has %zu addresses now",
		 n->target, n->host, count);
	r->changed(r->arg);
}

/* The lock is not held while a name server takes its time. */
static void
name_resolve(struct resolver *r, struct name *n)
{
	struct rules_found found[RULES_ADDRESSES_MAX];
	struct error err = { 0 };
	int count;

	pthread_mutex_unlock(&r->lock);
	count = r->lookup(n->host, n->port, found, RULES_ADDRESSES_MAX, &err);
	pthread_mutex_lock(&r->lock);
	if (r->stopped)
		return;
	if (count > 0)
		name_found(r, n, found, (size_t)count);
	else
		name_failed(n, &err);
	n->next_ms = clock_mono_ms() + pause_ms(r, n);
}

/* ---- the thread ---- */

static struct name *
next_due(struct resolver *r)
{
	struct name *n, *first = r->names;

	for (n = r->names; n; n = n->next)
		if (n->next_ms < first->next_ms)
			first = n;
	return first;
}

static void
wait_until(struct resolver *r, uint64_t at_ms)
{
	struct timespec ts = { (time_t)(at_ms / 1000),
			       (long)(at_ms % 1000) * 1000000 };

	(void)pthread_cond_timedwait(&r->wake, &r->lock, &ts);
}

static void
resolver_turn(struct resolver *r)
{
	uint64_t generation = atomic_load(&r->holder->generation);
	struct name *n;

	if (generation != r->generation) {
		r->generation = generation;
		names_refresh(r);
	}
	n = next_due(r);
	if (!n)
		pthread_cond_wait(&r->wake, &r->lock);
	else if (n->next_ms > clock_mono_ms())
		wait_until(r, n->next_ms);
	else
		name_resolve(r, n);
}

static void
resolver_free(struct resolver *r)
{
	struct name *n;

	while ((n = r->names) != NULL) {
		r->names = n->next;
		name_free(n);
	}
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* Whoever comes last frees it: this thread or resolver_stop. */
static void *
resolver_main(void *arg)
{
	struct resolver *r = arg;
	bool abandoned;

	(void)pthread_setname_np(pthread_self(), "resolver");
	pthread_mutex_lock(&r->lock);
	while (!r->stopped)
		resolver_turn(r);
	abandoned = r->ended;
	r->ended = true;
	pthread_cond_broadcast(&r->wake);
	pthread_mutex_unlock(&r->lock);
	if (abandoned)
		resolver_free(r);
	return NULL;
}

struct resolver *
resolver_start(struct rules_holder *h, resolver_lookup *lookup,
	       void (*changed)(void *arg), void *arg, struct error *err)
{
	struct resolver *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;

	if (!r) {
		error_set(err, "no memory for the resolver");
		return NULL;
	}
	r->holder = h;
	r->lookup = lookup;
	r->changed = changed;
	r->arg = arg;
	id_random(&r->random, sizeof(r->random));
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&r->thread, NULL, resolver_main, r)) {
		error_set(err, "no thread for the resolver");
		resolver_free(r);
		return NULL;
	}
	return r;
}

void
resolver_wake(struct resolver *r)
{
	pthread_mutex_lock(&r->lock);
	pthread_cond_broadcast(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

void
resolver_stop(struct resolver **rp)
{
	struct resolver *r = *rp;
	uint64_t until_ms = clock_mono_ms() + STOP_MS;
	bool ended;

	*rp = NULL;
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stopped = true;
	pthread_cond_broadcast(&r->wake);
	while (!r->ended && clock_mono_ms() < until_ms)
		wait_until(r, until_ms);
	ended = r->ended;
	r->ended = true;	/* for the thread: nobody waits for it */
	if (!ended)
		pthread_detach(r->thread);
	pthread_mutex_unlock(&r->lock);
	if (!ended)
		return;
	pthread_join(r->thread, NULL);
	resolver_free(r);
}
