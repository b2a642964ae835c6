/* SPDX-License-Identifier: Apache-2.0 */
/* Byte buffer: doubling growth, sticky failure. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 256u

/* Doubling keeps appends amortised O(1); `extra` is the room for the NUL
 * that buf_str adds beyond the limit. */
static bool
make_room(struct buf *b, size_t n, size_t extra)
{
	size_t most = b->limit_bytes ? b->limit_bytes : SIZE_MAX / 4;
	size_t cap = b->cap ? b->cap : FIRST_CAP;
	char *data;

	if (b->len > most || n > most - b->len) {
		b->failed = true;
		return false;
	}
	while (cap < b->len + n + extra)
		cap *= 2;
	if (cap == b->cap)
		return true;
	data = realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

char *
buf_reserve(struct buf *b, size_t n)
{
	if (b->failed)
		return NULL;
	if (UNLIKELY(b->limit_bytes || n >= b->cap - b->len) &&
	    !make_room(b, n, 0))
		return NULL;
	return b->data + b->len;
}

void
buf_add(struct buf *b, const void *data, size_t n)
{
	char *to;

	if (n == 0)
		return;
	to = buf_reserve(b, n);
	if (!to)
		return;
	memcpy(to, data, n);
	b->len += n;
}

void
buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	char *to = NULL;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n < 0)
		b->failed = true;
	if (!b->failed && make_room(b, (size_t)n, 1))
		to = b->data + b->len;
	if (to)
		b->len += (size_t)vsnprintf(to, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(ap);
}

void
buf_add_u64(struct buf *b, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	buf_add(b, digits + at, sizeof(digits) - at);
}

const char *
buf_str(struct buf *b)
{
	if (b->failed || (b->cap <= b->len && !make_room(b, 0, 1)))
		return "";
	b->data[b->len] = '\0';
	return b->data;
}

char *
buf_steal(struct buf *b, size_t *len)
{
	char *data = NULL;

	buf_str(b);	/* a stolen buffer is a string, too */
	if (len)
		*len = b->failed ? 0 : b->len;
	if (b->failed)
		free(b->data);
	else
		data = b->data;
	*b = (struct buf){ .limit_bytes = b->limit_bytes };
	return data;
}

void
buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}
