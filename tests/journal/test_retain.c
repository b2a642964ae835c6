/* SPDX-License-Identifier: Apache-2.0 */
/* journal/retain.c, hold.c, removed.c: what goes, what stays, and that the
 * file stays within its limit. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "tests/journal/fixture.h"

#define OLD_US 1	/* whatever was written before now is too old */
#define KILLS 6

static struct journal *
open_with(int64_t age_us, int64_t bytes, enum journal_when_full when_full)
{
	struct journal_options o = {
		.path = fixture_path,
		.retention = { age_us, bytes, when_full },
	};
	struct error err = {0};
	struct journal *j = journal_open(&o, &err);

	ck_assert_msg(j != NULL, "%s", err.text);
	return j;
}

static void
append_many(struct journal *j, int n)
{
	for (; n > 0; n--)
		ck_assert_int_gt(append_event(j, "a.v1", "s", NULL), 0);
}

static void
await_first(struct journal *j, int64_t first)
{
	uint64_t end = clock_mono_ms() + 10000;
	struct journal_usage u;

	do {
		journal_usage_get(j, &u);
		ck_assert_msg(clock_mono_ms() < end, "oldest is %lld, held by "
			      "%s", (long long)u.first_sequence, u.held_by);
		usleep(500);
	} while (u.first_sequence != first);
}

static void
await_over(struct journal *j, bool over, const char *by)
{
	uint64_t end = clock_mono_ms() + 10000;
	struct journal_usage u;

	do {
		journal_usage_get(j, &u);
		ck_assert_msg(clock_mono_ms() < end, "held by %s, %lld bytes",
			      u.held_by, (long long)u.used_bytes);
		usleep(500);
	} while (u.over_limit != over || !strstr(u.held_by, by));
}

/* The oldest may be gone long before the last that has to go. */
static void
await_events(const char *sequences)
{
	uint64_t end = clock_mono_ms() + 10000;
	const char *there;

	while (strcmp(there = sql_text("SELECT group_concat(sequence) FROM"
				       " events"), sequences)) {
		ck_assert_msg(clock_mono_ms() < end, "there are %s", there);
		usleep(500);
	}
}

static int
group_at_3(struct journal_tx *tx)
{
	const struct journal_group g = { "slow", 3, "{}", false };

	journal_tx_group_put(tx, &g);
	return 0;
}

static int
group_gone(struct journal_tx *tx)
{
	journal_tx_group_delete(tx, "slow");
	return 0;
}

static void
run_extra(struct journal *j, int (*extra)(struct journal_tx *tx))
{
	struct probe p;

	probe_init(&p, "a.v1");
	p.extra = extra;
	ck_assert_int_eq(probe_run(j, &p), JOURNAL_COMMITTED);
}

START_TEST(keeps_everything_by_default)
{
	struct journal *j = fixture_open();
	struct journal_usage u;

	append_many(j, 50);
	await_first(j, 1);
	journal_usage_get(j, &u);
	ck_assert_int_eq(u.limit_bytes, 0);
	ck_assert_int_gt(u.used_bytes, 0);
	ck_assert_int_le(u.used_bytes, u.file_bytes);
	ck_assert(!u.over_limit);
	journal_close(&j);
	ck_assert_str_eq(sql_text("SELECT count(*) FROM events"), "50");
	ck_assert_str_eq(sql_text("SELECT count(*) FROM gaps"), "0");
}
END_TEST

START_TEST(deletes_what_is_too_old)
{
	struct journal *j = fixture_open();

	append_many(j, 300);
	journal_close(&j);
	j = open_with(OLD_US, 0, JOURNAL_FULL_KEEP);
	await_first(j, 300);
	/* The newest stays, so that its number is not given again. */
	ck_assert_int_eq(append_event(j, "a.v1", "", NULL), 301);
	journal_close(&j);
	ck_assert_str_eq(sql_text("SELECT kind || first || '-' || last || '='"
				  " || count FROM gaps"),
			 "retention1-299=299");
	ck_assert_int_ge(counter_get(COUNTER_JOURNAL_REMOVED), 299);
}
END_TEST

