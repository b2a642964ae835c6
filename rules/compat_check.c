/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a file is a schema that can be compared, with the place if not. */
#include <errno.h>
#include <string.h>

#include "rules/compat_internal.h"
#include "rules/keys.h"

enum kind { ONE, LIST, MAP, STRING, NUMBER, COUNT, BOOL, STRINGS, TYPES,
	    VALUES, ANY };

static const struct {
	const char *key;
	enum kind kind;
} rows[] = {
	{ "additionalProperties", ONE }, { "items", ONE }, { "not", ONE },
	{ "contains", ONE }, { "if", ONE }, { "then", ONE }, { "else", ONE },
	{ "propertyNames", ONE }, { "unevaluatedProperties", ONE },
	{ "unevaluatedItems", ONE }, { "allOf", LIST }, { "anyOf", LIST },
	{ "oneOf", LIST }, { "prefixItems", LIST }, { "properties", MAP },
	{ "patternProperties", MAP }, { "$defs", MAP },
	{ "definitions", MAP }, { "dependentSchemas", MAP },
	{ "pattern", STRING }, { "format", STRING }, { "$ref", STRING },
	{ "minimum", NUMBER }, { "maximum", NUMBER },
	{ "exclusiveMinimum", NUMBER }, { "exclusiveMaximum", NUMBER },
	{ "multipleOf", NUMBER }, { "minLength", COUNT },
	{ "maxLength", COUNT }, { "minItems", COUNT }, { "maxItems", COUNT },
	{ "minProperties", COUNT }, { "maxProperties", COUNT },
	{ "minContains", COUNT }, { "maxContains", COUNT },
	{ "uniqueItems", BOOL }, { "required", STRINGS },
	{ "type", TYPES }, { "enum", VALUES },
};

static bool
all_strings(const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!json_is_string(json_array_get(list, i)))
			return false;
	return json_is_array(list);
}

static const char *
wrong(const json_t *v, enum kind kind)
{
	switch (kind) {
	case ONE:
		return json_is_object(v) || json_is_boolean(v)
			       ? NULL : "a schema";
	case LIST:
		return json_array_size(v) ? NULL : "a list of schemas";
	case MAP:
		return json_is_object(v) ? NULL : "an object of schemas";
	case STRING:
		return json_is_string(v) ? NULL : "a string";
	case NUMBER:
		return json_is_number(v) ? NULL : "a number";
	case COUNT:
		return json_is_integer(v) && json_integer_value(v) >= 0
			       ? NULL : "a whole number";
	case BOOL:
		return json_is_boolean(v) ? NULL : "true or false";
	case STRINGS:
		return all_strings(v) ? NULL : "a list of strings";
	case TYPES:
		return compat_types(v) ? NULL : "a type or a list of types";
	case VALUES:
		return json_is_array(v) ? NULL : "a list of values";
	case ANY:
		break;
	}
	return NULL;
}

static int
check_children(struct rules_load *l, const struct rules_node *node,
	       enum kind kind, const json_t *root)
{
	struct rules_node at = { .up = node };

	if (kind == ONE)
		return compat_check(l, node, root);
	if (kind == MAP)
		json_object_foreach(node->value, at.key, at.value)
			if (compat_check(l, &at, root) < 0)
				return -1;
	for (size_t i = 0; kind == LIST && i < json_array_size(node->value);
	     i++) {
		at = keys_item(node, i);
		if (compat_check(l, &at, root) < 0)
			return -1;
	}
	return 0;
}

static int
check_special(struct rules_load *l, const struct rules_node *at,
	      const json_t *root)
{
	const char *text = json_string_value(at->value);

	if (strcmp(at->key, "nullable") == 0)
		return load_fail(l, at, "is no keyword of JSON Schema: write "
				 "\"type\": [\"...\", \"null\"]");
	if (strcmp(at->key, "$id") == 0 && at->up->up)
		return load_fail(l, at, "only the whole document may have "
				 "one");
	if (strcmp(at->key, "$schema") == 0 &&
	    (!text || !strstr(text, "/draft/2020-12/schema")))
		return load_fail(l, at, "only draft 2020-12 is compared: "
				 "https://json-schema.org/draft/2020-12/"
				 "schema");
	if (strcmp(at->key, "$ref") == 0 && text &&
	    !compat_resolve(root, text))
		return load_fail(l, at, "\"%s\" is no place in this document: "
				 "write \"#/$defs/NAME\"", text);
	if (strcmp(at->key, "multipleOf") == 0 &&
	    json_number_value(at->value) <= 0)
		return load_fail(l, at, "must be more than 0");
	return 0;
}

int
compat_check(struct rules_load *l, const struct rules_node *schema,
	     const json_t *root)
{
	struct rules_node at = { .up = schema };
	const char *why = wrong(schema->value, ONE);

	if (why)
		return load_fail(l, schema, "must be %s", why);
	json_object_foreach(schema->value, at.key, at.value) {
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			if (strcmp(rows[i].key, at.key) != 0)
				continue;
			why = wrong(at.value, rows[i].kind);
			if (why)
				return load_fail(l, &at, "must be %s", why);
			if (check_children(l, &at, rows[i].kind, root) < 0)
				return -1;
		}
		if (check_special(l, &at, root) < 0)
			return -1;
	}
	return 0;
}
