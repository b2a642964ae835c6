/* SPDX-License-Identifier: Apache-2.0 */
/* journal/queue.c: every item that goes in is done exactly once, in the
 * order of its queue. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/journal/fixture.h"

#define PRODUCERS 4
#define ITEMS 50000

/* An item that only notes when it was applied and done: the queue is
 * tested, not SQLite. */
struct mark_item {
	struct journal_item item;	/* first */
	struct producer *producer;
	unsigned number, done;
};

struct producer {
	struct journal *j;
	struct journal_queue *q;
	struct mark_item *items;
	unsigned applied, finished;	/* the writer's */
	bool disorder;
	pthread_t thread;
};

static int
mark_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct mark_item *m = (struct mark_item *)item;

	if (m->number != m->producer->applied)
		m->producer->disorder = true;
	m->producer->applied++;
	if (m->number % 1000 == 0)
		journal_tx_state_put(tx, "test", "n", SPAN_LITERAL("1"));
	return 0;
}

static void
mark_done(struct journal_item *item, enum journal_status status)
{
	struct mark_item *m = (struct mark_item *)item;

	if (status != JOURNAL_COMMITTED || m->number != m->producer->finished)
		m->producer->disorder = true;
	m->done++;
	m->producer->finished++;
}

static const struct journal_item_ops mark_ops = { mark_apply, mark_done };

/* The last producer posts to the shared list instead of a ring. */
static void *
produce(void *arg)
{
	struct producer *p = arg;
	unsigned i;

	for (i = 0; i < ITEMS; i++) {
		struct mark_item *m = &p->items[i];

		m->item.ops = &mark_ops;
		m->item.urgent = i % 97 == 0;
		m->producer = p;
		m->number = i;
		if (!p->q)
			journal_post(p->j, &m->item);
		while (p->q && !journal_push(p->q, &m->item))
			sched_yield();
	}
	return NULL;
}

START_TEST(nothing_is_lost_or_done_twice)
{
	struct journal_options o = { .path = fixture_path,
				     .queue_capacity = 256 };
	struct journal *j = journal_open(&o, NULL);
	struct producer p[PRODUCERS] = {0};
	int i, k;

	for (i = 0; i < PRODUCERS; i++) {
		p[i].j = j;
		p[i].q = i < PRODUCERS - 1 ? journal_queue_new(j) : NULL;
		p[i].items = calloc(ITEMS, sizeof(*p[i].items));
		ck_assert_int_eq(pthread_create(&p[i].thread, NULL, produce,
						&p[i]), 0);
	}
	for (i = 0; i < PRODUCERS; i++)
		pthread_join(p[i].thread, NULL);
	journal_close(&j);
	for (i = 0; i < PRODUCERS; i++) {
		ck_assert_uint_eq(p[i].applied, ITEMS);
		ck_assert_uint_eq(p[i].finished, ITEMS);
		ck_assert(!p[i].disorder);
		for (k = 0; k < ITEMS; k++)
			ck_assert_uint_eq(p[i].items[k].done, 1);
		free(p[i].items);
	}
}
END_TEST

/* Holds the writer inside apply, so that the ring cannot be drained. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static int
wait_at_gate(struct journal_tx *tx)
{
	(void)tx;
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	return 0;
}

START_TEST(a_full_ring_says_so)
{
	struct journal_options o = { .path = fixture_path,
				     .queue_capacity = 8 };
	struct journal *j = journal_open(&o, NULL);
	struct journal_queue *q = journal_queue_new(j);
	struct probe first, p[20];
	bool pushed[20];
	int i, taken = 0;

	probe_init(&first, "a.v1");
	first.extra = wait_at_gate;
	first.item.urgent = true;
	pthread_mutex_lock(&gate);
	journal_post(j, &first.item);
	for (i = 0; i < 20; i++) {
		probe_init(&p[i], "a.v1");
		pushed[i] = journal_push(q, &p[i].item);
		taken += pushed[i];
	}
	/* The writer may have drained once before it came to the gate, also
	 * after some were refused. */
	ck_assert_int_ge(taken, 8);
	ck_assert_int_le(taken, 16);
	pthread_mutex_unlock(&gate);
	journal_close(&j);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(p[i].done, pushed[i]);
}
END_TEST

TCase *
case_queue(void)
{
	TCase *t = tcase_create("queue");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
	tcase_add_test(t, nothing_is_lost_or_done_twice);
	tcase_add_test(t, a_full_ring_says_so);
	return t;
}
