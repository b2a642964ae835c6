/* SPDX-License-Identifier: Apache-2.0 */
/* Inside rules/: TLS settings of a target. */
#ifndef RULES_TLS_H
#define RULES_TLS_H

#include "rules/load.h"
#include "rules/url.h"

/* tls_load reads "tls" of the target, its files too; *out is NULL for a
 * plain one. Blocks on files. */
int tls_load(struct rules_load *l, const struct rules_node *target,
	     enum url_scheme scheme, const struct rules_tls **out);

#endif
