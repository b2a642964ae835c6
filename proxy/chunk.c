/* SPDX-License-Identifier: Apache-2.0 */
/* Receive buffers: two free lists, each with a cap. */
#include "proxy/chunk.h"

#include <stdlib.h>

#include "base/invariant.h"

#define KEEP_SMALL 1024u
#define KEEP_LARGE 64u

static struct chunk *
chunk_new(size_t size)
{
	struct chunk *c = malloc(sizeof(*c) + size);

	if (c)
		c->size = size;
	return c;
}

struct chunk *
chunk_take(struct chunk_pool *p, size_t size)
{
	struct chunk **list, *c;
	unsigned *count;

	INVARIANT(size == CHUNK_SMALL_BYTES || size == CHUNK_LARGE_BYTES);
	list = size == CHUNK_SMALL_BYTES ? &p->small : &p->large;
	count = size == CHUNK_SMALL_BYTES ? &p->small_count : &p->large_count;
	c = *list;
	if (c) {
		*list = c->next;
		(*count)--;
		__builtin_prefetch(c->next, 1);	/* the next one to go */
	} else {
		c = chunk_new(size);
	}
	if (c) {
		c->next = NULL;
		c->at = c->end = 0;
	}
	return c;
}

void
chunk_give(struct chunk_pool *p, struct chunk **cp)
{
	struct chunk *c = *cp;

	if (!c)
		return;
	*cp = NULL;
	if (c->size == CHUNK_SMALL_BYTES && p->small_count < KEEP_SMALL) {
		c->next = p->small;
		p->small = c;
		p->small_count++;
	} else if (c->size == CHUNK_LARGE_BYTES &&
		   p->large_count < KEEP_LARGE) {
		c->next = p->large;
		p->large = c;
		p->large_count++;
	} else {
		free(c);
	}
}

static void
list_free(struct chunk *c)
{
	while (c) {
		struct chunk *next = c->next;

		free(c);
		c = next;
	}
}

void
chunk_pool_fini(struct chunk_pool *p)
{
	list_free(p->small);
	list_free(p->large);
	*p = (struct chunk_pool){ 0 };
}
