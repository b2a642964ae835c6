/* SPDX-License-Identifier: Apache-2.0 */
/* Inside rules/: parts of loading a rule that more than one file needs. */
#ifndef RULES_RULE_H
#define RULES_RULE_H

#include "rules/load.h"

/* rule_find_target looks a string up in "targets". */
int rule_find_target(struct rules_load *l, const struct rules_node *at,
		     const struct rules_target **out);
int rule_load_normalise(struct rules_load *l, const struct rules_node *node,
			struct rules_compare *out);
int rule_load_compare(struct rules_load *l, const struct rules_node *node,
		      struct rules_compare *out);
int rule_load_noise(struct rules_load *l, const struct rules_node *compare,
		    struct rules_compare *out);

#endif
