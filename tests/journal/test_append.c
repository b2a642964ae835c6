/* SPDX-License-Identifier: Apache-2.0 */
/* journal/append.c, checksum.c, names.c: what goes in comes out. */
#include <stdio.h>
#include <stdlib.h>

#include "base/counter.h"
#include "tests/journal/fixture.h"

START_TEST(every_part_comes_back)
{
	struct journal *j = fixture_open();
	struct journal_reader *r;
	struct seen s = {0};
	struct probe p;

	probe_init(&p, "shop.order.placed.v1");
	p.event.time_us = 1767322984123456;
	p.event.subject = SPAN_LITERAL("order/7");
	p.event.correlation = SPAN_LITERAL("c-7");
	p.event.partition_key = SPAN_LITERAL("customer-1");
	p.event.extensions = SPAN_LITERAL("\"causationid\":\"x\"");
	p.event.shadow = true;
	ck_assert_int_eq(probe_run(j, &p), JOURNAL_COMMITTED);
	r = fixture_reader();
	ck_assert_int_eq(journal_read_one(r, p.sequence, seen_row, &s), 1);
	ck_assert(id_equal(&s.id, &p.event.id));
	ck_assert_int_eq(s.time_us, 1767322984123456);
	ck_assert_str_eq(s.type, "shop.order.placed.v1");
	ck_assert_str_eq(s.source, "/test");
	ck_assert_str_eq(s.subject, "order/7");
	ck_assert_str_eq(s.correlation, "c-7");
	ck_assert_str_eq(s.partition_key, "customer-1");
	ck_assert_str_eq(s.extensions, "\"causationid\":\"x\"");
	ck_assert_str_eq(s.data, "{\"a\":1}");
	ck_assert(s.shadow);
	ck_assert_int_eq(journal_read_one(r, 99, seen_row, &s), 0);
	journal_reader_close(&r);
	journal_close(&j);
}
END_TEST

START_TEST(bodies_of_every_size)
{
	static const size_t sizes[] = { 0, 1, 1500, 8100, 8192, 65536,
					3000000 };
	struct journal *j = fixture_open();
	struct journal_reader *r = fixture_reader();
	char *big = malloc(3000000);
	struct probe p;
	size_t i;

	memset(big, 'x', 3000000);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct seen s = {0};

		probe_init(&p, "a.v1");
		p.event.data = (struct span){ big, sizes[i] };
		ck_assert_int_eq(probe_run(j, &p), JOURNAL_COMMITTED);
		ck_assert_int_eq(journal_read_one(r, p.sequence, seen_row, &s),
				 1);
	}
	free(big);
	journal_reader_close(&r);
	journal_close(&j);
}
END_TEST

START_TEST(what_cannot_be_stored_is_refused)
{
	struct journal *j = fixture_open();
	struct probe p;

	probe_init(&p, "");
	ck_assert_int_eq(probe_run(j, &p), JOURNAL_FAILED);
	ck_assert(p.item.refused);
	probe_init(&p, "a.v1");
	p.event.mark = JOURNAL_MARK_OPENS;	/* without a correlation */
	ck_assert_int_eq(probe_run(j, &p), JOURNAL_FAILED);
	ck_assert(p.item.refused);
	ck_assert(journal_is_writable(j));
	ck_assert_int_eq(append_event(j, "a.v1", "", NULL), 1);
	journal_close(&j);
}
END_TEST

START_TEST(thousand_types)
{
	struct journal *j = fixture_open();
	struct journal_reader *r;
	struct seen s = {0};
	char type[32];
	int i;

	for (i = 0; i < 1000; i++) {
		snprintf(type, sizeof(type), "type.%d", i);
		ck_assert_int_eq(append_event(j, type, "", NULL), i + 1);
	}
	r = fixture_reader();
	for (i = 999; i >= 0; i -= 37) {
		snprintf(type, sizeof(type), "type.%d", i);
		s.count = 0;
		ck_assert_int_eq(journal_read_one(r, i + 1, seen_row, &s), 1);
		ck_assert_str_eq(s.type, type);
	}
	journal_reader_close(&r);
	journal_close(&j);
	ck_assert_str_eq(sql_text("SELECT count(*) FROM name"), "1003");
}
END_TEST

/* Every column, damaged on its own, is noticed. */
START_TEST(damage_is_found_and_not_delivered)
{
	static const char *const damage[] = {
		"id = x'00112233445566778899aabbccddeeff'",
		"id = x'00'",
		"time = time + 1",
		"type = 1",
		"type = 4711",
		"source = 1",
		"shadow = 1 - shadow",
		"checksum = checksum + 1",
		"subject = 'sObject'",
		"subject = NULL",
		"correlation = 'x'",
		"partition_key = 'x'",
		"extensions = '\"x\":1'",
		"data = replace(data, '1', '3')",
		"data = data || ' '",
	};
	struct journal *j = fixture_open();
	struct journal_reader *r;
	struct seen s = {0};
	int64_t before, scanned;
	size_t i, n = sizeof(damage) / sizeof(damage[0]);
	char sql[160];

	for (i = 0; i < n + 2; i++)
		append_event(j, "a.v1", "subject", NULL);
	journal_close(&j);
	for (i = 0; i < n; i++) {
		snprintf(sql, sizeof(sql), "UPDATE event SET %s WHERE seq=%d",
			 damage[i], (int)i + 2);
		sql_exec(sql);
	}
	before = counter_get(COUNTER_JOURNAL_CORRUPT);
	r = fixture_reader();
	ck_assert_int_eq(journal_read(r, 0, NULL, 100, 100, seen_row, &s,
				      &scanned), 2);
	ck_assert_int_eq(s.sequence[0], 1);
	ck_assert_int_eq(s.sequence[1], (int64_t)n + 2);
	ck_assert_int_eq(scanned, (int64_t)n + 2);
	ck_assert_int_eq(counter_get(COUNTER_JOURNAL_CORRUPT) - before, n);
	journal_reader_close(&r);
}
END_TEST

/* One bit of the file itself, in the middle of a body. */
START_TEST(a_flipped_bit_is_found)
{
	struct journal *j = fixture_open();
	struct journal_reader *r;
	struct seen s = {0};
	static char file[1 << 20];
	size_t n, at;
	FILE *f;

	append_event(j, "a.v1", "", "{\"needle\":\"in the haystack\"}");
	journal_close(&j);
	f = fopen(fixture_path, "r+");
	n = fread(file, 1, sizeof(file), f);
	at = (size_t)((char *)memmem(file, n, "haystack", 8) - file);
	fseek(f, (long)at, SEEK_SET);
	fputc(file[at] ^ 1, f);
	fclose(f);
	r = fixture_reader();
	ck_assert_int_eq(journal_read_one(r, 1, seen_row, &s), 0);
	journal_reader_close(&r);
}
END_TEST

TCase *
case_append(void)
{
	TCase *t = tcase_create("append");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
	tcase_add_test(t, every_part_comes_back);
	tcase_add_test(t, bodies_of_every_size);
	tcase_add_test(t, what_cannot_be_stored_is_refused);
	tcase_add_test(t, thousand_types);
	tcase_add_test(t, damage_is_found_and_not_delivered);
	tcase_add_test(t, a_flipped_bit_is_found);
	return t;
}
