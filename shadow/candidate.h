/* SPDX-License-Identifier: Apache-2.0 */
/* What a candidate gets: a marked copy of the recorded request. */
#ifndef SHADOW_CANDIDATE_H
#define SHADOW_CANDIDATE_H

#include "outbound/outbound.h"
#include "shadow/entry.h"
#include "shadow/exchange.h"
#include "shadow/pending.h"
#include "shadow/plan.h"
#include "shadow/trace.h"

/* An HTTP copy; spans point into the exchange and into here. */
struct shadow_copy {
	struct outbound_request request;
	struct buf url;
	struct message_field *fields;
	struct buf forwarded;
	char traceparent[SHADOW_TRACEPARENT_SIZE];
};

/* shadow_copy_init: 0, or -1 with err when this request cannot be copied.
 * shadow_copy_fini either way. */
MUST_CHECK int shadow_copy_init(struct shadow_copy *c,
				const struct shadow_exchange *x,
				const struct shadow_rule *rule,
				struct error *err);
void shadow_copy_fini(struct shadow_copy *c);

unsigned shadow_rule_timeout_ms(const struct shadow_rule *rule);

/* shadow_command_make returns the command event and the waiting pair as one
 * entry, and fills pair; NULL without memory. */
MUST_CHECK struct shadow_entry *
shadow_command_make(const struct shadow_exchange *x,
		    const struct shadow_rule *rule, struct shadow_pair *pair);

#endif
