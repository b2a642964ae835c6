/* SPDX-License-Identifier: Apache-2.0 */
/* Where a rule is: as the file says, or where it was moved to since.
 *
 * One word, so that a request that reads it once sees one state, and whoever
 * has written it knows that all requests from then on see it. */
#include <string.h>

#include "rules/rules.h"

#define PLACE_IS_MOVED (UINT64_C(1) << 63)

struct rules_place
rules_place(const struct rules_rule *rule)
{
	uint64_t v = atomic_load_explicit(&rule->moved_to,
					  memory_order_acquire);

	if (!v)
		return (struct rules_place){ rule->stage, rule->share_ppm };
	return (struct rules_place){ (enum rules_stage)(v >> 32 & 0xff),
				     (uint32_t)v };
}

void
rules_move(struct rules_rule *rule, struct rules_place to)
{
	atomic_store(&rule->moved_to, PLACE_IS_MOVED |
					      (uint64_t)to.stage << 32 |
					      to.share_ppm);
}

void
rules_move_back(struct rules_rule *rule)
{
	atomic_store(&rule->moved_to, 0);
}

/* The candidate before the move, the key "shadow" after it. */
const struct rules_target *
rules_shadow_at(const struct rules_rule *rule, struct rules_place place)
{
	switch (place.stage) {
	case RULES_STAGE_SHADOW:
		return rule->target;
	case RULES_STAGE_CANARY:	/* of those whom the legacy answers */
		return rule->ramp ? rule->target : NULL;
	case RULES_STAGE_MIGRATED:
		return rule->shadow;
	case RULES_STAGE_PASSTHROUGH:
	case RULES_STAGE_MIRROR:
	case RULES_STAGE_RETIRED:
	case RULES_STAGE_COUNT:
		break;
	}
	return NULL;
}

struct rules_rule *
rules_find(const struct rules *r, const char *name)
{
	for (size_t i = 0; i < r->rule_count; i++)
		if (strcmp(r->rules[i].name, name) == 0)
			return &r->rules[i];
	return NULL;
}
