/* SPDX-License-Identifier: Apache-2.0 */
/* Loads when a command's caller is answered, and whose an answer is. */
#include "rules/later.h"

#include <string.h>

#include "rules/keys.h"
#include "rules/rule.h"

#define STATUS_PATH_MAX 128
#define NAME_MAX 128

static int
load_words(struct rules_load *l, const struct rules_node *node,
	   struct rules_later *out)
{
	static const char *const responds[] = {
		[RULES_RESPOND_SYNC] = "sync",
		[RULES_RESPOND_ASYNC] = "async",
		[RULES_RESPOND_PREFER] = "prefer",
	};
	static const char *const dones[] = {
		[RULES_DONE_ANSWER] = "answer",
		[RULES_DONE_REDIRECT] = "redirect",
	};
	size_t respond, done;

	if (keys_choice(l, node, KEY_RULE_RESPOND, responds,
			ARRAY_SIZE(responds), &respond) < 0 ||
	    keys_choice(l, node, KEY_RULE_WHEN_DONE, dones, ARRAY_SIZE(dones),
			&done) < 0)
		return -1;
	out->respond = (enum rules_respond)respond;
	out->when_done = (enum rules_done)done;
	return 0;
}

static int
load_caller(struct rules_load *l, const struct rules_node *node,
	    struct rules_later *out)
{
	static const struct {
		const char *prefix;
		enum rules_caller caller;
	} kinds[] = {
		{ "header:", RULES_CALLER_HEADER },
		{ "cookie:", RULES_CALLER_COOKIE },
	};
	const char *s = keys_string(node, KEY_RULE_CALLER);
	struct rules_node at;

	out->caller = RULES_CALLER_ANY;
	if (strcmp(s, "any") == 0)
		return 0;
	keys_get(node, KEY_RULE_CALLER, &at);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t len = strlen(kinds[i].prefix);

		if (strncmp(s, kinds[i].prefix, len) != 0 ||
		    !keys_is_token(s + len) || strlen(s + len) > NAME_MAX)
			continue;
		out->caller = kinds[i].caller;
		out->caller_name = load_copy(l, s + len);
		return out->caller_name ? 0 : -1;
	}
	return load_fail(l, &at, "\"%s\" is none of \"any\", \"header:NAME\" "
			 "and \"cookie:NAME\"", s);
}

static int
load_keep(struct rules_load *l, const struct rules_node *node,
	  struct rules_later *out)
{
	struct rules_node at;

	if (keys_duration(l, node, KEY_RULE_KEEP, &out->keep_ms) < 0)
		return -1;
	if (out->keep_ms > 0)
		return 0;
	keys_get(node, KEY_RULE_KEEP, &at);
	return load_fail(l, &at, "an answer that is not kept cannot be asked "
			 "for: give a time");
}

static int
load_idempotency(struct rules_load *l, const struct rules_node *node,
		 struct rules_later *out)
{
	struct rules_node at, key;

	if (!keys_get(node, KEY_RULE_IDEMPOTENCY, &at))
		return 0;
	out->idempotent = true;
	out->key_required = keys_get(&at, KEY_IDEMPOTENCY_REQUIRED, &key) &&
			    json_is_true(key.value);
	if (!keys_get(node, KEY_RULE_CALLER, &key))
		return load_fail(l, &at, "needs \"caller\": say by what "
				 "callers are told apart, \"header:"
				 "Authorization\" for example, so that nobody "
				 "gets the answer to another one's key");
	return keys_strings(l, &at, KEY_IDEMPOTENCY_HEADERS, keys_check_token,
			    &out->headers, &out->header_count);
}

/* Never an address that a client names. */
static int
load_hook(struct rules_load *l, const struct rules_node *node,
	  struct rules_later *out)
{
	struct rules_node at;

	if (!keys_get(node, KEY_RULE_HOOK, &at))
		return 0;
	if (rule_find_target(l, &at, &out->hook) < 0)
		return -1;
	if (out->hook->kind != RULES_TARGET_HTTP)
		return load_fail(l, &at, "\"%s\" is a command: name a target "
				 "with a \"url\"", out->hook->name);
	if (out->respond == RULES_RESPOND_SYNC && !out->idempotent)
		return load_fail(l, &at, "no answer is kept: say \"respond\" "
				 "or \"idempotency\"");
	return 0;
}

static int
refuse_without_command(struct rules_load *l, const struct rules_node *node,
		       const struct rules_rule *rule)
{
	static const enum key keys[] = { KEY_RULE_RESPOND,
					 KEY_RULE_IDEMPOTENCY,
					 KEY_RULE_HOOK };
	struct rules_node at;

	if (rule->target && rule->target->kind == RULES_TARGET_COMMAND)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys_get(node, keys[i], &at))
			return load_fail_key(l, &at, "has a meaning only with "
					     "a \"target\" that is a "
					     "\"command\"");
	return 0;
}

/* The legacy's answer goes through and is not kept: a key would have none,
 * and its next repeat would do the work again. */
static int
refuse_fallback(struct rules_load *l, const struct rules_node *node,
		const struct rules_rule *rule)
{
	const struct rules_later *later = &rule->later;
	struct rules_node at;

	if (rule->on_failure != RULES_ON_FAILURE_LEGACY ||
	    (later->respond == RULES_RESPOND_SYNC && !later->idempotent))
		return 0;
	keys_get(node, KEY_RULE_ON_FAILURE, &at);
	return load_fail(l, &at, "\"legacy\" does not go together with "
			 "\"respond\" or \"idempotency\": the legacy's answer "
			 "is not kept");
}

int
later_load(struct rules_load *l, const struct rules_node *node,
	   struct rules_rule *rule)
{
	struct rules_later *out = &rule->later;

	if (refuse_without_command(l, node, rule) < 0 ||
	    load_words(l, node, out) < 0 || load_caller(l, node, out) < 0 ||
	    load_keep(l, node, out) < 0 ||
	    load_idempotency(l, node, out) < 0 ||
	    load_hook(l, node, out) < 0)
		return -1;
	return refuse_fallback(l, node, rule);
}

/* ---- the reserved path ---- */

/* Only what no server reads in two ways. */
static bool
is_plain_path(const char *s)
{
	size_t n = strlen(s);

	if (n < 3 || n > STATUS_PATH_MAX || s[0] != '/' || s[n - 1] != '/')
		return false;
	if (strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		      "0123456789-._~/") != n)
		return false;
	return !strstr(s, "//") && !strstr(s, "/./") && !strstr(s, "/../");
}

static bool
is_needed(const struct rules *r)
{
	for (size_t i = 0; i < r->rule_count; i++)
		if (r->rules[i].later.respond != RULES_RESPOND_SYNC)
			return true;
	return false;
}

int
later_load_path(struct rules_load *l, const struct rules_node *root)
{
	const char *s = keys_string(root, KEY_ROOT_STATUS_PATH);
	struct rules_node at;

	if (!keys_get(root, KEY_ROOT_STATUS_PATH, &at) &&
	    !is_needed(l->rules))
		return 0;
	if (!is_plain_path(s))
		return load_fail(l, &at, "\"%s\" is not a path such as "
				 "\"/.matapalo/status/\": letters, digits, "
				 "\"-\", \".\", \"_\", \"~\", with \"/\" at "
				 "both ends", s);
	l->rules->status_path = load_copy(l, s);
	return l->rules->status_path ? 0 : -1;
}
