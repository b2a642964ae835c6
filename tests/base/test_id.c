/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/id.c, with a wall clock that the test holds. */
#include "tests/base/suites.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/id.h"

#define MS_2026 INT64_C(1770000000000)

/* 0: the real clock. Set only in the process of one test. */
static int64_t fake_ms;

/* Takes the C library's place, as base reads the clock through it. */
int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	if (!fake_ms || clock != CLOCK_REALTIME)
		return (int)syscall(SYS_clock_gettime, clock, ts);
	ts->tv_sec = fake_ms / 1000;
	ts->tv_nsec = fake_ms % 1000 * 1000000;
	return 0;
}

static int64_t
time_of(const struct id *id)
{
	int64_t ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id->bytes[i];
	return ms;
}

static bool
before(const struct id *a, const struct id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) < 0;
}

START_TEST(has_the_layout)
{
	fake_ms = MS_2026;
	for (int i = 0; i < 1000; i++) {
		struct id id = id_make();

		ck_assert_int_eq(id.bytes[6] >> 4, 7);
		ck_assert_int_eq(id.bytes[8] >> 6, 2);
		ck_assert_int_eq(time_of(&id), MS_2026);
	}
}
END_TEST

/* More ids than the counter holds: the order stays, the time runs ahead by
 * no more than it must. */
START_TEST(rises_while_the_clock_stands)
{
	struct id last, id;

	fake_ms = MS_2026;
	last = id_make();
	for (int i = 0; i < 50000; i++) {
		id = id_make();
		ck_assert(before(&last, &id));
		last = id;
	}
	ck_assert_int_ge(time_of(&last), MS_2026);
	ck_assert_int_le(time_of(&last), MS_2026 + 50000 / 2048 + 1);
	fake_ms = MS_2026 + 5000;
	id = id_make();
	ck_assert_int_eq(time_of(&id), MS_2026 + 5000);
}
END_TEST

START_TEST(rises_while_the_clock_goes_back)
{
	struct id last, id;

	fake_ms = MS_2026;
	last = id_make();
	for (int i = 0; i < 1000; i++) {
		fake_ms -= 3600 * 1000;
		id = id_make();
		ck_assert(before(&last, &id));
		last = id;
	}
	ck_assert_int_eq(time_of(&last), MS_2026);
}
END_TEST

START_TEST(texts_round_trip)
{
	for (int i = 0; i < 1000; i++) {
		struct id id = id_make(), back;
		char text[ID_TEXT_SIZE];

		ck_assert_ptr_eq(id_text(&id, text), text);
		ck_assert_uint_eq(strlen(text), 36);
		ck_assert_int_eq(id_parse(text, 36, &back), 0);
		ck_assert(id_equal(&id, &back));
	}
}
END_TEST

START_TEST(parses)
{
	static const char *const bad[] = {
		"", "0189", "01890a5d-ac96-774b-bcce-b302099a805",
		"01890a5d-ac96-774b-bcce-b302099a80577",
		"01890a5dxac96-774b-bcce-b302099a8057",
		"01890a5d-ac96-774b-bcceb-302099a8057",
		"01890a5g-ac96-774b-bcce-b302099a8057",
		"01890a5d-ac96-774b-bcce-b302099a805 ",
		"{1890a5d-ac96-774b-bcce-b302099a805}",
		"------------------------------------",
	};
	static const char good[] = "01890A5d-ac96-774b-bcce-b302099a8057";
	char text[ID_TEXT_SIZE];
	struct id id;

	ck_assert_int_eq(id_parse(good, 36, &id), 0);
	ck_assert_str_eq(id_text(&id, text),
			 "01890a5d-ac96-774b-bcce-b302099a8057");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(id_parse(bad[i], strlen(bad[i]), &id) == -1,
			      "accepted %s", bad[i]);
}
END_TEST

#define PER_THREAD 20000

static void *
make_many(void *arg)
{
	struct id *ids = arg;

	for (int i = 0; i < PER_THREAD; i++)
		ids[i] = id_make();
	return NULL;
}

static int
by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct id));
}

START_TEST(threads_never_share_one)
{
	struct id *ids = calloc(3 * PER_THREAD, sizeof(*ids));
	pthread_t threads[3];

	ck_assert_ptr_nonnull(ids);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, make_many,
						ids + i * PER_THREAD), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	qsort(ids, 3 * PER_THREAD, sizeof(*ids), by_bytes);
	for (int i = 1; i < 3 * PER_THREAD; i++)
		ck_assert(!id_equal(&ids[i - 1], &ids[i]));
	free(ids);
}
END_TEST

/* A child of fork must not repeat its parent's random bytes. */
START_TEST(fork_forgets)
{
	uint8_t mine[8], theirs[8];
	int fds[2], status;
	pid_t child;

	id_random(mine, sizeof(mine));
	ck_assert_int_eq(pipe(fds), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	id_random(mine, sizeof(mine));
	if (child == 0)
		_exit(write(fds[1], mine, sizeof(mine)) != sizeof(mine));
	ck_assert_int_eq(read(fds[0], theirs, sizeof(theirs)), 8);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_mem_ne(mine, theirs, sizeof(mine));
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(fills_any_size)
{
	uint8_t big[5000] = {0};
	int zeros = 0;

	id_random(big, 0);
	id_random(big, sizeof(big));
	for (size_t i = 0; i < sizeof(big); i++)
		zeros += big[i] == 0;
	ck_assert_int_lt(zeros, 100);	/* 20 expected */
}
END_TEST

TCase *
id_tests(void)
{
	TCase *tc = tcase_create("id");

	tcase_add_test(tc, has_the_layout);
	tcase_add_test(tc, rises_while_the_clock_stands);
	tcase_add_test(tc, rises_while_the_clock_goes_back);
	tcase_add_test(tc, texts_round_trip);
	tcase_add_test(tc, parses);
	tcase_add_test(tc, threads_never_share_one);
	tcase_add_test(tc, fork_forgets);
	tcase_add_test(tc, fills_any_size);
	return tc;
}
