/* SPDX-License-Identifier: Apache-2.0 */
/* Arena: bump allocation, blocks from malloc once the first one is full. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 16u
#define BLOCK_BYTES 8192u

struct arena_block {
	struct arena_block *next;
	_Alignas(ALIGNMENT) char data[];
};

static size_t
round_up(size_t n)
{
	return (n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

/* The borrowed block may start anywhere; the bump pointer never does. */
static void
use_first_block(struct arena *a)
{
	size_t skip = (ALIGNMENT - (uintptr_t)a->base % ALIGNMENT) % ALIGNMENT;

	if (!a->base || skip >= a->base_size) {
		a->at = a->end = NULL;
		return;
	}
	a->at = a->base + skip;
	a->end = a->base + a->base_size;
}

void
arena_init(struct arena *a, void *first, size_t first_size,
	   size_t limit_bytes)
{
	*a = (struct arena){ .base = first, .base_size = first_size,
			     .limit_bytes = limit_bytes };
	use_first_block(a);
}

/* A block of `need` bytes or more; the one with more room left afterwards
 * stays the block to bump in. */
static void *
alloc_block(struct arena *a, size_t need)
{
	size_t room = need > BLOCK_BYTES ? need : BLOCK_BYTES;
	struct arena_block *b = malloc(sizeof(*b) + room);

	if (!b)
		return NULL;
	b->next = a->blocks;
	a->blocks = b;
	if (room - need >= (size_t)(a->end - a->at)) {
		a->at = b->data + need;
		a->end = b->data + room;
	}
	return b->data;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	size_t need = round_up(size ? size : 1);
	void *p;

	if (need < size || need > a->limit_bytes - a->used_bytes)
		return NULL;
	if (LIKELY(need <= (size_t)(a->end - a->at))) {
		p = a->at;
		a->at += need;
	} else {
		p = alloc_block(a, need);
	}
	if (p)
		a->used_bytes += need;
	return p;
}

char *
arena_copy(struct arena *a, const char *s, size_t n)
{
	char *p = n < SIZE_MAX ? arena_alloc(a, n + 1) : NULL;

	if (!p)
		return NULL;
	if (n)
		memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	char *p = NULL;
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n >= 0)
		p = arena_alloc(a, (size_t)n + 1);
	if (p)
		vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return p;
}

void
arena_reset(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *b = a->blocks;

		a->blocks = b->next;
		free(b);
	}
	a->used_bytes = 0;
	use_first_block(a);
}

void
arena_fini(struct arena *a)
{
	arena_reset(a);
	*a = (struct arena){0};
}
