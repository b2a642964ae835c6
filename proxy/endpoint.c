/* SPDX-License-Identifier: Apache-2.0 */
/* Targets by name and their sets of addresses. An address that stays keeps
 * its object, and so its health. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/gate.h"
#include "proxy/lease.h"
#include "proxy/target.h"

/* ---- addresses ---- */

struct endpoint *
endpoint_ref(struct endpoint *e)
{
	atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
	return e;
}

void
endpoint_unref(struct endpoint **ep)
{
	struct endpoint *e = *ep;

	*ep = NULL;
	if (!e || atomic_fetch_sub(&e->refs, 1) != 1)
		return;
	free((char *)e->address.text);
	free((char *)e->address.host);
	free(e->lookup);
	free(e);
}

static struct endpoint *
endpoint_new(const struct rules_address *a, const char *lookup)
{
	struct endpoint *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	atomic_init(&e->refs, 1);
	e->address.addr = a->addr;
	e->address.addr_len = a->addr_len;
	e->address.text = strdup(a->text);
	e->address.host = strdup(a->host);
	e->lookup = strdup(lookup);
	if (!e->address.text || !e->address.host || !e->lookup)
		endpoint_unref(&e);
	return e;
}

static bool
endpoint_is(const struct endpoint *e, const struct rules_address *a)
{
	return !strcmp(e->address.text, a->text) &&
	       !strcmp(e->address.host, a->host);
}

static struct endpoint *
set_find(const struct endpoint_set *s, const struct rules_address *a)
{
	unsigned i;

	for (i = 0; s && i < s->count; i++)
		if (endpoint_is(s->at[i], a))
			return s->at[i];
	return NULL;
}

/* ---- sets ---- */

static struct endpoint_set *
set_new(size_t most)
{
	struct endpoint_set *s;

	s = calloc(1, sizeof(*s) + most * sizeof(s->at[0]));
	if (s)
		atomic_init(&s->refs, 1);
	return s;
}

struct endpoint_set *
endpoint_set_ref(struct endpoint_set *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void
endpoint_set_unref(struct endpoint_set **sp)
{
	struct endpoint_set *s = *sp;
	unsigned i;

	*sp = NULL;
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (i = 0; i < s->count; i++)
		endpoint_unref(&s->at[i]);
	free(s);
}

/* set_add takes the old set's object of that address where there is one. */
static int
set_add(struct endpoint_set *s, const struct endpoint_set *old,
	const struct rules_address *a, const char *lookup)
{
	struct endpoint *e = set_find(old, a);

	if (s->count == RULES_ADDRESSES_MAX || set_find(s, a))
		return 0;
	if (e && !strcmp(e->lookup, lookup))
		e = endpoint_ref(e);
	else
		e = endpoint_new(a, lookup);
	if (!e)
		return -1;
	s->at[s->count++] = e;
	return 0;
}

static void
set_keep(struct endpoint_set *s, struct endpoint *e)
{
	if (s->count < RULES_ADDRESSES_MAX && !set_find(s, &e->address))
		s->at[s->count++] = endpoint_ref(e);
}

static const char *
lookup_text(const struct rules_host *h, char *out, size_t size)
{
	if (h)
		snprintf(out, size, "%s:%s", h->name, h->port);
	return h ? out : "";
}

/* A host that could not be found now keeps the addresses it had. */
static void
keep_unknown(struct endpoint_set *s, const struct endpoint_set *old,
	     const struct rules_target *t)
{
	char text[300];
	unsigned i, k;

	for (i = 0; old && i < t->host_count; i++) {
		if (!t->hosts[i].error)
			continue;
		lookup_text(&t->hosts[i], text, sizeof(text));
		for (k = 0; k < old->count; k++)
			if (!strcmp(old->at[k]->lookup, text))
				set_keep(s, old->at[k]);
	}
}

static struct endpoint_set *
set_of_rules(const struct rules_target *t, const struct endpoint_set *old)
{
	struct endpoint_set *s = set_new(RULES_ADDRESSES_MAX);
	char text[300];
	size_t i;

	for (i = 0; s && i < t->address_count; i++) {
		const struct rules_address *a = &t->addresses[i];

		if (set_add(s, old, a,
			    lookup_text(a->lookup, text, sizeof(text))))
			endpoint_set_unref(&s);
	}
	if (s)
		keep_unknown(s, old, t);
	return s;
}

static bool
set_equals(const struct endpoint_set *a, const struct endpoint_set *b)
{
	unsigned i;

	if (a->count != b->count)
		return false;
	for (i = 0; i < a->count; i++)
		if (!set_find(b, &a->at[i]->address))
			return false;
	return true;
}

int
target_resolved(struct target *t, const struct rules_host *host,
		const struct rules_found *found, size_t count)
{
	struct endpoint_set *s = set_new(RULES_ADDRESSES_MAX);
	char text[300];
	unsigned i;

	if (!s)
		return -1;
	lookup_text(host, text, sizeof(text));
	for (i = 0; i < t->set->count; i++)
		if (strcmp(t->set->at[i]->lookup, text))
			set_keep(s, t->set->at[i]);
	for (i = 0; i < count; i++) {
		const struct rules_address a = {
			.addr = found[i].addr,
			.addr_len = found[i].addr_len,
			.text = found[i].text,
			.host = host->name,
		};

		if (set_add(s, t->set, &a, text)) {
			endpoint_set_unref(&s);
			return -1;
		}
	}
	if (set_equals(s, t->set)) {
		endpoint_set_unref(&s);
		return 0;
	}
	endpoint_set_unref(&t->set);
	t->set = s;
	return 1;
}

/* ---- targets ---- */

struct target *
target_find(struct rules_holder *h, const char *name)
{
	struct target *t = h->targets;

	while (t && strcmp(t->name, name))
		t = t->next;
	return t;
}

static void
target_free(struct target *t)
{
	endpoint_set_unref(&t->set);
	endpoint_set_unref(&t->fresh);
	pthread_mutex_destroy(&t->lock);
	free(t->gates);
	free(t->name);
	free(t);
}

static struct target *
target_new(struct rules_holder *h, const char *name)
{
	struct target *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	t->name = strdup(name);
	t->gate_count = h->workers;
	t->gates = gates_new(t, h->workers);
	if (!t->name || !t->gates) {
		target_free(t);
		return NULL;
	}
	t->next = h->targets;
	h->targets = t;
	return t;
}

int
targets_prepare(struct rules_holder *h, const struct rules *rules)
{
	size_t i;

	for (i = 0; i < rules->target_count; i++) {
		const struct rules_target *c = &rules->targets[i];
		struct target *t;

		if (c->kind == RULES_TARGET_COMMAND)
			continue;
		t = target_find(h, c->name);
		if (!t)
			t = target_new(h, c->name);
		if (!t)
			return -1;
		t->fresh = set_of_rules(c, t->set);
		if (!t->fresh)
			return -1;
	}
	return 0;
}

void
targets_commit(struct rules_holder *h)
{
	struct target *t;

	for (t = h->targets; t; t = t->next) {
		if (!t->fresh)
			continue;
		endpoint_set_unref(&t->set);
		t->set = t->fresh;
		t->fresh = NULL;
	}
}

void
targets_abandon(struct rules_holder *h)
{
	struct target *t;

	for (t = h->targets; t; t = t->next)
		endpoint_set_unref(&t->fresh);
}

void
targets_free(struct rules_holder *h)
{
	struct target *t;

	while ((t = h->targets) != NULL) {
		h->targets = t->next;
		target_free(t);
	}
}
