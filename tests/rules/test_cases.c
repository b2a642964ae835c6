/* SPDX-License-Identifier: Apache-2.0 */
/* A folder per kind of mistake: the message and its place are exact. */
#include <stdio.h>
#include <string.h>

#include "tests/rules/table.h"

/* A final `*` stands for words that a library or the system chooses. */
static int
agrees(const char *expected, const char *got)
{
	size_t len = strlen(expected);

	if (len > 0 && expected[len - 1] == '*')
		return strncmp(expected, got, len - 1) == 0;
	return strcmp(expected, got) == 0;
}

static void
run_case(const char *folder)
{
	struct buf text = { 0 }, expected = { 0 };
	char path[4096], got[1024];
	struct error err = { 0 };
	struct rules *r;

	snprintf(path, sizeof(path), "%s/rules.json", folder);
	table_read(path, &text);
	snprintf(path, sizeof(path), "%s/expected", folder);
	table_read(path, &expected);
	ck_assert_uint_gt(expected.len, 1);
	expected.data[expected.len - 1] = '\0';
	r = rules_load_text("rules.json", text.data ? text.data : "",
			    text.len, &err);
	ck_assert_msg(r == NULL, "%s: was accepted", folder);
	error_format(&err, NULL, got, sizeof(got));
	ck_assert_msg(agrees(expected.data, got),
		      "%s:\nexpected %s\ngot      %s", folder, expected.data,
		      got);
	buf_fini(&text);
	buf_fini(&expected);
}

START_TEST(every_mistake_has_its_message_and_place)
{
	ck_assert_uint_ge(table_each_case("tests/rules/cases", run_case), 60);
}
END_TEST

static void
fill(TCase *t)
{
	tcase_add_test(t, every_mistake_has_its_message_and_place);
}

int
main(void)
{
	return table_run("rules/cases", fill);
}
