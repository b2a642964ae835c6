/* SPDX-License-Identifier: Apache-2.0 */
/* journal/read.c and filter.c: walks, filters, views, other processes. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/journal/fixture.h"

#define EXCHANGE "matapalo.exchange.v1"
#define REQUEST "matapalo.request.v1"

/* 1 exchange, 2 placed, 3 exchange, 4 paid, 5 request, 6 shadowed exchange,
 * 7 stock, 8 exchange */
static struct journal *
eight_events(void)
{
	struct journal *j = fixture_open();
	struct probe p;

	append_event(j, EXCHANGE, "/a", NULL);
	append_event(j, "shop.order.placed.v1", "order/1", NULL);
	append_event(j, EXCHANGE, "/b", NULL);
	append_event(j, "shop.order.paid.v1", "order/1", NULL);
	append_event(j, REQUEST, "/c", NULL);
	probe_init(&p, EXCHANGE);
	p.event.shadow = true;
	probe_run(j, &p);
	append_event(j, "shop.stock.v1", "sku/9", NULL);
	append_event(j, EXCHANGE, "/d", NULL);
	return j;
}

static const struct {
	struct journal_filter filter;
	int64_t after;
	size_t max, scan_limit;
	int64_t scanned;
	const char *sequences;
} walks[] = {
	{ { NULL, NULL, false }, 0, 99, 99, 8, "12345678" },
	{ { "*", NULL, false }, 0, 99, 99, 8, "12345678" },
	{ { NULL, NULL, false }, 3, 99, 99, 8, "45678" },
	{ { NULL, NULL, false }, 8, 99, 99, 8, "" },
	{ { NULL, NULL, false }, 20, 99, 99, 20, "" },
	{ { NULL, NULL, false }, 0, 3, 99, 3, "123" },
	{ { NULL, NULL, false }, 0, 99, 3, 3, "123" },
	{ { EXCHANGE, NULL, false }, 0, 99, 99, 8, "1368" },
	{ { EXCHANGE, NULL, false }, 1, 99, 2, 3, "3" },
	{ { EXCHANGE, NULL, false }, 0, 2, 99, 3, "13" },
	{ { REQUEST, NULL, false }, 0, 99, 99, 8, "5" },
	{ { "matapalo.*", NULL, false }, 0, 99, 99, 8, "13568" },
	{ { "shop.order.*", NULL, false }, 0, 99, 99, 8, "24" },
	{ { "shop.order.*", NULL, false }, 2, 99, 99, 8, "4" },
	{ { "shop.order.paid.v1", NULL, false }, 0, 99, 99, 8, "4" },
	{ { "shop.order.paid", NULL, false }, 0, 99, 99, 8, "" },
	{ { "shop.order", NULL, false }, 0, 99, 99, 8, "" },
	{ { "shop.stock.v1, shop.order.placed.v1", NULL, false }, 0, 99, 99, 8,
	  "27" },
	{ { "shop.stock.v1," EXCHANGE, NULL, false }, 0, 99, 99, 8, "13678" },
	{ { "nothing.v1", NULL, false }, 0, 99, 99, 8, "" },
	/* three rare events: a limit of two rows leaves the third */
	{ { "shop.stock.v1", NULL, false }, 0, 99, 2, 4, "" },
	{ { NULL, "order/1", false }, 0, 99, 99, 8, "24" },
	{ { NULL, "order/*,/a", false }, 0, 99, 99, 8, "124" },
	{ { "shop.*", "sku/*", false }, 0, 99, 99, 8, "7" },
	{ { "shop.*.v1", NULL, false }, 0, 99, 99, 8, "7" },
	{ { "shop.*.*.v1", NULL, false }, 0, 99, 99, 8, "24" },
	{ { "shop.**.v1", NULL, false }, 0, 99, 99, 8, "247" },
	{ { "**.pa*.v1", NULL, false }, 0, 99, 99, 8, "4" },
	{ { "!matapalo.*", NULL, false }, 0, 99, 99, 8, "247" },
	{ { "shop.*,!shop.order.*", NULL, false }, 0, 99, 99, 8, "7" },
	{ { "!shop.order.*,shop.*", NULL, false }, 0, 99, 99, 8, "7" },
	{ { "!*", NULL, false }, 0, 99, 99, 8, "" },
	{ { " , ", NULL, false }, 0, 99, 99, 8, "12345678" },
	{ { NULL, "*/1", false }, 0, 99, 99, 8, "24" },
	{ { NULL, "!/*,!sku/*", false }, 0, 99, 99, 8, "246" },
	{ { NULL, "order\\/1,\\/a", false }, 0, 99, 99, 8, "124" },
	{ { NULL, "\\*", false }, 0, 99, 99, 8, "" },
	{ { NULL, NULL, true }, 0, 99, 99, 8, "6" },
	{ { EXCHANGE, NULL, true }, 6, 99, 99, 8, "" },
	{ { "shop.*", NULL, true }, 0, 99, 99, 8, "" },
};

START_TEST(walk)
{
	struct journal *j = eight_events();
	struct journal_reader *r = fixture_reader();
	char text[16] = "";
	struct seen s = {0};
	int64_t scanned = -1;
	size_t i;

	ck_assert_int_eq(journal_read(r, walks[_i].after, &walks[_i].filter,
				      walks[_i].max, walks[_i].scan_limit,
				      seen_row, &s, &scanned), s.count);
	for (i = 0; i < s.count; i++)
		text[i] = (char)('0' + s.sequence[i]);
	ck_assert_str_eq(text, walks[_i].sequences);
	ck_assert_int_eq(scanned, walks[_i].scanned);
	journal_reader_close(&r);
	journal_close(&j);
}
END_TEST

