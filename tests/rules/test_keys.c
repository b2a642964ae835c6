/* SPDX-License-Identifier: Apache-2.0 */
/* One table, many readers: schema, manual and examples agree with it. */
#include "rules/keys.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/rules/table.h"

static json_t *
schema(void)
{
	struct buf out = { 0 };
	json_error_t err;
	json_t *tree;

	rules_schema(&out);
	ck_assert(!out.failed);
	tree = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, &err);
	ck_assert_msg(tree != NULL, "%d:%d: %s", err.line, err.column,
		      err.text);
	buf_fini(&out);
	return tree;
}

static const json_t *
schema_of(const json_t *tree, enum keys_object o)
{
	return o == KEYS_OBJECT_ROOT
		       ? tree
		       : json_object_get(json_object_get(tree, "$defs"),
					 keys_object(o)->schema);
}

START_TEST(schema_has_every_key_and_no_other)
{
	json_t *tree = schema();

	for (unsigned o = 0; o < KEYS_OBJECT_COUNT; o++) {
		const json_t *object = schema_of(tree, (enum keys_object)o);
		const json_t *all = json_object_get(object, "properties");
		size_t n = 0;

		for (unsigned k = 0; k < KEY_COUNT; k++) {
			const struct keys_row *row = keys_row((enum key)k);

			if (!keys_taken((enum keys_object)o, (enum key)k) ||
			    row->need == KEYS_FUTURE)
				continue;
			ck_assert_msg(json_object_get(all, row->key) != NULL,
				      "no \"%s\"", row->key);
			n++;
		}
		ck_assert_uint_eq(json_object_size(all), n);
	}
	json_decref(tree);
}
END_TEST

static void
check_refs(const json_t *tree, const json_t *at)
{
	const char *key, *ref = json_string_value(json_object_get(at, "$ref"));
	json_t *value;
	size_t i;

	if (ref) {
		ck_assert_int_eq(strncmp(ref, "#/$defs/", 8), 0);
		ck_assert_msg(json_object_get(json_object_get(tree, "$defs"),
					      ref + 8) != NULL,
			      "%s leads nowhere", ref);
	}
	json_object_foreach((json_t *)(uintptr_t)at, key, value)
		check_refs(tree, value);
	json_array_foreach(at, i, value)
		check_refs(tree, value);
}

START_TEST(schema_references_lead_somewhere)
{
	json_t *tree = schema();

	check_refs(tree, tree);
	json_decref(tree);
}
END_TEST

/* The text below a key's heading, up to the next heading. */
static char *
section_of(const char *manual, const struct keys_row *row)
{
	const struct keys_object_row *o = keys_object(row->object);
	const char *at, *end;
	char heading[256];

	snprintf(heading, sizeof(heading), "\n#### `%s%s`\n", o->place,
		 row->key);
	at = strstr(manual, heading);
	ck_assert_msg(at != NULL, "docs/rules.md has no section%s", heading);
	at += strlen(heading) - 1;
	end = strstr(at, "\n#");
	return strndup(at, end ? (size_t)(end - at) : strlen(at));
}

static void
check_section(const char *manual, const struct keys_row *row)
{
	char *section = section_of(manual, row), words[128];
	bool bare = row->type == KEYS_TYPE_BOOL ||
		    row->type == KEYS_TYPE_NUMBER;

	ck_assert_uint_gt(strlen(section), 20);
	snprintf(words, sizeof(words), "Default: `%s%s%s`", bare ? "" : "\"",
		 row->def, bare ? "" : "\"");
	if (*row->def)
		ck_assert_msg(strstr(section, words) != NULL,
			      "docs/rules.md: %s: should say %s", row->key,
			      words);
	if (row->need == KEYS_REQUIRED)
		ck_assert_msg(strstr(section, "Required") != NULL,
			      "docs/rules.md: %s: should say Required",
			      row->key);
	free(section);
}

