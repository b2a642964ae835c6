/* SPDX-License-Identifier: Apache-2.0 */
/* What was published lately, by id: nng sends a request again when a
 * connection breaks, and an event must not be appended twice for that. */
#include <stdlib.h>

#include "base/invariant.h"
#include "bus/server.h"

#define RECENT_MAX 32768
#define BUCKETS 16384
#define PENDING_MAX (RECENT_MAX / 2)	/* by lists; calls are far fewer */
#define NONE UINT32_MAX

struct recent_slot {
	struct recent_key key;
	int64_t sequence;	/* 0 while pending */
	struct call *waiting;
	uint32_t next;		/* in its bucket */
	bool used;
};

struct recent {
	pthread_mutex_t lock;
	struct recent_slot at[RECENT_MAX];
	uint32_t bucket[BUCKETS];
	uint32_t newest;	/* slot that is taken next */
	uint32_t pending;
};

struct recent *
recent_new(void)
{
	struct recent *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	for (size_t i = 0; i < BUCKETS; i++)
		r->bucket[i] = NONE;
	return r;
}

void
recent_free(struct recent **rp)
{
	struct recent *r = *rp;

	if (!r)
		return;
	*rp = NULL;
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static bool
key_equal(const struct recent_key *a, const struct recent_key *b)
{
	return a->kind == b->kind && id_equal(&a->id, &b->id);
}

static uint32_t *
place(struct recent *r, const struct recent_key *k)
{
	uint32_t h, *at;

	memcpy(&h, k->id.bytes + 12, sizeof(h));
	at = &r->bucket[(h ^ k->kind) % BUCKETS];
	while (*at != NONE && !key_equal(&r->at[*at].key, k))
		at = &r->at[*at].next;
	return at;
}

static void
drop(struct recent *r, uint32_t slot)
{
	struct recent_slot *p = &r->at[slot];
	uint32_t *at;

	if (!p->used)
		return;
	at = place(r, &p->key);
	*at = p->next;
	p->used = false;
}

static bool
is_pending(const struct recent_slot *p)
{
	return p->used && p->sequence == 0;
}

/* Slots go round; those that are pending stay. */
static void
add(struct recent *r, const struct recent_key *k)
{
	uint32_t slot, *at;

	INVARIANT(r->pending < RECENT_MAX);
	do
		slot = r->newest++ % RECENT_MAX;
	while (is_pending(&r->at[slot]));
	r->pending++;
	drop(r, slot);
	at = place(r, k);
	r->at[slot] = (struct recent_slot){ .key = *k, .next = NONE,
					  .used = true };
	*at = slot;
}

enum recent_state
recent_begin(struct recent *r, const struct recent_key *k, struct call *c,
	     int64_t *sequence)
{
	enum recent_state state = RECENT_NEW;
	uint32_t slot;

	pthread_mutex_lock(&r->lock);
	slot = *place(r, k);
	if (slot == NONE && !c && r->pending >= PENDING_MAX) {
		state = RECENT_PENDING;
	} else if (slot == NONE) {
		add(r, k);
	} else if (r->at[slot].sequence > 0) {
		*sequence = r->at[slot].sequence;
		state = RECENT_DONE;
	} else {
		state = RECENT_PENDING;
		if (c) {
			c->next_same = r->at[slot].waiting;
			r->at[slot].waiting = c;
		}
	}
	pthread_mutex_unlock(&r->lock);
	return state;
}

struct call *
recent_end(struct recent *r, const struct recent_key *k, int64_t sequence)
{
	struct call *waiting = NULL;
	uint32_t slot;

	pthread_mutex_lock(&r->lock);
	slot = *place(r, k);
	if (slot != NONE) {
		r->pending -= is_pending(&r->at[slot]);
		waiting = r->at[slot].waiting;
		r->at[slot].waiting = NULL;
		r->at[slot].sequence = sequence;
		if (sequence == 0)
			drop(r, slot);
	}
	pthread_mutex_unlock(&r->lock);
	return waiting;
}
