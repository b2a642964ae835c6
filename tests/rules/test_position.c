/* SPDX-License-Identifier: Apache-2.0 */
/* Every value of a nasty text is found where it stands. */
#include <stdio.h>
#include <string.h>

#include "rules/position.h"
#include "rules/rules.h"
#include "tests/rules/table.h"

/* Each leaf names its own line and column. */
static const char nasty[] =
	"\n {\"a\":\"2:7\",\n"
	"\t\"b\\\"}]\" :\t[ \"3:14\",{ } , [\"]\\\\\"], \"3:36\"],\n"
	"  \"\\u00e4\": {\"é]\": \"4:20\", \"x\": [[[]], -1.5e3, null,"
	"true , \"4:60\" ]},\r\n"
	"\"z\" :\"5:6\"}";

static void
check_leaf(struct rules_text text, const struct rules_node *node)
{
	struct rules_position p = rules_position_of(text, node);
	char got[32], path[64];

	if (!strchr(json_string_value(node->value), ':'))
		return;
	snprintf(got, sizeof(got), "%d:%d", p.line, p.column);
	rules_position_path(node, path, sizeof(path));
	ck_assert_msg(strcmp(got, json_string_value(node->value)) == 0,
		      "%s: expected %s, got %s", path,
		      json_string_value(node->value), got);
}

static void
check_all(struct rules_text text, const struct rules_node *node)
{
	struct rules_node in = { .up = node };

	if (json_is_string(node->value))
		check_leaf(text, node);
	json_object_foreach(node->value, in.key, in.value)
		check_all(text, &in);
	in.key = NULL;
	for (; in.index < json_array_size(node->value); in.index++) {
		in.value = json_array_get(node->value, in.index);
		check_all(text, &in);
	}
}

START_TEST(values_are_found)
{
	struct rules_text text = { nasty, sizeof(nasty) - 1 };
	json_error_t err;
	struct rules_node root = {
		.value = json_loadb(text.at, text.len, 0, &err)
	};

	ck_assert_msg(root.value != NULL, "%d:%d: %s", err.line, err.column,
		      err.text);
	check_all(text, &root);
	json_decref(root.value);
}
END_TEST

START_TEST(keys_lines_and_paths)
{
	struct rules_text text = { nasty, sizeof(nasty) - 1 };
	struct rules_node root = { .value = json_loadb(text.at, text.len, 0,
						       NULL) };
	struct rules_node b = { .up = &root, .key = "b\"}]" }, item;
	struct rules_position p;
	int lines[4];
	char path[16];

	b.value = json_object_get(root.value, b.key);
	item = (struct rules_node){ .up = &b, .index = 3 };
	p = rules_position_of_key(text, &b);
	ck_assert_int_eq(p.line, 3);
	ck_assert_int_eq(p.column, 2);
	rules_position_lines(text, &root, lines, 4);
	ck_assert_int_eq(lines[0], 2);
	ck_assert_int_eq(lines[1], 3);
	ck_assert_int_eq(lines[2], 4);
	ck_assert_int_eq(lines[3], 5);
	rules_position_path(&item, path, sizeof(path));
	ck_assert_str_eq(path, "b\"}][3]");
	rules_position_path(&item, path, 4);
	ck_assert_str_eq(path, "b\"}");
	json_decref(root.value);
}
END_TEST

START_TEST(depth_is_counted_outside_strings)
{
	static const char flat[] = "[\"[[[[\\\"[[\", [], [], {}]";
	static const char deep[] = "[\n[ {";
	struct rules_position p;

	ck_assert_int_eq(rules_position_deepest(
				 (struct rules_text){ flat, strlen(flat) }, 2,
				 &p), 0);
	ck_assert_int_eq(rules_position_deepest(
				 (struct rules_text){ deep, strlen(deep) }, 2,
				 &p), -1);
	ck_assert_int_eq(p.line, 2);
	ck_assert_int_eq(p.column, 3);
}
END_TEST

START_TEST(entries_of_compare)
{
	static const struct {
		const char *rule, *key, *entry;
		int line;
	} rows[] = {
		{ "a", "ignore", "/at", 4 }, { "a", "ignore", "/b", 5 },
		{ "a", "ignore", "/c", 0 }, { "a", "tolerance", "/p", 6 },
		{ "a", "tolerance", "tolerance", 6 },
		{ "a", "noise", "1%", 7 }, { "a", "headers", "etag", 0 },
		{ "b", "ignore", "/at", 0 }, { "c", "ignore", "/at", 0 },
		{ "default", "ignore", "/at", 10 },
	};
	static const char text[] =
		"{ \"rules\": [\n"
		"  { \"name\": 1 }, { \"name\": \"a\",\n"
		"    \"compare\": {\n"
		"      \"ignore\": [ \"/at\",\n"
		"                  \"/b\" ],\n"
		"      \"tolerance\": { \"/p\": 1 },\n"
		"      \"noise\": \"1%\" } },\n"
		"  { \"name\": \"b\" } ],\n"
		"  \"default\": { \"compare\": {\n"
		"    \"ignore\": [ \"/at\" ] } } }";

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ck_assert_int_eq(rules_entry_line(span_of(text), rows[i].rule,
						  rows[i].key, rows[i].entry),
				 rows[i].line);
	ck_assert_int_eq(rules_entry_line(span_of("{"), "a", "b", "c"), 0);
}
END_TEST

static void
fill(TCase *t)
{
	tcase_add_test(t, entries_of_compare);
	tcase_add_test(t, values_are_found);
	tcase_add_test(t, keys_lines_and_paths);
	tcase_add_test(t, depth_is_counted_outside_strings);
}

int
main(void)
{
	return table_run("rules/position", fill);
}
