/* SPDX-License-Identifier: Apache-2.0 */
/* journal/cursors.c, state.c and lists.c: written, changed, read, gone. */
#include <stdarg.h>
#include <stdio.h>

#include "journal/dead.h"
#include "tests/journal/fixture.h"

/* Every row as one line, so that a test reads as a list. */
struct lines {
	char text[1024];
};

static void
add_line(struct lines *l, const char *fmt, ...)
{
	size_t n = strlen(l->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->text + n, sizeof(l->text) - n, fmt, ap);
	va_end(ap);
}

static void
group_line(void *arg, const struct journal_group *g)
{
	add_line(arg, "%s %lld %s %d;", g->name, (long long)g->cursor,
		 g->config, g->paused);
}

static void
retry_line(void *arg, const struct journal_retry *r)
{
	add_line(arg, "%s %lld %u %lld %lld %lld %s;", r->group,
		 (long long)r->sequence, r->attempts,
		 (long long)r->not_before_us, (long long)r->first_us,
		 (long long)r->last_us, r->reason);
}

static void
dead_line(void *arg, const struct journal_dead *d)
{
	add_line(arg, "%lld %s %lld %u %lld %lld %s;", (long long)d->id,
		 d->group, (long long)d->sequence, d->attempts,
		 (long long)d->first_us, (long long)d->last_us, d->reason);
}

static void
state_line(void *arg, const char *key, struct span value)
{
	add_line(arg, "%s=%.*s;", key, (int)value.len, value.at);
}

static void
open_line(void *arg, struct span correlation, int64_t sequence)
{
	add_line(arg, "%.*s %lld;", (int)correlation.len, correlation.at,
		 (long long)sequence);
}

static void
write_with(struct journal *j, int (*extra)(struct journal_tx *tx))
{
	struct probe p;

	probe_init(&p, "a.v1");
	p.skip_append = true;
	p.extra = extra;
	ck_assert_int_eq(probe_run(j, &p), JOURNAL_COMMITTED);
}

static int
groups_put(struct journal_tx *tx)
{
	journal_tx_group_put(tx, &(struct journal_group){ "b", 7, "{}", true });
	journal_tx_group_put(tx, &(struct journal_group){ "a", 1, NULL,
							  false });
	journal_tx_group_put(tx, &(struct journal_group){ "a", 2, "{\"f\":1}",
							  false });
	journal_tx_retry_put(tx, &(struct journal_retry){ "b", 9, 1, 5, 3, 3,
							  "x", NULL, 0 });
	return 0;
}

static int
group_gone(struct journal_tx *tx)
{
	journal_tx_group_delete(tx, "b");
	return 0;
}

START_TEST(groups)
{
	struct journal *j = fixture_open();
	struct journal_reader *r = fixture_reader();
	struct lines l = {0}, left = {0}, retries = {0};

	write_with(j, groups_put);
	ck_assert_int_eq(journal_read_groups(r, group_line, &l), 0);
	ck_assert_str_eq(l.text, "a 2 {\"f\":1} 0;b 7 {} 1;");
	ck_assert_str_eq(sql_text("SELECT name || retrying || dead FROM groups"
				  " WHERE paused"), "b10");
	write_with(j, group_gone);
	journal_read_groups(r, group_line, &left);
	ck_assert_str_eq(left.text, "a 2 {\"f\":1} 0;");
	journal_read_retries(r, "b", retry_line, &retries);
	ck_assert_str_eq(retries.text, "");
	journal_reader_close(&r);
	journal_close(&j);
}
END_TEST

static int
retries_put(struct journal_tx *tx)
{
	journal_tx_retry_put(tx, &(struct journal_retry){
		"g", 5, 1, 100, 10, 10, "first", "c1", JOURNAL_FROM_LOG });
	journal_tx_retry_put(tx, &(struct journal_retry){
		"g", 5, 2, 200, 10, 20, "second", "c2", JOURNAL_REDRIVEN });
	journal_tx_retry_put(tx, &(struct journal_retry){ "g", 3, 1, 1, 1, 1,
							  NULL, NULL, 0 });
	journal_tx_retry_put(tx, &(struct journal_retry){ "h", 5, 1, 1, 1, 1,
							  "h", NULL, 0 });
	journal_tx_retry_delete(tx, "h", 4);
	return 0;
}

static int
retry_gone(struct journal_tx *tx)
{
	journal_tx_retry_delete(tx, "g", 5);
	return 0;
}

START_TEST(retries)
{
	struct journal *j = fixture_open();
	struct journal_reader *r = fixture_reader();
	struct lines l = {0}, left = {0};

	write_with(j, retries_put);
	ck_assert_int_eq(journal_read_retries(r, "g", retry_line, &l), 0);
	ck_assert_str_eq(l.text, "g 3 1 1 1 1 ;g 5 2 200 10 20 second;");
	write_with(j, retry_gone);
	journal_read_retries(r, "g", retry_line, &left);
	ck_assert_str_eq(left.text, "g 3 1 1 1 1 ;");
	journal_reader_close(&r);
	journal_close(&j);
}
END_TEST

static int
dead_put(struct journal_tx *tx)
{
	journal_tx_dead_put(tx, &(struct journal_dead){ 0, "g", 1, 5, 10, 20,
							"boom", NULL, 0 });
	journal_tx_dead_put(tx, &(struct journal_dead){ 0, "h", 1, 5, 1, 2,
							"h", NULL, 0 });
	journal_tx_dead_put(tx, &(struct journal_dead){ 0, "g", 1, 6, 10, 30,
							"bang", NULL, 0 });
	return 0;
}

