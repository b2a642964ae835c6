/* SPDX-License-Identifier: Apache-2.0 */
/* Every write, fsync and truncate fails once, in turn: nothing is called
 * committed that cannot be read afterwards. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "tests/journal/faulty.h"
#include "tests/journal/fixture.h"

#define ITEMS 12
#define MORE_FOR_EVER 1000000

static void
faults_setup(void)
{
	fixture_setup();
	faulty_install();
	log_set_level(LOG_LEVEL_ERROR);
}

/* Three items at a time, the third urgent; an own type each, so that names
 * are rolled back too; bodies long enough for overflow pages. */
static void
run_items(struct journal *j, struct probe *p, char types[][16])
{
	static char body[40000];
	int i;

	memset(body, 'b', sizeof(body));
	for (i = 0; i < ITEMS; i++) {
		snprintf(types[i], 16, "type.%d", i);
		probe_init(&p[i], types[i]);
		p[i].event.data.at = body;
		p[i].event.data.len = i % 4 == 3 ? sizeof(body) : 100;
		p[i].item.urgent = i % 3 == 2;
		journal_post(j, &p[i].item);
		if (p[i].item.urgent)
			probe_await(&p[i]);
	}
}

/* The disk is well again: writing resumes without help, and a name whose
 * insertion was rolled back is not taken for a known one. */
static void
await_recovery(struct journal *j)
{
	uint64_t until = clock_mono_ms() + 5000;
	struct journal_reader *r = fixture_reader();
	struct seen s = {0};
	struct probe p;

	do {
		ck_assert_uint_lt(clock_mono_ms(), until);
		probe_init(&p, "type.0");
	} while (probe_run(j, &p) != JOURNAL_COMMITTED);
	ck_assert(journal_is_writable(j));
	ck_assert_int_eq(journal_read_one(r, p.sequence, seen_row, &s), 1);
	ck_assert_str_eq(s.type, "type.0");
	journal_reader_close(&r);
}

static long
gap_total(void)
{
	return atol(sql_text("SELECT total(json_extract(data, '$.count'))"
			     " FROM events WHERE type = 'matapalo.gap.v1'"));
}

static void
check_items(const struct probe *p, bool gaps_written)
{
	struct journal_reader *r = fixture_reader();
	char sql[128], id[ID_TEXT_SIZE];
	int i, lost = 0;

	for (i = 0; i < ITEMS; i++) {
		struct seen s = {0};
		bool good = p[i].status == JOURNAL_COMMITTED;

		ck_assert_int_eq(p[i].done, 1);
		if (good) {
			ck_assert_int_eq(journal_read_one(r, p[i].sequence,
							  seen_row, &s), 1);
			ck_assert(id_equal(&s.id, &p[i].event.id));
			continue;
		}
		snprintf(sql, sizeof(sql), "SELECT count(*) FROM events WHERE"
			 " id = '%s'", id_text(&p[i].event.id, id));
		ck_assert_str_eq(sql_text(sql), "0");
		lost += !p[i].item.urgent;
	}
	if (gaps_written)
		ck_assert_int_eq(gap_total(), lost);
	journal_reader_close(&r);
	ck_assert_str_eq(sql_text("PRAGMA integrity_check"), "ok");
}

static void
remove_files(void)
{
	fixture_teardown();
	fixture_setup();
}

static int
one_round(enum faulty_kind kind, int n, int more)
{
	struct journal *j = fixture_open();
	char types[ITEMS][16];
	struct probe p[ITEMS];
	int failed;

	faulty_arm(kind, n, more);
	run_items(j, p, types);
	if (more == MORE_FOR_EVER) {
		journal_close(&j);
		failed = faulty_disarm();
	} else {
		await_recovery(j);
		journal_close(&j);
		failed = faulty_disarm();
	}
	check_items(p, more != MORE_FOR_EVER);
	j = fixture_open();		/* and it opens again */
	ck_assert_int_gt(append_event(j, "after.v1", "", NULL), 0);
	journal_close(&j);
	remove_files();
	return failed;
}

START_TEST(each_call_fails_once)
{
	int n;

	for (n = 1; one_round((enum faulty_kind)_i, n, 0); n++)
		ck_assert_int_lt(n, 1000);
	ck_assert_int_gt(n, 1);
}
END_TEST

