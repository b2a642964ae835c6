/* SPDX-License-Identifier: Apache-2.0 */
/* journal/writer.c: when it commits, and whom it tells. A delay of minutes
 * stands for "never by itself": a test that hangs has failed. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/counter.h"
#include "tests/journal/fixture.h"

static struct journal *
open_with_delay(unsigned delay_ms)
{
	struct journal_options o = { .path = fixture_path,
				     .commit_delay_ms = delay_ms };
	struct journal *j = journal_open(&o, NULL);

	ck_assert_ptr_nonnull(j);
	return j;
}

START_TEST(urgent_takes_the_others_along)
{
	struct journal *j = open_with_delay(600000);
	struct journal_queue *q = journal_queue_new(j);
	struct probe lazy[3], urgent;
	int64_t commits = counter_get(COUNTER_JOURNAL_COMMITS);
	int i;

	for (i = 0; i < 3; i++) {
		probe_init(&lazy[i], "a.v1");
		ck_assert(journal_push(q, &lazy[i].item));
	}
	probe_init(&urgent, "a.v1");
	urgent.item.urgent = true;
	ck_assert(journal_push(q, &urgent.item));
	probe_await(&urgent);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(lazy[i].done, 1);
	ck_assert_int_eq(urgent.sequence, 4);
	ck_assert_int_eq(counter_get(COUNTER_JOURNAL_COMMITS) - commits, 1);
	ck_assert_int_eq(counter_get(COUNTER_JOURNAL_EVENTS), 4);
	ck_assert_int_eq(counter_get(COUNTER_JOURNAL_BYTES), 4 * 7);
	journal_close(&j);
}
END_TEST

START_TEST(urgent_post_wakes_a_collecting_writer)
{
	struct journal *j = open_with_delay(600000);
	struct probe p;
	int i;

	for (i = 0; i < 200; i++) {
		struct probe lazy;

		probe_init(&lazy, "a.v1");
		journal_post(j, &lazy.item);
		probe_init(&p, "a.v1");
		ck_assert_int_eq(probe_run(j, &p), JOURNAL_COMMITTED);
		ck_assert_int_eq(lazy.done, 1);
	}
	journal_close(&j);
}
END_TEST

START_TEST(the_delay_ends_by_itself)
{
	struct journal *j = open_with_delay(5);
	struct journal_queue *q = journal_queue_new(j);
	struct probe p;
	int i;

	for (i = 0; i < 20; i++) {
		probe_init(&p, "a.v1");
		ck_assert(journal_push(q, &p.item));
		probe_await(&p);
		ck_assert_int_eq(p.status, JOURNAL_COMMITTED);
	}
	journal_close(&j);
}
END_TEST

START_TEST(many_do_not_wait)
{
	struct journal *j = open_with_delay(600000);
	struct journal_queue *q = journal_queue_new(j);
	struct probe *p = calloc(1100, sizeof(*p));
	int i;

	/* Not all at once: of those that are pushed while the first ones are
	 * being written too few might be left to be many. */
	for (i = 0; i < 1100; i++) {
		probe_init(&p[i], "a.v1");
		ck_assert(journal_push(q, &p[i].item));
		if (i == 511 || i == 1023)
			probe_await(&p[i]);
	}
	journal_close(&j);
	ck_assert_int_eq(p[1099].done, 1);
	free(p);
}
END_TEST

START_TEST(close_commits_what_waits)
{
	struct journal *j = open_with_delay(600000);
	struct journal_queue *q = journal_queue_new(j);
	struct probe a, b;

	probe_init(&a, "a.v1");
	probe_init(&b, "a.v1");
	ck_assert(journal_push(q, &a.item));
	journal_post(j, &b.item);
	journal_close(&j);
	ck_assert_int_eq(a.done + b.done, 2);
	ck_assert_int_eq(a.status, JOURNAL_COMMITTED);
	ck_assert_int_eq(b.status, JOURNAL_COMMITTED);
	ck_assert_str_eq(sql_text("SELECT count(*) FROM event"), "2");
}
END_TEST

static int
refuse(struct journal_tx *tx)
{
	(void)tx;
	return -1;
}

