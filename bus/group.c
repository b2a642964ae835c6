/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a group: its list of events, its consumers, its keys. */
#include "bus/group.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/invariant.h"

#define CONSUMER_FORGET_MS 300000

void
groups_refresh(struct groups *g)
{
	if (g->env.now) {
		g->env.now(g->env.arg, &g->now);
		return;
	}
	g->now.mono_ms = clock_mono_ms();
	g->now.wall_us = clock_wall_us();
}

struct group *
group_find(struct groups *g, const char *name)
{
	for (struct group *p = g->first; p; p = p->next)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

struct group *
group_new(struct groups *g, const char *name)
{
	struct group *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	strncpy(p->name, name, sizeof(p->name) - 1);
	groups_settings_default(&p->settings);
	p->saved_cursor = -1;
	p->flush_at = GROUPS_NEVER;
	p->rate_at = GROUPS_NEVER;
	p->tokens = 1e9;	/* full */
	p->tokens_at = g->now.mono_ms;
	p->version = ++g->versions;
	p->next = g->first;
	g->first = p;
	return p;
}

void
group_changed(struct groups *g, struct group *p)
{
	p->version = ++g->versions;
	p->saved_cursor = -1;
	group_dirty(g, p, 0);
}

/* Nothing is in flight any more; keys without entries go. */
static void
keys_clear(struct key **at)
{
	while (*at) {
		struct key *k = *at;

		k->in_flight = 0;
		k->owner = NULL;
		if (k->users > 0) {
			at = &k->next;
			continue;
		}
		*at = k->next;
		free(k->text);
		free(k);
	}
}

void
group_clear_but(struct group *p, bool (*stays)(const struct entry *e))
{
	size_t kept = 0;

	for (size_t i = 0; i < p->count; i++) {
		struct entry *e = &p->at[i];

		if (stays(e))
			p->at[kept++] = *e;
		else if (e->key)
			e->key->users--;
	}
	for (size_t i = 0; i < GROUP_KEY_BUCKETS; i++)
		keys_clear(&p->keys[i]);
	for (struct consumer *c = p->consumers; c; c = c->next) {
		c->holding = 0;
		c->request[0] = '\0';
	}
	p->count = kept;
	p->settled = p->retrying = 0;
	p->in_flight = 0;
}

static bool
nothing_stays(const struct entry *e)
{
	(void)e;
	return false;
}

void
group_clear(struct group *p)
{
	group_clear_but(p, nothing_stays);
}

void
group_free(struct group *p)
{
	group_clear(p);
	while (p->consumers) {
		struct consumer *c = p->consumers;

		p->consumers = c->next;
		free(c->name);
		free(c);
	}
	free(p->changes.at);
	free(p->at);
	free(p);
}

/* ---- consumers ---- */

struct consumer *
consumer_find(struct group *p, const char *name)
{
	for (struct consumer *c = p->consumers; c; c = c->next)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static size_t
consumer_count(const struct group *p)
{
	size_t n = 0;

	for (const struct consumer *c = p->consumers; c; c = c->next)
		n++;
	return n;
}

struct consumer *
consumer_seen(struct groups *g, struct group *p, const struct groups_who *who)
{
	struct consumer *c = consumer_find(p, who->consumer);

	if (!c && consumer_count(p) >= GROUP_CONSUMERS_MAX)
		return NULL;
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c || !(c->name = strdup(who->consumer))) {
			free(c);
			return NULL;
		}
		c->next = p->consumers;
		p->consumers = c;
	}
	c->session = who->session;
	c->gone_at = 0;
	c->seen = g->now.mono_ms;
	return c;
}

struct consumer *
consumer_restore(struct groups *g, struct group *p, const char *name)
{
	const struct groups_who who = { p->name, name, GROUP_SESSION_NONE };

	return consumer_seen(g, p, &who);
}

