/* SPDX-License-Identifier: Apache-2.0 */
/* Compares what one schema takes with what another does: each keyword of the
 * other must follow from the parts of the first. What does not follow, or
 * cannot be decided, is a finding: nothing passes in silence. */
#include "rules/compat.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/compat_internal.h"

#define STEPS_MAX 20000

struct compare {
	const json_t *root;	/* of the schema that must take all */
	struct buf *out;	/* NULL: an alternative is tried */
	char at[1024];		/* pointer into it */
	size_t found, steps;
	int depth;
};

static bool covers(struct compare *c, const struct compat_set *a,
		   const json_t *b);

static bool
found(struct compare *c, const struct compat_set *a, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->found++;
	if (c->out)
		buf_printf(c->out, "#%s: %s%s\n", c->at,
			   a->partial ? "undecided: " : "", text);
	return false;
}

static bool
undecided(struct compare *c, const struct compat_set *a, const char *what)
{
	struct compat_set said = *a;

	said.partial = true;
	return found(c, &said, "%s", what);
}

/* One step down; the pointer is cut back behind it. */
static bool
below(struct compare *c, const struct compat_set *a, const json_t *b,
      const char *key, const char *sub)
{
	size_t len = strlen(c->at);
	bool ok;

	snprintf(c->at + len, sizeof(c->at) - len, "/%s%s%s", key,
		 sub ? "/" : "", sub ? sub : "");
	ok = covers(c, a, b);
	c->at[len] = '\0';
	return ok;
}

static bool
below_item(struct compare *c, const struct compat_set *a, const json_t *b,
	   const char *key, size_t i)
{
	char index[24];

	snprintf(index, sizeof(index), "%zu", i);
	return below(c, a, b, key, index);
}

static bool
tries(struct compare *c, const struct compat_set *a, const json_t *b)
{
	struct buf *out = c->out;
	size_t before = c->found;
	bool ok;

	c->out = NULL;
	ok = covers(c, a, b);
	c->out = out;
	c->found = before;
	return ok;
}

/* ---- alternatives ---- */

static bool
is_apart(const struct compat_set *a, const json_t *b, const json_t *root)
{
	struct compat_set both = *a;

	both.partial = false;
	compat_add(&both, b, root);
	return !both.partial && compat_mask(&both, 0) == 0;
}

static bool
one_takes(struct compare *c, const struct compat_set *a, const json_t *list,
	  bool alone)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		bool ok = tries(c, a, json_array_get(list, i));

		for (size_t k = 0; ok && alone && k < json_array_size(list);
		     k++)
			ok = k == i || is_apart(a, json_array_get(list, k),
						c->root);
		if (ok)
			return true;
	}
	return false;
}

static bool
takes_type(struct compare *c, const struct compat_set *a, const json_t *list,
	   const char *name)
{
	json_t *type = json_pack("{s:s}", "type", name);
	struct compat_set part = *a;
	bool ok = false;

	compat_add(&part, type, type);
	if (type && part.n > a->n)
		ok = one_takes(c, &part, list, false);
	json_decref(type);
	return ok;
}

static bool
takes_each_type(struct compare *c, const struct compat_set *a,
		const json_t *list)
{
	static const struct {
		const char *name;
		unsigned bits;
	} types[] = {
		{ "null", COMPAT_NULL }, { "boolean", COMPAT_BOOL },
		{ "object", COMPAT_OBJECT }, { "array", COMPAT_ARRAY },
		{ "string", COMPAT_STRING }, { "number", COMPAT_NUMBER },
	};
	unsigned mask = compat_mask(a, 0);

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if ((mask & types[i].bits) &&
		    !takes_type(c, a, list, types[i].name))
			return false;
	return true;
}

static bool
cover_alternatives(struct compare *c, const struct compat_set *a,
		   const json_t *b)
{
	const json_t *any = json_object_get(b, "anyOf");
	const json_t *one = json_object_get(b, "oneOf");
	bool ok = true;

	if (any && !one_takes(c, a, any, false) &&
	    !takes_each_type(c, a, any))
		ok = undecided(c, a, "anyOf: no single alternative takes all "
			       "that was taken");
	if (one && !one_takes(c, a, one, true))
		ok = undecided(c, a, "oneOf: it does not follow that exactly "
			       "one alternative takes it");
	return ok;
}

