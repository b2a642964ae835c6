/* SPDX-License-Identifier: Apache-2.0 */
/* What the data of an event is like: as a file says, or as the template. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/attribute.h"
#include "base/json.h"
#include "rules/compat.h"
#include "rules/emit.h"
#include "rules/file.h"
#include "rules/keys.h"

static void write_node(struct json *j, const struct emit *e,
		       const struct emit_node *n);

/* ---- derived from the template ---- */

/* A value that the exchange lacks is null, unless there is no event then. */
static void
write_types(struct json *j, const struct emit *e, const char *first,
	    const char *second)
{
	json_key(j, "type");
	json_array_begin(j);
	json_str(j, first);
	if (second)
		json_str(j, second);
	if (e->missing == EMIT_MISSING_NULL)
		json_str(j, "null");
	json_array_end(j);
}

static void
write_value(struct json *j, const struct emit *e, enum emit_source source)
{
	switch (source) {
	case EMIT_REQUEST_BODY:
	case EMIT_RESPONSE_BODY:
		return;
	case EMIT_STATUS:
		write_types(j, e, "integer", NULL);
		return;
	case EMIT_REQUEST_HEADER:
	case EMIT_RESPONSE_HEADER:
		write_types(j, e, "string", "array");
		json_key(j, "items");
		json_raw(j, span_of("{\"type\":\"string\"}"));
		return;
	case EMIT_RULE:
	case EMIT_STAGE:
	case EMIT_TARGET:
	case EMIT_STARTED:
	case EMIT_METHOD:
	case EMIT_REQUEST_TARGET:
	case EMIT_HOST:
	case EMIT_CLIENT:
	case EMIT_PATH:
	case EMIT_QUERY:
	case EMIT_SOURCE_COUNT:
		break;
	}
	write_types(j, e, "string", NULL);
}

static void
write_text(struct json *j, const struct emit *e, const struct emit_text *t)
{
	size_t values = 0;

	for (size_t i = 0; i < t->count; i++)
		values += t->parts[i].is_value;
	if (t->count == 1 && values == 1) {
		write_value(j, e, t->parts[0].value.source);
	} else if (values) {
		write_types(j, e, "string", NULL);
	} else {
		json_key(j, "type");
		json_str(j, "string");
	}
}

static const char *
literal_type(struct span raw)
{
	switch (raw.len ? raw.at[0] : 'n') {
	case '"':
		return "string";
	case 't':
	case 'f':
		return "boolean";
	case 'n':
		return "null";
	}
	for (size_t i = 0; i < raw.len; i++)
		if (strchr(".eE", raw.at[i]))
			return "number";
	return "integer";
}

static void
write_object(struct json *j, const struct emit *e, const struct emit_node *n)
{
	json_key(j, "required");
	json_array_begin(j);
	for (size_t i = 0; i < n->count; i++)
		json_span(j, n->children[i].key);
	json_array_end(j);
	json_key(j, "properties");
	json_object_begin(j);
	for (size_t i = 0; i < n->count; i++) {
		json_key_span(j, n->children[i].key);
		write_node(j, e, &n->children[i]);
	}
	json_object_end(j);
}

static void
write_array(struct json *j, const struct emit *e, const struct emit_node *n)
{
	json_key(j, "minItems");
	json_u64(j, n->count);
	json_key(j, "maxItems");
	json_u64(j, n->count);
	if (n->count == 0)
		return;
	json_key(j, "prefixItems");
	json_array_begin(j);
	for (size_t i = 0; i < n->count; i++)
		write_node(j, e, &n->children[i]);
	json_array_end(j);
}

static const char *
node_type(const struct emit_node *n)
{
	if (n->kind == EMIT_NODE_OBJECT)
		return "object";
	return n->kind == EMIT_NODE_ARRAY ? "array" : literal_type(n->raw);
}

