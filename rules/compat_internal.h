/* SPDX-License-Identifier: Apache-2.0 */
/* Inside rules/: what a schema says, as a conjunction of its parts. */
#ifndef RULES_COMPAT_INTERNAL_H
#define RULES_COMPAT_INTERNAL_H

#include <stdbool.h>

#include "rules/compat.h"
#include "rules/load.h"

struct compat_schema {
	json_t *tree;
};

enum { COMPAT_NULL = 1, COMPAT_BOOL = 2, COMPAT_OBJECT = 4, COMPAT_ARRAY = 8,
       COMPAT_STRING = 16, COMPAT_INTEGER = 32, COMPAT_FRACTION = 64,
       COMPAT_ALL = 127 };
#define COMPAT_NUMBER (COMPAT_INTEGER | COMPAT_FRACTION)
#define COMPAT_PARTS_MAX 32
#define COMPAT_DEPTH_MAX 64

/* `any` and `one`: its alternatives are parts of the set already. */
struct compat_part {
	const json_t *s, *root;
	bool any, one;
};

/* All parts hold. `partial`: more is said than the parts can tell, so that
 * the set may take too much, never too little. */
struct compat_set {
	struct compat_part at[COMPAT_PARTS_MAX];
	size_t n;
	bool partial;
};

enum compat_valid { COMPAT_NO, COMPAT_MAYBE, COMPAT_YES };

struct compat_bound {
	long double at;
	bool there, excluded;
};

/* compat_check: 0, or -1 with the error at its place. */
MUST_CHECK int compat_check(struct rules_load *l,
			    const struct rules_node *schema,
			    const json_t *root);
/* compat_resolve: "#/a/b" in the document, or NULL. */
const json_t *compat_resolve(const json_t *root, const char *ref);
void compat_add(struct compat_set *to, const json_t *s, const json_t *root);
unsigned compat_types(const json_t *type);
unsigned compat_type_of(const json_t *value);
/* compat_mask: the types of which the set may take a value. */
unsigned compat_mask(const struct compat_set *a, int depth);
bool compat_same(const json_t *a, const json_t *b);
bool compat_self_contained(const json_t *s);
enum compat_valid compat_valid(const json_t *v, const json_t *s,
			       const json_t *root, int depth);
enum compat_valid compat_valid_set(const json_t *v,
				   const struct compat_set *a);
const json_t *compat_values(const struct compat_set *a, json_t **made);
struct compat_bound compat_lower(const struct compat_set *a, unsigned mask);
struct compat_bound compat_upper(const struct compat_set *a, unsigned mask);
/* The largest (smallest) of a count; `none` when nothing is said. */
long double compat_most(const struct compat_set *a, const char *key);
long double compat_least(const struct compat_set *a, const char *key);
bool compat_requires(const struct compat_set *a, const char *name);
size_t compat_required(const struct compat_set *a);
/* What is said of a member, NULL: of one that no part names; of names that
 * match a pattern; of an element. */
struct compat_set compat_member(const struct compat_set *a, const char *name);
struct compat_set compat_pattern(const struct compat_set *a,
				 const char *pattern);
struct compat_set compat_element(const struct compat_set *a, size_t i);

#endif
