/* SPDX-License-Identifier: Apache-2.0 */
/* What the admin listener answers: routes, access, bodies; no I/O.
 *
 * Order of the gates: host, route, method, token. A page of another site
 * whose name is rebound to our address gets no further than the first. */
#include "console/answer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/counter.h"
#include "base/digest.h"
#include "base/id.h"
#include "base/json.h"
#include "base/span.h"
#include "console/metrics.h"
#include "payload/payload.h"

#define HOST_MAX 256
#define NONCE_MARK "{{nonce}}"

/* ---- errors ---- */

void
answer_refuse(struct answer *out, int status, const char *title,
	      const char *detail)
{
	struct json j;

	buf_clear(&out->body);
	out->status = status;
	out->type = "application/problem+json";
	json_init(&j, &out->body);
	json_object_begin(&j);
	json_key(&j, "title");
	json_str(&j, title);
	json_key(&j, "status");
	json_i64(&j, status);
	json_key(&j, "detail");
	json_str(&j, detail);
	json_object_end(&j);
	buf_addc(&out->body, '\n');
}

/* ---- routes ---- */

static void
answer_healthz(struct answer *out, const struct answer_request *req,
	       const struct console_source *source)
{
	(void)req;
	(void)source;
	out->type = "text/plain; charset=utf-8";
	buf_adds(&out->body, "ok\n");
}

static void
answer_readyz(struct answer *out, const struct answer_request *req,
	      const struct console_source *source)
{
	const char *why_not = NULL;

	(void)req;
	if (!source->ready(source->arg, &why_not)) {
		answer_refuse(out, 503, "Service Unavailable",
			      why_not ? why_not : "not ready");
		return;
	}
	out->type = "text/plain; charset=utf-8";
	buf_adds(&out->body, "ready\n");
	if (why_not)
		buf_printf(&out->body, "warning: %s\n", why_not);
}

static void
answer_metrics(struct answer *out, const struct answer_request *req,
	       const struct console_source *source)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	struct cJSON *status CLEANUP(payload_free) = NULL;
	struct json j;

	(void)req;
	json_init(&j, &text);
	source->status(source->arg, &j);
	status = payload_parse(buf_span(&text), NULL);
	out->type = "text/plain; version=0.0.4; charset=utf-8";
	counter_write_prometheus(&out->body);
	if (source->metrics)
		source->metrics(source->arg, &out->body);
	metrics_write(status, &out->body);
}

static void
answer_status(struct answer *out, const struct answer_request *req,
	      const struct console_source *source)
{
	struct json j;

	(void)req;
	out->type = "application/json";
	json_init(&j, &out->body);
	source->status(source->arg, &j);
	buf_addc(&out->body, '\n');
}

/* A list of the status, by itself. */
static void
write_list(struct answer *out, const struct console_source *source,
	   const char *pointer)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	struct cJSON *status CLEANUP(payload_free) = NULL;
	const struct cJSON *list;
	struct json j;

	json_init(&j, &text);
	source->status(source->arg, &j);
	status = payload_parse(buf_span(&text), NULL);
	list = payload_at(status, pointer);
	out->type = "application/json";
	if (list)
		payload_write(list, &out->body);
	else
		buf_adds(&out->body, "[]");
	buf_addc(&out->body, '\n');
}

static void
answer_groups(struct answer *out, const struct answer_request *req,
	      const struct console_source *source)
{
	(void)req;
	write_list(out, source, "/bus/groups");
}

static void
answer_dlq(struct answer *out, const struct answer_request *req,
	   const struct console_source *source)
{
	(void)req;
	write_list(out, source, "/bus/dead_letters");
}

static void
answer_jobs(struct answer *out, const struct answer_request *req,
	    const struct console_source *source)
{
	(void)req;
	write_list(out, source, "/bus/jobs");
}

