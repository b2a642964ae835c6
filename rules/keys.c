/* SPDX-License-Identifier: Apache-2.0 */
/* The tables, and the check of a whole file's form against them. */
#include "rules/keys.h"

#include <string.h>

#define J_STRING (1u << JSON_STRING)
#define J_INTEGER (1u << JSON_INTEGER)
#define J_REAL (1u << JSON_REAL)
#define J_BOOL (1u << JSON_TRUE | 1u << JSON_FALSE)
#define J_ARRAY (1u << JSON_ARRAY)
#define J_OBJECT (1u << JSON_OBJECT)
#define J_ANY (~0u)

static const struct keys_row rows[] = {
#define KEY(object, sym, key, type, need, def, sentence) \
	{ KEYS_OBJECT_##object, key, KEYS_TYPE_##type, KEYS_##need, def, \
	  sentence },
#include "rules/keys.def"
#undef KEY
};

static const struct keys_type_row types[] = {
#define TYPE(sym, accepts, container, object, words, schema) \
	{ accepts, KEYS_##container, KEYS_OBJECT_##object, words, schema },
#include "rules/types.def"
#undef TYPE
};

static const struct keys_object_row objects[] = {
#define OBJECT(sym, keys_of, place, schema) \
	{ KEYS_OBJECT_##keys_of, place, schema },
#include "rules/objects.def"
#undef OBJECT
};

const struct keys_row *
keys_row(enum key k)
{
	return &rows[k];
}

const struct keys_type_row *
keys_type(enum keys_type t)
{
	return &types[t];
}

const struct keys_object_row *
keys_object(enum keys_object o)
{
	return &objects[o];
}

bool
keys_taken(enum keys_object o, enum key k)
{
	if (o == KEYS_OBJECT_DEFAULT &&
	    (k == KEY_RULE_NAME || k == KEY_RULE_MATCH))
		return false;
	return rows[k].object == objects[o].keys_of;
}

bool
keys_required(enum keys_object o, enum key k)
{
	return keys_taken(o, k) && rows[k].need == KEYS_REQUIRED;
}

static const char *
json_words(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		return "null";
	}
	return "something else";
}

struct key_names {
	enum keys_object object;
	unsigned next;
};

static const char *
next_key_name(void *arg)
{
	struct key_names *n = arg;

	while (n->next < KEY_COUNT) {
		enum key k = (enum key)n->next++;

		if (keys_taken(n->object, k) && rows[k].need != KEYS_FUTURE)
			return rows[k].key;
	}
	return NULL;
}

static int
fail_unknown(struct rules_load *l, const struct rules_node *node,
	     enum keys_object object)
{
	struct key_names names = { object, 0 };
	const char *near = keys_nearest(node->key, next_key_name, &names);

	if (object == KEYS_OBJECT_DEFAULT && (strcmp(node->key, "name") == 0 ||
					      strcmp(node->key, "match") == 0))
		return load_fail_key(l, node, "\"default\" is for every "
				     "request that no rule matches: it has no "
				     "\"name\" and no \"match\"");
	if (near)
		return load_fail_key(l, node, "unknown key: did you mean "
				     "\"%s\"?", near);
	return load_fail_key(l, node, "unknown key: remove it");
}

static int
find_row(struct rules_load *l, const struct rules_node *node,
	 enum keys_object object, const struct keys_row **row)
{
	for (unsigned k = 0; k < KEY_COUNT; k++) {
		if (!keys_taken(object, (enum key)k) ||
		    strcmp(rows[k].key, node->key) != 0)
			continue;
		if (rows[k].need == KEYS_FUTURE)
			return load_fail_key(l, node, "not supported by this "
					     "version: %s", rows[k].sentence);
		*row = &rows[k];
		return 0;
	}
	return fail_unknown(l, node, object);
}

static int
check_element(struct rules_load *l, const struct rules_node *node,
	      enum keys_object object)
{
	if (!json_is_object(node->value))
		return load_fail(l, node, "must be an object, not %s",
				 json_words(node->value));
	return keys_check(l, node, object);
}

static int
check_map(struct rules_load *l, const struct rules_node *map,
	  enum keys_object object)
{
	struct rules_node node = { .up = map };

	json_object_foreach(map->value, node.key, node.value) {
		if (!keys_is_name(node.key))
			return load_fail_key(l, &node, KEYS_NAME_HELP);
		if (check_element(l, &node, object) < 0)
			return -1;
	}
	return 0;
}

static int
check_list(struct rules_load *l, const struct rules_node *list,
	   enum keys_object object)
{
	for (size_t i = 0; i < json_array_size(list->value); i++) {
		struct rules_node node = keys_item(list, i);

		if (check_element(l, &node, object) < 0)
			return -1;
	}
	return 0;
}

static int
check_value(struct rules_load *l, const struct rules_node *node,
	    const struct keys_type_row *type)
{
	if (!(type->accepts & 1u << json_typeof(node->value)))
		return load_fail(l, node, "must be %s, not %s", type->words,
				 json_words(node->value));
	switch (type->container) {
	case KEYS_ALONE:
		return 0;
	case KEYS_ONE:
		return json_is_object(node->value)
			       ? keys_check(l, node, type->object)
			       : 0;
	case KEYS_MAP:
		return check_map(l, node, type->object);
	case KEYS_LIST:
		return check_list(l, node, type->object);
	}
	return 0;
}

static int
check_required(struct rules_load *l, const struct rules_node *node,
	       enum keys_object object)
{
	for (unsigned k = 0; k < KEY_COUNT; k++)
		if (keys_required(object, (enum key)k) &&
		    !json_object_get(node->value, rows[k].key))
			return load_fail(l, node, "\"%s\" is missing: %s",
					 rows[k].key, rows[k].sentence);
	return 0;
}

int
keys_check(struct rules_load *l, const struct rules_node *node,
	   enum keys_object object)
{
	struct rules_node member = { .up = node };
	const struct keys_row *row = NULL;

	json_object_foreach(node->value, member.key, member.value) {
		if (find_row(l, &member, object, &row) < 0 ||
		    check_value(l, &member, &types[row->type]) < 0)
			return -1;
	}
	return check_required(l, node, object);
}