static int
dead_gone(struct journal_tx *tx)
{
	return journal_tx_purge(tx, 1) == 1 ? 0 : -1;
}

START_TEST(dead_letters)
{
	struct journal *j = fixture_open();
	struct journal_reader *r = fixture_reader();
	struct lines l = {0}, all = {0}, left = {0};

	append_event(j, "shop.order.placed.v1", "order/1", NULL);
	write_with(j, dead_put);
	ck_assert_int_eq(journal_read_dead(r, "g", dead_line, &l), 0);
	ck_assert_str_eq(l.text, "1 g 1 6 10 30 bang;");
	journal_read_dead(r, NULL, dead_line, &all);
	ck_assert_str_eq(all.text, "1 g 1 6 10 30 bang;2 h 1 5 1 2 h;");
	ck_assert_str_eq(sql_text("SELECT type || ' ' || subject || ' ' || data"
				  " || ' ' || last FROM dead_letters WHERE"
				  " group_name = 'g'"),
			 "shop.order.placed.v1 order/1 {\"a\":1} "
			 "1970-01-01T00:00:00.000030Z");
	write_with(j, dead_gone);
	journal_read_dead(r, NULL, dead_line, &left);
	ck_assert_str_eq(left.text, "2 h 1 5 1 2 h;");
	journal_reader_close(&r);
	journal_close(&j);
}
END_TEST

static int
retries_many(struct journal_tx *tx)
{
	struct journal_retry r = { .group = "g", .sequence = 1,
				   .consumer = "c", .reason = "again" };

	for (r.attempts = 1; r.attempts <= 25; r.attempts++)
		journal_tx_retry_put(tx, &r);
	return 0;
}

static void
attempt_line(void *arg, const struct journal_attempt *a)
{
	add_line(arg, "%u %s;", a->attempt, a->consumer);
}

static int
retry_settled(struct journal_tx *tx)
{
	journal_tx_retry_delete(tx, "g", 1);
	return 0;
}

START_TEST(history_is_bounded_and_ends)
{
	struct journal *j = fixture_open();
	struct journal_reader *r = fixture_reader();
	struct lines l = {0}, left = {0};

	write_with(j, retries_many);
	ck_assert_int_eq(journal_read_attempts(r, "g", 1, attempt_line, &l),
			 0);
	ck_assert_msg(strncmp(l.text, "6 c;7 c;", 8) == 0, "%s", l.text);
	ck_assert_str_eq(sql_text("SELECT count(*) FROM attempts"), "20");
	write_with(j, retry_settled);
	journal_read_attempts(r, "g", 1, attempt_line, &left);
	ck_assert_str_eq(left.text, "");
	journal_reader_close(&r);
	journal_close(&j);
}
END_TEST

static int
state_put(struct journal_tx *tx)
{
	journal_tx_state_put(tx, "s", "b", SPAN_LITERAL("old"));
	journal_tx_state_put(tx, "s", "b", SPAN_LITERAL("new"));
	journal_tx_state_put(tx, "s", "a", SPAN_LITERAL(""));
	journal_tx_state_put(tx, "other", "a", SPAN_LITERAL("x"));
	return 0;
}

static int
state_gone(struct journal_tx *tx)
{
	journal_tx_state_delete(tx, "s", "b");
	return 0;
}

START_TEST(state)
{
	struct journal *j = fixture_open();
	struct journal_reader *r = fixture_reader();
	struct lines l = {0}, left = {0};

	write_with(j, state_put);
	ck_assert_int_eq(journal_read_state(r, "s", state_line, &l), 0);
	ck_assert_str_eq(l.text, "a=;b=new;");
	write_with(j, state_gone);
	journal_read_state(r, "s", state_line, &left);
	ck_assert_str_eq(left.text, "a=;");
	journal_reader_close(&r);
	journal_close(&j);
}
END_TEST

static void
mark(struct journal *j, const char *correlation, enum journal_mark m)
{
	struct probe p;

	probe_init(&p, "matapalo.request.v1");
	p.event.correlation = span_of(correlation);
	p.event.mark = m;
	ck_assert_int_eq(probe_run(j, &p), JOURNAL_COMMITTED);
}

START_TEST(open_exchanges_are_found_after_a_restart)
{
	struct journal *j = fixture_open();
	struct journal_reader *r;
	struct lines l = {0}, left = {0};

	mark(j, "z", JOURNAL_MARK_OPENS);
	mark(j, "b", JOURNAL_MARK_OPENS);
	mark(j, "a", JOURNAL_MARK_OPENS);
	mark(j, "b", JOURNAL_MARK_CLOSES);
	mark(j, "never-opened", JOURNAL_MARK_CLOSES);
	mark(j, "none", JOURNAL_MARK_NONE);
	journal_close(&j);
	j = fixture_open();
	r = fixture_reader();
	ck_assert_int_eq(journal_read_open_exchanges(r, open_line, &l), 0);
	ck_assert_str_eq(l.text, "z 1;a 3;");
	mark(j, "z", JOURNAL_MARK_CLOSES);
	journal_read_open_exchanges(r, open_line, &left);
	ck_assert_str_eq(left.text, "a 3;");
	journal_reader_close(&r);
	journal_close(&j);
}
END_TEST

TCase *
case_lists(void)
{
	TCase *t = tcase_create("lists");

	tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
	tcase_add_test(t, groups);
	tcase_add_test(t, retries);
	tcase_add_test(t, dead_letters);
	tcase_add_test(t, history_is_bounded_and_ends);
	tcase_add_test(t, state);
	tcase_add_test(t, open_exchanges_are_found_after_a_restart);
	return t;
}
