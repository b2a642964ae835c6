/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a schema taken together: types, bounds, members, values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rules/compat_internal.h"

static const struct {
	const char *name;
	unsigned bits;
} type_names[] = {
	{ "null", COMPAT_NULL }, { "boolean", COMPAT_BOOL },
	{ "object", COMPAT_OBJECT }, { "array", COMPAT_ARRAY },
	{ "string", COMPAT_STRING }, { "integer", COMPAT_INTEGER },
	{ "number", COMPAT_NUMBER },
};

/* Said of values in ways that no part can tell. */
static const char *const opaque[] = {
	"not", "if", "contains", "propertyNames", "dependentRequired",
	"dependentSchemas", "unevaluatedProperties", "unevaluatedItems",
	"$dynamicRef", "patternProperties",
};

static unsigned
one_type(const json_t *name)
{
	const char *text = json_string_value(name);

	for (size_t i = 0; text && i < ARRAY_SIZE(type_names); i++)
		if (strcmp(type_names[i].name, text) == 0)
			return type_names[i].bits;
	return 0;
}

unsigned
compat_types(const json_t *type)
{
	unsigned all = 0;

	if (json_is_string(type))
		return one_type(type);
	for (size_t i = 0; i < json_array_size(type); i++) {
		unsigned bits = one_type(json_array_get(type, i));

		if (!bits)
			return 0;
		all |= bits;
	}
	return all;
}

static long double
number(const json_t *v)
{
	return json_is_integer(v) ? (long double)json_integer_value(v)
				  : (long double)json_real_value(v);
}

unsigned
compat_type_of(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return COMPAT_OBJECT;
	case JSON_ARRAY:
		return COMPAT_ARRAY;
	case JSON_STRING:
		return COMPAT_STRING;
	case JSON_INTEGER:
		return COMPAT_INTEGER;
	case JSON_REAL:
		return floorl(number(v)) == number(v) ? COMPAT_INTEGER
						      : COMPAT_FRACTION;
	case JSON_TRUE:
	case JSON_FALSE:
		return COMPAT_BOOL;
	case JSON_NULL:
		break;
	}
	return COMPAT_NULL;
}

const json_t *
compat_resolve(const json_t *root, const char *ref)
{
	char token[256];

	if (*ref++ != '#' || strchr(ref, '%'))
		return NULL;
	while (root && *ref == '/') {
		size_t n = 0;

		for (ref++; *ref && *ref != '/'; ref++) {
			char c = *ref;

			if (c == '~' && (ref[1] == '0' || ref[1] == '1'))
				c = *++ref == '0' ? '~' : '/';
			if (n + 1 == sizeof(token))
				return NULL;
			token[n++] = c;
		}
		token[n] = '\0';
		root = json_is_array(root)
			       ? json_array_get(root, strtoul(token, NULL, 10))
			       : json_object_get(root, token);
	}
	return *ref || (!json_is_object(root) && !json_is_boolean(root))
		       ? NULL : root;
}

bool
compat_self_contained(const json_t *s)
{
	const char *key;
	json_t *v;

	for (size_t i = 0; i < json_array_size(s); i++)
		if (!compat_self_contained(json_array_get(s, i)))
			return false;
	json_object_foreach((json_t *)(uintptr_t)s, key, v)
		if (strstr(key, "$ref") || strcmp(key, "$dynamicRef") == 0 ||
		    !compat_self_contained(v))
			return false;
	return true;
}

void
compat_add(struct compat_set *to, const json_t *s, const json_t *root)
{
	const json_t *list = json_object_get(s, "allOf");
	const char *ref = json_string_value(json_object_get(s, "$ref"));

	if (!s || json_is_true(s) ||
	    (json_is_object(s) && json_object_size(s) == 0))
		return;
	for (size_t i = 0; i < to->n; i++)
		if (to->at[i].s == s)
			return;
	if (to->n == COMPAT_PARTS_MAX) {
		to->partial = true;
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(opaque); i++)
		to->partial |= json_object_get(s, opaque[i]) != NULL;
	to->at[to->n++] = (struct compat_part){ .s = s, .root = root };
	for (size_t i = 0; i < json_array_size(list); i++)
		compat_add(to, json_array_get(list, i), root);
	if (ref)
		compat_add(to, compat_resolve(root, ref), root);
}

