/* SPDX-License-Identifier: Apache-2.0 */
/* Loads "rules" and "default". */
#include "rules/rule.h"

#include <stdlib.h>
#include <string.h>

#include "rules/emit.h"
#include "rules/index.h"
#include "rules/keys.h"
#include "rules/later.h"
#include "rules/ramp.h"

static const char *const stage_words[] = {
#define STAGE(sym, text, help) text,
#include "rules/stages.def"
#undef STAGE
};

const char *
rules_stage_name(enum rules_stage s)
{
	return stage_words[s];
}

struct target_names {
	const struct rules *rules;
	size_t next;
};

static const char *
next_target(void *arg)
{
	struct target_names *names = arg;

	if (names->next == names->rules->target_count)
		return NULL;
	return names->rules->targets[names->next++].name;
}

int
rule_find_target(struct rules_load *l, const struct rules_node *at,
		 const struct rules_target **out)
{
	const char *name = json_string_value(at->value), *near;
	struct target_names names = { l->rules, 0 };

	for (size_t i = 0; i < l->rules->target_count; i++) {
		*out = &l->rules->targets[i];
		if (strcmp((*out)->name, name) == 0)
			return 0;
	}
	near = keys_nearest(name, next_target, &names);
	return load_fail(l, at, "\"%s\" is not in \"targets\"%s%s%s", name,
			 near ? ": did you mean \"" : "", near ? near : "",
			 near ? "\"?" : "");
}

/* Keys that another stage needs may stay in the rule, so that moving an
 * endpoint back and forth is one word. */
static int
check_stage(struct rules_load *l, const struct rules_node *node,
	    const struct rules_rule *rule)
{
	struct rules_node at;

	switch (rule->stage) {
	case RULES_STAGE_PASSTHROUGH:
	case RULES_STAGE_MIRROR:
	case RULES_STAGE_RETIRED:
	case RULES_STAGE_COUNT:
		return 0;
	case RULES_STAGE_CANARY:
		if (!keys_get(node, KEY_RULE_SHARE, &at) &&
		    !keys_get(node, KEY_RULE_RAMP, &at))
			return load_fail(l, node, "stage \"canary\" needs a "
					 "\"share\", such as \"10%%\"");
		break;
	case RULES_STAGE_SHADOW:
	case RULES_STAGE_MIGRATED:
		break;
	}
	if (!rule->target)
		return load_fail(l, node, "stage \"%s\" needs a \"target\"",
				 rules_stage_name(rule->stage));
	return 0;
}

static int
load_rule_targets(struct rules_load *l, const struct rules_node *node,
		  struct rules_rule *rule)
{
	struct rules_node at;

	if (keys_get(node, KEY_RULE_TARGET, &at)) {
		if (rule_find_target(l, &at, &rule->target) < 0)
			return -1;
		if (rule->target == l->rules->legacy)
			return load_fail(l, &at, "\"legacy\" is what the "
					 "endpoint is moved away from: name "
					 "the new service");
	}
	if (keys_get(node, KEY_RULE_SHADOW, &at)) {
		if (rule_find_target(l, &at, &rule->shadow) < 0)
			return -1;
		if (rule->shadow == rule->target)
			return load_fail(l, &at, "\"%s\" is the target "
					 "already: it cannot be its own shadow",
					 rule->shadow->name);
	}
	return 0;
}

static int
load_stick(struct rules_load *l, const struct rules_node *node,
	   struct rules_rule *rule)
{
	static const struct {
		const char *prefix;
		enum rules_stick stick;
	} kinds[] = {
		{ "header:", RULES_STICK_HEADER },
		{ "cookie:", RULES_STICK_COOKIE },
		{ "query:", RULES_STICK_QUERY },
	};
	const char *s = keys_string(node, KEY_RULE_STICK_TO);
	struct rules_node at;

	rule->stick = RULES_STICK_CLIENT;
	if (strcmp(s, "client") == 0)
		return 0;
	keys_get(node, KEY_RULE_STICK_TO, &at);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t len = strlen(kinds[i].prefix);