static void
write_node(struct json *j, const struct emit *e, const struct emit_node *n)
{
	json_object_begin(j);
	if (n->kind == EMIT_NODE_TEXT) {
		write_text(j, e, &n->text);
	} else {
		json_key(j, "type");
		json_str(j, node_type(n));
	}
	if (n->kind == EMIT_NODE_OBJECT)
		write_object(j, e, n);
	else if (n->kind == EMIT_NODE_ARRAY)
		write_array(j, e, n);
	json_object_end(j);
}

static int
derive(struct rules_load *l, struct emit *e)
{
	CLEANUP(buf_fini) struct buf text = { 0 };
	const char *copy;
	struct json j;

	json_init(&j, &text);
	write_node(&j, e, &e->data);
	if (text.failed)
		return error_set(l->err, "no memory for the rules");
	copy = load_copy_n(l, buf_str(&text), text.len);
	e->shape = (struct span){ copy, text.len };
	return copy ? 0 : -1;
}

/* "shop.order.v1" is urn:matapalo:emit:shop.order:v1. */
static int
set_urn(struct rules_load *l, struct emit *e)
{
	const char *version = strrchr(e->type, '.');
	char urn[400];

	snprintf(urn, sizeof(urn), "urn:matapalo:emit:%.*s:%s",
		 (int)(version - e->type), e->type, version + 1);
	e->schema = load_copy(l, urn);
	return e->schema ? 0 : -1;
}

/* ---- "schema" ---- */

/* RFC 3986 3.1: a scheme. */
static bool
is_uri(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || (s[n] && strchr("+-.", s[n])))
		n++;
	return n > 1 && isalpha((unsigned char)*s) && s[n] == ':';
}

static int
load_uri(struct rules_load *l, const struct rules_node *at, const char *s,
	 struct emit *e)
{
	if (attribute_check(ATTRIBUTE_DATASCHEMA, span_of(s), NULL) < 0)
		return load_fail(l, at, "\"%s\" is not a URI such as "
				 "\"https://shop.example/order.v1.json\"", s);
	e->schema_from = EMIT_SCHEMA_URI;
	e->schema = load_copy(l, s);
	return e->schema ? derive(l, e) : -1;
}

static bool
has_version(const char *path, const char *version)
{
	size_t n = strlen(path), m = strlen(version);
	const char *at;

	if (n < m + strlen(".json"))
		return false;
	at = path + n - m - strlen(".json");
	return strncmp(at, version, m) == 0 &&
	       strcmp(at + m, ".json") == 0 &&
	       (at == path || at[-1] == '.' || at[-1] == '/');
}

static int
load_schema_file(struct rules_load *l, const struct rules_node *at,
		 const char *s, struct emit *e)
{
	const char *version = strrchr(e->type, '.') + 1;
	struct compat_schema *schema;
	struct rules_file file = { 0 };
	struct error why = { 0 };

	if (!has_version(s, version))
		return load_fail(l, at, "\"%s\" is neither a URI nor the file "
				 "of version %s: the file's name must end in "
				 "\".%s.json\"", s, version, version);
	if (file_load(l, at, &file) < 0)
		return -1;
	schema = compat_load_text(file.text, &why);
	if (!schema)
		return load_fail(l, at, "%s:%d:%d: %s", file.path, why.line,
				 why.column, why.text);
	compat_free(&schema);
	e->schema_from = EMIT_SCHEMA_FILE;
	e->schema_file = file.path;
	e->shape = file.text;
	return set_urn(l, e);
}

int
emit_schema_load(struct rules_load *l, const struct rules_node *node,
		 struct emit *e)
{
	struct rules_node at;
	const char *s;

	if (!keys_get(node, KEY_EMIT_SCHEMA, &at))
		return set_urn(l, e) < 0 ? -1 : derive(l, e);
	s = json_string_value(at.value);
	return is_uri(s) ? load_uri(l, &at, s, e)
			 : load_schema_file(l, &at, s, e);
}
