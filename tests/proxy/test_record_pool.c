/* SPDX-License-Identifier: Apache-2.0 */
/* proxy/record_pool.c: memory that one thread takes and another gives back
 * is never in two hands, and goes round. */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/record.h"

#define TURNS 50000
#define SLOTS 512	/* on their way between the threads */
#define HELD 64		/* given back late, as what a caller waits for */
#define SIZE_MOST 24000	/* some are larger than what a chunk takes */

struct parcel {
	unsigned char *bytes;
	size_t size;
	struct record_chunk *chunk;
};

static struct parcel slots[SLOTS];
static struct record_budget budget;
static atomic_size_t sent, received;

static size_t
size_of_turn(size_t i)
{
	return 1 + (i * 7919) % (i % 50 == 0 ? SIZE_MOST : 4000);
}

static void
parcel_check_and_give(struct parcel *p, size_t i)
{
	ck_assert_uint_eq(p->size, size_of_turn(i));
	for (size_t k = 0; k < p->size; k++)
		if (p->bytes[k] != (unsigned char)i)
			ck_abort_msg("turn %zu, byte %zu of %zu", i, k,
				     p->size);
	record_pool_give(p->bytes, p->chunk);
	*p = (struct parcel){ 0 };
}

static void *
receive(void *arg)
{
	static struct parcel held[HELD];
	size_t of[HELD] = { 0 };

	(void)arg;
	for (size_t i = 0; i < TURNS; i++) {
		struct parcel p, *late = &held[i % HELD];

		while (atomic_load(&sent) <= i)
			sched_yield();
		p = slots[i % SLOTS];
		atomic_store(&received, i + 1);
		if (i % 3) {
			parcel_check_and_give(&p, i);
			continue;
		}
		if (late->bytes)
			parcel_check_and_give(late, of[i % HELD]);
		*late = p;
		of[i % HELD] = i;
	}
	for (size_t n = 0; n < HELD; n++)
		if (held[n].bytes)
			parcel_check_and_give(&held[n], of[n]);
	return NULL;
}

START_TEST(goes_round_between_two_threads)
{
	static struct record_pool pool = { .budget = &budget };
	pthread_t other;

	ck_assert_int_eq(pthread_create(&other, NULL, receive, NULL), 0);
	for (size_t i = 0; i < TURNS; i++) {
		struct parcel *p = &slots[i % SLOTS];

		while (i - atomic_load(&received) >= SLOTS)
			sched_yield();
		p->size = size_of_turn(i);
		p->bytes = record_pool_take(&pool, p->size, &p->chunk);
		ck_assert_ptr_nonnull(p->bytes);
		memset(p->bytes, (unsigned char)i, p->size);
		atomic_store(&sent, i + 1);
	}
	pthread_join(other, NULL);
	/* 512 boxes of 2 KB on their way, and what the late ones pin. */
	ck_assert_uint_le(atomic_load(&pool.total), 100);
	record_pool_fini(&pool);
	ck_assert_uint_eq(atomic_load(&budget.bytes), 0);
}
END_TEST

START_TEST(boxes_are_aligned_and_apart)
{
	static struct record_pool pool = { .budget = &budget };
	struct record_chunk *chunk[3];
	char *box[3];

	for (int i = 0; i < 3; i++) {
		box[i] = record_pool_take(&pool, 100, &chunk[i]);
		ck_assert_ptr_nonnull(box[i]);
		ck_assert_uint_eq((uintptr_t)box[i] % 64, 0);
	}
	ck_assert(box[1] - box[0] >= 100 && box[2] - box[1] >= 100);
	for (int i = 0; i < 3; i++)
		record_pool_give(box[i], chunk[i]);
	record_pool_fini(&pool);
	ck_assert_uint_eq(atomic_load(&budget.bytes), 0);
}
END_TEST

START_TEST(no_more_is_kept_than_is_allowed)
{
	static struct record_pool pool = { .budget = &budget };
	static struct parcel all[3000];

	for (size_t i = 0; i < 3000; i++)
		all[i].bytes = record_pool_take(&pool, 16000, &all[i].chunk);
	ck_assert_uint_gt(atomic_load(&pool.total), 256);
	/* Whatever waits counts, but for what the last chunk holds. */
	ck_assert_uint_gt(atomic_load(&budget.bytes), 2999u * 16000u);
	for (size_t i = 0; i < 3000; i++)
		record_pool_give(all[i].bytes, all[i].chunk);
	ck_assert_uint_le(atomic_load(&pool.total), 257);
	record_pool_fini(&pool);
	ck_assert_uint_eq(atomic_load(&budget.bytes), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("record_pool");
	TCase *t = tcase_create("pool");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, goes_round_between_two_threads);
	tcase_add_test(t, boxes_are_aligned_and_apart);
	tcase_add_test(t, no_more_is_kept_than_is_allowed);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
