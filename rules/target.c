/* SPDX-License-Identifier: Apache-2.0 */
/* Loads "targets": HTTP services with their addresses, and commands. */
#include <ctype.h>
#include <string.h>

#include "rules/index.h"
#include "rules/keys.h"
#include "rules/tls.h"
#include "rules/url.h"

static int
load_one_url(struct rules_load *l, const struct rules_node *at,
	     struct rules_target *t, struct rules_address *list,
	     enum url_scheme *scheme)
{
	const char *text = json_string_value(at->value);
	struct url url;

	if (!text)
		return load_fail(l, at, "must be a string");
	if (url_parse(l, at, text, &url) < 0)
		return -1;
	if (!t->url) {
		t->url = load_copy(l, text);
		t->base_path = load_copy_n(l, url.base, url.base_len);
		if (!t->url || !t->base_path)
			return -1;
		*scheme = url.scheme;
	}
	if (url.scheme != *scheme)
		return load_fail(l, at, "the addresses of a target are all "
				 "\"https://\" or none of them is");
	if (!span_is((struct span){ url.base, url.base_len }, t->base_path))
		return load_fail(l, at, "all addresses of a target have the "
				 "same path, and the first one's is \"%s\"",
				 t->base_path);
	return url_resolve(l, at, &url, t, list);
}

static int
load_urls(struct rules_load *l, const struct rules_node *urls,
	  struct rules_target *t, enum url_scheme *scheme)
{
	struct rules_address list[RULES_ADDRESSES_MAX];
	size_t n = json_array_size(urls->value);

	t->hosts = load_alloc(l, n + 1, sizeof(*t->hosts));
	if (!t->hosts)
		return -1;
	if (!json_is_array(urls->value)) {
		if (load_one_url(l, urls, t, list, scheme) < 0)
			return -1;
	} else if (n == 0) {
		return load_fail(l, urls, "an empty list: write at least one "
				 "address");
	}
	for (size_t i = 0; i < n; i++) {
		struct rules_node url = keys_item(urls, i);

		if (load_one_url(l, &url, t, list, scheme) < 0)
			return -1;
	}
	t->addresses = load_alloc(l, t->address_count, sizeof(*list));
	if (!t->addresses)
		return -1;
	memcpy(t->addresses, list, t->address_count * sizeof(*list));
	return 0;
}

static int
fail_zero(struct rules_load *l, const struct rules_node *node, enum key k)
{
	struct rules_node at;

	keys_get(node, k, &at);
	return load_fail(l, &at, "\"none\" is possible for \"total\" only");
}

static int
load_deadlines(struct rules_load *l, const struct rules_node *node,
	       struct rules_target *t)
{
	const struct {
		enum key key;
		unsigned *ms;
	} all[] = {
		{ KEY_TIMEOUT_CONNECT, &t->connect_ms },
		{ KEY_TIMEOUT_HEAD, &t->head_ms },
		{ KEY_TIMEOUT_IDLE, &t->idle_ms },
		{ KEY_TIMEOUT_TOTAL, &t->total_ms },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (keys_duration(l, node, all[i].key, all[i].ms) < 0)
			return -1;
		if (*all[i].ms == 0 && all[i].key != KEY_TIMEOUT_TOTAL)
			return fail_zero(l, node, all[i].key);
	}
	return 0;
}

/* One duration is how long the service may be silent; connecting stays short
 * unless even that is too long. */
static int
load_timeout(struct rules_load *l, const struct rules_node *node,
	     struct rules_target *t)
{
	struct rules_node at, none = { .value = NULL };
	unsigned ms;

	if (!keys_get(node, KEY_TARGET_TIMEOUT, &at))
		return load_deadlines(l, &none, t);
	if (json_is_object(at.value))
		return load_deadlines(l, &at, t);
	if (keys_duration(l, node, KEY_TARGET_TIMEOUT, &ms) < 0)
		return -1;
	if (ms == 0)
		return fail_zero(l, node, KEY_TARGET_TIMEOUT);
	if (load_deadlines(l, &none, t) < 0)
		return -1;
	t->head_ms = t->idle_ms = ms;
	if (t->connect_ms > ms)
		t->connect_ms = ms;
	return 0;
}

