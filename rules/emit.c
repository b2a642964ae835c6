/* SPDX-License-Identifier: Apache-2.0 */
/* Loads "emit": which events a rule's exchanges make, checked as a whole. */
#include "rules/emit.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "rules/keys.h"

#define TYPE_MAX 255
#define NODES_MAX 1000
#define CONDITIONS_MAX 32

struct compiler {
	struct rules_load *l;
	const struct rules_rule *rule;
	unsigned nodes;
};

static bool
ends_in_version(const char *s)
{
	const char *v = strrchr(s, '.');

	if (!v || v == s || v[1] != 'v' || !v[2])
		return false;
	return v[2 + strspn(v + 2, "0123456789")] == '\0';
}

static int
load_type(struct rules_load *l, const struct rules_node *node, struct emit *e)
{
	const char *s = keys_string(node, KEY_EMIT_TYPE);
	struct rules_node at;

	keys_get(node, KEY_EMIT_TYPE, &at);
	if (!ends_in_version(s))
		return load_fail(l, &at, "\"%s\" has no version: end it in "
				 "\".v1\", so that consumers can tell when "
				 "it changes", s);
	if (strlen(s) > TYPE_MAX)
		return load_fail(l, &at, "longer than %d characters",
				 TYPE_MAX);
	for (const char *c = s; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			return load_fail(l, &at, "\"%s\": a type is made of "
					 "letters, digits, \".\", \"_\" and "
					 "\"-\"", s);
	if (strncmp(s, "matapalo.", 9) == 0)
		return load_fail(l, &at, "types that begin with \"matapalo.\" "
				 "are matapalo's own");
	e->type = load_copy(l, s);
	return e->type ? 0 : -1;
}

static int
load_text(struct compiler *c, const struct rules_node *node, enum key k,
	  struct emit_text *out)
{
	struct rules_node at;

	if (!keys_get(node, k, &at))
		return 0;
	if (!*json_string_value(at.value))
		return load_fail(c->l, &at, "must not be empty: leave it out");
	return emit_text_compile(c->l, &at, c->rule,
				 json_string_value(at.value), out);
}

/* ---- data ---- */

static int compile_node(struct compiler *c, const struct rules_node *at,
			struct emit_node *out);

/* Text of any value, in the memory of the set. */
static int
copy_json(struct rules_load *l, const json_t *value, struct span *out)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	const char *copy = text ? load_copy(l, text) : NULL;

	free(text);
	*out = span_of(copy);
	return copy ? 0 : error_set(l->err, "no memory for the rules");
}

static int
compile_members(struct compiler *c, const struct rules_node *object,
		struct emit_node *children)
{
	struct rules_node at = { .up = object };

	json_object_foreach(object->value, at.key, at.value) {
		const char *key = load_copy(c->l, at.key);

		if (!key || compile_node(c, &at, children) < 0)
			return -1;
		children++->key = span_of(key);
	}
	return 0;
}

static int
compile_container(struct compiler *c, const struct rules_node *at,
		  struct emit_node *out)
{
	bool object = json_is_object(at->value);
	struct emit_node *children;

	out->kind = object ? EMIT_NODE_OBJECT : EMIT_NODE_ARRAY;
	out->count = object ? json_object_size(at->value)
			    : json_array_size(at->value);
	children = load_alloc(c->l, out->count, sizeof(*children));
	out->children = children;
	if (!children)
		return -1;
	if (object)
		return compile_members(c, at, children);
	for (size_t i = 0; i < out->count; i++) {
		struct rules_node item = keys_item(at, i);

		if (compile_node(c, &item, &children[i]) < 0)
			return -1;
	}
	return 0;
}

static int
compile_node(struct compiler *c, const struct rules_node *at,
	     struct emit_node *out)
{
	if (++c->nodes > NODES_MAX)
		return load_fail(c->l, at, "more than %d values in \"data\"",
				 NODES_MAX);
	if (json_is_object(at->value) || json_is_array(at->value))
		return compile_container(c, at, out);
	if (json_is_string(at->value) &&
	    strpbrk(json_string_value(at->value), "{}")) {
		out->kind = EMIT_NODE_TEXT;
		return emit_text_compile(c->l, at, c->rule,
					 json_string_value(at->value),
					 &out->text);
	}
	out->kind = EMIT_NODE_RAW;
	return copy_json(c->l, at->value, &out->raw);
}

/* ---- when ---- */

static int
load_test(struct rules_load *l, const struct rules_node *at,
	  struct emit_condition *c)
{
	struct rules_node present;

	if (json_is_array(at->value))
		return load_fail(l, at, "must be a value or "
				 "{\"present\": true}, not an array");
	if (!json_is_object(at->value))
		return copy_json(l, at->value, &c->expected);
	if (keys_check(l, at, KEYS_OBJECT_PRESENT) < 0)
		return -1;
	keys_get(at, KEY_PRESENT_PRESENT, &present);
	c->test = json_is_true(present.value) ? EMIT_PRESENT : EMIT_ABSENT;
	return 0;
}

