/* SPDX-License-Identifier: Apache-2.0 */
/* A plan that stays until its last user has let go. */
#ifndef SHADOW_PLAN_H
#define SHADOW_PLAN_H

#include "shadow/shadow.h"

struct shadow_plan_ref;

/* shadow_plan_take owns the plan from now on (release is called once, by
 * whoever lets go last). Any thread. */
struct shadow_plan_ref *shadow_plan_take(const struct shadow_plan *plan);
struct shadow_plan_ref *shadow_plan_hold(struct shadow_plan_ref *ref);
void shadow_plan_drop(struct shadow_plan_ref **ref);	/* NULL is fine */
const struct shadow_plan *shadow_plan_of(const struct shadow_plan_ref *ref);
/* shadow_plan_find: the rule of that name with that candidate, or NULL;
 * candidate "": any. A rule may have got another one since. */
const struct shadow_rule *shadow_plan_find(const struct shadow_plan_ref *ref,
					   const char *name,
					   const char *candidate);

#endif
