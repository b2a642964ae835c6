/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas from files and texts. */
#include "rules/compat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/compat_internal.h"

#define FILE_MAX ((size_t)4 << 20)
/* A member of data is two steps of its schema. */
#define SCHEMA_DEPTH_MAX (2 * LOAD_DEPTH_MAX)

static int
check(struct rules_load *l, json_t *tree)
{
	const struct rules_node node = { .value = tree };

	return compat_check(l, &node, tree);
}

static json_t *
parse(struct span text, struct error *err)
{
	struct rules_load l = { .text = { text.at, text.len }, .err = err };
	struct rules_position where;
	json_error_t bad;
	json_t *tree;

	if (rules_position_deepest(l.text, SCHEMA_DEPTH_MAX, &where) < 0) {
		error_at(err, where.line, where.column, "nested too deeply");
		return NULL;
	}
	tree = json_loadb(text.at, text.len,
			  JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &bad);
	if (!tree)
		error_at(err, bad.line > 0 ? bad.line : 1,
			 bad.column > 0 ? bad.column : 1, "not JSON: %s",
			 bad.text);
	else if (check(&l, tree) < 0) {
		json_decref(tree);
		tree = NULL;
	}
	return tree;
}

struct compat_schema *
compat_load_text(struct span text, struct error *err)
{
	struct compat_schema *s = calloc(1, sizeof(*s));

	if (s)
		s->tree = parse(text, err);
	else
		error_set(err, "no memory for the schema");
	if (s && !s->tree)
		compat_free(&s);
	return s;
}

static int
read_file(const char *path, struct buf *out, struct error *err)
{
	FILE *f = fopen(path, "re");
	char chunk[8192];
	size_t n;
	int result = 0;

	while (f && out->len <= FILE_MAX &&
	       (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(out, chunk, n);
	if (!f || ferror(f) || out->failed)
		result = error_set(err, "cannot be read: %s",
				   strerror(errno));
	else if (out->len > FILE_MAX)
		result = error_set(err, "larger than %zu MiB",
				   FILE_MAX >> 20);
	if (f)
		fclose(f);
	return result;
}

struct compat_schema *
compat_load_file(const char *path, struct error *err)
{
	CLEANUP(buf_fini) struct buf text = { 0 };

	if (read_file(path, &text, err) < 0)
		return NULL;
	return compat_load_text((struct span){ buf_str(&text), text.len },
				err);
}

enum compat_kind
compat_kind_of(const char *path)
{
	CLEANUP(buf_fini) struct buf text = { 0 };
	enum compat_kind kind = COMPAT_SCHEMA;
	json_t *tree;

	if (read_file(path, &text, NULL) < 0)
		return COMPAT_SCHEMA;
	tree = json_loadb(buf_str(&text), text.len, JSON_DECODE_ANY, NULL);
	if (json_object_get(tree, "targets") &&
	    json_object_get(tree, "version"))
		kind = COMPAT_RULES;
	json_decref(tree);
	return kind;
}

void
compat_free(struct compat_schema **s)
{
	if (*s)
		json_decref((*s)->tree);
	free(*s);
	*s = NULL;
}