/* ---- bounds ---- */

static struct compat_bound
bound(const struct compat_set *a, const char *in, const char *out, int sign)
{
	struct compat_bound b = { 0 };

	for (size_t i = 0; i < a->n; i++)
		for (int k = 0; k < 2; k++) {
			const json_t *v = json_object_get(a->at[i].s,
							  k ? out : in);
			long double at = v ? number(v) : 0;

			if (!v || (b.there && sign * at < sign * b.at))
				continue;
			b.excluded = k || (b.there && at == b.at &&
					   b.excluded);
			b.there = true;
			b.at = at;
		}
	return b;
}

struct compat_bound
compat_lower(const struct compat_set *a, unsigned mask)
{
	struct compat_bound b = bound(a, "minimum", "exclusiveMinimum", 1);

	if (b.there && !(mask & COMPAT_FRACTION)) {
		b.at = b.excluded && floorl(b.at) == b.at ? b.at + 1
							  : ceill(b.at);
		b.excluded = false;
	}
	return b;
}

struct compat_bound
compat_upper(const struct compat_set *a, unsigned mask)
{
	struct compat_bound b = bound(a, "maximum", "exclusiveMaximum", -1);

	if (b.there && !(mask & COMPAT_FRACTION)) {
		b.at = b.excluded && floorl(b.at) == b.at ? b.at - 1
							  : floorl(b.at);
		b.excluded = false;
	}
	return b;
}

long double
compat_most(const struct compat_set *a, const char *key)
{
	long double most = 0;

	for (size_t i = 0; i < a->n; i++) {
		const json_t *v = json_object_get(a->at[i].s, key);

		if (v && number(v) > most)
			most = number(v);
	}
	return most;
}

long double
compat_least(const struct compat_set *a, const char *key)
{
	long double least = HUGE_VALL;

	for (size_t i = 0; i < a->n; i++) {
		const json_t *v = json_object_get(a->at[i].s, key);

		if (v && number(v) < least)
			least = number(v);
	}
	return least;
}

static bool
lists(const json_t *list, const char *name)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(json_string_value(json_array_get(list, i)),
			   name) == 0)
			return true;
	return false;
}

bool
compat_requires(const struct compat_set *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++)
		if (lists(json_object_get(a->at[i].s, "required"), name))
			return true;
	return false;
}

/* Of one part: fewer than there are, where two parts name others. */
size_t
compat_required(const struct compat_set *a)
{
	size_t most = 0;

	for (size_t i = 0; i < a->n; i++) {
		const json_t *r = json_object_get(a->at[i].s, "required");
		size_t n = 0;

		for (size_t k = 0; k < json_array_size(r); k++) {
			size_t m = 0;

			while (m < k && !json_equal(json_array_get(r, m),
						    json_array_get(r, k)))
				m++;
			n += m == k;
		}
		if (n > most)
			most = n;
	}
	return most;
}

/* ---- what is inside ---- */

struct compat_set
compat_member(const struct compat_set *a, const char *name)
{
	struct compat_set to = { .partial = a->partial };

	for (size_t i = 0; i < a->n; i++) {
		const json_t *s = a->at[i].s;
		const json_t *p = json_object_get(s, "properties");
		const json_t *own = name ? json_object_get(p, name) : NULL;

		if (own)
			compat_add(&to, own, a->at[i].root);
		else if (!json_object_get(s, "patternProperties"))
			compat_add(&to,
				   json_object_get(s, "additionalProperties"),
				   a->at[i].root);
	}
	return to;
}

struct compat_set
compat_pattern(const struct compat_set *a, const char *pattern)
{
	struct compat_set to = { .partial = a->partial };

	for (size_t i = 0; i < a->n; i++) {
		const json_t *s = a->at[i].s;
		const json_t *p = json_object_get(s, "patternProperties");

		compat_add(&to, p ? json_object_get(p, pattern)
				  : json_object_get(s, "additionalProperties"),
			   a->at[i].root);
	}
	return to;
}