/* Each alternative of what was taken must be taken. */
static bool
split(struct compare *c, const struct compat_set *a, const json_t *b, bool *ok)
{
	for (size_t i = 0; i < a->n; i++) {
		const json_t *s = a->at[i].s;
		const json_t *any = json_object_get(s, "anyOf");
		const json_t *one = json_object_get(s, "oneOf");
		bool of_any = any && !a->at[i].any;
		const json_t *list = of_any ? any : one;

		if (!of_any && (!one || a->at[i].one))
			continue;
		*ok = true;
		for (size_t k = 0; k < json_array_size(list); k++) {
			struct compat_set part = *a;

			if (of_any)
				part.at[i].any = true;
			else
				part.at[i].one = true;
			compat_add(&part, json_array_get(list, k),
				   a->at[i].root);
			*ok &= covers(c, &part, b);
		}
		return true;
	}
	return false;
}

/* ---- keywords ---- */

static bool
cover_values(struct compare *c, const struct compat_set *a, const json_t *b,
	     const json_t *values)
{
	bool ok = true;

	for (size_t i = 0; i < json_array_size(values); i++) {
		const json_t *v = json_array_get(values, i);
		char *text;

		if (compat_valid_set(v, a) == COMPAT_NO ||
		    compat_valid(v, b, c->root, 0) == COMPAT_YES)
			continue;
		text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
		ok = compat_valid(v, b, c->root, 0) == COMPAT_NO
			     ? found(c, a, "the value %.80s is refused",
				     text ? text : "")
			     : undecided(c, a, "whether a listed value is "
					 "taken");
		free(text);
	}
	return ok;
}

static bool
says_the_same(const struct compat_set *a, const json_t *b, const char *key)
{
	const json_t *want = json_object_get(b, key), *has;

	for (size_t i = 0; i < a->n; i++) {
		has = json_object_get(a->at[i].s, key);
		if (has && json_equal(has, want) &&
		    compat_self_contained(has))
			return true;
	}
	return false;
}

static bool
cover_same(struct compare *c, const struct compat_set *a, const json_t *b,
	   unsigned mask)
{
	static const struct {
		const char *key;
		unsigned of;
		bool alone;	/* means the same wherever it stands */
	} keys[] = {
		{ "pattern", COMPAT_STRING, true },
		{ "format", COMPAT_STRING, true },
		{ "multipleOf", COMPAT_NUMBER, true },
		{ "not", COMPAT_ALL, true }, { "if", COMPAT_ALL, false },
		{ "propertyNames", COMPAT_OBJECT, true },
		{ "dependentRequired", COMPAT_OBJECT, true },
		{ "dependentSchemas", COMPAT_OBJECT, true },
		{ "contains", COMPAT_ARRAY, false },
		{ "unevaluatedProperties", COMPAT_OBJECT, false },
		{ "unevaluatedItems", COMPAT_ARRAY, false },
		{ "$dynamicRef", COMPAT_ALL, false },
	};
	bool ok = true;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		char text[96];

		if (!json_object_get(b, keys[i].key) ||
		    !(mask & keys[i].of) ||
		    (keys[i].alone && says_the_same(a, b, keys[i].key)))
			continue;
		snprintf(text, sizeof(text), "%s differs",
			 keys[i].key);
		ok = undecided(c, a, text);
	}
	return ok;
}

