/* SPDX-License-Identifier: Apache-2.0 */
/* A rule as the shadow knows it: shadow/ does not include rules/. */
#ifndef CONSOLE_SHADOWED_H
#define CONSOLE_SHADOWED_H

#include "base/attr.h"
#include "base/digest.h"
#include "base/error.h"
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
/* shadowed_secrets gives a plan whose `redact` is set the key of that data
 * directory; without one nobody can tell whether secrets agree, and they are
 * left out. -1 with err when it cannot be read. */
MUST_CHECK int shadowed_secrets(struct shadow_plan *plan,
				struct digest_key *key, const char *data,
				struct error *err);

#endif
