/* SPDX-License-Identifier: Apache-2.0 */
/* Who answers: a rule's stage and, for a canary, the caller's place. */
#ifndef RULES_ANSWER_H
#define RULES_ANSWER_H

#include "rules/rules.h"

/* answer_bucket: the caller's place in [0, RULES_SHARE_ALL), see
 * router_bucket. Any thread, no allocation. */
uint32_t answer_bucket(const struct rules *rules,
		       const struct rules_rule *rule,
		       const struct message_request *req);
/* answer_target: the target that answers at that place of the rule, NULL for
 * a retired endpoint. Fills bucket for a canary, 0 otherwise. Any thread. */
const struct rules_target *answer_target(const struct rules *rules,
					 const struct rules_rule *rule,
					 struct rules_place place,
					 const struct message_request *req,
					 uint32_t *bucket);

#endif
