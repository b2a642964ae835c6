/* SPDX-License-Identifier: Apache-2.0 */
/* A plan that stays until its last user has let go. */
#include "shadow/plan.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/invariant.h"

struct shadow_plan_ref {
	struct shadow_plan plan;
	atomic_uint refs;
};

struct shadow_plan_ref *
shadow_plan_take(const struct shadow_plan *plan)
{
	struct shadow_plan_ref *ref = calloc(1, sizeof(*ref));

	INVARIANT(ref);
	ref->plan = *plan;
	atomic_init(&ref->refs, 1);
	return ref;
}

struct shadow_plan_ref *
shadow_plan_hold(struct shadow_plan_ref *ref)
{
	if (ref)
		atomic_fetch_add(&ref->refs, 1);
	return ref;
}

void
shadow_plan_drop(struct shadow_plan_ref **refp)
{
	struct shadow_plan_ref *ref = *refp;

	*refp = NULL;
	if (!ref || atomic_fetch_sub(&ref->refs, 1) != 1)
		return;
	if (ref->plan.release)
		ref->plan.release(ref->plan.arg);
	free(ref);
}

const struct shadow_plan *
shadow_plan_of(const struct shadow_plan_ref *ref)
{
	return &ref->plan;
}

const struct shadow_rule *
shadow_plan_find(const struct shadow_plan_ref *ref, const char *name,
		 const char *candidate)
{
	for (size_t i = 0; ref && i < ref->plan.count; i++) {
		const struct shadow_rule *r = &ref->plan.rules[i];

		if ((r->url || r->command) && strcmp(r->name, name) == 0 &&
		    (!*candidate || strcmp(r->target, candidate) == 0))
			return r;
	}
	return NULL;
}
