/* SPDX-License-Identifier: Apache-2.0 */
/* Counts per client address, in shards of eight-way buckets. */
#include "proxy/limits.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/invariant.h"

#define RESERVED_FILES 64u
#define SHARDS 64u
#define BUCKETS 128u
#define WAYS 8u
#define BURST_US UINT64_C(1000000)

struct entry {
	struct network_address address;
	unsigned connections;
	uint64_t used_us;	/* the rate is used up to this time */
};

struct shard {
	pthread_mutex_t lock;
	struct entry entries[BUCKETS][WAYS];
};

struct limits {
	unsigned connections, rate;
	uint64_t seed;		/* nobody can aim at a bucket */
	struct shard shards[SHARDS];
};

struct limits *
limits_new(unsigned connections, unsigned rate)
{
	struct limits *l = calloc(1, sizeof(*l));
	unsigned i;

	if (!l)
		return NULL;
	l->connections = connections;
	l->rate = rate;
	id_random(&l->seed, sizeof(l->seed));
	for (i = 0; i < SHARDS; i++)
		pthread_mutex_init(&l->shards[i].lock, NULL);
	return l;
}

void
limits_free(struct limits **lp)
{
	unsigned i;

	for (i = 0; *lp && i < SHARDS; i++)
		pthread_mutex_destroy(&(*lp)->shards[i].lock);
	free(*lp);
	*lp = NULL;
}

/* One customer has at least a /64 of IPv6 addresses. */
static struct network_address
key_of(const struct network_address *a)
{
	struct network_address key = *a;

	if (key.family == NETWORK_IPV6)
		memset(key.bytes + 8, 0, 8);
	return key;
}

static uint64_t
hash(const struct limits *l, const struct network_address *key)
{
	uint64_t parts[2], z;

	memcpy(parts, key->bytes, sizeof(parts));
	z = (parts[0] ^ l->seed) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 29) ^ parts[1] ^ key->family) *
	    UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 32);
}

static bool
is_counted(const struct network_address *a)
{
	return a->family == NETWORK_IPV4 || a->family == NETWORK_IPV6;
}

/* An entry without connections whose burst is whole again says nothing. */
static bool
is_free(const struct entry *e, uint64_t now_ms)
{
	return e->connections == 0 && e->used_us <= now_ms * 1000;
}

/* The entry of the key; if `now_ms` is given, a free one becomes it. */
static struct entry *
find(struct entry *bucket, const struct network_address *key,
     const uint64_t *now_ms)
{
	struct entry *spare = NULL;
	unsigned i;

	for (i = 0; i < WAYS; i++) {
		struct entry *e = &bucket[i];

		if (!memcmp(&e->address, key, sizeof(*key)))
			return e;
		if (now_ms && !spare && is_free(e, *now_ms))
			spare = e;
	}
	if (spare)
		*spare = (struct entry){ .address = *key };
	return spare;
}

static struct shard *
lock_shard(struct limits *l, uint64_t h)
{
	struct shard *s = &l->shards[h % SHARDS];

	pthread_mutex_lock(&s->lock);
	return s;
}

enum limits_verdict
limits_connect(struct limits *l, const struct network_address *a,
	       uint64_t now_ms)
{
	struct network_address key = key_of(a);
	uint64_t h = hash(l, &key);
	enum limits_verdict verdict = LIMITS_UNCOUNTED;
	struct shard *s;
	struct entry *e;

	if (!l->connections || !is_counted(a))
		return verdict;
	s = lock_shard(l, h);
	e = find(s->entries[h / SHARDS % BUCKETS], &key, &now_ms);
	if (e && e->connections >= l->connections) {
		verdict = LIMITS_REFUSED;
	} else if (e) {
		e->connections++;
		verdict = LIMITS_COUNTED;
	}
	pthread_mutex_unlock(&s->lock);
	return verdict;
}

void
limits_disconnect(struct limits *l, const struct network_address *a)
{
	struct network_address key = key_of(a);
	uint64_t h = hash(l, &key);
	struct shard *s;
	struct entry *e;

	s = lock_shard(l, h);
	e = find(s->entries[h / SHARDS % BUCKETS], &key, NULL);
	INVARIANT(e && e->connections);
	e->connections--;
	pthread_mutex_unlock(&s->lock);
}

/* Each request uses up 1 / rate seconds of a budget that is never more than
 * one second ahead (GCRA). */
static bool
take_request(struct entry *e, unsigned rate, uint64_t now_us)
{
	uint64_t used = e->used_us > now_us ? e->used_us : now_us;

	used += (BURST_US + rate - 1) / rate;
	if (used > now_us + BURST_US)
		return false;
	e->used_us = used;
	return true;
}

bool
limits_request(struct limits *l, const struct network_address *a,
	       uint64_t now_ms)
{
	struct network_address key = key_of(a);
	uint64_t h = hash(l, &key);
	bool admitted;
	struct shard *s;
	struct entry *e;

	if (!l->rate || !is_counted(a))
		return true;
	s = lock_shard(l, h);
	e = find(s->entries[h / SHARDS % BUCKETS], &key, &now_ms);
	admitted = !e || take_request(e, l->rate, now_ms * 1000);
	pthread_mutex_unlock(&s->lock);
	return admitted;
}

unsigned
limits_by_files(uint64_t files)
{
	uint64_t n = files > RESERVED_FILES ? (files - RESERVED_FILES) / 2 : 0;

	if (n < 16)
		return 16;
	return n < 1u << 24 ? (unsigned)n : 1u << 24;
}
