/* SPDX-License-Identifier: Apache-2.0 */
/* Loads, tests and compares conditions on a request. */
#include "rules/condition.h"

#include <ctype.h>
#include <string.h>

#include "rules/keys.h"

static int
check_method(struct rules_load *l, const struct rules_node *at, const char *s)
{
	if (!keys_is_token(s))
		return load_fail(l, at, "\"%s\" cannot be a method", s);
	for (const char *c = s; *c; c++)
		if (islower((unsigned char)*c))
			return load_fail(l, at, "\"%s\": methods are case "
					 "sensitive, write upper case", s);
	return 0;
}

static int
load_method(struct rules_load *l, const struct rules_node *match,
	    struct condition *c)
{
	struct rules_node at;

	*c = (struct condition){ .kind = CONDITION_METHOD };
	if (keys_strings(l, match, KEY_MATCH_METHOD, check_method,
			 &c->methods, &c->method_count) < 0)
		return -1;
	if (c->method_count == 0 && keys_get(match, KEY_MATCH_METHOD, &at))
		return load_fail(l, &at, "an empty list never matches: "
				 "remove it, or name a method");
	return 0;
}

static int
load_host(struct rules_load *l, const struct rules_node *at,
	  struct condition *c)
{
	const char *s = json_string_value(at->value);

	if (strchr(s, '*'))
		return load_fail(l, at, "\"%s\": wildcards in hosts are not "
				 "supported by this version", s);
	if (*s == '\0' || strpbrk(s, "/@ ") ||
	    (*s != '[' && strchr(s, ':')) || s[strlen(s) - 1] == '.')
		return load_fail(l, at, "\"%s\": write the host's name alone, "
				 "without scheme, port or final dot", s);
	*c = (struct condition){ .kind = CONDITION_HOST,
				 .value = load_copy(l, s) };
	return c->value ? 0 : -1;
}

static int
load_value(struct rules_load *l, const struct rules_node *at,
	   struct condition *c)
{
	struct rules_node present;

	if (json_is_string(at->value)) {
		c->value = load_copy(l, json_string_value(at->value));
		return c->value ? 0 : -1;
	}
	if (!json_is_object(at->value))
		return load_fail(l, at, "must be a string or "
				 "{\"present\": true}");
	if (keys_check(l, at, KEYS_OBJECT_PRESENT) < 0)
		return -1;
	keys_get(at, KEY_PRESENT_PRESENT, &present);
	c->test = json_is_true(present.value) ? CONDITION_PRESENT
					      : CONDITION_ABSENT;
	return 0;
}

static int
check_named(struct rules_load *l, const struct rules_node *at,
	    enum condition_kind kind)
{
	if (kind == CONDITION_QUERY)
		return *at->key ? 0
				: load_fail_key(l, at, "a query parameter has "
						"a name");
	return keys_check_token(l, at, at->key);
}

static int
load_named(struct rules_load *l, const struct rules_node *map,
	   enum condition_kind kind, struct condition *list, size_t *count)
{
	struct rules_node at = { .up = map };

	json_object_foreach(map->value, at.key, at.value) {
		struct condition *c = &list[*count];

		if (*count == CONDITIONS_MAX)
			return load_fail_key(l, &at, "more than %d conditions",
					     CONDITIONS_MAX);
		*c = (struct condition){ .kind = kind };
		if (check_named(l, &at, kind) < 0 ||
		    load_value(l, &at, c) < 0)
			return -1;
		c->name = load_copy(l, at.key);
		c->name_len = strlen(at.key);
		if (!c->name)
			return -1;
		++*count;
	}
	return 0;
}

static int
load_all_named(struct rules_load *l, const struct rules_node *match,
	       struct condition *list, size_t *count)
{
	static const struct {
		enum key key;
		enum condition_kind kind;
	} maps[] = {
		{ KEY_MATCH_HEADER, CONDITION_HEADER },
		{ KEY_MATCH_QUERY, CONDITION_QUERY },
		{ KEY_MATCH_COOKIE, CONDITION_COOKIE },
	};
	struct rules_node map;

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		if (keys_get(match, maps[i].key, &map) &&
		    load_named(l, &map, maps[i].kind, list, count) < 0)
			return -1;
	return 0;
}

int
conditions_load(struct rules_load *l, const struct rules_node *match,
		struct conditions *out)
{
	struct condition list[CONDITIONS_MAX], *kept;
	struct rules_node host;
	size_t n = 0;

	if (load_method(l, match, &list[n]) < 0)
		return -1;
	n += list[n].method_count > 0;
	if (keys_get(match, KEY_MATCH_HOST, &host) &&
	    load_host(l, &host, &list[n++]) < 0)
		return -1;
	if (load_all_named(l, match, list, &n) < 0)
		return -1;
	kept = load_alloc(l, n, sizeof(*kept));
	if (!kept)
		return -1;
	memcpy(kept, list, n * sizeof(*kept));
	*out = (struct conditions){ kept, n };
	return 0;
}

