/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for records: cut from the front of chunks, one after the other, as
 * they are written in the order in which they were made. A box of fixed size
 * for each would be mostly empty, and all of them would compete for the same
 * lines of the processor's caches.
 *
 * A chunk counts who uses it: the worker while it cuts from it, and each
 * box. Whoever is last gives it back; only the worker takes chunks.
 *
 * The budget knows a chunk from when the worker is done with it until all of
 * its boxes are: one count for some forty records. */
#include <stdlib.h>

#include "base/invariant.h"
#include "proxy/record.h"

#define CHUNK_BYTES (128u << 10)
/* A larger record is allocated on its own. */
#define BOX_MOST (CHUNK_BYTES / 8)
#define CHUNKS_KEPT 256u
#define LINE 64u
/* The worker holds so many references and gives back what it did not hand
 * on: cutting a box touches no word that another thread writes. */
#define WORKER_USES (1u << 30)

struct record_chunk {
	struct record_chunk *next;	/* in a list of free chunks */
	struct record_pool *pool;
	atomic_uint uses;
	unsigned cut;			/* boxes, by the worker */
	size_t used;
	_Alignas(LINE) char bytes[];
};

void
record_budget_take(struct record_budget *b, size_t n)
{
	atomic_fetch_add_explicit(&b->bytes, n, memory_order_relaxed);
}

void
record_budget_give(struct record_budget *b, size_t n)
{
	atomic_fetch_sub_explicit(&b->bytes, n, memory_order_relaxed);
}

static void
chunk_give(struct record_chunk *c)
{
	struct record_pool *p = c->pool;
	struct record_chunk *head;

	record_budget_give(p->budget, CHUNK_BYTES);
	if (atomic_load_explicit(&p->total, memory_order_relaxed) >
	    CHUNKS_KEPT) {
		atomic_fetch_sub_explicit(&p->total, 1, memory_order_relaxed);
		free(c);
		return;
	}
	head = atomic_load_explicit(&p->back, memory_order_relaxed);
	do {
		c->next = head;
	} while (!atomic_compare_exchange_weak_explicit(
		&p->back, &head, c, memory_order_release,
		memory_order_relaxed));
}

static void
chunk_unref(struct record_chunk *c, unsigned n)
{
	if (atomic_fetch_sub_explicit(&c->uses, n, memory_order_acq_rel) == n)
		chunk_give(c);
}

static struct record_chunk *
chunk_new(struct record_pool *p)
{
	struct record_chunk *c = aligned_alloc(LINE, CHUNK_BYTES);

	if (!c)
		return NULL;
	c->pool = p;
	atomic_fetch_add_explicit(&p->total, 1, memory_order_relaxed);
	return c;
}

static struct record_chunk *
chunk_take(struct record_pool *p)
{
	struct record_chunk *c;

	if (!p->spare)
		p->spare = atomic_exchange_explicit(&p->back, NULL,
						    memory_order_acquire);
	c = p->spare;
	if (c)
		p->spare = c->next;
	else
		c = chunk_new(p);
	if (!c)
		return NULL;
	c->cut = 0;
	c->used = 0;
	atomic_init(&c->uses, WORKER_USES);
	return c;
}

static void
retire_current(struct record_pool *p)
{
	struct record_chunk *c = p->current;

	p->current = NULL;
	if (!c)
		return;
	record_budget_take(p->budget, CHUNK_BYTES);
	chunk_unref(c, WORKER_USES - c->cut);
}

void *
record_pool_take(struct record_pool *p, size_t size,
		 struct record_chunk **from)
{
	const size_t room = CHUNK_BYTES - sizeof(struct record_chunk);
	struct record_chunk *c = p->current;
	void *box;

	*from = NULL;
	if (size > BOX_MOST)
		return malloc(size);
	size = (size + LINE - 1) & ~(size_t)(LINE - 1);
	if (!c || room - c->used < size) {
		retire_current(p);
		c = p->current = chunk_take(p);
		if (!c)
			return NULL;
	}
	box = c->bytes + c->used;
	c->used += size;
	c->cut++;
	*from = c;
	return box;
}

void
record_pool_give(void *box, struct record_chunk *from)
{
	if (from)
		chunk_unref(from, 1);
	else
		free(box);
}

static void
chunks_free(struct record_chunk *c)
{
	while (c) {
		struct record_chunk *next = c->next;

		free(c);
		c = next;
	}
}

void
record_pool_fini(struct record_pool *p)
{
	retire_current(p);
	chunks_free(p->spare);
	chunks_free(atomic_exchange(&p->back, NULL));
	p->spare = NULL;
}