		if (strncmp(s, kinds[i].prefix, len) != 0 || !s[len])
			continue;
		rule->stick = kinds[i].stick;
		rule->stick_name = load_copy(l, s + len);
		return rule->stick_name ? 0 : -1;
	}
	return load_fail(l, &at, "\"%s\" is none of \"client\", "
			 "\"header:NAME\", \"cookie:NAME\" and "
			 "\"query:NAME\"", s);
}

static int
load_durability(struct rules_load *l, const struct rules_node *node,
		struct rules_rule *rule)
{
	static const char *const words[] = { "bounded", "strict" };
	bool command = rule->target &&
		       rule->target->kind == RULES_TARGET_COMMAND;
	struct rules_node at;
	size_t chosen;

	rule->durability_unsafe = RULES_DURABILITY_STRICT;
	rule->durability_safe = command && rule->stage >= RULES_STAGE_CANARY
					? RULES_DURABILITY_STRICT
					: RULES_DURABILITY_BOUNDED;
	if (!keys_get(node, KEY_RULE_DURABILITY, &at))
		return 0;
	if (keys_choice(l, node, KEY_RULE_DURABILITY, words,
			ARRAY_SIZE(words), &chosen) < 0)
		return -1;
	if (command && chosen == RULES_DURABILITY_BOUNDED)
		return load_fail(l, &at, "a command is always \"strict\": the "
				 "event is the request itself");
	rule->durability_safe = (enum rules_durability)chosen;
	rule->durability_unsafe = rule->durability_safe;
	return 0;
}

static int
load_choices(struct rules_load *l, const struct rules_node *node,
	     struct rules_rule *rule)
{
	static const char *const failures[] = { "error", "legacy" };
	struct rules_node at;
	size_t stage, failure;

	if (keys_choice(l, node, KEY_RULE_STAGE, stage_words,
			RULES_STAGE_COUNT, &stage) < 0 ||
	    keys_choice(l, node, KEY_RULE_ON_FAILURE, failures,
			ARRAY_SIZE(failures), &failure) < 0)
		return -1;
	rule->stage = (enum rules_stage)stage;
	rule->on_failure = (enum rules_on_failure)failure;
	rule->shadow_unsafe = keys_get(node, KEY_RULE_SHADOW_UNSAFE, &at) &&
			      json_is_true(at.value);
	return 0;
}

static int
load_amounts(struct rules_load *l, const struct rules_node *node,
	     struct rules_rule *rule)
{
	struct rules_node at;

	if (keys_get(node, KEY_RULE_SHARE, &at) &&
	    keys_percent(l, node, KEY_RULE_SHARE, &rule->share_ppm) < 0)
		return -1;
	if (keys_percent(l, node, KEY_RULE_SAMPLE, &rule->sample_ppm) < 0)
		return -1;
	return keys_size(l, node, KEY_RULE_RECORD_BODY,
			 &rule->record_body_bytes);
}

/* What "default" and each of "rules" have in common. */
static int
load_route(struct rules_load *l, const struct rules_node *node,
	   struct rules_rule *rule)
{
	struct rules_node compare;

	if (load_choices(l, node, rule) < 0 ||
	    load_rule_targets(l, node, rule) < 0 ||
	    check_stage(l, node, rule) < 0 || load_amounts(l, node, rule) < 0 ||
	    load_stick(l, node, rule) < 0 ||
	    load_durability(l, node, rule) < 0)
		return -1;
	if (ramp_load(l, node, rule) < 0 || later_load(l, node, rule) < 0 ||
	    emit_load(l, node, rule) < 0)
		return -1;
	return keys_get(node, KEY_RULE_COMPARE, &compare)
		       ? rule_load_compare(l, &compare, &rule->compare)
		       : 0;
}

static int
load_match(struct rules_load *l, const struct rules_node *node,
	   struct rules_rule *rule, struct index_entry *entry)
{
	struct rules_node match, path;

