/* SPDX-License-Identifier: Apache-2.0 */
/* Which rule wins: tables of "expected rule, request", and the worst case. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/rules/table.h"

struct table_case {
	const char *folder;
	struct rules *rules;
};

/* A sanitizer checks each step. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WORST_US 20000
#else
#define WORST_US 2000
#endif

static void
check_line(void *arg, char *line, int number)
{
	static struct table_request r;
	struct table_case *c = arg;
	const char *expected = table_word(&line);
	const struct rules_rule *got, *told;
	struct buf why = { 0 };

	table_request(&r, line);
	got = rules_match(c->rules, &r.req);
	ck_assert_msg(strcmp(got->name, expected) == 0,
		      "%s/table:%d: expected %s, got %s", c->folder, number,
		      expected, got->name);
	told = rules_match_explain(c->rules, &r.req, &why);
	ck_assert_msg(told == got, "%s/table:%d: explained as %s:\n%s",
		      c->folder, number, told->name, buf_str(&why));
	ck_assert(strstr(buf_str(&why), expected) != NULL);
	buf_fini(&why);
}

static void
run_case(const char *folder)
{
	struct table_case c = { folder, NULL };
	struct error err = { 0 };
	struct buf table = { 0 };
	char path[4096];

	snprintf(path, sizeof(path), "%s/rules.json", folder);
	c.rules = rules_load_file(path, &err);
	ck_assert_msg(c.rules != NULL, "%s:%d:%d: %s", path, err.line,
		      err.column, err.text);
	snprintf(path, sizeof(path), "%s/table", folder);
	table_read(path, &table);
	ck_assert_uint_ge(table_each_line(&table, check_line, &c), 3);
	buf_fini(&table);
	rules_unref(&c.rules);
}

START_TEST(tables_name_the_winner)
{
	ck_assert_uint_ge(table_each_case("tests/rules/valid", run_case), 8);
}
END_TEST

static struct rules *
load(struct buf *text)
{
	struct error err = { 0 };
	struct rules *r = rules_load_text("made", text->data, text->len, &err);

	ck_assert_msg(r != NULL, "%d:%d: %s", err.line, err.column, err.text);
	buf_fini(text);
	return r;
}

static void
begin_rules(struct buf *text)
{
	buf_adds(text, "{\"version\":1,\"targets\":{\"legacy\":"
		       "{\"url\":\"http://127.0.0.1:1\"}},\"rules\":[");
}

static double
microseconds_per_match(const struct rules *r, const char *line, int rounds)
{
	static struct table_request q;
	volatile unsigned sum = 0;
	uint64_t from;

	(void)sum;
	table_request(&q, line);
	from = clock_mono_us();
	for (int i = 0; i < rounds; i++)
		sum += rules_match(r, &q.req)->index;
	return (double)(clock_mono_us() - from) / rounds;
}

/* Every combination of a literal and a parameter over eight segments, all of
 * them tried in vain. */
START_TEST(worst_case_is_bounded)
{
	struct buf text = { 0 }, line = { 0 };
	struct rules *r;
	double us;

	begin_rules(&text);
	for (unsigned n = 0; n < 256; n++) {
		buf_printf(&text, "%s{\"name\":\"r%u\",\"match\":{"
			   "\"header\":{\"wanted\":\"1\"},"
			   "\"path\":\"", n ? "," : "", n);
		for (unsigned i = 0; i < 8; i++)
			if (n >> i & 1)
				buf_printf(&text, "/{p%u}", i);
			else
				buf_adds(&text, "/x");
		buf_adds(&text, "\"}}");
	}
	buf_adds(&text, "]}");
	r = load(&text);
	buf_adds(&line, "GET - /x/x/x/x/x/x/x/x");
	for (unsigned i = 0; i < 60; i++)
		buf_printf(&line, " | header%u: 1", i);
	us = microseconds_per_match(r, buf_str(&line), 200);
	buf_fini(&line);
	printf("worst case: %.2f us a match\n", us);
	ck_assert_double_lt(us, WORST_US);
	rules_unref(&r);
}
END_TEST

START_TEST(thousand_rules_match_fast)
{
	struct buf text = { 0 };
	struct rules *r;
	double us;

	begin_rules(&text);
	for (unsigned n = 0; n < 1000; n++)
		buf_printf(&text, "%s{\"name\":\"r%u\",\"match\":{"
			   "\"method\":\"GET\",\"path\":\"/api/v1/part%u/"
			   "{id}/detail\"}}", n ? "," : "", n, n);
	buf_adds(&text, "]}");
	r = load(&text);
	us = microseconds_per_match(r, "GET - /api/v1/part777/12345/detail",
				    20000);
	printf("1000 rules: %.3f us a match\n", us);
	ck_assert_double_lt(us, 100);
	rules_unref(&r);
}
END_TEST

START_TEST(ten_thousand_rules_load)
{
	struct buf text = { 0 };
	uint64_t from = clock_mono_us();
	struct rules *r;

	begin_rules(&text);
	for (unsigned n = 0; n < 10000; n++)
		buf_printf(&text, "%s{\"name\":\"r%u\",\"match\":{"
			   "\"path\":\"/part%u/{id}\"}}", n ? "," : "", n, n);
	buf_adds(&text, "]}");
	r = load(&text);
	printf("10000 rules: loaded in %u ms\n",
	       (unsigned)((clock_mono_us() - from) / 1000));
	ck_assert_uint_eq(r->rule_count, 10001);
	rules_unref(&r);
}
END_TEST

START_TEST(long_path_matches_no_template)
{
	static struct table_request q;
	struct buf text = { 0 };
	struct rules *r;
	char line[20000];

	begin_rules(&text);
	buf_adds(&text, "{\"name\":\"a\",\"match\":{\"path\":"
			"\"/{rest...}\"}}]}");
	r = load(&text);
	memset(line, 'a', sizeof(line));
	memcpy(line, "GET - /", 7);
	line[sizeof(line) - 1] = '\0';
	table_request(&q, line);
	ck_assert_str_eq(rules_match(r, &q.req)->name, "default");
	line[10000] = '\0';
	table_request(&q, line);
	ck_assert_str_eq(rules_match(r, &q.req)->name, "a");
	rules_unref(&r);
}
END_TEST

static void
fill(TCase *t)
{
	tcase_add_test(t, tables_name_the_winner);
	tcase_add_test(t, worst_case_is_bounded);
	tcase_add_test(t, thousand_rules_match_fast);
	tcase_add_test(t, ten_thousand_rules_load);
	tcase_add_test(t, long_path_matches_no_template);
}

int
main(void)
{
	return table_run("rules/match", fill);
}
