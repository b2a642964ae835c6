/* SPDX-License-Identifier: Apache-2.0 */
/* Loads "compare", "redact" and "adapters": lists and maps of texts. */
#include <string.h>

#include "rules/keys.h"
#include "rules/rule.h"
#include "rules/units.h"

/* Where a tolerance holds: in the body, or in a header. */
static int
check_place(struct rules_load *l, const struct rules_node *at, const char *s)
{
	if (strncmp(s, RULES_HEADER, strlen(RULES_HEADER)) == 0)
		return keys_check_token(l, at, s + strlen(RULES_HEADER));
	return keys_check_pointer(l, at, s);
}

static int
read_tolerance(struct rules_load *l, const struct rules_node *at,
	       struct rules_tolerance *t)
{
	const char *text = json_string_value(at->value);
	uint32_t ppm;
	unsigned ms;

	t->by = json_number_value(at->value);
	if (!text && json_is_number(at->value) && t->by >= 0)
		return 0;
	if (text && units_percent(text, &ppm) == NULL) {
		t->kind = RULES_TOLERANCE_SHARE;
		t->by = ppm / 1e6;
		return 0;
	}
	if (text && units_duration(text, &ms) == NULL && ms > 0) {
		t->kind = RULES_TOLERANCE_TIME;
		t->by = ms;
		return 0;
	}
	return load_fail(l, at, "must be a number, 0 or more, a percentage "
			 "such as \"1%%\", or a time such as \"5s\"");
}

static int
load_tolerance(struct rules_load *l, const struct rules_node *map,
	       struct rules_compare *out)
{
	struct rules_node at = { .up = map };
	size_t n = json_object_size(map->value);

	out->tolerance = load_alloc(l, n, sizeof(*out->tolerance));
	if (!out->tolerance)
		return -1;
	json_object_foreach(map->value, at.key, at.value) {
		struct rules_tolerance *t =
			&out->tolerance[out->tolerance_count++];

		if (read_tolerance(l, &at, t) < 0 ||
		    check_place(l, &at, at.key) < 0)
			return -1;
		t->pointer = load_copy(l, at.key);
		if (!t->pointer)
			return -1;
	}
	return 0;
}

static int
load_unordered(struct rules_load *l, const struct rules_node *map,
	       struct rules_compare *out)
{
	struct rules_node at = { .up = map };
	size_t n = json_object_size(map->value);

	out->unordered = load_alloc(l, n, sizeof(*out->unordered));
	if (!out->unordered)
		return -1;
	json_object_foreach(map->value, at.key, at.value) {
		struct rules_unordered *u =
			&out->unordered[out->unordered_count++];
		const char *key = json_string_value(at.value);

		if (!json_is_true(at.value) && (!key || !*key))
			return load_fail(l, &at, "must be true, or the name "
					 "of the member that tells elements "
					 "apart");
		if (keys_check_pointer(l, &at, at.key) < 0)
			return -1;
		u->pointer = load_copy(l, at.key);
		u->key = key ? load_copy(l, key) : NULL;
		if (!u->pointer || (key && !u->key))
			return -1;
	}
	return 0;
}

static int
load_coding(struct rules_load *l, const struct rules_node *node,
	    struct rules_compare *out)
{
	static const char *const words[] = { "same", "any" };
	size_t chosen;

	if (keys_choice(l, node, KEY_COMPARE_CODING, words, ARRAY_SIZE(words),
			&chosen) < 0)
		return -1;
	out->any_coding = chosen == 1;
	return 0;
}

int
rule_load_compare(struct rules_load *l, const struct rules_node *node,
		  struct rules_compare *out)
{
	struct rules_node at;

