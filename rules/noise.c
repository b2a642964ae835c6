/* SPDX-License-Identifier: Apache-2.0 */
/* Loads "noise" of "compare", and what tells one way to compare from the
 * next: what was learned under another one is not true any more. */
#include <stdlib.h>

#include "base/digest.h"
#include "rules/keys.h"
#include "rules/rule.h"

static int
load_target(struct rules_load *l, const struct rules_node *node,
	    struct rules_compare *out)
{
	struct rules_node at;

	if (!keys_get(node, KEY_COMPARE_NOISE_TARGET, &at))
		return 0;
	if (out->noise_ppm == 0)
		return load_fail(l, &at, "without \"noise\", such as \"1%%\", "
				 "nobody is asked twice");
	if (rule_find_target(l, &at, &out->noise_target) < 0)
		return -1;
	if (out->noise_target->kind == RULES_TARGET_COMMAND)
		return load_fail(l, &at, "\"%s\" is a command: name a second "
				 "instance of the legacy",
				 out->noise_target->name);
	return 0;
}

/* All of "compare" and "match" but how often is asked. */
static uint64_t
fingerprint_of(const struct rules_node *compare)
{
	static const uint8_t key[16] = "compare as below";
	json_t *both = json_object(), *own = json_copy(compare->value);
	const struct rules_node *rule = compare->up;
	uint64_t hash = 0;
	char *text;

	json_object_del(own, "noise");
	json_object_set(both, "compare", own);
	json_object_set(both, "match", json_object_get(rule->value, "match"));
	text = json_dumps(both, JSON_COMPACT | JSON_SORT_KEYS);
	if (text)
		hash = digest_hash64(key, text, strlen(text));
	free(text);
	json_decref(own);
	json_decref(both);
	return hash;
}

int
rule_load_noise(struct rules_load *l, const struct rules_node *compare,
		struct rules_compare *out)
{
	if (keys_percent(l, compare, KEY_COMPARE_NOISE, &out->noise_ppm) < 0 ||
	    load_target(l, compare, out) < 0)
		return -1;
	out->fingerprint = fingerprint_of(compare);
	return 0;
}
