/* SPDX-License-Identifier: Apache-2.0 */
/* The way in: one ring per worker, one list for everyone else, and a
 * wake-up that costs a system call only while the writer sleeps.
 *
 * Lost wake-ups: a producer stores its item, then reads the mode; the writer
 * stores the mode, then looks for items. All four are sequentially
 * consistent, so at least one of the two sees the other. */
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/invariant.h"
#include "journal/internal.h"

/* Producer's and writer's words lie on lines of their own. */
struct journal_queue {
	uint32_t magic;
	struct journal *journal;
	struct journal_queue *next;
	size_t mask, many;
	_Alignas(64) _Atomic size_t head;	/* the producer's */
	size_t tail_seen;
	_Alignas(64) _Atomic size_t tail;	/* the writer's */
	_Alignas(64) struct journal_item *ring[];
};

void
journal_batch_init(struct batch *b)
{
	*b = (struct batch){ .tail = &b->first };
}

void
journal_batch_add(struct batch *b, struct journal_item *item)
{
	item->next = NULL;
	item->refused = false;
	*b->tail = item;
	b->tail = &item->next;
	b->count++;
	b->urgent |= item->urgent;
}

struct journal_item *
journal_batch_take(struct batch *b)
{
	struct journal_item *item = b->first;

	if (!item)
		return NULL;
	b->first = item->next;
	if (!b->first)
		b->tail = &b->first;
	b->count--;
	item->next = NULL;
	return item;
}

/* timeout_us 0: no limit. Returns at once when *word is not value. */
static void
futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t timeout_us)
{
	struct timespec limit = {
		.tv_sec = (time_t)(timeout_us / 1000000u),
		.tv_nsec = (long)(timeout_us % 1000000u) * 1000,
	};

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value,
		timeout_us ? &limit : NULL, NULL, 0);
}

void
journal_wake(struct journal *j)
{
	if (atomic_exchange(&j->mode, WRITER_AWAKE) != WRITER_AWAKE)
		syscall(SYS_futex, &j->mode, FUTEX_WAKE_PRIVATE, 1, NULL, NULL,
			0);
}

struct journal_queue *
journal_queue_new(struct journal *j)
{
	size_t size, ring = j->queue_capacity * sizeof(struct journal_item *);
	struct journal_queue *q;

	MAGIC_CHECK(j, JOURNAL_MAGIC);
	size = (sizeof(*q) + ring + 63) & ~(size_t)63;
	q = aligned_alloc(64, size);
	if (!q)
		return NULL;
	memset(q, 0, size);
	MAGIC_SET(q, JOURNAL_QUEUE_MAGIC);
	q->journal = j;
	q->mask = j->queue_capacity - 1;
	q->many = j->queue_capacity / 2;
	if (q->many > JOURNAL_BATCH_ITEMS)
		q->many = JOURNAL_BATCH_ITEMS;
	q->next = atomic_load(&j->queues);
	while (!atomic_compare_exchange_weak(&j->queues, &q->next, q))
		;
	return q;
}

void
journal_queues_free(struct journal *j)
{
	struct journal_queue *q, *next;

	for (q = atomic_load(&j->queues); q; q = next) {
		next = q->next;
		MAGIC_CLEAR(q);
		free(q);
	}
	atomic_store(&j->queues, NULL);
}

static bool
wake_is_due(enum writer_mode mode, bool urgent, bool many)
{
	switch (mode) {
	case WRITER_AWAKE:
		return false;
	case WRITER_WAITS_ANY:
		return true;
	case WRITER_WAITS_URGENT:
		return urgent || many;
	case WRITER_WAITS_MANY:
		return many;
	}
	return true;
}

bool
journal_push(struct journal_queue *q, struct journal_item *item)
{
	size_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
	bool urgent = item->urgent;	/* after the store it may be gone */
	enum writer_mode mode;

	if (head - q->tail_seen >= q->many) {
		q->tail_seen = atomic_load_explicit(&q->tail,
						    memory_order_acquire);
		if (head - q->tail_seen > q->mask)
			return false;
	}
	q->ring[head & q->mask] = item;
	atomic_store(&q->head, head + 1);
	mode = (enum writer_mode)atomic_load(&q->journal->mode);
	if (wake_is_due(mode, urgent, head + 1 - q->tail_seen >= q->many))
		journal_wake(q->journal);
	return true;
}

void
journal_post(struct journal *j, struct journal_item *item)
{
	bool urgent = item->urgent, many;

	MAGIC_CHECK(j, JOURNAL_MAGIC);
	pthread_mutex_lock(&j->lock);
	journal_batch_add(&j->posted, item);
	many = j->posted.count >= JOURNAL_BATCH_ITEMS;
	pthread_mutex_unlock(&j->lock);
	if (wake_is_due((enum writer_mode)atomic_load(&j->mode), urgent, many))
		journal_wake(j);
}

static void
drain_queue(struct journal_queue *q, struct batch *b, size_t limit)
{
	size_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
	size_t head = atomic_load_explicit(&q->head, memory_order_acquire);

	for (; tail != head && b->count < limit; tail++)
		journal_batch_add(b, q->ring[tail & q->mask]);
	atomic_store_explicit(&q->tail, tail, memory_order_release);
}

static void
drain_posted(struct journal *j, struct batch *b, size_t limit)
{
	pthread_mutex_lock(&j->lock);
	while (b->count < limit && j->posted.first)
		journal_batch_add(b, journal_batch_take(&j->posted));
	pthread_mutex_unlock(&j->lock);
}

/* Starts where the last call ended, so that a worker that fills a batch on
 * its own cannot starve the others. */
void
journal_drain(struct journal *j, struct batch *b, size_t limit)
{
	struct journal_queue *first = atomic_load(&j->queues);
	struct journal_queue *q, *start = j->resume ? j->resume : first;

	drain_posted(j, b, b->count + (limit - b->count + 1) / 2);
	q = start;
	while (q && b->count < limit) {
		drain_queue(q, b, limit);
		q = q->next ? q->next : first;
		if (q == start)
			break;
	}
	j->resume = q;
	drain_posted(j, b, limit);
}

bool
journal_item_waits(struct journal *j)
{
	struct journal_queue *q;
	bool posted;

	for (q = atomic_load(&j->queues); q; q = q->next)
		if (atomic_load(&q->head) !=
		    atomic_load_explicit(&q->tail, memory_order_relaxed))
			return true;
	pthread_mutex_lock(&j->lock);
	posted = j->posted.first != NULL;
	pthread_mutex_unlock(&j->lock);
	return posted;
}

void
journal_sleep(struct journal *j, enum writer_mode mode, uint64_t until_us)
{
	uint64_t now = clock_mono_us();

	if (until_us && until_us <= now)
		return;
	atomic_store(&j->mode, mode);
	if ((mode == WRITER_WAITS_MANY || !journal_item_waits(j)) &&
	    !atomic_load(&j->stopping))
		futex_wait(&j->mode, mode, until_us ? until_us - now : 0);
	atomic_store(&j->mode, WRITER_AWAKE);
}