static bool
cover_counts(struct compare *c, const struct compat_set *a, const json_t *b,
	     unsigned mask)
{
	static const struct {
		const char *min, *max;
		unsigned of;
		const char *less, *more;
	} keys[] = {
		{ "minLength", "maxLength", COMPAT_STRING,
		  "shorter strings", "longer strings" },
		{ "minItems", "maxItems", COMPAT_ARRAY,
		  "arrays of fewer elements", "arrays of more elements" },
		{ "minProperties", "maxProperties", COMPAT_OBJECT,
		  "objects of fewer members", "objects of more members" },
	};
	bool ok = true;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const json_t *min = json_object_get(b, keys[i].min);
		const json_t *max = json_object_get(b, keys[i].max);
		long double has = compat_most(a, keys[i].min);

		if (!(mask & keys[i].of))
			continue;
		if (keys[i].of == COMPAT_OBJECT && has < compat_required(a))
			has = compat_required(a);
		if (min && has < json_integer_value(min))
			ok = found(c, a, "%s %lld refuses %s", keys[i].min,
				   json_integer_value(min), keys[i].less);
		if (max && compat_least(a, keys[i].max) >
				   json_integer_value(max))
			ok = found(c, a, "%s %lld refuses %s", keys[i].max,
				   json_integer_value(max), keys[i].more);
	}
	if ((mask & COMPAT_ARRAY) &&
	    json_is_true(json_object_get(b, "uniqueItems")) &&
	    !says_the_same(a, b, "uniqueItems") &&
	    compat_least(a, "maxItems") > 1)
		ok = found(c, a, "uniqueItems refuses repeated elements");
	return ok;
}

static bool
cover_bounds(struct compare *c, const struct compat_set *a, const json_t *b,
	     unsigned mask)
{
	struct compat_set to = { .n = 1, .at = { { .s = b } } };
	struct compat_bound lo = compat_lower(a, mask), hi;
	struct compat_bound want = compat_lower(&to, mask);
	bool ok = true;

	if (!(mask & COMPAT_NUMBER))
		return true;
	if (want.there && (!lo.there || lo.at < want.at ||
			   (lo.at == want.at && want.excluded &&
			    !lo.excluded)))
		ok = found(c, a, "the minimum refuses smaller numbers");
	hi = compat_upper(a, mask);
	want = compat_upper(&to, mask);
	if (want.there && (!hi.there || hi.at > want.at ||
			   (hi.at == want.at && want.excluded &&
			    !hi.excluded)))
		ok = found(c, a, "the maximum refuses larger numbers");
	return ok;
}

static bool
cover_member(struct compare *c, const struct compat_set *a, const json_t *b,
	     const char *name)
{
	const json_t *own = json_object_get(json_object_get(b, "properties"),
					    name);
	const json_t *rest = json_object_get(b, "additionalProperties");
	const json_t *patterns = json_object_get(b, "patternProperties");
	struct compat_set m = compat_member(a, name);
	const char *key;
	json_t *s;
	bool ok = true;

	if (compat_mask(&m, 0) == 0)
		return true;
	if (own)
		ok = below(c, &m, own, "properties", name);
	else if (rest)
		ok = below(c, &m, rest, "additionalProperties", name);
	json_object_foreach((json_t *)(uintptr_t)patterns, key, s)
		ok &= below(c, &m, s, "patternProperties", key);
	return ok;
}

static bool
cover_object(struct compare *c, const struct compat_set *a, const json_t *b)
{
	const json_t *list = json_object_get(b, "required");
	const json_t *rest = json_object_get(b, "additionalProperties");
	struct compat_set other = compat_member(a, NULL);
	const char *key;
	json_t *s;
	bool ok = true;

	for (size_t i = 0; i < json_array_size(list); i++) {
		key = json_string_value(json_array_get(list, i));
		if (!compat_requires(a, key))
			ok = found(c, a, "\"%.80s\" is required, and may "
				   "be missing", key);
	}
	json_object_foreach(json_object_get(b, "properties"), key, s)
		ok &= cover_member(c, a, b, key);
	for (size_t i = 0; i < a->n; i++)
		json_object_foreach(json_object_get(a->at[i].s, "properties"),
				    key, s)
			if (!json_object_get(json_object_get(b, "properties"),
					     key))
				ok &= cover_member(c, a, b, key);
	if (rest)
		ok &= below(c, &other, rest, "additionalProperties", NULL);
	json_object_foreach(json_object_get(b, "patternProperties"), key, s) {
		struct compat_set m = compat_pattern(a, key);

		ok &= below(c, &m, s, "patternProperties", key);
	}
	return ok;
}

