/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs of answers as data: a folder of tests/shadow/compare each, with
 * `legacy` and `candidate` (status, fields, an empty line, the body's bytes)
 * and `expected` (a line a difference). */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "shadow/compare.h"
#include "tests/shadow/cases.h"

#define FIELDS_MOST 8
#define CASES_LEAST 30

struct answer {
	struct buf text;
	struct message_field fields[FIELDS_MOST];
	struct shadow_answer a;
};

static void
read_file(const char *folder, const char *name, struct buf *out)
{
	char path[4096], part[4096];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rbe");
	ck_assert_msg(f != NULL, "cannot read %s", path);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		buf_add(out, part, n);
	fclose(f);
	buf_str(out);
}

static struct span
cut_line(struct span *rest)
{
	const char *end = memchr(rest->at, '\n', rest->len);
	struct span line = { rest->at, (size_t)(end - rest->at) };

	ck_assert_ptr_nonnull(end);
	rest->len -= line.len + 1;
	rest->at = end + 1;
	return line;
}

static void
read_answer(const char *folder, const char *name, struct answer *out)
{
	struct span rest, line;

	read_file(folder, name, &out->text);
	rest = buf_span(&out->text);
	out->a.status = atoi(cut_line(&rest).at);
	while ((line = cut_line(&rest)).len > 0) {
		struct message_field *f = &out->fields[out->a.fields.count++];
		const char *colon = memchr(line.at, ':', line.len);

		f->name.at = line.at;
		f->name.len = (size_t)(colon - line.at);
		f->value = span_trim((struct span){
			colon + 1, line.len - f->name.len - 1 });
	}
	out->a.fields.at = out->fields;
	out->a.body = rest;
}

static void
run_case(const char *folder)
{
	static const struct shadow_plan plan;
	static const struct shadow_rule rule = { .name = "r", .target = "c" };
	struct answer legacy = { 0 }, candidate = { 0 };
	struct shadow_verdict v = { 0 };
	struct buf want = { 0 }, got = { 0 };

	read_answer(folder, "legacy", &legacy);
	read_answer(folder, "candidate", &candidate);
	read_file(folder, "expected", &want);
	shadow_compare(&plan, &rule, &legacy.a, &candidate.a, &v);
	for (size_t i = 0; i < v.count; i++)
		buf_printf(&got, "%s %s %s>%s\n", v.at[i].pointer,
			   v.at[i].kind, v.at[i].legacy, v.at[i].candidate);
ck_assert_msg(strcmp(buf_str(&got), buf_str(&want)) == 0,
		      "%s\n--- wanted\n%s--- got\n%s", folder,
		      buf_str(&want), buf_str(&got));
	buf_fini(&legacy.text);
	buf_fini(&candidate.text);
	buf_fini(&want);
	buf_fini(&got);
}

START_TEST(cases_of_the_folder)
{
	const char *top = getenv("TOP_SRCDIR");
	char pattern[4096];
	glob_t g;

	snprintf(pattern, sizeof(pattern), "%s/tests/shadow/compare/*",
		 top ? top : ".");
	ck_assert_int_eq(glob(pattern, 0, NULL, &g), 0);
	ck_assert_uint_ge(g.gl_pathc, CASES_LEAST);
	for (size_t i = 0; i < g.gl_pathc; i++)
		run_case(g.gl_pathv[i]);
	globfree(&g);
}
END_TEST

TCase *
case_cases(void)
{
	TCase *t = tcase_create("cases");

	tcase_add_test(t, cases_of_the_folder);
	return t;
}
