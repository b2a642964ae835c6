/* SPDX-License-Identifier: Apache-2.0 */
/* Inside rules/: compiling "emit". */
#ifndef RULES_EMIT_H
#define RULES_EMIT_H

#include "base/emit.h"
#include "rules/load.h"

/* emit_load reads the rule's "emit"; its name and path must be known. */
int emit_load(struct rules_load *l, const struct rules_node *rule_node,
	      struct rules_rule *rule);

/* emit_schema_load reads "schema", or derives one; all else must be there. */
int emit_schema_load(struct rules_load *l, const struct rules_node *node,
		     struct emit *e);

/* emit_text_compile cuts a string at its placeholders. */
int emit_text_compile(struct rules_load *l, const struct rules_node *at,
		      const struct rules_rule *rule, const char *s,
		      struct emit_text *out);

#endif
