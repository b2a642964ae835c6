/* SPDX-License-Identifier: Apache-2.0 */
/* Promise D5: a bit of the file flips. An event is delivered as it was, or
 * not at all; damage in its bytes is counted. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/counter.h"
#include "base/log.h"
#include "tests/journal/fixture.h"

#define EVENTS 60
#define FLIPS 1000
#define BODY 700

struct check {
	unsigned delivered;
};

static char bodies[EVENTS + 1][BODY];

static void
make_file(void)
{
	struct journal *j = fixture_open();
	struct probe p;
	int i, k;

	for (i = 1; i <= EVENTS; i++) {
		for (k = 0; k < BODY; k++)
			bodies[i][k] = (char)('!' + (k * i + i) % 89);
		probe_init(&p, "flip.v1");
		p.event.data = (struct span){ bodies[i], BODY };
		ck_assert_int_eq(probe_run(j, &p), JOURNAL_COMMITTED);
		ck_assert_int_eq(p.sequence, i);
	}
	journal_close(&j);
}

static bool
is_unaltered(void *arg, const struct journal_row *row)
{
	struct check *c = arg;

	/* A damaged page above the events may show one twice. */
	ck_assert_int_ge(row->sequence, 1);
	ck_assert_int_le(row->sequence, EVENTS);
	ck_assert(span_equal(row->type, SPAN_LITERAL("flip.v1")));
	ck_assert(span_equal(row->source, SPAN_LITERAL("/test")));
	ck_assert(span_equal(row->data,
			     (struct span){ bodies[row->sequence], BODY }));
	c->delivered++;
	return true;
}

static void
flip(int fd, off_t at, int bit)
{
	char byte;

	ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
	byte = (char)(byte ^ 1 << bit);
	ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
}

/* How many events come; a file that no longer opens gives none. */
static unsigned
deliver(void)
{
	const struct journal_filter all = {0};
	struct journal_reader *r = journal_reader_open(fixture_path, NULL);
	struct check c = {0};
	int64_t scanned = 0;

	if (r)
		(void)journal_read(r, 0, &all, SIZE_MAX, SIZE_MAX,
				   is_unaltered, &c, &scanned);
	journal_reader_close(&r);
	return c.delivered;
}

START_TEST(a_flipped_bit_is_never_delivered)
{
	unsigned missing = 0, seed = (unsigned)getpid();
	off_t at, size;
	int fd, i, bit;

	printf("flips: seed %u\n", seed);
	srand(seed);
	log_set_level(LOG_LEVEL_ERROR);
	make_file();
	fd = open(fixture_path, O_RDWR);
	size = lseek(fd, 0, SEEK_END);
	for (i = 0; i < FLIPS; i++) {
		at = rand() % size;
		bit = rand() % 8;
		flip(fd, at, bit);
		missing += deliver() < EVENTS;
		flip(fd, at, bit);
	}
	ck_assert_uint_eq(deliver(), EVENTS);
	ck_assert_uint_gt(missing, 0);
	close(fd);
}
END_TEST

/* Every copy of the body; pages keep some that are of no use any more. */
static void
flip_event(int fd, const char *file, size_t size, int i)
{
	const char *at = file, *end = file + size;

	while ((at = memmem(at, (size_t)(end - at), bodies[i], BODY))) {
		flip(fd, at - file + i * 11, i % 8);
		at += BODY;
	}
}

/* In the bytes of an event itself: all others come, and it is counted. */
START_TEST(damage_in_an_event_is_counted)
{
	static char file[4 << 20];
	int64_t before;
	ssize_t size;
	int fd, i;

	log_set_level(LOG_LEVEL_ERROR);
	make_file();
	fd = open(fixture_path, O_RDWR);
	size = pread(fd, file, sizeof(file), 0);
	ck_assert_int_gt(size, 0);
	for (i = 1; i <= EVENTS; i++) {
		before = counter_get(COUNTER_JOURNAL_CORRUPT);
		flip_event(fd, file, (size_t)size, i);
		ck_assert_uint_eq(deliver(), EVENTS - 1);
		ck_assert_int_eq(counter_get(COUNTER_JOURNAL_CORRUPT),
				 before + 1);
		flip_event(fd, file, (size_t)size, i);
	}
	close(fd);
}
END_TEST

TCase *
case_flips(void)
{
	TCase *t = tcase_create("flips");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
	tcase_add_test(t, a_flipped_bit_is_never_delivered);
	tcase_add_test(t, damage_in_an_event_is_counted);
	return t;
}