START_TEST(stops_when_told)
{
	struct journal *j = eight_events();
	struct journal_reader *r = fixture_reader();
	struct seen s = { .stop_after = 2 };
	int64_t scanned;

	ck_assert_int_eq(journal_read(r, 0, NULL, 99, 99, seen_row, &s,
				      &scanned), 2);
	ck_assert_int_eq(scanned, 2);
	journal_reader_close(&r);
	journal_close(&j);
}
END_TEST

START_TEST(sees_what_is_committed_later)
{
	struct journal *j = eight_events();
	struct journal_reader *r = fixture_reader();
	struct seen s = {0};
	int64_t last, scanned;

	ck_assert_int_eq(journal_read(r, 8, NULL, 9, 9, seen_row, &s, NULL), 0);
	append_event(j, "brand.new.v1", "", NULL);
	ck_assert_int_eq(journal_read_last_sequence(r, &last), 0);
	ck_assert_int_eq(last, 9);
	ck_assert_int_eq(journal_read(r, 8, NULL, 9, 9, seen_row, &s,
				      &scanned), 1);
	ck_assert_str_eq(s.type, "brand.new.v1");
	ck_assert_int_eq(scanned, 9);
	journal_reader_close(&r);
	journal_close(&j);
}
END_TEST

/* Events of 10 to 80 s, but the fifth was 200 s long: its time is before
 * those of its neighbours. */
static const struct {
	int64_t second, sequence;
} times[] = {
	{ 0, 1 }, { 10, 1 }, { 11, 2 }, { 12, 2 }, { 20, 2 },
	{ 21, 3 }, { 40, 4 }, { 41, 6 }, { 80, 8 }, { 81, 9 },
};

START_TEST(time_is_found)
{
	static const int64_t seconds[] = { 10, 20, 30, 40, 12, 60, 70, 80 };
	struct journal *j = fixture_open();
	struct journal_reader *r;
	int64_t sequence;
	struct probe p;

	for (size_t i = 0; i < 8; i++) {
		probe_init(&p, EXCHANGE);
		p.event.time_us = seconds[i] * 1000000;
		probe_run(j, &p);
	}
	r = fixture_reader();
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		ck_assert_int_eq(journal_find_time(r,
						   times[i].second * 1000000,
						   &sequence), 0);
		ck_assert_int_eq(sequence, times[i].sequence);
	}
	journal_reader_close(&r);
	journal_close(&j);
}
END_TEST

static void
read_eight(void)
{
	struct journal_reader *r = journal_reader_open(fixture_path, NULL);
	struct seen s = {0};
	bool good;

	good = r && journal_read(r, 0, NULL, 99, 99, seen_row, &s, NULL) == 8;
	journal_reader_close(&r);
	_exit(good ? 0 : 1);
}

START_TEST(another_process_reads)
{
	struct journal *j = eight_events();
	int status, round;
	pid_t child;

	for (round = 0; round < 2; round++) {
		child = fork();
		if (child == 0)
			read_eight();
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_int_eq(status, 0);
		journal_close(&j);	/* the second round: offline */
	}
}
END_TEST

START_TEST(views_are_a_promise)
{
	struct journal *j = fixture_open();
	struct probe p;

	probe_init(&p, "shop.order.placed.v1");
	ck_assert_int_eq(id_parse("0190f1c2-7d4e-7abc-8def-0123456789ab", 36,
				  &p.event.id), 0);
	p.event.time_us = 1767322984000456;
	p.event.subject = SPAN_LITERAL("order/7");
	p.event.correlation = SPAN_LITERAL("c-7");
	probe_run(j, &p);
	ck_assert_str_eq(sql_text("SELECT group_concat(name) FROM"
				  " pragma_table_info('events')"),
			 "sequence,id,time,type,subject,source,correlationid,"
			 "data,causationid,traceparent,partitionkey");
	ck_assert_str_eq(sql_text("SELECT sequence || ' ' || id || ' ' || time"
				  " || ' ' || type || ' ' || subject || ' ' ||"
				  " source || ' ' || correlationid || ' ' ||"
				  " data FROM events"),
			 "1 0190f1c2-7d4e-7abc-8def-0123456789ab "
			 "2026-01-02T03:03:04.000456Z shop.order.placed.v1 "
			 "order/7 /test c-7 {\"a\":1}");
	ck_assert_str_eq(sql_text("SELECT group_concat(name) FROM"
				  " pragma_table_info('groups')"),
			 "name,cursor,lag,paused,retrying,dead,config");
	ck_assert_str_eq(sql_text("SELECT group_concat(name) FROM"
				  " pragma_table_info('dead_letters')"),
			 "id,group_name,sequence,type,subject,attempts,first,"
			 "last,reason,data,consumer");
	journal_close(&j);
}
END_TEST

TCase *
case_read(void)
{
	TCase *t = tcase_create("read");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
	tcase_add_loop_test(t, walk, 0,
			    (int)(sizeof(walks) / sizeof(walks[0])));
	tcase_add_test(t, stops_when_told);
	tcase_add_test(t, time_is_found);
	tcase_add_test(t, sees_what_is_committed_later);
	tcase_add_test(t, another_process_reads);
	tcase_add_test(t, views_are_a_promise);
	return t;
}
