/* SPDX-License-Identifier: Apache-2.0 */
/* The capped copy of a body that goes into the event. */
#include <stdlib.h>
#include <string.h>

#include "proxy/exchange.h"

static int
capture_grow(struct capture *c, size_t want)
{
	size_t cap = c->cap ? c->cap : 4096;
	char *p;

	while (cap < want)
		cap *= 2;
	if (cap > c->limit)
		cap = c->limit;
	if (cap <= c->cap)
		return 0;
	p = realloc(c->heap, cap);
	if (!p)
		return -1;
	c->heap = p;
	c->cap = cap;
	return 0;
}

static int
capture_to_heap(struct capture *c)
{
	if (!c->first.at)
		return 0;
	if (capture_grow(c, c->first.len))
		return -1;
	memcpy(c->heap, c->first.at, c->first.len);
	c->len = c->first.len;
	c->first = (struct span){ 0 };
	return 0;
}

/* From here on the digest stands for what is not kept. */
static void
capture_truncate(struct capture *c)
{
	c->truncated = true;
	c->digest = digest_stream_new();
	if (c->digest)
		digest_stream_add(c->digest, c->heap, c->len);
}

/* capture_keep takes as much as fits and returns how much that was. */
static size_t
capture_keep(struct capture *c, const char *data, size_t n)
{
	size_t take;

	if (capture_to_heap(c))
		c->limit = c->len;
	take = c->limit - c->len;
	if (take > n)
		take = n;
	if (take == 0 || capture_grow(c, c->len + take))
		return 0;
	memcpy(c->heap + c->len, data, take);
	c->len += take;
	return take;
}

/* `stable` bytes stay where they are until the exchange is recorded. */
void
capture_add(struct capture *c, const char *data, size_t n, bool stable)
{
	size_t kept = 0;

	if (n == 0)
		return;
	if (stable && !c->first.at && !c->heap && !c->truncated &&
	    n <= c->limit) {
		c->first = (struct span){ data, n };
		return;
	}
	if (!c->truncated) {
		kept = capture_keep(c, data, n);
		if (kept < n)
			capture_truncate(c);
	}
	if (c->digest)
		digest_stream_add(c->digest, data + kept, n - kept);
}

struct span
capture_bytes(const struct capture *c)
{
	if (c->first.at)
		return c->first;
	return (struct span){ c->heap ? c->heap : "", c->len };
}

void
capture_fini(struct capture *c)
{
	free(c->heap);
	digest_stream_free(&c->digest);
	*c = (struct capture){ 0 };
}