static bool
cover_array(struct compare *c, const struct compat_set *a, const json_t *b)
{
	const json_t *first = json_object_get(b, "prefixItems");
	const json_t *rest = json_object_get(b, "items");
	size_t n = json_array_size(first);
	bool ok = true;

	for (size_t i = 0; i < a->n; i++) {
		size_t m = json_array_size(json_object_get(a->at[i].s,
							   "prefixItems"));

		n = m > n ? m : n;
	}
	for (size_t i = 0; i <= n; i++) {
		struct compat_set e = compat_element(a, i);
		const json_t *is = i < json_array_size(first)
					   ? json_array_get(first, i) : rest;

		if (!is || compat_least(a, "maxItems") <= i)
			continue;
		ok &= i < json_array_size(first)
			      ? below_item(c, &e, is, "prefixItems", i)
			      : below(c, &e, is, "items", NULL);
	}
	return ok;
}

static bool
cover_keywords(struct compare *c, const struct compat_set *a, const json_t *b,
	       unsigned mask)
{
	const json_t *type = json_object_get(b, "type");
	const json_t *all = json_object_get(b, "allOf");
	bool ok = true;

	if (type && (mask & ~compat_types(type)))
		ok = found(c, a, "type: values of another type can come");
	if (json_object_get(b, "enum") || json_object_get(b, "const"))
		ok = found(c, a, "only listed values are taken, and others "
			   "can come");
	for (size_t i = 0; i < json_array_size(all); i++)
		ok &= below_item(c, a, json_array_get(all, i), "allOf", i);
	if (json_object_get(b, "$ref"))
		ok &= covers(c, a, compat_resolve(c->root, json_string_value(
					json_object_get(b, "$ref"))));
	ok &= cover_alternatives(c, a, b);
	ok &= cover_same(c, a, b, mask);
	ok &= cover_counts(c, a, b, mask);
	ok &= cover_bounds(c, a, b, mask);
	if (mask & COMPAT_OBJECT)
		ok &= cover_object(c, a, b);
	if (mask & COMPAT_ARRAY)
		ok &= cover_array(c, a, b);
	return ok;
}

static bool
covers_part(struct compare *c, const struct compat_set *a, const json_t *b)
{
	unsigned mask = compat_mask(a, 0);
	json_t *made = NULL;
	const json_t *values;
	bool ok;

	if (mask == 0)
		return true;
	for (size_t i = 0; i < a->n; i++)
		if (json_equal(a->at[i].s, b) && compat_self_contained(b))
			return true;
	if (json_is_false(b))
		return found(c, a, "nothing is taken here");
	if (split(c, a, b, &ok))
		return ok;
	values = compat_values(a, &made);
	ok = values ? cover_values(c, a, b, values)
		    : cover_keywords(c, a, b, mask);
	json_decref(made);
	return ok;
}

static bool
covers(struct compare *c, const struct compat_set *a, const json_t *b)
{
	bool ok;

	if (json_is_true(b))
		return true;
	if (++c->steps > STEPS_MAX || c->depth > COMPAT_DEPTH_MAX)
		return undecided(c, a, "nested or repeated too deeply");
	c->depth++;
	ok = covers_part(c, a, b);
	c->depth--;
	return ok;
}

size_t
compat_find(const struct compat_schema *from, const struct compat_schema *to,
	    struct buf *out)
{
	struct compare c = { .root = to->tree, .out = out };
	struct compat_set a = { .n = 0 };
	size_t before = out->len;

	if (json_equal(from->tree, to->tree))
		return 0;
	compat_add(&a, from->tree, from->tree);
	if (covers(&c, &a, to->tree))
		return 0;
	if (out->len == before)
		(void)undecided(&c, &a, "no reason was found");
	return c.found ? c.found : 1;
}
