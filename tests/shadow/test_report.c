/* SPDX-License-Identifier: Apache-2.0 */
/* Sums and single verdicts from the journal's file alone. */
#include "shadow/report.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/outbound/tiny_server.h"
#include "tests/shadow/cases.h"
#include "tests/shadow/stage.h"

#define PATIENCE_MS 20000

static struct stage stage;
static struct tiny_server *candidate;
static struct journal_reader *reader;
static const char *const ignored[] = { "/at" };
static struct shadow_rule rule = { .name = "r", .target = "catalog",
				   .timeout_ms = 5000, .ignore = ignored,
				   .ignore_count = 1 };

static bool
answer(void *arg, struct tiny_server *s, int fd, const struct tiny_request *r)
{
	(void)arg;
	(void)s;
	(void)r;
	tiny_reply(fd, 201, "Content-Type: application/json\r\nX-Own: 1\r\n",
		   "{\"b\":[1,3],\"a/b\":true,\"at\":2,\"new\":{}}");
	return true;
}

static void
setup(void)
{
	candidate = tiny_start(NULL, answer, NULL);
	rule.url = tiny_url(candidate);
	stage_make(&stage);
	stage_open(&stage);
	stage_shadow(&stage, &rule, 1);
	reader = journal_reader_open(stage.path, NULL);
	ck_assert_ptr_nonnull(reader);
}

static void
teardown(void)
{
	journal_reader_close(&reader);
	stage_remove(&stage);
	tiny_stop(&candidate);
}

static const char *
compare_one(void)
{
	struct shadow_verdict v;
	const char *id = stage_publish(&stage, &(struct stage_exchange){
		.body = "{\\\"a/b\\\":true,\\\"b\\\":[1,2],\\\"at\\\":1}" });

	ck_assert(stage_verdict(&stage, id, PATIENCE_MS, &v));
	return id;
}

struct seen {
	size_t count;
	struct buf text;
};

static void
on_line(void *arg, const struct shadow_line *l)
{
	static const char marks[] = { [SHADOW_LINE_SAME] = '=',
				      [SHADOW_LINE_DIFFERENT] = '!',
				      [SHADOW_LINE_SUPPRESSED] = '~' };
	struct seen *s = arg;

	s->count++;
	buf_printf(&s->text, "%c%s %s|%s\n", marks[l->kind], l->pointer,
		   l->legacy ? l->legacy : "-",
		   l->candidate ? l->candidate : "-");
}

static void
assert_line(struct seen *s, const char *line)
{
	ck_assert_msg(strstr(buf_str(&s->text), line) != NULL, "%s in %s",
		      line, buf_str(&s->text));
}

START_TEST(both_answers_line_by_line)
{
	const char *id = compare_one();
	struct shadow_case c;
	struct error err = { 0 };
	struct seen s = { 0 };

	ck_assert_msg(shadow_case_find(reader, id, &c, &err) == 0, "%s",
		      err.text);
	ck_assert_str_eq(c.correlation, id);
	ck_assert_str_eq(c.v.endpoint, "GET /x");
	ck_assert(c.x && c.has_answer);
	ck_assert_uint_eq(shadow_case_lines(&c, 1000, on_line, &s), s.count);
	assert_line(&s, "!status 200|201\n");
	assert_line(&s, "~header:x-own -|1\n");
	assert_line(&s, "=/a~1b true|true\n");
	assert_line(&s, "=/b/0 1|1\n");
	assert_line(&s, "!/b/1 2|3\n");
	assert_line(&s, "~/at 1|2\n");
	assert_line(&s, "!/new -|{}\n");
	buf_clear(&s.text);
	s.count = 0;
	ck_assert_uint_gt(shadow_case_lines(&c, 2, on_line, &s), 2);
	ck_assert_uint_eq(s.count, 2);
	buf_fini(&s.text);
	shadow_case_fini(&c);
}
END_TEST

START_TEST(what_is_not_there)
{
	struct shadow_case c;
	struct error err = { 0 };

	compare_one();
	ck_assert_int_eq(shadow_case_find(reader, "nothing", &c, &err), -1);
	shadow_case_fini(&c);
	ck_assert_int_eq(shadow_case_at(reader, 1, &c, &err), -1);
	shadow_case_fini(&c);
	ck_assert_int_eq(shadow_case_at(reader, 99, &c, &err), -1);
	shadow_case_fini(&c);
}
END_TEST

/* Saved sums and the verdicts since, while the shadow runs. */
START_TEST(sums_from_the_file)
{
	struct shadow_sums sums;
	struct error err = { 0 };

	for (int i = 1; i <= 20; i++) {
		struct shadow_tally *t = shadow_tally_new();

		compare_one();
		ck_assert_int_eq(shadow_report_read(reader, t, &err), 0);
		ck_assert(shadow_tally_sums(t, "r", "catalog", &sums));
		ck_assert_uint_eq(sums.samples, (uint64_t)i);
		ck_assert_uint_eq(sums.differences, (uint64_t)i);
		shadow_tally_free(&t);
		if (i == 10) {
			shadow_stop(&stage.shadow);
			stage_shadow(&stage, &rule, 1);
		}
	}
}
END_TEST

TCase *
case_report(void)
{
	TCase *t = tcase_create("report");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, both_answers_line_by_line);
	tcase_add_test(t, what_is_not_there);
	tcase_add_test(t, sums_from_the_file);
	return t;
}