	entry->rule = rule;
	keys_get(node, KEY_RULE_MATCH, &match);
	if (json_object_size(match.value) == 0)
		return load_fail(l, &match, "no condition: a request that no "
				 "rule matches takes \"default\"");
	if (conditions_load(l, &match, &entry->conditions) < 0)
		return -1;
	entry->path.rest = TEMPLATE_NONE;
	if (!keys_get(&match, KEY_MATCH_PATH, &path))
		return 0;
	rule->path_template = load_copy(l, json_string_value(path.value));
	if (!rule->path_template)
		return -1;
	return template_parse(l, &path, rule->path_template, &entry->path);
}

static int
load_name(struct rules_load *l, const struct rules_node *node,
	  struct rules_rule *rule)
{
	struct rules_node name;
	const char *s;

	keys_get(node, KEY_RULE_NAME, &name);
	s = json_string_value(name.value);
	if (strcmp(s, "default") == 0)
		return load_fail(l, &name, "\"default\" is the name of what "
				 "applies when no rule matches: choose "
				 "another");
	if (!keys_is_name(s))
		return load_fail(l, &name, KEYS_NAME_HELP);
	rule->name = load_copy(l, s);
	return rule->name ? 0 : -1;
}

static int
compare_names(const void *a, const void *b)
{
	const struct rules_rule *const *ra = a, *const *rb = b;
	int c = strcmp((*ra)->name, (*rb)->name);

	return c ? c : ((*ra)->index > (*rb)->index ? 1 : -1);
}

static int
check_unique(struct rules_load *l, const struct rules_node *list, size_t n)
{
	const struct rules_rule **sorted = load_alloc(l, n, sizeof(*sorted));
	struct rules_node node, name;

	if (!sorted)
		return -1;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &l->rules->rules[i];
	if (n > 1)
		qsort(sorted, n, sizeof(*sorted), compare_names);
	for (size_t i = 1; i < n; i++) {
		if (strcmp(sorted[i - 1]->name, sorted[i]->name) != 0)
			continue;
		node = keys_item(list, sorted[i]->index);
		keys_get(&node, KEY_RULE_NAME, &name);
		return load_fail(l, &name, "the rule in line %d has the name "
				 "\"%s\" already", sorted[i - 1]->line,
				 sorted[i]->name);
	}
	return 0;
}

static int
load_named(struct rules_load *l, const struct rules_node *list, size_t n)
{
	struct rules_index *index = l->rules->index;
	int *lines = load_alloc(l, n, sizeof(*lines));

	if (!lines)
		return -1;
	rules_position_lines(l->text, list, lines, n);
	for (size_t i = 0; i < n; i++) {
		struct rules_node node = keys_item(list, i);
		struct rules_rule *rule = &l->rules->rules[i];

		rule->index = (unsigned)i;
		rule->line = lines[i];
		if (load_name(l, &node, rule) < 0 ||
		    load_match(l, &node, rule, &index->entries[i]) < 0 ||
		    load_route(l, &node, rule) < 0)
			return -1;
	}
	return check_unique(l, list, n);
}

static int
load_default(struct rules_load *l, const struct rules_node *root,
	     struct rules_rule *rule, size_t index)
{
	struct rules_node node;

	rule->name = "default";
	rule->index = (unsigned)index;
	if (keys_get(root, KEY_ROOT_DEFAULT, &node))
		rule->line = rules_position_of_key(l->text, &node).line;
	return load_route(l, &node, rule);
}

int
load_rules(struct rules_load *l, const struct rules_node *root)
{
	struct rules *r = l->rules;
	struct rules_node list;
	size_t n = 0;

	if (keys_get(root, KEY_ROOT_RULES, &list))
		n = json_array_size(list.value);
	if (n > LOAD_RULES_MAX)
		return load_fail(l, &list, "more than %d rules",
				 LOAD_RULES_MAX);
	r->rule_count = n + 1;
	r->rules = load_alloc(l, n + 1, sizeof(*r->rules));
	r->index->entries = load_alloc(l, n, sizeof(*r->index->entries));
	r->index->entry_count = n;
	if (!r->rules || !r->index->entries ||
	    load_default(l, root, &r->rules[n], n) < 0)
		return -1;
	return n > 0 ? load_named(l, &list, n) : 0;
}
