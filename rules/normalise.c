/* SPDX-License-Identifier: Apache-2.0 */
/* Loads what makes two answers alike before they are compared: which status
 * may stand for which, and patterns that rewrite texts. */
#include <string.h>

#include "rules/keys.h"
#include "rules/rule.h"
#include "rules/units.h"

#define NORMALISE_MOST 32

static int
read_set(struct rules_load *l, const struct rules_node *at, const char *text,
	 struct rules_statuses *out)
{
	const char *complaint = text ? units_statuses(text, out)
				     : "must be a string";

	if (!complaint)
		return 0;
	return text ? load_fail(l, at, "\"%s\" %s", text, complaint)
		    : load_fail(l, at, "%s", complaint);
}

static int
load_status(struct rules_load *l, const struct rules_node *map,
	    struct rules_compare *out)
{
	struct rules_node at = { .up = map };

	out->status = load_alloc(l, json_object_size(map->value),
				 sizeof(*out->status));
	if (!out->status)
		return -1;
	json_object_foreach(map->value, at.key, at.value) {
		struct rules_status *s = &out->status[out->status_count++];

		s->text = load_copy(l, at.key);
		if (!s->text || read_set(l, &at, at.key, &s->legacy) < 0 ||
		    read_set(l, &at, json_string_value(at.value),
			     &s->candidate) < 0)
			return -1;
	}
	return 0;
}

static int
check_place(struct rules_load *l, const struct rules_node *at, const char *s)
{
	if (strncmp(s, RULES_HEADER, strlen(RULES_HEADER)) == 0)
		return keys_check_token(l, at, s + strlen(RULES_HEADER));
	return strcmp(s, "body") == 0 ? 0 : keys_check_pointer(l, at, s);
}

/* They are freed with the rules (rules/load.c). */
static int
load_pattern(struct rules_load *l, const struct rules_node *node,
	     struct rules_normalise *n)
{
	struct error why = { 0 };
	struct rules_node at;

	keys_get(node, KEY_NORMALISE_PATTERN, &at);
	n->pattern = pattern_compile(json_string_value(at.value),
				     keys_string(node, KEY_NORMALISE_WITH),
				     &why);
	if (!n->pattern)
		return load_fail(l, &at, "%s", why.text);
	l->rules->patterns[l->rules->pattern_count++] = n->pattern;
	return 0;
}

static int
grow_patterns(struct rules_load *l, size_t more)
{
	struct rules *r = l->rules;
	struct pattern **all = load_alloc(l, r->pattern_count + more,
					  sizeof(*all));

	if (!all)
		return -1;
	if (r->pattern_count)
		memcpy(all, r->patterns, r->pattern_count * sizeof(*all));
	r->patterns = all;
	return 0;
}

static int
load_normalise(struct rules_load *l, const struct rules_node *list,
	       struct rules_compare *out)
{
	size_t n = json_array_size(list->value);

	if (n > NORMALISE_MOST)
		return load_fail(l, list, "has more than 32 elements");
	out->normalise = load_alloc(l, n, sizeof(*out->normalise));
	if (!out->normalise || grow_patterns(l, n) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct rules_node node = keys_item(list, i), at;
		struct rules_normalise *one = &out->normalise[i];

		out->normalise_count++;
		keys_get(&node, KEY_NORMALISE_AT, &at);
		one->at = load_copy(l, json_string_value(at.value));
		if (!one->at || check_place(l, &at, one->at) < 0 ||
		    load_pattern(l, &node, one) < 0)
			return -1;
	}
	return 0;
}

int
rule_load_normalise(struct rules_load *l, const struct rules_node *node,
		    struct rules_compare *out)
{
	struct rules_node at;

	if (keys_get(node, KEY_COMPARE_STATUS, &at) &&
	    load_status(l, &at, out) < 0)
		return -1;
	return keys_get(node, KEY_COMPARE_NORMALISE, &at)
		       ? load_normalise(l, &at, out)
		       : 0;
}
