/* SPDX-License-Identifier: Apache-2.0 */
/* Loads "ramp": how the share of a rule rises by itself. */
#include "rules/ramp.h"

#include "rules/keys.h"
#include "rules/units.h"

static int
load_step(struct rules_load *l, const struct rules_node *at, uint32_t *out,
	  uint32_t before)
{
	const char *s = json_string_value(at->value), *wrong;

	if (!s)
		return load_fail(l, at, "must be a percentage such as "
				 "\"10%%\"");
	wrong = units_percent(s, out);
	if (wrong)
		return load_fail(l, at, "\"%s\" %s", s, wrong);
	if (*out <= before)
		return load_fail(l, at, "steps rise, from above 0%%: \"%s\" "
				 "does not", s);
	return 0;
}

static int
load_steps(struct rules_load *l, const struct rules_node *node,
	   struct rules_ramp *ramp)
{
	struct rules_node list;
	uint32_t *steps, before = 0;
	size_t n;

	keys_get(node, KEY_RAMP_STEPS, &list);
	n = json_array_size(list.value);
	if (n == 0 || n > RULES_RAMP_STEPS)
		return load_fail(l, &list, "1 to %d steps, such as "
				 "[\"10%%\", \"50%%\", \"100%%\"]",
				 RULES_RAMP_STEPS);
	steps = load_alloc(l, n, sizeof(*steps));
	if (!steps)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct rules_node at = keys_item(&list, i);

		if (load_step(l, &at, &steps[i], before) < 0)
			return -1;
		before = steps[i];
	}
	ramp->steps = steps;
	ramp->step_count = n;
	return 0;
}

static int
load_ratio(struct rules_load *l, const struct rules_node *node, double *out)
{
	struct rules_node at;

	if (!keys_get(node, KEY_REQUIRE_LATENCY_RATIO, &at))
		return 0;
	*out = json_number_value(at.value);
	if (*out >= 0.1 && *out <= 100)
		return 0;
	return load_fail(l, &at, "must be a number from 0.1 to 100: how many "
			 "times the legacy's latency");
}

static int
load_require(struct rules_load *l, const struct rules_node *node,
	     struct rules_ramp *ramp)
{
	struct rules_node at = { .value = NULL }, match;

	keys_get(node, KEY_RAMP_REQUIRE, &at);
	if (keys_count(l, &at, KEY_REQUIRE_SAMPLES, 1, &ramp->samples) < 0 ||
	    keys_percent(l, &at, KEY_REQUIRE_ERRORS, &ramp->errors_ppm) < 0)
		return -1;
	if (!at.value)
		return 0;
	if (keys_get(&at, KEY_REQUIRE_MATCH, &match) &&
	    keys_percent(l, &at, KEY_REQUIRE_MATCH, &ramp->match_ppm) < 0)
		return -1;
	if (ramp->match_ppm == RULES_SHARE_ALL)
		return load_fail(l, &match, "no number of samples proves "
				 "100%%: write \"99.9%%\"");
	return load_ratio(l, &at, &ramp->latency_ratio);
}

int
ramp_load(struct rules_load *l, const struct rules_node *node,
	  struct rules_rule *rule)
{
	struct rules_ramp *ramp;
	struct rules_node at, every;

	if (!keys_get(node, KEY_RULE_RAMP, &at))
		return 0;
	if (!rule->target)
		return load_fail_key(l, &at, "has no meaning without "
				     "\"target\"");
	ramp = load_alloc(l, 1, sizeof(*ramp));
	if (!ramp || load_steps(l, &at, ramp) < 0 ||
	    keys_duration(l, &at, KEY_RAMP_EVERY, &ramp->every_ms) < 0)
		return -1;
	if (!ramp->every_ms) {
		keys_get(&at, KEY_RAMP_EVERY, &every);
		return load_fail(l, &every, "\"none\" is not possible here: "
				 "write a duration");
	}
	rule->ramp = ramp;
	if (!keys_get(node, KEY_RULE_SHARE, &every))
		rule->share_ppm = ramp->steps[0];
	return load_require(l, &at, ramp);
}