START_TEST(age_is_the_age_of_the_event)
{
	struct journal *j = open_with(3600 * 1000000ll, 0, JOURNAL_FULL_KEEP);
	struct probe p;

	probe_init(&p, "a.v1");
	p.event.time_us -= 2 * 3600 * 1000000ll;
	ck_assert_int_eq(probe_run(j, &p), JOURNAL_COMMITTED);
	append_many(j, 5);
	await_first(j, 2);
	journal_close(&j);
}
END_TEST

START_TEST(keeps_what_a_group_needs)
{
	struct journal *j = fixture_open();

	append_many(j, 9);
	run_extra(j, group_at_3);
	journal_close(&j);
	j = open_with(OLD_US, 0, JOURNAL_FULL_KEEP);
	await_first(j, 4);
	append_many(j, 3);
	await_over(j, false, "group slow at event 3");
	run_extra(j, group_gone);
	await_first(j, 14);
	journal_close(&j);
	ck_assert_str_eq(sql_text("SELECT first || '-' || last FROM gaps"),
			 "1-13");
}
END_TEST

static int
things_that_refer(struct journal_tx *tx)
{
	const struct journal_retry r = { .group = "g", .sequence = 2 };
	const struct journal_dead d = { .group = "h", .sequence = 4 };

	journal_tx_retry_put(tx, &r);
	journal_tx_dead_put(tx, &d);
	journal_tx_state_put(tx, "x.pending", "k",
			     SPAN_LITERAL("{\"sequence\":6}"));
	journal_tx_state_put(tx, "x.pending", "l", SPAN_LITERAL("no JSON"));
	journal_tx_state_put(tx, "x.other", "k",
			     SPAN_LITERAL("{\"sequence\":7}"));
	return 0;
}

START_TEST(keeps_what_is_referred_to)
{
	struct journal *j = fixture_open();
	struct probe p;

	append_many(j, 7);
	probe_init(&p, "matapalo.request.v1");
	p.event.correlation = SPAN_LITERAL("c-8");
	p.event.mark = JOURNAL_MARK_OPENS;
	ck_assert_int_eq(probe_run(j, &p), JOURNAL_COMMITTED);
	run_extra(j, things_that_refer);
	append_many(j, 3);
	journal_close(&j);
	j = open_with(OLD_US, 0, JOURNAL_FULL_KEEP);
	await_events("2,4,6,8,12");
	journal_close(&j);
	ck_assert_str_eq(sql_text("SELECT data FROM dead_letters"),
			 "{\"a\":1}");
	ck_assert_str_eq(sql_text("SELECT group_concat(first || '-' || last)"
				  " FROM gaps"), "1-1,3-3,5-5,7-7,9-11");
}
END_TEST

static int
jobs_at_3(struct journal_tx *tx)
{
	journal_tx_state_put(tx, "job", "1", SPAN_LITERAL(
		"{\"id\":1,\"verb\":\"replay\",\"state\":\"done\","
		"\"after\":0,\"upto\":9}"));
	journal_tx_state_put(tx, "job", "2", SPAN_LITERAL(
		"{\"id\":2,\"verb\":\"replay\",\"state\":\"running\","
		"\"after\":3,\"upto\":9}"));
	/* That one counts letters. */
	journal_tx_state_put(tx, "job", "3", SPAN_LITERAL(
		"{\"id\":3,\"verb\":\"redrive\",\"state\":\"running\","
		"\"after\":1,\"upto\":9}"));
	return 0;
}

static int
job_ended(struct journal_tx *tx)
{
	journal_tx_state_put(tx, "job", "2", SPAN_LITERAL(
		"{\"id\":2,\"verb\":\"replay\",\"state\":\"cancelled\","
		"\"after\":5,\"upto\":9}"));
	return 0;
}

START_TEST(keeps_what_a_replay_has_to_read)
{
	struct journal *j = fixture_open();

	append_many(j, 9);
	run_extra(j, jobs_at_3);
	journal_close(&j);
	j = open_with(OLD_US, 0, JOURNAL_FULL_KEEP);
	await_events("4,5,6,7,8,9,10");
	await_over(j, false, "replay job 2 at event 3");
	run_extra(j, job_ended);
	await_events("11");
	journal_close(&j);
}
END_TEST

