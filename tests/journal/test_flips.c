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
	int64_t last;
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

	ck_assert_int_gt(row->sequence, c->last);
	c->last = row->sequence;
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

/* How many events come; a file that no longer opens gives none. One that
 * others follow is missing only if that was counted. */
static unsigned
deliver(void)
{
	const struct journal_filter all = {0};
	struct journal_reader *r = journal_reader_open(fixture_path, NULL);
	struct check c = {0};
	int64_t scanned = 0, before = counter_get(COUNTER_JOURNAL_CORRUPT);

	if (r)
		(void)journal_read(r, 0, &all, SIZE_MAX, SIZE_MAX,
				   is_unaltered, &c, &scanned);
	journal_reader_close(&r);
	if (c.delivered < c.last)
		ck_assert_int_gt(counter_get(COUNTER_JOURNAL_CORRUPT), before);
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

/* ---- the number of an event ---- */

/* How far before its body, in every event. */
static ptrdiff_t
number_distance(const char *file, size_t size)
{
	const char *at[EVENTS + 1];
	ptrdiff_t d;
	int i;

	for (i = 1; i <= EVENTS; i++) {
		at[i] = memmem(file, size, bodies[i], BODY);
		ck_assert_ptr_nonnull(at[i]);
	}
	for (d = 1; d < 200; d++) {
		for (i = 1; i <= EVENTS && at[i][-d] == i; i++)
			;
		if (i > EVENTS)
			return d;
	}
	ck_abort_msg("no number before the bodies");
	return 0;
}

static ptrdiff_t
flip_number(int fd, ptrdiff_t d, int i, int bit)
{
	static char file[4 << 20];
	ssize_t size = pread(fd, file, sizeof(file), 0);
	char *at = file;

	ck_assert_int_gt(size, 0);
	if (!d)
		d = number_distance(file, (size_t)size);
	while ((at = memmem(at, (size_t)(file + size - at), bodies[i],
			    BODY))) {
		flip(fd, at - d - file, bit);
		at += BODY;
	}
	return d;
}

/* 31 calls itself 30, which comes twice; 30 calls itself 62, which there is
 * not; 30 calls itself 28, in the past. */
static const struct {
	int event, bit;
	unsigned before;
} numbers[] = { { 31, 0, 30 }, { 30, 5, 29 }, { 30, 1, 29 } };

START_TEST(a_wrong_number_stops_the_reader)
{
	int64_t before = counter_get(COUNTER_JOURNAL_CORRUPT);
	int64_t scanned = 0, first, last;
	struct journal_reader *r;
	struct check c = {0};
	ptrdiff_t d;
	int fd, i;

	log_set_level(LOG_LEVEL_ERROR);
	make_file();
	fd = open(fixture_path, O_RDWR);
	d = flip_number(fd, 0, numbers[_i].event, numbers[_i].bit);
	r = fixture_reader();
	for (i = 0; i < 3; i++)		/* again and again */
		ck_assert_int_eq(journal_read(r, scanned, NULL, SIZE_MAX,
					      SIZE_MAX, is_unaltered, &c,
					      &scanned), -1);
	ck_assert_uint_eq(c.delivered, numbers[_i].before);
	ck_assert_int_eq(scanned, numbers[_i].before);
	ck_assert(journal_reader_damage(r, &first, &last));
	ck_assert_int_eq(first, numbers[_i].before + 1);
	ck_assert_int_ge(last, first);
	ck_assert_int_lt(last, EVENTS);
	ck_assert_int_eq(counter_get(COUNTER_JOURNAL_CORRUPT), before + 1);
	/* What lies behind it can be had by who gives the rest up. */
	c.last = 0;
	ck_assert_int_eq(journal_read(r, last, NULL, SIZE_MAX, SIZE_MAX,
				      is_unaltered, &c, &scanned),
			 EVENTS - last);
	flip_number(fd, d, numbers[_i].event, numbers[_i].bit);
	ck_assert_uint_eq(deliver(), EVENTS);
	journal_reader_close(&r);
	close(fd);
}
END_TEST

/* ---- events that a page no longer counts ---- */

#define LEAF 0x0d	/* the first byte of a leaf of a table */

static size_t
page_bytes(int fd)
{
	unsigned char at[2];

	ck_assert_int_eq(pread(fd, at, 2, 16), 2);
	return (size_t)at[0] << 8 | at[1];
}

static bool
has_an_event(const unsigned char *page, size_t bytes)
{
	for (int i = 1; i <= EVENTS; i++)
		if (memmem(page, bytes, bodies[i], BODY))
			return true;
	return false;
}

/* The lowest bit of a leaf's number of events, or -1 when there are not two.
 * Without it the last ones of the page are gone; all others are whole. */
static int
lowest_bit(int fd, off_t page, size_t bytes)
{
	static unsigned char at[65536];
	int rows, bit = 0;

	ck_assert_int_eq(pread(fd, at, bytes, page), (int)bytes);
	rows = at[3] << 8 | at[4];
	if (at[0] != LEAF || rows < 2 || rows > EVENTS ||
	    !has_an_event(at, bytes))
		return -1;
	while (!(rows & 1 << bit))
		bit++;
	return bit;
}

static const char *const walks[] = { NULL, "*" };

/* True when events were missing in the midst of others. */
static bool
stops_at_the_gap(const char *type, int64_t lost)
{
	const struct journal_filter f = { .type = type };
	int64_t before = counter_get(COUNTER_JOURNAL_CORRUPT);
	struct journal_reader *r = fixture_reader();
	int64_t scanned = 0, first, last;
	struct check c = {0};
	int rc = 0, i;

	for (i = 0; i < 3 && rc >= 0; i++)	/* again and again */
		rc = journal_read(r, scanned, &f, SIZE_MAX, SIZE_MAX,
				  is_unaltered, &c, &scanned);
	ck_assert_uint_eq(c.delivered, c.last);
	ck_assert_int_eq(scanned, c.last);
	if (rc < 0) {
		ck_assert_int_eq(counter_get(COUNTER_JOURNAL_CORRUPT),
				 before + 1);
		ck_assert(journal_reader_damage(r, &first, &last));
		ck_assert_int_eq(first, c.last + 1);
		ck_assert_int_eq(last, c.last + lost);
		/* All others come to who gives these up. */
		rc = journal_read(r, last, &f, SIZE_MAX, SIZE_MAX,
				  is_unaltered, &c, &scanned);
		ck_assert_int_eq(rc, EVENTS - last);
		rc = -1;
	}
	journal_reader_close(&r);
	return rc < 0;
}

/* Nothing but the numbers can tell: each row that is read is as it was. */
START_TEST(a_row_that_is_not_counted_is_missed)
{
	unsigned stops = 0;
	off_t page, size;
	size_t step;
	int fd, bit;

	log_set_level(LOG_LEVEL_ERROR);
	make_file();
	fd = open(fixture_path, O_RDWR);
	size = lseek(fd, 0, SEEK_END);
	step = page_bytes(fd);
	for (page = (off_t)step; page < size; page += (off_t)step) {
		bit = lowest_bit(fd, page, step);
		if (bit < 0)
			continue;
		flip(fd, page + 4, bit);
		stops += stops_at_the_gap(walks[_i], 1 << bit);
		flip(fd, page + 4, bit);
	}
	ck_assert_uint_gt(stops, 1);
	ck_assert_uint_eq(deliver(), EVENTS);
	close(fd);
}
END_TEST

/* Retention leaves gaps, too, side by side and of several reasons. */
START_TEST(gaps_that_are_noted_stop_nobody)
{
	const struct journal_filter f = { .type = walks[_i] };
	int64_t scanned = 0, first, last;
	struct journal_reader *r;
	struct check c = {0};

	log_set_level(LOG_LEVEL_ERROR);
	make_file();
	sql_exec("DELETE FROM event WHERE seq < 20 OR seq IN (30, 40);"
		 "INSERT INTO removed VALUES(1, 9, 'retention');"
		 "INSERT INTO removed VALUES(10, 15, 'forced');"
		 "INSERT INTO removed VALUES(16, 19, 'lost');"
		 "INSERT INTO removed VALUES(30, 30, 'retention')");
	r = fixture_reader();
	ck_assert_int_eq(journal_read(r, 0, &f, SIZE_MAX, SIZE_MAX,
				      is_unaltered, &c, &scanned), -1);
	ck_assert_uint_eq(c.delivered, 19);
	ck_assert_int_eq(scanned, 39);
	ck_assert(journal_reader_damage(r, &first, &last));
	ck_assert_int_eq(first, 40);
	ck_assert_int_eq(last, 40);
	sql_exec("INSERT INTO removed VALUES(40, 40, 'retention')");
	ck_assert_int_eq(journal_read(r, scanned, &f, SIZE_MAX, SIZE_MAX,
				      is_unaltered, &c, &scanned), 20);
	ck_assert_int_eq(scanned, EVENTS);
	ck_assert(!journal_reader_damage(r, &first, &last));
	journal_reader_close(&r);
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
	tcase_add_loop_test(t, a_wrong_number_stops_the_reader, 0,
			    ARRAY_SIZE(numbers));
	tcase_add_loop_test(t, a_row_that_is_not_counted_is_missed, 0,
			    ARRAY_SIZE(walks));
	tcase_add_loop_test(t, gaps_that_are_noted_stop_nobody, 0,
			    ARRAY_SIZE(walks));
	return t;
}
