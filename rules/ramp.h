/* SPDX-License-Identifier: Apache-2.0 */
/* Inside rules/: loads "ramp". */
#ifndef RULES_RAMP_H
#define RULES_RAMP_H

#include "rules/load.h"

/* ramp_load fills rule->ramp when there is one; the target is known. */
int ramp_load(struct rules_load *l, const struct rules_node *node,
	      struct rules_rule *rule);

#endif
