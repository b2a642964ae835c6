/* SPDX-License-Identifier: Apache-2.0 */
/* What was published lately, by id: nng sends a request again when a
 * connection breaks, and an event must not be appended twice for that. */
#include <stdlib.h>

#include "base/invariant.h"
#include "bus/server.h"

#define RECENT_MAX 8192
#define BUCKETS 4096
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

/* Slots go round. Far more of them than calls: one that comes up again
 * cannot be pending any more. */
static void
add(struct recent *r, const struct recent_key *k)
{
	uint32_t slot = r->newest++ % RECENT_MAX, *at;

	INVARIANT(!r->at[slot].used || r->at[slot].sequence > 0);
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
	if (slot == NONE) {
		add(r, k);
	} else if (r->at[slot].sequence > 0) {
		*sequence = r->at[slot].sequence;
		state = RECENT_DONE;
	} else {
		c->next_same = r->at[slot].waiting;
		r->at[slot].waiting = c;
		state = RECENT_PENDING;
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
		waiting = r->at[slot].waiting;
		r->at[slot].waiting = NULL;
		r->at[slot].sequence = sequence;
		if (sequence == 0)
			drop(r, slot);
	}
	pthread_mutex_unlock(&r->lock);
	return waiting;
}