/* Letters, digits, ".", "_" and "-", ending in ".v1". */
static bool
is_event_type(const char *s)
{
	const char *dot = strrchr(s, '.');

	if (!dot || dot == s || dot[1] != 'v' ||
	    !isdigit((unsigned char)dot[2]))
		return false;
	for (const char *c = dot + 2; *c; c++)
		if (!isdigit((unsigned char)*c))
			return false;
	for (const char *c = s; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			return false;
	return strlen(s) <= 128;
}

static int
load_command(struct rules_load *l, const struct rules_node *node,
	     const struct rules_node *at, struct rules_target *t)
{
	const char *s = json_string_value(at->value);

	t->kind = RULES_TARGET_COMMAND;
	if (!is_event_type(s))
		return load_fail(l, at, "\"%s\" is not an event type such as "
				 "\"shop.order.place.v1\", which ends in its "
				 "version", s);
	if (keys_duration(l, node, KEY_TARGET_REPLY_WITHIN,
			  &t->reply_within_ms) < 0)
		return -1;
	if (t->reply_within_ms == 0)
		return fail_zero(l, node, KEY_TARGET_REPLY_WITHIN);
	t->command = load_copy(l, s);
	return t->command ? 0 : -1;
}

static int
refuse_other_kind(struct rules_load *l, const struct rules_node *node,
		  enum key k, const char *kind)
{
	struct rules_node at;

	if (!keys_get(node, k, &at))
		return 0;
	return load_fail_key(l, &at, "has no meaning for a target with "
			     "\"%s\": remove one of the two", kind);
}

/* What only an HTTP service can have. */
static int
refuse_http_keys(struct rules_load *l, const struct rules_node *node)
{
	static const enum key keys[] = {
		KEY_TARGET_URL, KEY_TARGET_TIMEOUT, KEY_TARGET_TLS,
		KEY_TARGET_RESOLVE, KEY_TARGET_HEALTH, KEY_TARGET_EJECT,
		KEY_TARGET_SLOW_START, KEY_TARGET_BREAKER,
		KEY_TARGET_MAX_CONNECTIONS, KEY_TARGET_QUEUE,
		KEY_TARGET_RETRIES, KEY_TARGET_PROXY_PROTOCOL,
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (refuse_other_kind(l, node, keys[i], "command") < 0)
			return -1;
	return 0;
}

static int
load_proxy_protocol(struct rules_load *l, const struct rules_node *node,
		    struct rules_target *t)
{
	static const char *const words[] = {
		[RULES_PROXY_NONE] = "none",
		[RULES_PROXY_V1] = "v1",
		[RULES_PROXY_V2] = "v2",
	};
	size_t chosen;

	if (keys_choice(l, node, KEY_TARGET_PROXY_PROTOCOL, words,
			ARRAY_SIZE(words), &chosen) < 0)
		return -1;
	t->proxy_protocol = (enum rules_proxy_protocol)chosen;
	return 0;
}

static int
load_target(struct rules_load *l, const struct rules_node *node,
	    struct rules_target *t)
{
	enum url_scheme scheme = URL_PLAIN;
	struct rules_node at;

	t->name = load_copy(l, node->key);
	if (!t->name)
		return -1;
	if (keys_get(node, KEY_TARGET_COMMAND, &at)) {
		if (refuse_http_keys(l, node) < 0)
			return -1;
		return load_command(l, node, &at, t);
	}
	if (!keys_get(node, KEY_TARGET_URL, &at))
		return load_fail(l, node, "a target has either \"url\" or "
				 "\"command\"");
	if (refuse_other_kind(l, node, KEY_TARGET_REPLY_WITHIN, "url") < 0 ||
	    load_urls(l, &at, t, &scheme) < 0 ||
	    tls_load(l, node, scheme, &t->tls) < 0 ||
	    load_proxy_protocol(l, node, t) < 0)
		return -1;
	if (load_timeout(l, node, t) < 0)
		return -1;
	return load_protection(l, node, t);
}

static int
check_legacy(struct rules_load *l, const struct rules_node *targets)
{
	struct rules_node at = { .up = targets, .key = "legacy" };

	l->rules->legacy = NULL;
	for (size_t i = 0; i < l->rules->target_count; i++)
		if (strcmp(l->rules->targets[i].name, "legacy") == 0)
			l->rules->legacy = &l->rules->targets[i];
	if (!l->rules->legacy)
		return load_fail(l, targets, "the target \"legacy\" is "
				 "missing: it is the system that is being "
				 "replaced");
	at.value = json_object_get(targets->value, "legacy");
	if (l->rules->legacy->kind == RULES_TARGET_COMMAND)
		return load_fail(l, &at, "the legacy must be an HTTP service: "
				 "give it a \"url\"");
	return 0;
}

int
load_targets(struct rules_load *l, const struct rules_node *root)
{
	struct rules_node targets, node = { .up = &targets };
	struct rules *r = l->rules;
	size_t count;

	keys_get(root, KEY_ROOT_TARGETS, &targets);
	count = json_object_size(targets.value);
	if (count > LOAD_TARGETS_MAX)
		return load_fail(l, &targets, "more than %d targets",
				 LOAD_TARGETS_MAX);
	r->targets = load_alloc(l, count, sizeof(*r->targets));
	r->index->target_lines =
		load_alloc(l, count, sizeof(*r->index->target_lines));
	if (!r->targets || !r->index->target_lines)
		return -1;
	rules_position_lines(l->text, &targets, r->index->target_lines,
			     count);
	json_object_foreach(targets.value, node.key, node.value) {
		struct rules_target *t = &r->targets[r->target_count];

		t->index = (unsigned)r->target_count++;
		if (load_target(l, &node, t) < 0)
			return -1;
	}
	return check_legacy(l, &targets);
}