static void
make_nonce(char out[ANSWER_NONCE_SIZE])
{
	uint8_t random[(ANSWER_NONCE_SIZE - 1) / 2];

	id_random(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(out + 2 * i, 3, "%02x", random[i]);
}

static void
answer_board(struct answer *out, const struct answer_request *req,
	     const struct console_source *source)
{
	const char *at = answer_board_html, *mark;

	(void)req;
	(void)source;
	make_nonce(out->nonce);
	out->type = "text/html; charset=utf-8";
	while ((mark = strstr(at, NONCE_MARK))) {
		buf_add(&out->body, at, (size_t)(mark - at));
		buf_adds(&out->body, out->nonce);
		at = mark + sizeof(NONCE_MARK) - 1;
	}
	buf_adds(&out->body, at);
}

/* ---- orders ---- */

static void
answer_promote(struct answer *out, const struct answer_request *req,
	       const struct console_source *source)
{
	answer_order(out, req, source, CONSOLE_PROMOTE);
}

static void
answer_rollback(struct answer *out, const struct answer_request *req,
		const struct console_source *source)
{
	answer_order(out, req, source, CONSOLE_ROLLBACK);
}

static void
answer_hold(struct answer *out, const struct answer_request *req,
	    const struct console_source *source)
{
	answer_order(out, req, source, CONSOLE_HOLD);
}

static void
answer_resume(struct answer *out, const struct answer_request *req,
	      const struct console_source *source)
{
	answer_order(out, req, source, CONSOLE_RESUME);
}

static void
answer_kill_switch(struct answer *out, const struct answer_request *req,
		   const struct console_source *source)
{
	answer_order(out, req, source, CONSOLE_KILL);
}

static const struct answer_route routes[] = {
#define ROUTE(function, method, path, access, help)                            \
	{ ANSWER_##method, path, ANSWER_##access, answer_##function, help },
#include "console/routes.def"
#undef ROUTE
};

size_t
answer_route_count(void)
{
	return ARRAY_SIZE(routes);
}

const struct answer_route *
answer_route(size_t i)
{
	return &routes[i];
}

static const struct answer_route *
find_route(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
		if (!strcmp(routes[i].path, path))
			return &routes[i];
	return NULL;
}

/* ---- gates ---- */

/* Cuts "[::1]:8081" or "localhost:8081" down to the host. */
static bool
split_host(const char *text, char out[HOST_MAX])
{
	size_t len;

	if (*text == '[') {
		text++;
		len = strcspn(text, "]");
		if (text[len] != ']')
			return false;
	} else {
		len = strcspn(text, ":");
	}
	if (len >= HOST_MAX)
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

/* DNS rebinding makes a browser send us its own site's name; an address or
 * `localhost` cannot be rebound. Only browsers are at risk, and they always
 * send Host, so that none at all is harmless. */
static bool
host_is_ours(const char *text, const char *bound_host)
{
	char host[HOST_MAX];
	uint8_t address[sizeof(struct in6_addr)];

	if (!text)
		return true;
	if (!split_host(text, host))
		return false;
	return !strcasecmp(host, "localhost") ||
	       (bound_host && *bound_host && !strcasecmp(host, bound_host)) ||
	       inet_pton(AF_INET, host, address) == 1 ||
	       inet_pton(AF_INET6, host, address) == 1;
}

static bool
token_is_right(const char *authorization, const char *token)
{
	if (!authorization || strncasecmp(authorization, "Bearer ", 7))
		return false;
	authorization += 7;
	authorization += strspn(authorization, " ");
	return digest_same(span_of(authorization), span_of(token));
}

static void
refuse_token(struct answer *out, const char *authorization)
{
	out->challenge = authorization ? "Bearer realm=\"matapalo\", "
					 "error=\"invalid_token\""
				       : "Bearer realm=\"matapalo\"";
	answer_refuse(
		out, 401, "Unauthorized",
		"send `Authorization: Bearer TOKEN' with the content of the "
		"admin token file");
}

static bool
method_is_right(const struct answer_route *route, const char *method)
{
	switch (route->method) {
	case ANSWER_GET:
		return !strcmp(method, "GET") || !strcmp(method, "HEAD");
	case ANSWER_POST:
		return !strcmp(method, "POST");
	}
	return false;
}

static void
refuse_method(struct answer *out, const struct answer_route *route)
{
	out->allow = route->method == ANSWER_POST ? "POST" : "GET, HEAD";
	answer_refuse(out, 405, "Method Not Allowed",
		      route->method == ANSWER_POST
			      ? "this is an order: it takes POST"
			      : "this can only be looked at");
}

/* A browser says from which page an order comes; no page of another site can
 * have the token, and none may try. */
static bool
origin_is_ours(const struct answer_request *req)
{
	const char *at = req->origin;

	if (!at)
		return true;
	at = strstr(at, "://");
	return at && req->host && !strcasecmp(at + 3, req->host);
}

static bool
type_is_json(const char *type)
{
	size_t len = type ? strcspn(type, "; \t") : 0;

	return span_is_nocase((struct span){ type, len }, "application/json");
}

/* True when all that a POST brings besides its body is right. */
static bool
order_is_fit(struct answer *out, const struct answer_request *req)
{
	if (!origin_is_ours(req))
		answer_refuse(out, 403, "Forbidden",
			      "orders come from this listener's own page or "
			      "from no page");
	else if (!type_is_json(req->content_type))
		answer_refuse(out, 415, "Unsupported Media Type",
			      "send an object as application/json");
	else
		return true;
	return false;
}

/* The route, when all gates are open; else NULL and the refusal. */
static const struct answer_route *
choose(struct answer *out, const struct answer_request *req,
       const struct answer_server *server)
{
	const struct answer_route *route = find_route(req->path);

	if (!host_is_ours(req->host, server->bound_host))
		answer_refuse(out, 421, "Misdirected Request",
			      "this listener answers to its address and to "
			      "localhost only");
	else if (!route)
		answer_refuse(out, 404, "Not Found",
			      "there is no such page here");
	else if (!method_is_right(route, req->method))
		refuse_method(out, route);
	else if (route->access == ANSWER_TOKEN &&
		 !token_is_right(req->authorization, server->token))
		refuse_token(out, req->authorization);
	else if (route->method == ANSWER_GET || order_is_fit(out, req))
		return route;
	return NULL;
}

bool
answer_wants_body(const struct answer_request *req,
		  const struct answer_server *server)
{
	struct answer ignored = { 0 };
	const struct answer_route *route = choose(&ignored, req, server);

	answer_fini(&ignored);
	return route && route->method == ANSWER_POST;
}

void
answer_make(struct answer *out, const struct answer_request *req,
	    const struct answer_server *server)
{
	const struct answer_route *route = choose(out, req, server);

	if (route) {
		out->status = 200;
		route->write(out, req, server->source);
	}
	if (!out->body.failed)
		return;
	answer_refuse(out, 503, "Service Unavailable",
		      "no memory for the answer");
	if (out->body.failed)
		buf_clear(&out->body);
}

void
answer_fini(struct answer *a)
{
	buf_fini(&a->body);
}