static bool
has_method(const struct condition *c, struct span method)
{
	for (size_t i = 0; i < c->method_count; i++)
		if (span_is(method, c->methods[i]))
			return true;
	return false;
}

/* The name alone: no port, no dot of the root. */
static struct span
host_name(struct span host)
{
	const char *end = NULL;

	if (host.len > 0 && host.at[0] == '[') {
		end = memchr(host.at, ']', host.len);
		if (end)
			end++;
	} else if (host.len > 0) {
		end = memchr(host.at, ':', host.len);
	}
	if (end)
		host.len = (size_t)(end - host.at);
	if (host.len > 1 && host.at[host.len - 1] == '.')
		host.len--;
	return host;
}

/* message_find measures the name each time; many rules may look here. */
static bool
find_header(struct message_fields fields, struct span name,
	    struct span *value)
{
	for (size_t i = 0; i < fields.count; i++) {
		if (!span_equal_nocase(fields.at[i].name, name))
			continue;
		*value = fields.at[i].value;
		return true;
	}
	return false;
}

static bool
find_named(const struct condition *c, const struct message_request *req,
	   struct span *value)
{
	struct span name = { c->name, c->name_len };

	switch (c->kind) {
	case CONDITION_HEADER:
		return find_header(req->fields, name, value);
	case CONDITION_QUERY:
		return message_query_param(req->query, name, value);
	case CONDITION_COOKIE:
		return message_cookie(req->fields, name, value);
	case CONDITION_METHOD:
	case CONDITION_HOST:
		break;
	}
	return false;
}

static bool
named_holds(const struct condition *c, const struct message_request *req)
{
	struct span value = { NULL, 0 };
	bool found = find_named(c, req, &value);

	switch (c->test) {
	case CONDITION_IS:
		return found && span_is(value, c->value);
	case CONDITION_PRESENT:
		return found;
	case CONDITION_ABSENT:
		return !found;
	}
	return false;
}

bool
condition_holds(const struct condition *c, const struct message_request *req)
{
	switch (c->kind) {
	case CONDITION_METHOD:
		return has_method(c, req->method);
	case CONDITION_HOST:
		return span_is_nocase(host_name(req->host), c->value);
	case CONDITION_HEADER:
	case CONDITION_QUERY:
	case CONDITION_COOKIE:
		return named_holds(c, req);
	}
	return false;
}

const struct condition *
conditions_fail(const struct conditions *c, const struct message_request *req)
{
	for (size_t i = 0; i < c->count; i++)
		if (!condition_holds(&c->at[i], req))
			return &c->at[i];
	return NULL;
}

unsigned
conditions_cost(const struct conditions *c)
{
	unsigned cost = 0;

	for (size_t i = 0; i < c->count; i++)
		cost += c->at[i].name ? 4 : 1;
	return cost;
}

static bool
methods_exclude(const struct condition *a, const struct condition *b)
{
	for (size_t i = 0; i < a->method_count; i++)
		if (has_method(b, span_of(a->methods[i])))
			return false;
	return true;
}

static bool
same_name(const struct condition *a, const struct condition *b)
{
	if (a->kind == CONDITION_HEADER)
		return strcasecmp(a->name, b->name) == 0;
	return strcmp(a->name, b->name) == 0;
}

static bool
exclude(const struct condition *a, const struct condition *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == CONDITION_METHOD)
		return methods_exclude(a, b);
	if (a->kind == CONDITION_HOST)
		return strcasecmp(a->value, b->value) != 0;
	if (!same_name(a, b))
		return false;
	if (a->test == CONDITION_IS && b->test == CONDITION_IS)
		return strcmp(a->value, b->value) != 0;
	return (a->test == CONDITION_ABSENT) != (b->test == CONDITION_ABSENT);
}

bool
conditions_exclude(const struct conditions *a, const struct conditions *b)
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t j = 0; j < b->count; j++)
			if (exclude(&a->at[i], &b->at[j]))
				return true;
	return false;
}

static const char *
kind_word(enum condition_kind kind)
{
	switch (kind) {
	case CONDITION_METHOD:
		return "method";
	case CONDITION_HOST:
		return "host";
	case CONDITION_HEADER:
		return "header";
	case CONDITION_QUERY:
		return "query";
	case CONDITION_COOKIE:
		return "cookie";
	}
	return "";
}

void
condition_describe(const struct condition *c, struct buf *out)
{
	buf_adds(out, kind_word(c->kind));
	for (size_t i = 0; i < c->method_count; i++)
		buf_printf(out, "%s%s", i ? "|" : " ", c->methods[i]);
	if (c->name)
		buf_printf(out, " %s", c->name);
	if (c->value)
		buf_printf(out, "%s %s", c->name ? " =" : "", c->value);
	else if (c->name)
		buf_adds(out, c->test == CONDITION_ABSENT ? " absent"
							  : " present");
}
