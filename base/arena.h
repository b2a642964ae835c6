/* SPDX-License-Identifier: Apache-2.0 */
/* A bump allocator with a hard limit: the memory of one exchange. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/attr.h"

struct arena_block;

/* One thread at a time. The first block is borrowed from the caller
 * (arena_init) and never freed; more blocks come from malloc and are freed
 * by arena_reset and arena_fini. */
struct arena {
	char *base;		/* borrowed first block */
	size_t base_size;
	char *at, *end;		/* free part of the newest block */
	struct arena_block *blocks;
	size_t used_bytes, limit_bytes;
};

void arena_init(struct arena *a, void *first, size_t first_size,
		size_t limit_bytes);
/* arena_alloc returns 16-byte aligned memory, not zeroed; NULL once
 * limit_bytes would be passed (the caller answers 431, 413 or 503). */
MUST_CHECK void *arena_alloc(struct arena *a, size_t size);
/* arena_copy returns a NUL-terminated copy of n bytes, NULL as above. */
MUST_CHECK char *arena_copy(struct arena *a, const char *s, size_t n);
MUST_CHECK char *arena_printf(struct arena *a, const char *fmt, ...)
	PRINTF_LIKE(2, 3);
/* arena_reset forgets everything allocated and keeps the first block. */
void arena_reset(struct arena *a);
void arena_fini(struct arena *a);

#endif
