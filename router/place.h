/* SPDX-License-Identifier: Apache-2.0 */
/* Places of a rule in their order: which comes next, which before. Pure. */
#ifndef ROUTER_PLACE_H
#define ROUTER_PLACE_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"
#include "rules/rules.h"

#define PLACE_TEXT_SIZE 40

/* place_parse: "25%", or one of the stages mirror, shadow and migrated; 0%
 * is shadow. -1 with err. Any thread, as all here. */
MUST_CHECK int place_parse(const char *text, struct rules_place *out,
			   struct error *err);
/* place_text writes "canary 25%" or the stage, and returns out. */
const char *place_text(struct rules_place p, char out[PLACE_TEXT_SIZE]);
/* place_share: the part of the callers that the target answers there. */
uint32_t place_share(struct rules_place p);
/* place_compare: below 0 when more callers (or copies) go to the target at b
 * than at a, 0 when they are the same. A retired endpoint comes last. */
int place_compare(struct rules_place a, struct rules_place b);
/* place_up: the next place of the rule, by its stage and share. -1 with err
 * when there is none, or it is the operator's to say which. */
MUST_CHECK int place_up(const struct rules_rule *rule, struct rules_place now,
			struct rules_place *out, struct error *err);
/* place_back: one step back on the rule's ramp, or shadow before the first. */
struct rules_place place_back(const struct rules_ramp *ramp,
			      struct rules_place now);
/* place_next: one step up; false at the last. */
bool place_next(const struct rules_ramp *ramp, struct rules_place now,
		struct rules_place *out);
/* place_on_legacy: where a rule is answered by the legacy alone, without
 * copies to anybody. */
struct rules_place place_on_legacy(struct rules_place now);

#endif
