/* SPDX-License-Identifier: Apache-2.0 */
/* Inside rules/: the tables of keys, types and objects, and reading by key. */
#ifndef RULES_KEYS_H
#define RULES_KEYS_H

#include "rules/load.h"

enum keys_object {
#define OBJECT(sym, keys_of, place, schema) KEYS_OBJECT_##sym,
#include "rules/objects.def"
#undef OBJECT
	KEYS_OBJECT_COUNT
};

enum keys_type {
#define TYPE(sym, accepts, container, object, words, schema) KEYS_TYPE_##sym,
#include "rules/types.def"
#undef TYPE
	KEYS_TYPE_COUNT
};

enum key {
#define KEY(object, sym, key, type, need, def, sentence) KEY_##object##_##sym,
#include "rules/keys.def"
#undef KEY
	KEY_COUNT
};

enum keys_need { KEYS_OPTIONAL, KEYS_REQUIRED, KEYS_FUTURE };
enum keys_container { KEYS_ALONE, KEYS_ONE, KEYS_MAP, KEYS_LIST };

struct keys_row {
	enum keys_object object;
	const char *key;
	enum keys_type type;
	enum keys_need need;
	const char *def, *sentence;
};

struct keys_type_row {
	unsigned accepts;	/* bit per json_type */
	enum keys_container container;
	enum keys_object object;
	const char *words, *schema;
};

struct keys_object_row {
	enum keys_object keys_of;
	const char *place, *schema;
};

const struct keys_row *keys_row(enum key k);
const struct keys_type_row *keys_type(enum keys_type t);
const struct keys_object_row *keys_object(enum keys_object o);
/* keys_taken: whether this object has this key ("default" has no "match"). */
bool keys_taken(enum keys_object o, enum key k);
/* keys_required: whether the object must have it. */
bool keys_required(enum keys_object o, enum key k);

/* keys_check compares a whole object with the tables: unknown, missing and
 * unsupported keys, wrong types. Values are looked at by whoever reads. */
int keys_check(struct rules_load *l, const struct rules_node *node,
	       enum keys_object object);

/* keys_get steps down to a member; false (and out->value NULL) when it is
 * not there. keys_item steps to an element. */
bool keys_get(const struct rules_node *node, enum key k,
	      struct rules_node *out);
struct rules_node keys_item(const struct rules_node *node, size_t index);

/* Read a value, or the default of the table when the member is missing. */
int keys_duration(struct rules_load *l, const struct rules_node *node,
		  enum key k, unsigned *ms);
int keys_percent(struct rules_load *l, const struct rules_node *node,
		 enum key k, uint32_t *ppm);
int keys_size(struct rules_load *l, const struct rules_node *node,
	      enum key k, size_t *bytes);
int keys_statuses(struct rules_load *l, const struct rules_node *node,
		  enum key k, struct rules_statuses *out);
/* keys_count reads a whole number of at least `least`. */
int keys_count(struct rules_load *l, const struct rules_node *node,
	       enum key k, unsigned least, unsigned *out);
/* keys_choice finds the word of a member (or its default) in words. */
int keys_choice(struct rules_load *l, const struct rules_node *node,
		enum key k, const char *const *words, size_t count,
		size_t *chosen);
/* keys_string lends the member's text or the table's default. */
const char *keys_string(const struct rules_node *node, enum key k);
/* keys_strings copies an array (or one string) of strings; a missing member
 * is an empty list. `check` looks at each and may be NULL. */
typedef int keys_string_check(struct rules_load *l,
			      const struct rules_node *at, const char *s);
int keys_strings(struct rules_load *l, const struct rules_node *node,
		 enum key k, keys_string_check *check,
		 const char *const **list, size_t *count);

/* keys_is_name: may name a target, a rule or an adapter. */
bool keys_is_name(const char *s);
#define KEYS_NAME_HELP \
	"a name is 1 to 64 letters, digits, \".\", \"_\" or \"-\", and " \
	"begins with a letter or digit"
/* keys_is_token: RFC 9110 5.6.2. */
bool keys_is_token(const char *s);
/* Checks of single strings, shared by several keys. */
int keys_check_token(struct rules_load *l, const struct rules_node *at,
		     const char *s);
int keys_check_pointer(struct rules_load *l, const struct rules_node *at,
		       const char *s);

/* keys_nearest returns the candidate most like s, or NULL when none is
 * close. `next` yields candidates until NULL. */
const char *keys_nearest(const char *s, const char *(*next)(void *arg),
			 void *arg);

#endif
