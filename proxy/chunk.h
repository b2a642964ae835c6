/* SPDX-License-Identifier: Apache-2.0 */
/* Receive buffers in two sizes, kept in a worker's free lists. */
#ifndef PROXY_CHUNK_H
#define PROXY_CHUNK_H

#include <stddef.h>
#include <string.h>

#include "base/attr.h"

#define CHUNK_SMALL_BYTES (16u * 1024u)
#define CHUNK_LARGE_BYTES (64u * 1024u)

/* Bytes [at, end) are received and not yet consumed. One worker only. */
struct chunk {
	struct chunk *next;
	size_t size, at, end;
	char data[];
};

struct chunk_pool {
	struct chunk *small, *large;
	unsigned small_count, large_count;
};

/* chunk_take returns an empty chunk, NULL without memory. */
MUST_CHECK struct chunk *chunk_take(struct chunk_pool *p, size_t size);
/* chunk_give returns it to the pool (or the system); clears the pointer. */
void chunk_give(struct chunk_pool *p, struct chunk **c);
void chunk_pool_fini(struct chunk_pool *p);

static inline size_t
chunk_room(const struct chunk *c)
{
	return c->size - c->end;
}

/* chunk_compact: messages that follow each other walk through their buffer;
 * the rest moves to the front when less than half is left. */
static inline void
chunk_compact(struct chunk *c)
{
	if (c->at < c->size / 2)
		return;
	memmove(c->data, c->data + c->at, c->end - c->at);
	c->end -= c->at;
	c->at = 0;
}

#endif