static bool
is_forgettable(const struct groups *g, const struct consumer *c)
{
	if (c->holding > 0)
		return false;
	return (c->gone_at && c->gone_at <= g->now.mono_ms) ||
	       (c->session &&
		g->now.mono_ms - c->seen > CONSUMER_FORGET_MS);
}

void
consumers_sweep(struct groups *g, struct group *p)
{
	struct consumer **at = &p->consumers;

	while (*at) {
		struct consumer *c = *at;

		if (!is_forgettable(g, c)) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		free(c->name);
		free(c);
	}
}

/* ---- keys ---- */

static struct key **
key_bucket(struct group *p, struct span text)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < text.len; i++)
		h = (h ^ (unsigned char)text.at[i]) * 16777619u;
	return &p->keys[h % GROUP_KEY_BUCKETS];
}

static struct key *
key_get(struct group *p, struct span text)
{
	struct key **bucket = key_bucket(p, text), *k;

	for (k = *bucket; k; k = k->next)
		if (span_equal((struct span){ k->text, k->len }, text))
			return k;
	k = calloc(1, sizeof(*k));
	if (!k || !(k->text = malloc(text.len))) {
		free(k);
		return NULL;
	}
	memcpy(k->text, text.at, text.len);
	k->len = text.len;
	k->next = *bucket;
	*bucket = k;
	return k;
}

static void
key_release(struct group *p, struct key *k)
{
	struct key **at;

	if (--k->users > 0)
		return;
	INVARIANT(k->in_flight == 0);
	at = key_bucket(p, (struct span){ k->text, k->len });
	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	free(k->text);
	free(k);
}

int
entry_set_key(struct group *p, struct entry *e, struct span key)
{
	if (key.len == 0)
		return 0;
	e->key = key_get(p, key);
	if (!e->key)
		return -1;
	e->key->users++;
	return 0;
}

/* ---- the list ---- */

size_t
entry_index(const struct group *p, int64_t sequence)
{
	size_t low = 0, high = p->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (p->at[mid].sequence < sequence)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct entry *
entry_any(struct group *p, int64_t sequence)
{
	size_t i = entry_index(p, sequence);

	return i < p->count && p->at[i].sequence == sequence ? &p->at[i] : NULL;
}

struct entry *
entry_find(struct group *p, int64_t sequence)
{
	struct entry *e = entry_any(p, sequence);

	return e && e->state != ENTRY_SETTLED ? e : NULL;
}

static int
entries_grow(struct group *p)
{
	size_t cap = p->cap ? p->cap * 2 : 64;
	struct entry *at;

	if (p->count < p->cap)
		return 0;
	at = realloc(p->at, cap * sizeof(*at));
	if (!at)
		return -1;
	p->at = at;
	p->cap = cap;
	return 0;
}

struct entry *
entry_add(struct group *p, int64_t sequence)
{
	size_t i = entry_index(p, sequence);

	if (entries_grow(p) < 0)
		return NULL;
	memmove(&p->at[i + 1], &p->at[i], (p->count - i) * sizeof(*p->at));
	p->at[i] = (struct entry){ .sequence = sequence };
	p->count++;
	return &p->at[i];
}

void
entry_renew(struct group *p, struct entry *e)
{
	INVARIANT(e->state == ENTRY_SETTLED);
	if (e->key)
		key_release(p, e->key);
	*e = (struct entry){ .sequence = e->sequence };
	p->settled--;
}

/* A settled event beyond `read` (a dead letter found at start) stays: it
 * must not be read again. */
void
entries_sweep(struct group *p)
{
	size_t kept = 0, settled = 0;

	for (size_t i = 0; i < p->count; i++) {
		struct entry *e = &p->at[i];

		if (e->state == ENTRY_SETTLED && e->sequence <= p->read) {
			if (e->key)
				key_release(p, e->key);
			continue;
		}
		settled += e->state == ENTRY_SETTLED;
		p->at[kept++] = *e;
	}
	p->count = kept;
	p->settled = settled;
}
