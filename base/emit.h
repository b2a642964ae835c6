/* SPDX-License-Identifier: Apache-2.0 */
/* Domain events that a rule makes of its exchanges, as plain tables: built
 * by rules/, read by the journal's thread. Immutable once shared. */
#ifndef BASE_EMIT_H
#define BASE_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum emit_source {
#define SOURCE(sym, text, argument, place, sentence) EMIT_##sym,
#include "base/emit.def"
#undef SOURCE
	EMIT_SOURCE_COUNT
};

struct emit_value {
	enum emit_source source;
	const char *arg;	/* name in lower case for headers, pointer */
	unsigned segment;	/* EMIT_PATH: which one of the path */
	bool tail;		/* EMIT_PATH: and all behind it */
};

struct emit_part {
	bool is_value;
	struct span literal;
	struct emit_value value;
};

/* A string with placeholders. One placeholder alone keeps its JSON type. */
struct emit_text {
	const struct emit_part *parts;
	size_t count;
};

enum emit_node_kind { EMIT_NODE_RAW, EMIT_NODE_TEXT, EMIT_NODE_OBJECT,
		      EMIT_NODE_ARRAY };

struct emit_node {
	enum emit_node_kind kind;
	struct span key;		/* in an object */
	struct span raw;		/* JSON text */
	struct emit_text text;
	const struct emit_node *children;
	size_t count;
};

enum emit_test { EMIT_IS, EMIT_PRESENT, EMIT_ABSENT };

struct emit_condition {
	struct emit_value value;
	enum emit_test test;
	struct span expected;		/* EMIT_IS: JSON text */
};

#define EMIT_RANGES_MAX 8
#define EMIT_PER_RULE_MAX 16
#define EMIT_DATA_MAX ((size_t)4 << 20)

enum emit_missing { EMIT_MISSING_NULL, EMIT_MISSING_SKIP };

/* Who says what the data is like. */
enum emit_schema { EMIT_SCHEMA_DERIVED, EMIT_SCHEMA_URI, EMIT_SCHEMA_FILE };

struct emit {
	const char *type;
	const char *schema;		/* dataschema */
	enum emit_schema schema_from;
	const char *schema_file;	/* EMIT_SCHEMA_FILE: its path */
	struct span shape;		/* JSON Schema of data */
	size_t range_count;
	struct { uint16_t from, to; } statuses[EMIT_RANGES_MAX];
	const struct emit_condition *conditions;
	size_t condition_count;
	struct emit_text subject, partition_key;	/* count 0: none */
	struct emit_node data;
	enum emit_missing missing;
};

struct emit_list {
	const struct emit *at;
	size_t count;
};

static inline bool
emit_takes_status(const struct emit *e, int status)
{
	for (size_t i = 0; i < e->range_count; i++)
		if (status >= e->statuses[i].from &&
		    status <= e->statuses[i].to)
			return true;
	return false;
}

#endif