static int
load_conditions(struct compiler *c, const struct rules_node *map,
		enum emit_source source, struct emit *e,
		struct emit_condition *list)
{
	struct rules_node at = { .up = map };
	char name[300];

	json_object_foreach(map->value, at.key, at.value) {
		struct emit_condition *to = &list[e->condition_count];

		if (e->condition_count++ == CONDITIONS_MAX)
			return load_fail_key(c->l, &at, "more than %d "
					     "conditions", CONDITIONS_MAX);
		to->value.source = source;
		if (source == EMIT_RESPONSE_HEADER) {
			if (strlen(at.key) >= sizeof(name))
				return load_fail_key(c->l, &at, "too long");
			for (size_t i = 0; i <= strlen(at.key); i++)
				name[i] = (char)tolower(
					(unsigned char)at.key[i]);
			to->value.arg = load_copy(c->l, name);
		} else {
			to->value.arg = load_copy(c->l, at.key);
		}
		if (!to->value.arg || load_test(c->l, &at, to) < 0)
			return -1;
		if (source == EMIT_RESPONSE_HEADER
			    ? keys_check_token(c->l, &at, at.key) < 0
			    : keys_check_pointer(c->l, &at, at.key) < 0)
			return -1;
	}
	return 0;
}

static int
load_statuses(struct rules_load *l, const struct rules_node *when,
	      struct emit *e)
{
	struct rules_statuses set;
	struct rules_node at;

	if (keys_statuses(l, when, KEY_WHEN_STATUS, &set) < 0)
		return -1;
	if (set.count == 0) {
		keys_get(when, KEY_WHEN_STATUS, &at);
		return load_fail(l, &at, "no status would ever make an event: "
				 "leave the event out");
	}
	_Static_assert(EMIT_RANGES_MAX == RULES_STATUS_RANGES, "same");
	e->range_count = set.count;
	for (unsigned i = 0; i < set.count; i++) {
		e->statuses[i].from = set.ranges[i].from;
		e->statuses[i].to = set.ranges[i].to;
	}
	return 0;
}

static int
load_when(struct compiler *c, const struct rules_node *node, struct emit *e)
{
	static const struct {
		enum key key;
		enum emit_source source;
	} maps[] = {
		{ KEY_WHEN_HEADER, EMIT_RESPONSE_HEADER },
		{ KEY_WHEN_BODY, EMIT_RESPONSE_BODY },
		{ KEY_WHEN_REQUEST_BODY, EMIT_REQUEST_BODY },
	};
	struct emit_condition *list =
		load_alloc(c->l, CONDITIONS_MAX, sizeof(*list));
	struct rules_node when = { .value = NULL }, map;

	keys_get(node, KEY_EMIT_WHEN, &when);
	if (!list || load_statuses(c->l, &when, e) < 0)
		return -1;
	e->conditions = list;
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		if (keys_get(&when, maps[i].key, &map) &&
		    load_conditions(c, &map, maps[i].source, e, list) < 0)
			return -1;
	return 0;
}

static int
load_one(struct compiler *c, const struct rules_node *node, struct emit *e)
{
	static const char *const words[] = { "null", "skip" };
	struct rules_node data;
	size_t chosen;

	if (load_type(c->l, node, e) < 0 || load_when(c, node, e) < 0 ||
	    load_text(c, node, KEY_EMIT_SUBJECT, &e->subject) < 0 ||
	    load_text(c, node, KEY_EMIT_PARTITION_KEY,
		      &e->partition_key) < 0 ||
	    keys_choice(c->l, node, KEY_EMIT_MISSING, words,
			ARRAY_SIZE(words), &chosen) < 0)
		return -1;
	e->missing = chosen ? EMIT_MISSING_SKIP : EMIT_MISSING_NULL;
	keys_get(node, KEY_EMIT_DATA, &data);
	c->nodes = 0;
	if (compile_node(c, &data, &e->data) < 0)
		return -1;
	return emit_schema_load(c->l, node, e);
}

int
emit_load(struct rules_load *l, const struct rules_node *rule_node,
	  struct rules_rule *rule)
{
	struct compiler c = { .l = l, .rule = rule };
	struct rules_node list;
	struct emit *all;
	size_t n;

	if (!keys_get(rule_node, KEY_RULE_EMIT, &list))
		return 0;
	n = json_array_size(list.value);
	if (n > EMIT_PER_RULE_MAX)
		return load_fail(l, &list, "more than %d events of one rule",
				 EMIT_PER_RULE_MAX);
	all = load_alloc(l, n, sizeof(*all));
	if (!all)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct rules_node node = keys_item(&list, i);

		if (load_one(&c, &node, &all[i]) < 0)
			return -1;
	}
	rule->emits = (struct emit_list){ all, n };
	return 0;
}
