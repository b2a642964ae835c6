/* SPDX-License-Identifier: Apache-2.0 */
/* Who answers: a rule's stage and, for a canary, the caller's place. */
#include "rules/answer.h"

#include <string.h>

#include "base/digest.h"

bool
rules_method_is_safe(struct span method)
{
	return span_is(method, "GET") || span_is(method, "HEAD") ||
	       span_is(method, "OPTIONS") || span_is(method, "TRACE");
}

/* An empty value names nobody: all such callers would share one place. */
static bool
find_stick(const struct rules_rule *rule, const struct message_request *req,
	   struct span *value)
{
	const struct message_field *f;

	switch (rule->stick) {
	case RULES_STICK_CLIENT:
		return false;
	case RULES_STICK_HEADER:
		f = message_find(req->fields, rule->stick_name);
		if (f)
			*value = f->value;
		return f && f->value.len > 0;
	case RULES_STICK_COOKIE:
		return message_cookie(req->fields, span_of(rule->stick_name),
				      value) &&
		       value->len > 0;
	case RULES_STICK_QUERY:
		return message_query_param(req->query,
					   span_of(rule->stick_name), value) &&
		       value->len > 0;
	}
	return false;
}

uint32_t
answer_bucket(const struct rules *rules, const struct rules_rule *rule,
	      const struct message_request *req)
{
	struct span value;
	uint8_t key[16];
	uint64_t hash;

	if (!find_stick(rule, req, &value))
		value = req->client;
	/* The rule's name is in the key: no buffer for name and value. */
	memcpy(key, rules->share_key, sizeof(key));
	hash = digest_hash64(key, rule->name, strlen(rule->name));
	for (int i = 0; i < 8; i++)
		key[i] ^= (uint8_t)(hash >> (8 * i));
	hash = digest_hash64(key, value.at, value.len);
	return (uint32_t)(((hash >> 32) * RULES_SHARE_ALL) >> 32);
}

const struct rules_target *
answer_target(const struct rules *rules, const struct rules_rule *rule,
	      struct rules_place place, const struct message_request *req,
	      uint32_t *bucket)
{
	*bucket = 0;
	switch (place.stage) {
	case RULES_STAGE_PASSTHROUGH:
	case RULES_STAGE_MIRROR:
	case RULES_STAGE_SHADOW:
	case RULES_STAGE_COUNT:
		break;
	case RULES_STAGE_CANARY:
		*bucket = answer_bucket(rules, rule, req);
		if (*bucket < place.share_ppm)
			return rule->target;
		break;
	case RULES_STAGE_MIGRATED:
		return rule->target;
	case RULES_STAGE_RETIRED:
		return NULL;
	}
	return rules->legacy;
}
