/* SPDX-License-Identifier: Apache-2.0 */
/* A growable byte buffer with a sticky out-of-memory flag. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

/* Zero-initialise. Sticky: after a failed growth (memory, or limit_bytes
 * when not 0) every call is a no-op and `failed` stays true; check once at
 * the end. One thread at a time. */
struct buf {
	char *data;
	size_t len, cap;
	size_t limit_bytes;
	bool failed;
};

void buf_add(struct buf *b, const void *data, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_add_u64(struct buf *b, uint64_t v);
/* buf_reserve returns room for n more bytes at the end, NULL on failure;
 * the caller advances `len` by what it wrote. */
char *buf_reserve(struct buf *b, size_t n);
/* buf_room is buf_reserve, inline where there is room already. */
static inline char *
buf_room(struct buf *b, size_t n)
{
	if (UNLIKELY(b->failed || b->limit_bytes || n >= b->cap - b->len))
		return buf_reserve(b, n);
	return b->data + b->len;
}
/* Inline: most of JSON's structure is single characters. */
static inline void
buf_addc(struct buf *b, char c)
{
	char *to;

	if (UNLIKELY(b->failed || b->limit_bytes || b->len + 1 >= b->cap))
		to = buf_reserve(b, 1);
	else
		to = b->data + b->len;
	if (!to)
		return;
	*to = c;
	b->len++;
}
/* buf_str NUL-terminates (not counted in len) and lends the string; never
 * NULL ("" when failed or empty). */
const char *buf_str(struct buf *b);
/* buf_steal hands the malloc'd bytes to the caller and empties the buf. */
char *buf_steal(struct buf *b, size_t *len);
static inline void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}
void buf_fini(struct buf *b);

static inline struct span
buf_span(const struct buf *b)
{
	return (struct span){ b->data, b->len };
}

#endif
