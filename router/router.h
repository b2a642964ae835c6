/* SPDX-License-Identifier: Apache-2.0 */
/* The decision: rule, side and durability of one request. Pure, no I/O. */
#ifndef ROUTER_ROUTER_H
#define ROUTER_ROUTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/message.h"
#include "rules/rules.h"

enum router_action { ROUTER_FORWARD, ROUTER_COMMAND, ROUTER_GONE,
		     ROUTER_AMBIGUOUS };

struct router_decision {
	const struct rules_rule *rule;
	struct rules_place place;	/* of the rule, read once */
	enum router_action action;
	const struct rules_target *target;	/* NULL: we answer */
	const struct rules_target *fallback;	/* legacy on failure, or NULL */
	const struct rules_target *shadow;	/* gets a copy, or NULL */
	bool record;			/* false for passthrough */
	bool strict;			/* durability class */
	uint32_t bucket_ppm;		/* the caller moves at this share */
};

/* router_decide: which rule, then who answers. Any thread, no allocation.
 * `exchange_hash` decides shadow sampling (uniform per exchange). */
void router_decide(const struct rules *rules,
		   const struct message_request *req, uint64_t exchange_hash,
		   struct router_decision *out);
/* router_bucket: the caller's place in [0, 1000000), a keyed hash of the
 * rule's stick value; a caller whose stick value is absent is stuck by its
 * client address. The rule's name is part of the hash, so that callers move
 * independently per rule. */
uint32_t router_bucket(const struct rules *rules,
		       const struct rules_rule *rule,
		       const struct message_request *req);
/* router_explain appends the decision in words: rule, why, stage, side,
 * at which percentage this caller moves, durability, shadow. */
void router_explain(const struct rules *rules,
		    const struct message_request *req, struct buf *out);

#endif
