/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON Schema of the rules file, from the same tables as the parser. */
#include <stdio.h>

#include "base/json.h"
#include "rules/keys.h"

static void
write_ref(struct json *j, enum keys_object object)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "#/$defs/%s",
			 keys_object(object)->schema);

	json_key(j, "$ref");
	json_span(j, (struct span){ text, (size_t)n });
}

static void
write_stages(struct json *j)
{
	json_key(j, "enum");
	json_array_begin(j);
	for (unsigned s = 0; s < RULES_STAGE_COUNT; s++)
		json_str(j, rules_stage_name((enum rules_stage)s));
	json_array_end(j);
}

/* A container's own shape, or the scalar alternative beside it. */
static void
write_container(struct json *j, const struct keys_type_row *type)
{
	const char *inner = type->container == KEYS_MAP
				    ? "additionalProperties"
				    : "items";

	json_key(j, "type");
	json_str(j, type->container == KEYS_MAP ? "object" : "array");
	json_key(j, inner);
	json_object_begin(j);
	write_ref(j, type->object);
	json_object_end(j);
}

static void
write_either(struct json *j, const struct keys_type_row *type)
{
	json_key(j, "anyOf");
	json_array_begin(j);
	json_raw(j, span_of(type->schema));
	json_object_begin(j);
	write_ref(j, type->object);
	json_object_end(j);
	json_array_end(j);
}

static void
write_type(struct json *j, enum keys_type t)
{
	const struct keys_type_row *type = keys_type(t);

	if (t == KEYS_TYPE_STAGE) {
		write_stages(j);
	} else if (type->container == KEYS_ALONE) {
		json_key(j, "allOf");
		json_array_begin(j);
		json_raw(j, span_of(type->schema));
		json_array_end(j);
	} else if (type->container != KEYS_ONE) {
		write_container(j, type);
	} else if (*type->schema) {
		write_either(j, type);
	} else {
		write_ref(j, type->object);
	}
}

static void
write_property(struct json *j, const struct keys_row *row)
{
	json_key_span(j, span_of(row->key));
	json_object_begin(j);
	json_key(j, "description");
	json_str(j, row->sentence);
	if (*row->def) {
		json_key(j, "default");
		if (row->type == KEYS_TYPE_BOOL ||
		    row->type == KEYS_TYPE_NUMBER)
			json_raw(j, span_of(row->def));
		else
			json_str(j, row->def);
	}
	write_type(j, row->type);
	json_object_end(j);
}

static void
write_required(struct json *j, enum keys_object object)
{
	json_key(j, "required");
	json_array_begin(j);
	for (unsigned k = 0; k < KEY_COUNT; k++)
		if (keys_required(object, (enum key)k))
			json_str(j, keys_row((enum key)k)->key);
	json_array_end(j);
}

static void
write_members(struct json *j, enum keys_object object)
{
	json_key(j, "type");
	json_str(j, "object");
	json_key(j, "additionalProperties");
	json_bool(j, false);
	write_required(j, object);
	json_key(j, "properties");
	json_object_begin(j);
	for (unsigned k = 0; k < KEY_COUNT; k++)
		if (keys_taken(object, (enum key)k) &&
		    keys_row((enum key)k)->need != KEYS_FUTURE)
			write_property(j, keys_row((enum key)k));
	json_object_end(j);
}

void
rules_schema(struct buf *out)
{
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "$schema");
	json_str(&j, "https://json-schema.org/draft/2020-12/schema");
	json_key(&j, "title");
	json_str(&j, "matapalo rules, version 1");
	write_members(&j, KEYS_OBJECT_ROOT);
	json_key(&j, "$defs");
	json_object_begin(&j);
	for (unsigned o = KEYS_OBJECT_ROOT + 1; o < KEYS_OBJECT_COUNT; o++) {
		const char *name = keys_object((enum keys_object)o)->schema;

		json_key_span(&j, span_of(name));
		json_object_begin(&j);
		write_members(&j, (enum keys_object)o);
		json_object_end(&j);
	}
	json_object_end(&j);
	json_object_end(&j);
}