static int
hold_two(struct journal_tx *tx)
{
	const struct journal_hold range = { .name = "case-7", .first = 5,
					    .last = 6, .reason = "court" };
	const struct journal_hold other = { .name = "case-7", .first = 5 };
	const struct journal_hold filter = { .name = "audit",
					     .type = "shop.*",
					     .subject = "o-1" };

	ck_assert_int_eq(journal_tx_hold_add(tx, &range), 0);
	ck_assert_int_eq(journal_tx_hold_add(tx, &filter), 0);
	ck_assert_int_eq(journal_tx_hold_add(tx, &range), 0);
	ck_assert_int_eq(journal_tx_hold_add(tx, &other), -1);
	ck_assert_int_eq(journal_tx_hold_remove(tx, "nobody"), -1);
	return 0;
}

static int
unhold(struct journal_tx *tx)
{
	return journal_tx_hold_remove(tx, "case-7");
}

static void
note_hold(void *arg, const struct journal_hold *h)
{
	char *text = arg;

	snprintf(text + strlen(text), 128 - strlen(text), "%s:%s:%lld-%lld ",
		 h->name, h->type, (long long)h->first, (long long)h->last);
}

START_TEST(keeps_what_a_hold_covers)
{
	struct journal *j = fixture_open();
	struct journal_reader *r;
	char text[128] = "";

	append_event(j, "shop.order.v1", "o-1", NULL);
	append_event(j, "shop.order.v1", "o-2", NULL);
	append_many(j, 8);
	run_extra(j, hold_two);
	append_many(j, 2);
	r = fixture_reader();
	ck_assert_int_eq(journal_read_holds(r, note_hold, text), 0);
	ck_assert_str_eq(text, "audit:shop.*:0-0 case-7::5-6 ");
	journal_reader_close(&r);
	journal_close(&j);
	j = open_with(OLD_US, 0, JOURNAL_FULL_KEEP);
	await_events("1,5,6,15");
	run_extra(j, unhold);
	journal_close(&j);
	j = open_with(OLD_US, 0, JOURNAL_FULL_KEEP);
	await_events("1,17");
	journal_close(&j);
	ck_assert_str_eq(sql_text("SELECT name || first FROM holds"),
			 "audit0");
	ck_assert_str_eq(sql_text("SELECT data ->> '$.action' || subject FROM"
				  " events WHERE type = 'matapalo.hold.v1'"),
			 "removedcase-7");
}
END_TEST

static void
append_bytes(struct journal *j, int n, size_t bytes)
{
	char *data = malloc(bytes);
	struct probe p;

	memset(data, 'x', bytes);
	for (; n > 0; n--) {
		probe_init(&p, "a.v1");
		p.event.data = (struct span){ data, bytes };
		ck_assert_int_eq(probe_run(j, &p), JOURNAL_COMMITTED);
	}
	free(data);
}

#define LIMIT (1 << 20)

START_TEST(stays_within_its_limit)
{
	struct journal *j = open_with(0, LIMIT, JOURNAL_FULL_KEEP);
	struct journal_usage u;
	int i;

	/* 40 MB of large and small events through 1 MiB: pages are reused. */
	for (i = 0; i < 40; i++) {
		append_bytes(j, 4, 240000);
		append_bytes(j, 20, 2000);
	}
	await_over(j, false, "");
	journal_usage_get(j, &u);
	ck_assert_int_gt(u.first_sequence, 1);
	ck_assert_int_lt(u.file_bytes, 3 * LIMIT);
	append_bytes(j, 1, 10);
	journal_close(&j);
	ck_assert_str_eq(sql_text("PRAGMA integrity_check"), "ok");
	ck_assert_str_eq(sql_text("SELECT count(*) FROM gaps"), "1");
}
END_TEST

START_TEST(a_full_journal_is_loud)
{
	int64_t refused = counter_get(COUNTER_JOURNAL_REFUSED);
	struct journal *j = fixture_open();

	run_extra(j, group_at_3);
	append_bytes(j, 30, 100000);
	journal_close(&j);
	j = open_with(0, LIMIT, JOURNAL_FULL_KEEP);
	await_over(j, true, "group slow");
	ck_assert_int_gt(counter_get(COUNTER_JOURNAL_REFUSED), refused);
	ck_assert_int_eq(counter_get(COUNTER_JOURNAL_OVER_LIMIT), 1);
	ck_assert_str_eq(sql_text("SELECT count(*) FROM events"), "28");
	run_extra(j, group_gone);
	await_over(j, false, "");
	ck_assert_int_eq(counter_get(COUNTER_JOURNAL_OVER_LIMIT), 0);
	journal_close(&j);
}
END_TEST

