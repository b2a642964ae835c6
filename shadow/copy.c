/* SPDX-License-Identifier: Apache-2.0 */
/* What an HTTP candidate gets: a marked copy of the recorded request. */
#include "shadow/candidate.h"

#include <stdlib.h>

#define TIMEOUT_DEFAULT_MS 10000u
#define TIMEOUT_MAX_MS 300000u
/* More than this beyond the legacy's answer is a failure, not a difference
 * worth its memory. */
#define BODY_SLACK_BYTES (1u << 20)
#define OWN_FIELDS 4

unsigned
shadow_rule_timeout_ms(const struct shadow_rule *rule)
{
	if (rule->timeout_ms == 0)
		return TIMEOUT_DEFAULT_MS;
	return rule->timeout_ms < TIMEOUT_MAX_MS ? rule->timeout_ms
						 : TIMEOUT_MAX_MS;
}

/* Origin-form of the target (RFC 9112 3.2.1); "" when there is none. What
 * does not begin with a slash must never be glued to an authority. */
static const char *
origin_form(const char *target)
{
	const char *authority;

	if (*target == '/')
		return target;
	authority = strstr(target, "://");
	if (!authority)
		return "";
	authority += strcspn(authority + 3, "/?") + 3;
	return *authority ? authority : "/";
}

static int
write_url(struct buf *url, const char *base, const char *target,
	  struct error *err)
{
	size_t len = strlen(base);
	const char *path = origin_form(target);

	if (!*path)
		return error_set(err, "request-target %.32s has no path to "
				 "copy", target);
	while (len > 0 && base[len - 1] == '/')
		len--;
	buf_add(url, base, len);
	if (*path == '?')
		buf_addc(url, '/');
	buf_adds(url, path);
	buf_str(url);
	return url->failed ? error_set(err, "no memory for a URL") : 0;
}

static bool
is_ours(struct span name)
{
	static const char *const ours[] = { "matapalo-shadow", "traceparent",
					    "tracestate",
					    "x-correlation-id" };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (span_is_nocase(name, ours[i]))
			return true;
	return false;
}

static void
add_field(struct shadow_copy *c, const char *name, struct span value)
{
	size_t i = c->request.fields.count++;

	c->fields[i] = (struct message_field){ span_of(name), value };
}

static int
copy_fields(struct shadow_copy *c, const struct shadow_exchange *x)
{
	const struct shadow_side *side = &x->request;
	bool same_trace;

	c->fields = calloc(side->field_count + OWN_FIELDS,
			   sizeof(*c->fields));
	if (!c->fields)
		return -1;
	c->request.fields.at = c->fields;
	for (size_t i = 0; i < side->field_count; i++)
		if (!is_ours(side->fields[i].name))
			c->fields[c->request.fields.count++] =
				side->fields[i];
	same_trace = shadow_trace_child(x->traceparent, c->traceparent);
	add_field(c, "Matapalo-Shadow", SPAN_LITERAL("1"));
	add_field(c, "X-Correlation-Id", span_of(x->correlation));
	add_field(c, "traceparent", span_of(c->traceparent));
	if (same_trace && x->tracestate)
		add_field(c, "tracestate", span_of(x->tracestate));
	return 0;
}

int
shadow_copy_init(struct shadow_copy *c, const struct shadow_exchange *x,
		 const struct shadow_rule *rule, struct error *err)
{
	memset(c, 0, sizeof(*c));
	/* Over a socket the authority is a formality; Host is the caller's. */
	if (write_url(&c->url, rule->unix_path ? "http://localhost"
					       : rule->url,
		      x->target, err) != 0)
		return -1;
	if (copy_fields(c, x) != 0)
		return error_set(err, "no memory for header fields");
	c->request.url = c->url.data;
	c->request.unix_path = rule->unix_path;
	c->request.tls = rule->tls;
	c->request.proxy_header = rule->proxy_header;
	c->request.method = span_of(x->method);
	c->request.host = *x->host ? x->host : NULL;
	c->request.body = x->request.body;
	c->request.timeout_ms = shadow_rule_timeout_ms(rule);
	c->request.max_body_bytes = x->response.body.len + BODY_SLACK_BYTES;
	return 0;
}

void
shadow_copy_fini(struct shadow_copy *c)
{
	buf_fini(&c->url);
	free(c->fields);
	memset(c, 0, sizeof(*c));
}