static void
read_top(const char *name, struct buf *out)
{
	char path[1024];

	table_read(table_path(path, sizeof(path), name), out);
}

START_TEST(manual_has_a_section_for_every_key)
{
	struct buf manual = { 0 };

	read_top("docs/rules.md", &manual);
	for (unsigned k = 0; k < KEY_COUNT; k++) {
		const struct keys_row *row = keys_row((enum key)k);

		if (row->need != KEYS_FUTURE)
			check_section(buf_str(&manual), row);
		else
			ck_assert_msg(strstr(buf_str(&manual), row->key),
				      "docs/rules.md: does not say that "
				      "\"%s\" is not supported", row->key);
	}
	for (unsigned s = 0; s < RULES_STAGE_COUNT; s++) {
		char words[64];

		snprintf(words, sizeof(words), "`%s`",
			 rules_stage_name((enum rules_stage)s));
		ck_assert(strstr(buf_str(&manual), words) != NULL);
	}
	buf_fini(&manual);
}
END_TEST

static void
must_load(const char *name, const char *text, size_t len)
{
	struct error err = { 0 };
	struct rules *r = rules_load_text(name, text, len, &err);
	struct buf out = { 0 };

	ck_assert_msg(r != NULL, "%s:%d:%d: %s", name, err.line, err.column,
		      err.text);
	ck_assert_msg(rules_run_expect(r, &out, NULL) == 0, "%s: %s", name,
		      buf_str(&out));
	ck_assert_msg(rules_lint(r, &out) == 0, "%s: %s", name,
		      buf_str(&out));
	buf_fini(&out);
	rules_unref(&r);
}

/* A block that begins a whole file is one; others are fragments. */
START_TEST(files_in_the_manual_load)
{
	struct buf manual = { 0 };
	const char *at, *end;
	unsigned files = 0;

	read_top("docs/rules.md", &manual);
	for (at = strstr(buf_str(&manual), "```json\n"); at;
	     at = strstr(end + 3, "```json\n")) {
		at += strlen("```json\n");
		end = strstr(at, "```");
		ck_assert_ptr_nonnull(end);
		if (strncmp(at, "{\n  \"version\"", 13) != 0)
			continue;
		must_load("docs/rules.md", at, (size_t)(end - at));
		files++;
	}
	ck_assert_uint_ge(files, 3);
	buf_fini(&manual);
}
END_TEST

static void
check_example(const char *path)
{
	struct error err = { 0 };
	struct rules *r = rules_load_file(path, &err);
	struct buf text = { 0 };

	ck_assert_msg(r != NULL, "%s:%d:%d: %s", path, err.line, err.column,
		      err.text);
	rules_unref(&r);
	table_read(path, &text);
	must_load(path, text.data, text.len);
	buf_fini(&text);
}

START_TEST(examples_load)
{
	ck_assert_uint_ge(table_each_case("examples/rules", check_example),
			  3);
}
END_TEST

/* The largest example stands for the language: it must use all of it. */
START_TEST(largest_example_uses_every_key)
{
	struct buf text = { 0 };

	read_top("examples/rules/everything.json", &text);
	for (unsigned k = 0; k < KEY_COUNT; k++) {
		const struct keys_row *row = keys_row((enum key)k);
		char key[64];

		snprintf(key, sizeof(key), "\"%s\":", row->key);
		if (row->need != KEYS_FUTURE)
			ck_assert_msg(strstr(buf_str(&text), key) != NULL,
				      "everything.json has no %s", key);
	}
	buf_fini(&text);
}
END_TEST

static void
fill(TCase *t)
{
	tcase_add_test(t, schema_has_every_key_and_no_other);
	tcase_add_test(t, schema_references_lead_somewhere);
	tcase_add_test(t, manual_has_a_section_for_every_key);
	tcase_add_test(t, files_in_the_manual_load);
	tcase_add_test(t, examples_load);
	tcase_add_test(t, largest_example_uses_every_key);
}

int
main(void)
{
	return table_run("rules/keys", fill);
}