START_TEST(a_refused_item_is_alone)
{
	struct journal *j = open_with_delay(600000);
	struct journal_queue *q = journal_queue_new(j);
	struct probe a, b, c;

	probe_init(&a, "a.v1");
	probe_init(&b, "a.v1");
	b.skip_append = true;
	b.extra = refuse;
	probe_init(&c, "a.v1");
	c.item.urgent = true;
	ck_assert(journal_push(q, &a.item));
	ck_assert(journal_push(q, &b.item));
	ck_assert(journal_push(q, &c.item));
	probe_await(&c);
	ck_assert_int_eq(a.status, JOURNAL_COMMITTED);
	ck_assert_int_eq(c.status, JOURNAL_COMMITTED);
	ck_assert_int_eq(b.status, JOURNAL_FAILED);
	ck_assert(b.item.refused && !a.item.refused && !c.item.refused);
	ck_assert(journal_is_writable(j));
	journal_close(&j);
}
END_TEST

static void
bell(void *arg, int64_t sequence)
{
	int64_t *last = arg;

	ck_assert_int_gt(sequence, *last);
	*last = sequence;
}

START_TEST(the_doorbell_rings)
{
	int64_t first = 0, second = 0;
	struct journal_options o = { .path = fixture_path, .on_commit = bell,
				     .on_commit_arg = &first };
	struct journal *j = journal_open(&o, NULL);

	append_event(j, "a.v1", "", NULL);
	ck_assert_int_eq(journal_last_sequence(j), 1);
	journal_close(&j);
	ck_assert_int_eq(first, 1);
	o.on_commit = NULL;
	j = journal_open(&o, NULL);
	journal_set_on_commit(j, bell, &second);
	append_event(j, "a.v1", "", NULL);
	journal_close(&j);
	ck_assert_int_eq(second, 2);
}
END_TEST

/* A transaction ends early when it has become large; nothing is lost. */
START_TEST(large_batches_are_cut)
{
	struct journal *j = open_with_delay(600000);
	struct journal_queue *q = journal_queue_new(j);
	size_t size = 1 << 20;
	char *big = malloc(size);
	struct probe p[10];
	int i;

	memset(big, 'x', size);
	for (i = 0; i < 10; i++) {
		probe_init(&p[i], "a.v1");
		p[i].event.data = (struct span){ big, size };
		p[i].item.urgent = i == 9;
		ck_assert(journal_push(q, &p[i].item));
	}
	journal_close(&j);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(p[i].sequence, i + 1);
	ck_assert_int_ge(counter_get(COUNTER_JOURNAL_COMMITS), 3);
	free(big);
}
END_TEST

struct endless_reader {
	_Atomic bool stop;
	pthread_t thread;
};

static void *
read_for_ever(void *arg)
{
	struct endless_reader *e = arg;
	struct journal_reader *r = fixture_reader();
	static struct seen s;
	int64_t after = 0;

	while (!atomic_load(&e->stop)) {
		s.count = 0;
		if (journal_read(r, after, NULL, 200, 1000, seen_row, &s,
				 &after) <= 0)
			after = 0;
	}
	journal_reader_close(&r);
	return NULL;
}

/* 64 MiB pass through while a reader never pauses: without checkpoints that
 * start the log over it would hold all of them. */
START_TEST(the_log_stays_small)
{
	struct journal *j = open_with_delay(20);
	static char body[1 << 18], wal[128];
	struct endless_reader e = {0};
	off_t largest = 0;
	struct probe p;
	struct stat st;
	int i;

	memset(body, 'x', sizeof(body));
	snprintf(wal, sizeof(wal), "%s-wal", fixture_path);
	pthread_create(&e.thread, NULL, read_for_ever, &e);
	for (i = 0; i < 256; i++) {
		probe_init(&p, "a.v1");
		p.event.data = (struct span){ body, sizeof(body) };
		ck_assert_int_eq(probe_run(j, &p), JOURNAL_COMMITTED);
		ck_assert_int_eq(stat(wal, &st), 0);
		largest = st.st_size > largest ? st.st_size : largest;
	}
	atomic_store(&e.stop, true);
	pthread_join(e.thread, NULL);
	journal_close(&j);
	ck_assert_int_lt(largest, 40 << 20);
}
END_TEST

TCase *
case_writer(void)
{
	TCase *t = tcase_create("writer");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
	tcase_add_test(t, urgent_takes_the_others_along);
	tcase_add_test(t, urgent_post_wakes_a_collecting_writer);
	tcase_add_test(t, the_delay_ends_by_itself);
	tcase_add_test(t, many_do_not_wait);
	tcase_add_test(t, close_commits_what_waits);
	tcase_add_test(t, a_refused_item_is_alone);
	tcase_add_test(t, the_doorbell_rings);
	tcase_add_test(t, large_batches_are_cut);
	tcase_add_test(t, the_log_stays_small);
	return t;
}
