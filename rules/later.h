/* SPDX-License-Identifier: Apache-2.0 */
/* Inside rules/: commands whose answer is kept. */
#ifndef RULES_LATER_H
#define RULES_LATER_H

#include "rules/load.h"

/* later_load, once the rule's target and failure are known. */
int later_load(struct rules_load *l, const struct rules_node *node,
	       struct rules_rule *rule);
/* later_load_path, once all rules are loaded. */
int later_load_path(struct rules_load *l, const struct rules_node *root);

#endif
