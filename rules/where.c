/* SPDX-License-Identifier: Apache-2.0 */
/* Where in the file an entry of a rule's "compare" stands, for people. */
#include <string.h>

#include "rules/keys.h"
#include "rules/load.h"

static bool
find_rule(const struct rules_node *root, const char *name,
	  struct rules_node *list, struct rules_node *rule)
{
	struct rules_node member;

	if (strcmp(name, "default") == 0)
		return keys_get(root, KEY_ROOT_DEFAULT, rule);
	if (!keys_get(root, KEY_ROOT_RULES, list))
		return false;
	for (size_t i = 0; i < json_array_size(list->value); i++) {
		*rule = keys_item(list, i);
		member.value = json_object_get(rule->value, "name");
		if (json_is_string(member.value) &&
		    strcmp(json_string_value(member.value), name) == 0)
			return true;
	}
	return false;
}

static int
line_in_list(struct rules_text text, const struct rules_node *list,
	     const char *entry)
{
	for (size_t i = 0; i < json_array_size(list->value); i++) {
		struct rules_node at = keys_item(list, i);

		const json_t *name = json_is_object(at.value)
					     ? json_object_get(at.value, "at")
					     : at.value;

		if (json_is_string(name) &&
		    strcmp(json_string_value(name), entry) == 0)
			return rules_position_of(text, &at).line;
	}
	return 0;
}

static int
line_of(struct rules_text text, const struct rules_node *value,
	const char *entry)
{
	struct rules_node at = { .up = value, .key = entry };

	if (json_is_array(value->value))
		return line_in_list(text, value, entry);
	at.value = json_object_get(value->value, entry);
	return at.value ? rules_position_of_key(text, &at).line
			: rules_position_of_key(text, value).line;
}

int
rules_entry_line(struct span file, const char *rule, const char *key,
		 const char *entry)
{
	struct rules_text text = { file.at, file.len };
	struct rules_node root = { 0 }, list, at, compare, value;
	int line = 0;

	root.value = json_loadb(file.at, file.len, 0, NULL);
	if (root.value && find_rule(&root, rule, &list, &at) &&
	    keys_get(&at, KEY_RULE_COMPARE, &compare)) {
		value = (struct rules_node){
			.up = &compare, .key = key,
			.value = json_object_get(compare.value, key),
		};
		if (value.value)
			line = line_of(text, &value, entry);
	}
	json_decref(root.value);
	return line;
}
