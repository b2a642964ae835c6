/* SPDX-License-Identifier: Apache-2.0 */
/* A rule as the shadow knows it: shadow/ does not include rules/. */
#ifndef CONSOLE_SHADOWED_H
#define CONSOLE_SHADOWED_H

#include "outbound/outbound.h"
#include "rules/rules.h"
#include "shadow/shadow.h"

/* shadowed_rule: how the rule's answers are compared, and whether unsafe
 * methods are; strings are lent from the rules. Any thread. */
struct shadow_rule shadowed_rule(const struct rules_rule *u);
/* shadowed_target adds who gets the copies; *tls is filled and lent when he is
 * asked over TLS. */
void shadowed_target(struct shadow_rule *out, const struct rules_target *t,
		     struct outbound_tls *tls);

#endif