START_TEST(each_call_fails_and_stays_failed)
{
	int n;

	for (n = 1; one_round((enum faulty_kind)_i, n, MORE_FOR_EVER); n += 3)
		ck_assert_int_lt(n, 1000);
	ck_assert_int_gt(n, 1);
}
END_TEST

START_TEST(opening_fails_cleanly)
{
	struct journal_options o = { .path = fixture_path };
	int n, failed = 1;

	for (n = 1; failed; n++) {
		struct error err = {0};
		struct journal *j;

		faulty_arm((enum faulty_kind)_i, n, 0);
		j = journal_open(&o, &err);
		failed = faulty_disarm();
		ck_assert(j || (failed && err.set));
		journal_close(&j);
		j = fixture_open();	/* what was left is no obstacle */
		ck_assert_int_eq(append_event(j, "a.v1", "", NULL), 1);
		journal_close(&j);
		remove_files();
	}
}
END_TEST

/* Disk full for a while: refused at once, then a gap record. */
START_TEST(a_full_disk_leaves_a_gap)
{
	struct journal *j = fixture_open();
	struct probe p, lazy[5];
	int i;

	faulty_arm(FAULTY_WRITE_FULL, 1, MORE_FOR_EVER);
	probe_init(&p, "a.v1");
	ck_assert_int_eq(probe_run(j, &p), JOURNAL_FAILED);
	ck_assert(!journal_is_writable(j));
	ck_assert_int_ge(counter_get(COUNTER_JOURNAL_ERRORS), 1);
	for (i = 0; i < 5; i++) {
		probe_init(&lazy[i], "a.v1");
		journal_post(j, &lazy[i].item);
	}
	for (i = 0; i < 5; i++)
		probe_await(&lazy[i]);
	ck_assert_int_eq(lazy[4].status, JOURNAL_FAILED);
	faulty_disarm();
	/* No item wakes it: the writer finds out by itself. */
	while (!journal_is_writable(j))
		usleep(1000);
	ck_assert_int_eq(gap_total(), 5);
	ck_assert_str_eq(sql_text("SELECT json_extract(data, '$.reason') LIKE"
				  " '%disk is full%' FROM events"), "1");
	ck_assert_str_eq(sql_text("SELECT json_extract(data, '$.first') <="
				  " json_extract(data, '$.last') FROM events"),
			 "1");
	ck_assert_int_eq(append_event(j, "a.v1", "", NULL), 2);
	journal_close(&j);
}
END_TEST

/* A second outage: the attempts of the writer itself reach the disk again,
 * although the first outage has left a row of theirs. */
START_TEST(attempts_reach_the_disk)
{
	struct journal *j = fixture_open();
	int64_t errors;
	struct probe p;
	int i;

	for (i = 0; i < 2; i++) {
		errors = counter_get(COUNTER_JOURNAL_ERRORS);
		faulty_arm(FAULTY_WRITE_FULL, 1, MORE_FOR_EVER);
		probe_init(&p, "a.v1");
		ck_assert_int_eq(probe_run(j, &p), JOURNAL_FAILED);
		while (counter_get(COUNTER_JOURNAL_ERRORS) < errors + 3) {
			ck_assert(!journal_is_writable(j));
			usleep(1000);
		}
		faulty_disarm();
		while (!journal_is_writable(j))
			usleep(1000);
	}
	journal_close(&j);
}
END_TEST

TCase *
case_faults(void)
{
	TCase *t = tcase_create("faults");

	tcase_set_timeout(t, 240);
	tcase_add_checked_fixture(t, faults_setup, fixture_teardown);
	tcase_add_loop_test(t, each_call_fails_once, 0, FAULTY_KINDS);
	tcase_add_loop_test(t, each_call_fails_and_stays_failed, 0,
			    FAULTY_KINDS);
	tcase_add_loop_test(t, opening_fails_cleanly, 0, FAULTY_KINDS);
	tcase_add_test(t, a_full_disk_leaves_a_gap);
	tcase_add_test(t, attempts_reach_the_disk);
	return t;
}