struct compat_set
compat_element(const struct compat_set *a, size_t i)
{
	struct compat_set to = { .partial = a->partial };

	for (size_t k = 0; k < a->n; k++) {
		const json_t *p = json_object_get(a->at[k].s, "prefixItems");

		compat_add(&to, i < json_array_size(p)
					? json_array_get(p, i)
					: json_object_get(a->at[k].s, "items"),
			   a->at[k].root);
	}
	return to;
}

/* ---- types ---- */

static bool
crossed(struct compat_bound lo, struct compat_bound hi)
{
	return lo.there && hi.there &&
	       (lo.at > hi.at ||
		(lo.at == hi.at && (lo.excluded || hi.excluded)));
}

static bool
lacks_member(const struct compat_set *a, int depth)
{
	for (size_t i = 0; i < a->n; i++) {
		const json_t *r = json_object_get(a->at[i].s, "required");

		for (size_t k = 0; k < json_array_size(r); k++) {
			struct compat_set m = compat_member(a,
				json_string_value(json_array_get(r, k)));

			if (compat_mask(&m, depth + 1) == 0)
				return true;
		}
	}
	return false;
}

static unsigned
mask_of_values(const struct compat_set *a, unsigned mask)
{
	json_t *made = NULL;
	const json_t *values = compat_values(a, &made);
	unsigned left = 0;

	for (size_t i = 0; i < json_array_size(values); i++)
		if (compat_valid_set(json_array_get(values, i), a))
			left |= compat_type_of(json_array_get(values, i));
	if (values)
		mask &= left;
	json_decref(made);
	return mask;
}

unsigned
compat_mask(const struct compat_set *a, int depth)
{
	unsigned mask = COMPAT_ALL;

	for (size_t i = 0; i < a->n; i++) {
		const json_t *t = json_object_get(a->at[i].s, "type");

		if (json_is_false(a->at[i].s))
			return 0;
		if (t)
			mask &= compat_types(t);
	}
	mask = mask_of_values(a, mask);
	if (crossed(compat_lower(a, mask), compat_upper(a, mask)))
		mask &= ~(unsigned)COMPAT_NUMBER;
	if (compat_most(a, "minLength") > compat_least(a, "maxLength"))
		mask &= ~(unsigned)COMPAT_STRING;
	if (compat_most(a, "minItems") > compat_least(a, "maxItems"))
		mask &= ~(unsigned)COMPAT_ARRAY;
	if (compat_most(a, "minProperties") >
		    compat_least(a, "maxProperties") ||
	    (depth < 4 && (mask & COMPAT_OBJECT) && lacks_member(a, depth)))
		mask &= ~(unsigned)COMPAT_OBJECT;
	return mask;
}

/* The fewest values that a part lists, or NULL. */
const json_t *
compat_values(const struct compat_set *a, json_t **made)
{
	const json_t *best = NULL;

	for (size_t i = 0; i < a->n; i++) {
		json_t *one = json_object_get(a->at[i].s, "const");
		json_t *list = json_object_get(a->at[i].s, "enum");

		if (one) {
			json_decref(*made);
			return *made = json_pack("[O]", one);
		}
		if (list && (!best || json_array_size(list) <
					      json_array_size(best)))
			best = list;
	}
	return best;
}

enum compat_valid
compat_valid_set(const json_t *v, const struct compat_set *a)
{
	enum compat_valid worst = COMPAT_YES, one;

	for (size_t i = 0; i < a->n; i++) {
		one = compat_valid(v, a->at[i].s, a->at[i].root, 0);
		if (one < worst)
			worst = one;
	}
	return worst;
}

bool
compat_same(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *v;

	if (json_is_number(a) && json_is_number(b))
		return number(a) == number(b);
	if (json_typeof(a) != json_typeof(b) ||
	    json_array_size(a) != json_array_size(b) ||
	    json_object_size(a) != json_object_size(b))
		return false;
	for (size_t i = 0; i < json_array_size(a); i++)
		if (!compat_same(json_array_get(a, i), json_array_get(b, i)))
			return false;
	json_object_foreach((json_t *)(uintptr_t)a, key, v)
		if (!json_object_get(b, key) ||
		    !compat_same(v, json_object_get(b, key)))
			return false;
	return json_is_object(a) || json_is_array(a) || json_equal(a, b);
}
