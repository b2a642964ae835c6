/* SPDX-License-Identifier: Apache-2.0 */
/* What an HTTP candidate gets: a marked copy of the recorded request. */
#include "shadow/candidate.h"

#include <ctype.h>
#include <stdlib.h>

#define TIMEOUT_DEFAULT_MS 10000u
#define TIMEOUT_MAX_MS 300000u
/* More than this beyond the legacy's answer is a failure, not a difference
 * worth its memory. */
#define BODY_SLACK_BYTES (1u << 20)
#define OWN_FIELDS 9

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

/* An underscore counts as a hyphen, as it does behind CGI. */
static bool
name_begins(struct span name, struct span with)
{
	if (with.len == 0 || name.len < with.len)
		return false;
	for (size_t i = 0; i < with.len; i++) {
		char a = name.at[i] == '_' ? '-' : name.at[i];
		char b = with.at[i] == '_' ? '-' : with.at[i];

		if (tolower((unsigned char)a) != tolower((unsigned char)b))
			return false;
	}
	return true;
}

static bool
name_is(struct span name, struct span wanted)
{
	return name.len == wanted.len && name_begins(name, wanted);
}

/* What the live upstream was told of the caller is ours to say; a caller's
 * own word on it reaches the candidate as little as the legacy. */
static bool
is_ours(struct span name, const struct shadow_rule *rule)
{
	static const char *const ours[] = {
		"matapalo-shadow", "matapalo-exchange", "traceparent",
		"tracestate", "x-correlation-id", "forwarded", "x-real-ip",
	};

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (name_is(name, span_of(ours[i])))
			return true;
	return name_begins(name, SPAN_LITERAL("x-forwarded")) ||
	       name_is(name, rule->tls_header);
}

static void
add_field(struct shadow_copy *c, const char *name, struct span value)
{
	size_t i = c->request.fields.count++;

	c->fields[i] = (struct message_field){ span_of(name), value };
}

/* RFC 7239 4, 6: what has a colon is quoted, IPv6 in brackets too. */
static void
write_forwarded(struct buf *b, const struct shadow_exchange *x)
{
	bool v6 = strchr(x->client, ':') != NULL;

	buf_adds(b, v6 ? "for=\"[" : "for=");
	buf_adds(b, x->client);
	buf_adds(b, v6 ? "]\"" : "");
	if (*x->host)
		buf_printf(b, ";host=\"%s\"", x->host);
	if (*x->proto)
		buf_printf(b, ";proto=%s", x->proto);
}

/* As the live request carried it, but that the proxies between the client
 * and us are not in the record. */
static int
add_forwarded(struct shadow_copy *c, const struct shadow_exchange *x)
{
	struct message_fields caller = shadow_side_fields(&x->request);

	if (!*x->client)
		return 0;
	write_forwarded(&c->forwarded, x);
	if (c->forwarded.failed)
		return -1;
	add_field(c, "X-Forwarded-For", span_of(x->client));
	if (*x->proto)
		add_field(c, "X-Forwarded-Proto", span_of(x->proto));
	if (*x->host)
		add_field(c, "X-Forwarded-Host", span_of(x->host));
	if (message_find(caller, "x-real-ip"))
		add_field(c, "X-Real-IP", span_of(x->client));
	add_field(c, "Forwarded", buf_span(&c->forwarded));
	return 0;
}

static int
copy_fields(struct shadow_copy *c, const struct shadow_exchange *x,
	    const struct shadow_rule *rule)
{
	const struct shadow_side *side = &x->request;
	bool same_trace;

	c->fields = calloc(side->field_count + OWN_FIELDS,
			   sizeof(*c->fields));
	if (!c->fields)
		return -1;
	c->request.fields.at = c->fields;
	for (size_t i = 0; i < side->field_count; i++)
		if (!is_ours(side->fields[i].name, rule))
			c->fields[c->request.fields.count++] =
				side->fields[i];
	same_trace = shadow_trace_child(x->traceparent, c->traceparent);
	add_field(c, "Matapalo-Shadow", SPAN_LITERAL("1"));
	add_field(c, "X-Correlation-Id", span_of(x->correlation));
	add_field(c, "traceparent", span_of(c->traceparent));
	if (same_trace && x->tracestate)
		add_field(c, "tracestate", span_of(x->tracestate));
	return add_forwarded(c, x);
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
	if (copy_fields(c, x, rule) != 0)
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
	buf_fini(&c->forwarded);
	free(c->fields);
	memset(c, 0, sizeof(*c));
}
