/* SPDX-License-Identifier: Apache-2.0 */
/* What the rules see of a request: its method, target, host and client. */
#include <string.h>

#include "proxy/authority.h"
#include "proxy/client.h"
#include "proxy/forwarded.h"
#include "proxy/steps.h"
#include "proxy/worker.h"

/* What stands behind the authority. An empty path is `/`, and `*` when
 * OPTIONS asks without a query (RFC 9112 3.2.1, 3.2.4). */
static struct span
path_of_absolute(struct exchange *ex, struct span rest)
{
	char *text;

	if (rest.len > 0 && rest.at[0] == '/')
		return rest;
	if (rest.len == 0)
		return span_is(ex->request.start, "OPTIONS") ?
			       SPAN_LITERAL("*") : SPAN_LITERAL("/");
	text = arena_printf(&ex->arena, "/%.*s", (int)rest.len, rest.at);
	return text ? span_of(text) : (struct span){ NULL, 0 };
}

/* Splits the target; absolute-form gives the authority (RFC 9112 3.2.2). -1:
 * no room. */
static int
view_target(struct exchange *ex)
{
	struct message_request *v = &ex->view;
	const struct message_field *host =
		parse_find(&ex->request, FIELD_HOST);
	struct span t = ex->request.target;
	const char *mark;

	if (host)
		v->host = host->value;
	if (t.at[0] == 'h' || t.at[0] == 'H') {
		t.at += 7;
		t.len -= 7;
		v->host = authority_of(t);
		t.at += v->host.len;
		t.len -= v->host.len;
		t = path_of_absolute(ex, t);
	}
	if (!t.at)
		return -1;
	v->target = t;
	mark = memchr(t.at, '?', t.len);
	v->path = (struct span){ t.at, mark ? (size_t)(mark - t.at) : t.len };
	if (mark)
		v->query = (struct span){ mark + 1, t.len - v->path.len - 1 };
	return 0;
}

/* Who asks: the peer itself unless it is a trusted proxy. -1: no room. */
static int
view_client(struct exchange *ex)
{
	const struct client *c = ex->client;
	struct span peer = { c->address, c->address_len };

	if (c->trusted) {
		ex->chain = forwarded_read(&ex->worker->proxy->trust,
					   ex->view.fields, &ex->arena);
		if (!ex->chain)
			return -1;
	}
	ex->view.client = forwarded_client(ex->chain, peer);
	ex->secure = head_is_secure(ex);
	return 0;
}

int
view_read(struct exchange *ex)
{
	ex->view.method = ex->request.start;
	ex->view.fields = parse_fields(&ex->request);
	return view_target(ex) || view_client(ex) ? -1 : 0;
}
