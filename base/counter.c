/* SPDX-License-Identifier: Apache-2.0 */
/* Counters: every thread adds in its own block, readers sum the blocks.
 *
 * A block has one writer, so adding is a relaxed load and a relaxed store (a
 * plain add in machine code) and no thread waits for another one's cache
 * line. A block outlives its thread: it keeps its numbers and is parked for
 * the next thread, so that memory is bounded by the threads alive at once. */
#include "base/counter.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/invariant.h"

#define CACHE_LINE 64

struct block {
	_Alignas(CACHE_LINE) _Atomic int64_t value[COUNTER_COUNT];
	struct block *next;	/* all blocks, under lock */
	struct block *next_parked;
};

static const struct row {
	const char *name, *labels, *kind, *help;
} rows[] = {
#define COUNTER(sym, name, labels, kind, help) \
	[COUNTER_##sym] = { "matapalo_" name, labels, kind, help },
#include "base/counters.def"
#undef COUNTER
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *all_blocks, *parked_blocks;
/* Where threads count that could get no block of their own. */
static struct block shared;
static _Thread_local struct block *own;
static pthread_key_t at_thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
park(void *arg)
{
	struct block *b = arg;

	own = NULL;
	pthread_mutex_lock(&lock);
	b->next_parked = parked_blocks;
	parked_blocks = b;
	pthread_mutex_unlock(&lock);
}

static void
make_key(void)
{
	INVARIANT(pthread_key_create(&at_thread_end, park) == 0);
}

static struct block *
take_parked(void)
{
	struct block *b;

	pthread_mutex_lock(&lock);
	b = parked_blocks;
	if (b)
		parked_blocks = b->next_parked;
	pthread_mutex_unlock(&lock);
	return b;
}

static struct block *
make_block(void)
{
	struct block *b = aligned_alloc(CACHE_LINE, sizeof(*b));

	if (!b)
		return NULL;
	memset(b, 0, sizeof(*b));
	pthread_mutex_lock(&lock);
	b->next = all_blocks;
	all_blocks = b;
	pthread_mutex_unlock(&lock);
	return b;
}

static struct block *
own_block(void)
{
	struct block *b;

	pthread_once(&once, make_key);
	b = take_parked();
	if (!b)
		b = make_block();
	/* Without the key the block would merely not be parked. */
	if (b)
		(void)pthread_setspecific(at_thread_end, b);
	return b;
}

void
counter_add(enum counter c, int64_t n)
{
	_Atomic int64_t *v;

	if (UNLIKELY(!own) && !(own = own_block())) {
		atomic_fetch_add_explicit(&shared.value[c], n,
					  memory_order_relaxed);
		return;
	}
	v = &own->value[c];
	atomic_store_explicit(
		v, atomic_load_explicit(v, memory_order_relaxed) + n,
		memory_order_relaxed);
}

int64_t
counter_get(enum counter c)
{
	int64_t sum = atomic_load_explicit(&shared.value[c],
					   memory_order_relaxed);

	pthread_mutex_lock(&lock);
	for (struct block *b = all_blocks; b; b = b->next)
		sum += atomic_load_explicit(&b->value[c],
					    memory_order_relaxed);
	pthread_mutex_unlock(&lock);
	return sum;
}

const char *
counter_name(enum counter c)
{
	return rows[c].name;
}

const char *
counter_labels(enum counter c)
{
	return rows[c].labels;
}

static void
write_row(struct buf *out, enum counter c)
{
	const struct row *r = &rows[c];

	if (c == 0 || strcmp(rows[c - 1].name, r->name) != 0)
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", r->name,
			   r->help, r->name, r->kind);
	buf_adds(out, r->name);
	if (*r->labels)
		buf_printf(out, "{%s}", r->labels);
	buf_printf(out, " %lld\n", (long long)counter_get(c));
}

void
counter_write_prometheus(struct buf *out)
{
	for (unsigned c = 0; c < COUNTER_COUNT; c++)
		write_row(out, (enum counter)c);
}