	if (keys_strings(l, node, KEY_COMPARE_IGNORE, keys_check_pointer,
			 &out->ignore, &out->ignore_count) < 0 ||
	    keys_strings(l, node, KEY_COMPARE_HEADERS, keys_check_token,
			 &out->headers, &out->header_count) < 0 ||
	    load_coding(l, node, out) < 0)
		return -1;
	if (keys_get(node, KEY_COMPARE_TOLERANCE, &at) &&
	    load_tolerance(l, &at, out) < 0)
		return -1;
	if (keys_get(node, KEY_COMPARE_UNORDERED, &at) &&
	    load_unordered(l, &at, out) < 0)
		return -1;
	if (rule_load_normalise(l, node, out) < 0)
		return -1;
	return rule_load_noise(l, node, out);
}

int
load_redact(struct rules_load *l, const struct rules_node *root)
{
	struct redact *out = &l->rules->redact;
	struct rules_node node;

	if (!keys_get(root, KEY_ROOT_REDACT, &node))
		return 0;
	if (keys_strings(l, &node, KEY_REDACT_HEADERS, keys_check_token,
			 &out->headers, &out->header_count) < 0 ||
	    keys_strings(l, &node, KEY_REDACT_QUERY, NULL, &out->query,
			 &out->query_count) < 0)
		return -1;
	return keys_strings(l, &node, KEY_REDACT_JSON, keys_check_pointer,
			    &out->json, &out->json_count);
}

/* A `*` may only be the last character. */
static int
load_filter(struct rules_load *l, const struct rules_node *node, enum key k,
	    const char **out)
{
	const char *s = keys_string(node, k), *star = strchr(s, '*');
	struct rules_node at;

	keys_get(node, k, &at);
	if (*s == '\0')
		return load_fail(l, &at, "an empty filter lets nothing "
				 "through: write \"*\"");
	if (star && star[1])
		return load_fail(l, &at, "\"%s\": a \"*\" stands at the end",
				 s);
	*out = load_copy(l, s);
	return *out ? 0 : -1;
}

static int
load_settings(struct rules_load *l, const struct rules_node *map,
	      struct rules_adapter *a)
{
	struct rules_node at = { .up = map };

	a->settings = load_alloc(l, json_object_size(map->value),
				 sizeof(*a->settings));
	if (!a->settings)
		return -1;
	json_object_foreach(map->value, at.key, at.value) {
		struct rules_setting *s = &a->settings[a->setting_count++];

		if (!json_is_string(at.value))
			return load_fail(l, &at, "must be a string: write "
					 "numbers in quotes");
		s->key = load_copy(l, at.key);
		s->value = load_copy(l, json_string_value(at.value));
		if (!s->key || !s->value)
			return -1;
	}
	return 0;
}

static int
load_adapter(struct rules_load *l, const struct rules_node *node,
	     struct rules_adapter *a)
{
	struct rules_node settings;

	a->name = load_copy(l, node->key);
	a->kind = load_copy(l, keys_string(node, KEY_ADAPTER_KIND));
	if (!a->name || !a->kind ||
	    load_filter(l, node, KEY_ADAPTER_TYPE, &a->type_filter) < 0 ||
	    load_filter(l, node, KEY_ADAPTER_SUBJECT, &a->subject_filter) < 0)
		return -1;
	return keys_get(node, KEY_ADAPTER_SETTINGS, &settings)
		       ? load_settings(l, &settings, a)
		       : 0;
}

int
load_adapters(struct rules_load *l, const struct rules_node *root)
{
	struct rules_node map, node = { .up = &map };
	struct rules *r = l->rules;
	int *lines;
	size_t n;

	if (!keys_get(root, KEY_ROOT_ADAPTERS, &map))
		return 0;
	n = json_object_size(map.value);
	r->adapters = load_alloc(l, n, sizeof(*r->adapters));
	lines = load_alloc(l, n, sizeof(*lines));
	if (!r->adapters || !lines)
		return -1;
	rules_position_lines(l->text, &map, lines, n);
	json_object_foreach(map.value, node.key, node.value) {
		struct rules_adapter *a = &r->adapters[r->adapter_count];

		a->line = lines[r->adapter_count++];
		if (load_adapter(l, &node, a) < 0)
			return -1;
	}
	return 0;
}