START_TEST(drops_when_it_is_told_to)
{
	int64_t forced = counter_get(COUNTER_JOURNAL_FORCED);
	struct journal *j = fixture_open();

	run_extra(j, group_at_3);
	run_extra(j, hold_two);
	append_bytes(j, 30, 100000);
	journal_close(&j);
	j = open_with(0, LIMIT, JOURNAL_FULL_DROP);
	await_over(j, false, "");
	await_first(j, 5);
	journal_close(&j);
	ck_assert_int_gt(counter_get(COUNTER_JOURNAL_FORCED), forced);
	/* What the hold covers stays; the group's own is gone, and noted. */
	ck_assert_str_eq(sql_text("SELECT group_concat(kind || first || '-' ||"
				  " CASE WHEN first < 7 THEN last END) FROM"
				  " (SELECT * FROM gaps ORDER BY first) WHERE"
				  " first < 7"), "retention1-3,forced4-4");
}
END_TEST

/* ---- killed while it deletes ---- */

static int64_t group_cursor;

static int
advance_group(struct journal_tx *tx)
{
	const struct journal_group g = { "g", group_cursor, "{}", false };

	journal_tx_group_put(tx, &g);
	return 0;
}

static void
child_main(int pipe)
{
	struct journal *j = open_with(OLD_US, 0, JOURNAL_FULL_KEEP);
	int64_t last = journal_last_sequence(j);

	for (;;) {
		group_cursor = last > 40 ? last - 40 : 0;
		run_extra(j, advance_group);
		append_many(j, 4);
		last = journal_last_sequence(j);
		if (write(pipe, &last, sizeof(last)) != sizeof(last))
			_exit(1);
	}
}

static int64_t
run_and_kill(void)
{
	int64_t last = 0, now;
	int fd[2], status, rounds = 10 + rand() % 60;
	pid_t child;

	ck_assert_int_eq(pipe(fd), 0);
	child = fork();
	if (child == 0) {
		close(fd[0]);
		child_main(fd[1]);
	}
	close(fd[1]);
	while (rounds-- > 0 && read(fd[0], &now, sizeof(now)) > 0)
		last = now;
	kill(child, SIGKILL);
	while (read(fd[0], &now, sizeof(now)) > 0)
		last = now;
	close(fd[0]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return last;
}

START_TEST(a_kill_deletes_nothing_unreleased)
{
	int64_t last;
	int i;

	srand((unsigned)getpid());
	for (i = 0; i < KILLS; i++) {
		last = run_and_kill();
		ck_assert_int_gt(last, 0);
		ck_assert_int_ge(atoll(sql_text(
			"SELECT max(sequence) FROM events")), last);
		/* Every number is an event or in a gap, never neither, never
		 * both; and nothing after the cursor is gone. */
		ck_assert_str_eq(sql_text(
			"SELECT (SELECT count(*) FROM events)"
			" + (SELECT coalesce(sum(count), 0) FROM gaps)"
			" - (SELECT max(sequence) FROM events)"), "0");
		ck_assert_str_eq(sql_text(
			"SELECT count(*) FROM events e JOIN gaps g"
			" ON e.sequence BETWEEN g.first AND g.last"), "0");
		ck_assert_str_eq(sql_text(
			"SELECT count(*) FROM gaps WHERE last >"
			" (SELECT cursor FROM groups)"), "0");
	}
	ck_assert_str_ne(sql_text("SELECT count(*) FROM gaps"), "0");
}
END_TEST

TCase *
case_retain(void)
{
	TCase *t = tcase_create("retain");

	tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, keeps_everything_by_default);
	tcase_add_test(t, deletes_what_is_too_old);
	tcase_add_test(t, age_is_the_age_of_the_event);
	tcase_add_test(t, keeps_what_a_group_needs);
	tcase_add_test(t, keeps_what_is_referred_to);
	tcase_add_test(t, keeps_what_a_replay_has_to_read);
	tcase_add_test(t, keeps_what_a_hold_covers);
	tcase_add_test(t, stays_within_its_limit);
	tcase_add_test(t, a_full_journal_is_loud);
	tcase_add_test(t, drops_when_it_is_told_to);
	tcase_add_test(t, a_kill_deletes_nothing_unreleased);
	return t;
}
