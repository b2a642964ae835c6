/* SPDX-License-Identifier: Apache-2.0 */
/* The decision: a rule, a side, a durability class, a shadow. */
#include "router/router.h"
#include "rules/answer.h"

static enum router_action
action_of(const struct rules_target *target)
{
	if (!target)
		return ROUTER_GONE;
	switch (target->kind) {
	case RULES_TARGET_HTTP:
		return ROUTER_FORWARD;
	case RULES_TARGET_COMMAND:
		return ROUTER_COMMAND;
	}
	return ROUTER_FORWARD;
}

static bool
is_sampled(const struct rules_rule *rule, uint64_t exchange_hash)
{
	uint64_t place = ((exchange_hash >> 32) * RULES_SHARE_ALL) >> 32;

	return place < rule->sample_ppm;
}

static const struct rules_target *
choose_shadow(const struct rules_rule *rule, struct rules_place place,
	      const struct rules_target *target, bool safe,
	      uint64_t exchange_hash)
{
	const struct rules_target *shadow = rules_shadow_at(rule, place);

	if (!shadow || shadow == target || (!safe && !rule->shadow_unsafe))
		return NULL;
	return is_sampled(rule, exchange_hash) ? shadow : NULL;
}

static const struct rules_target *
choose_fallback(const struct rules *rules, const struct rules_rule *rule,
		const struct rules_target *target)
{
	if (!target || target == rules->legacy ||
	    rule->on_failure != RULES_ON_FAILURE_LEGACY)
		return NULL;
	return rules->legacy;
}

void
router_decide(const struct rules *rules, const struct message_request *req,
	      uint64_t exchange_hash, struct router_decision *out)
{
	const struct rules_rule *rule = rules_match(rules, req);
	bool safe = rules_method_is_safe(req->method);
	enum rules_durability durability =
		safe ? rule->durability_safe : rule->durability_unsafe;

	out->rule = rule;
	out->place = rules_place(rule);
	out->target = answer_target(rules, rule, out->place, req,
				    &out->bucket_ppm);
	out->action = action_of(out->target);
	if (out->target && rules_path_is_ambiguous(rules, req, rule)) {
		out->action = ROUTER_AMBIGUOUS;
		out->target = NULL;
	}
	out->fallback = choose_fallback(rules, rule, out->target);
	out->shadow = out->action == ROUTER_AMBIGUOUS ?
		NULL : choose_shadow(rule, out->place, out->target, safe,
				     exchange_hash);
	out->record = out->place.stage != RULES_STAGE_PASSTHROUGH;
	/* A command is strict wherever the rule was when it was loaded. */
	out->strict = out->record && (out->action == ROUTER_COMMAND ||
				      durability == RULES_DURABILITY_STRICT);
}

uint32_t
router_bucket(const struct rules *rules, const struct rules_rule *rule,
	      const struct message_request *req)
{
	return answer_bucket(rules, rule, req);
}
