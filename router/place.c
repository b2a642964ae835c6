/* SPDX-License-Identifier: Apache-2.0 */
/* Places of a rule in their order: which comes next, which before. */
#include "router/place.h"

#include <stdio.h>
#include <string.h>

#include "rules/units.h"

static struct rules_place
at_stage(enum rules_stage stage)
{
	return (struct rules_place){ stage, 0 };
}

int
place_parse(const char *text, struct rules_place *out, struct error *err)
{
	static const enum rules_stage words[] = {
		RULES_STAGE_MIRROR, RULES_STAGE_SHADOW, RULES_STAGE_MIGRATED,
	};
	uint32_t ppm;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(text, rules_stage_name(words[i])) != 0)
			continue;
		*out = at_stage(words[i]);
		return 0;
	}
	if (units_percent(text, &ppm))
		return error_set(err, "\"%s\" is neither a share such as "
				 "\"25%%\" nor one of mirror, shadow and "
				 "migrated", text);
	*out = ppm ? (struct rules_place){ RULES_STAGE_CANARY, ppm } :
		     at_stage(RULES_STAGE_SHADOW);
	return 0;
}

const char *
place_text(struct rules_place p, char out[PLACE_TEXT_SIZE])
{
	const char *stage = rules_stage_name(p.stage);
	unsigned whole = p.share_ppm / 10000, part = p.share_ppm % 10000;
	int digits = 4;

	if (p.stage != RULES_STAGE_CANARY) {
		snprintf(out, PLACE_TEXT_SIZE, "%s", stage);
		return out;
	}
	for (; part && part % 10 == 0; digits--)
		part /= 10;
	if (part)
		snprintf(out, PLACE_TEXT_SIZE, "%s %u.%0*u%%", stage, whole,
			 digits, part);
	else
		snprintf(out, PLACE_TEXT_SIZE, "%s %u%%", stage, whole);
	return out;
}

uint32_t
place_share(struct rules_place p)
{
	switch (p.stage) {
	case RULES_STAGE_CANARY:
		return p.share_ppm;
	case RULES_STAGE_MIGRATED:
		return RULES_SHARE_ALL;
	case RULES_STAGE_PASSTHROUGH:
	case RULES_STAGE_MIRROR:
	case RULES_STAGE_SHADOW:
	case RULES_STAGE_RETIRED:
	case RULES_STAGE_COUNT:
		break;
	}
	return 0;
}

int
place_compare(struct rules_place a, struct rules_place b)
{
	uint32_t x = place_share(a), y = place_share(b);

	if (a.stage != b.stage)
		return a.stage < b.stage ? -1 : 1;
	return x == y ? 0 : x < y ? -1 : 1;
}

bool
place_next(const struct rules_ramp *ramp, struct rules_place now,
	   struct rules_place *out)
{
	uint32_t share = place_share(now);

	for (size_t i = 0; i < ramp->step_count; i++) {
		if (ramp->steps[i] <= share)
			continue;
		*out = (struct rules_place){ RULES_STAGE_CANARY,
					     ramp->steps[i] };
		return true;
	}
	return false;
}

struct rules_place
place_back(const struct rules_ramp *ramp, struct rules_place now)
{
	uint32_t share = place_share(now);

	for (size_t i = ramp->step_count; i-- > 0;)
		if (ramp->steps[i] < share)
			return (struct rules_place){ RULES_STAGE_CANARY,
						     ramp->steps[i] };
	return at_stage(RULES_STAGE_SHADOW);
}

/* From stage shadow on. */
static bool
next_share(const struct rules_rule *rule, struct rules_place now,
	   struct rules_place *out)
{
	if (rule->ramp && place_next(rule->ramp, now, out))
		return true;
	if (rule->ramp)
		*out = at_stage(RULES_STAGE_MIGRATED);
	else
		*out = (struct rules_place){ RULES_STAGE_CANARY,
					     rule->share_ppm };
	return rule->ramp || rule->share_ppm > place_share(now);
}

int
place_up(const struct rules_rule *rule, struct rules_place now,
	 struct rules_place *out, struct error *err)
{
	switch (now.stage) {
	case RULES_STAGE_PASSTHROUGH:
	case RULES_STAGE_MIRROR:
		*out = at_stage(RULES_STAGE_SHADOW);
		return 0;
	case RULES_STAGE_SHADOW:
	case RULES_STAGE_CANARY:
		if (next_share(rule, now, out))
			return 0;
		break;
	case RULES_STAGE_MIGRATED:
	case RULES_STAGE_RETIRED:
	case RULES_STAGE_COUNT:
		return error_set(err, "rule \"%s\" is %s: there is nothing "
				 "to promote it to", rule->name,
				 rules_stage_name(now.stage));
	}
	return error_set(err, "the file names no next step of rule \"%s\": "
			 "say --to 25%% or --to migrated", rule->name);
}

struct rules_place
place_on_legacy(struct rules_place now)
{
	return now.stage == RULES_STAGE_PASSTHROUGH ?
		       now : at_stage(RULES_STAGE_MIRROR);
}
