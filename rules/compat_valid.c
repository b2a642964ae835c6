/* SPDX-License-Identifier: Apache-2.0 */
/* Does a schema take one value? Where only an engine of its own could tell
 * (patterns, formats and the like), it may. */
#include <math.h>
#include <string.h>

#include "rules/compat_internal.h"

static enum compat_valid
least_of(enum compat_valid a, enum compat_valid b)
{
	return a < b ? a : b;
}

static enum compat_valid
yes(bool b)
{
	return b ? COMPAT_YES : COMPAT_NO;
}

static enum compat_valid
valid_values(const json_t *v, const json_t *s)
{
	const json_t *one = json_object_get(s, "const");
	const json_t *list = json_object_get(s, "enum");
	bool found = !list;

	for (size_t i = 0; i < json_array_size(list) && !found; i++)
		found = compat_same(v, json_array_get(list, i));
	return yes(found && (!one || compat_same(v, one)));
}

static enum compat_valid
valid_number(const json_t *v, const struct compat_set *one)
{
	struct compat_bound lo = compat_lower(one, COMPAT_ALL);
	struct compat_bound hi = compat_upper(one, COMPAT_ALL);
	long double n = json_is_integer(v)
				? (long double)json_integer_value(v)
				: (long double)json_real_value(v);

	if ((lo.there && (n < lo.at || (lo.excluded && n == lo.at))) ||
	    (hi.there && (n > hi.at || (hi.excluded && n == hi.at))))
		return COMPAT_NO;
	return json_object_get(one->at[0].s, "multipleOf") ? COMPAT_MAYBE
							   : COMPAT_YES;
}

static bool
counts(const struct compat_set *one, long double n, const char *min,
       const char *max)
{
	return n >= compat_most(one, min) && n <= compat_least(one, max);
}

static enum compat_valid
valid_string(const json_t *v, const struct compat_set *one)
{
	const json_t *s = one->at[0].s;
	long double n = 0;

	for (const char *c = json_string_value(v); *c; c++)
		n += ((unsigned char)*c & 0xc0) != 0x80;
	if (!counts(one, n, "minLength", "maxLength"))
		return COMPAT_NO;
	return json_object_get(s, "pattern") || json_object_get(s, "format")
		       ? COMPAT_MAYBE : COMPAT_YES;
}

static enum compat_valid
valid_array(const json_t *v, const struct compat_set *one, int depth)
{
	enum compat_valid r = yes(counts(one, json_array_size(v), "minItems",
					 "maxItems"));
	const json_t *s = one->at[0].s;
	const json_t *first = json_object_get(s, "prefixItems");

	for (size_t i = 0; i < json_array_size(v) && r; i++) {
		const json_t *is = i < json_array_size(first)
					   ? json_array_get(first, i)
					   : json_object_get(s, "items");

		if (is)
			r = least_of(r, compat_valid(json_array_get(v, i), is,
						     one->at[0].root,
						     depth + 1));
	}
	return json_is_true(json_object_get(s, "uniqueItems")) &&
			       json_array_size(v) > 1
		       ? least_of(r, COMPAT_MAYBE) : r;
}

static enum compat_valid
valid_object(const json_t *v, const struct compat_set *one, int depth)
{
	enum compat_valid r = yes(counts(one, json_object_size(v),
					 "minProperties", "maxProperties"));
	const json_t *s = one->at[0].s, *list = json_object_get(s, "required");
	const char *key;
	json_t *m;

	for (size_t i = 0; i < json_array_size(list); i++)
		if (!json_object_get(v, json_string_value(
						json_array_get(list, i))))
			return COMPAT_NO;
	json_object_foreach((json_t *)(uintptr_t)v, key, m) {
		const json_t *is = json_object_get(
			json_object_get(s, "properties"), key);

		if (!is && !json_object_get(s, "patternProperties"))
			is = json_object_get(s, "additionalProperties");
		if (is)
			r = least_of(r, compat_valid(m, is, one->at[0].root,
						     depth + 1));
	}
	return r;
}

static enum compat_valid
valid_lists(const json_t *v, const json_t *s, const json_t *root, int depth)
{
	const json_t *all = json_object_get(s, "allOf");
	const json_t *any = json_object_get(s, "anyOf");
	const json_t *one = json_object_get(s, "oneOf");
	enum compat_valid r = COMPAT_YES, best = COMPAT_NO;
	size_t sure = 0, maybe = 0;

	for (size_t i = 0; i < json_array_size(all); i++)
		r = least_of(r, compat_valid(v, json_array_get(all, i), root,
					     depth + 1));
	for (size_t i = 0; i < json_array_size(any); i++) {
		enum compat_valid x = compat_valid(v, json_array_get(any, i),
						   root, depth + 1);

		best = x > best ? x : best;
	}
	if (any)
		r = least_of(r, best);
	for (size_t i = 0; i < json_array_size(one); i++) {
		enum compat_valid x = compat_valid(v, json_array_get(one, i),
						   root, depth + 1);

		sure += x == COMPAT_YES;
		maybe += x == COMPAT_MAYBE;
	}
	if (one && maybe > 0 && sure <= 1)
		r = least_of(r, COMPAT_MAYBE);
	else if (one)
		r = least_of(r, yes(sure == 1));
	return r;
}

enum compat_valid
compat_valid(const json_t *v, const json_t *s, const json_t *root, int depth)
{
	const char *ref = json_string_value(json_object_get(s, "$ref"));
	const json_t *type = json_object_get(s, "type");
	struct compat_set one = { .n = 1, .at = { { .s = s, .root = root } } };
	struct compat_set all = { .n = 0 };
	unsigned is = compat_type_of(v);
	enum compat_valid r;

	if (json_is_boolean(s))
		return yes(json_is_true(s));
	if (depth > COMPAT_DEPTH_MAX)
		return COMPAT_MAYBE;
	if (type && !(compat_types(type) & is))
		return COMPAT_NO;
	r = least_of(valid_values(v, s), valid_lists(v, s, root, depth));
	if (ref)
		r = least_of(r, compat_valid(v, compat_resolve(root, ref),
					     root, depth + 1));
	if (r && (is & COMPAT_NUMBER))
		r = least_of(r, valid_number(v, &one));
	else if (r && is == COMPAT_STRING)
		r = least_of(r, valid_string(v, &one));
	else if (r && is == COMPAT_ARRAY)
		r = least_of(r, valid_array(v, &one, depth));
	else if (r && is == COMPAT_OBJECT)
		r = least_of(r, valid_object(v, &one, depth));
	compat_add(&all, s, root);
	return all.partial ? least_of(r, COMPAT_MAYBE) : r;
}
