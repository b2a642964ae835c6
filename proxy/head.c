/* SPDX-License-Identifier: Apache-2.0 */
/* Heads on the wire: runs of received lines go on as they are, by iovec;
 * only what ends at this hop is left out and what we owe is added. */
#include <stdio.h>
#include <string.h>

#include "console/value.h"
#include "proxy/client.h"
#include "proxy/exchange.h"
#include "proxy/forwarded.h"
#include "proxy/tls.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "proxy/writer.h"

#define CRLF "\r\n"

struct keep {
	uint64_t withheld;		/* besides those of class HOP */
	enum { KEEP_ANSWER, KEEP_REQUEST } of;
	const struct forwarded_chain *chain;	/* of a trusted peer */
	struct span tls_header;		/* ours alone, where it is set */
};

/* An underscore counts as a hyphen, as it does behind CGI. */
static bool
names_same_field(struct span a, struct span b)
{
	size_t i;

	if (a.len != b.len)
		return false;
	for (i = 0; i < a.len; i++) {
		char x = a.at[i] == '_' ? '-' : a.at[i];
		char y = b.at[i] == '_' ? '-' : b.at[i];

		if (strncasecmp(&x, &y, 1) != 0)
			return false;
	}
	return true;
}

static bool
field_goes_on(const struct parse *p, size_t i, const struct keep *k)
{
	enum field known = (enum field)p->known[i];

	if (FIELD_BIT(known) & (k->withheld | field_hops()))
		return false;
	if (k->of == KEEP_REQUEST && known == FIELD_OTHER &&
	    forwarded_is_ours(p->fields[i].name, k->chain))
		return false;
	if (k->tls_header.len &&
	    names_same_field(p->fields[i].name, k->tls_header))
		return false;
	return !p->names_fields ||
	       !parse_is_hop_by_hop(parse_fields(p), p->fields[i].name, true);
}

/* Adds the lines that go on, from `start` (the start line's first byte) to
 * `end` (the empty line), in as few runs as there are gaps. */
static int
add_runs(struct out *o, const char *start, const char *end,
	 const struct parse *p, const struct keep *k)
{
	const char *run = start;
	size_t i;

	for (i = 0; i < p->field_count; i++) {
		const char *line = p->fields[i].name.at;

		if (field_goes_on(p, i, k)) {
			if (!run)
				run = line;
			continue;
		}
		if (run && !out_add(o, run, (size_t)(line - run)))
			return -1;
		run = NULL;
	}
	if (run && !out_add(o, run, (size_t)(end - run)))
		return -1;
	return 0;
}

/* ---- request ---- */

static bool
line_goes_as_it_is(const struct exchange *ex)
{
	return ex->request.ll.http_minor == 1 &&
	       ex->request.target.at[0] != 'h' &&
	       ex->request.target.at[0] != 'H' &&
	       ex->target->base_path[0] == '\0';
}

/* `*` asks about the server, which no base path is part of (RFC 9112
 * 3.2.4). */
static int
add_request_line(struct exchange *ex)
{
	struct span path = ex->view.target;
	const char *base = span_is(path, "*") ? "" : ex->target->base_path;
	char *line = arena_printf(&ex->arena, "%.*s %s%.*s HTTP/1.1\r\n",
				  (int)ex->view.method.len,
				  ex->view.method.at, base, (int)path.len,
				  path.at);

	return line && out_add(&ex->to_upstream, line, strlen(line)) ? 0 : -1;
}

/* The field lines that a gateway owes (RFC 9110 7.6.3, RFC 7239 4). */
static struct forwarded
forwarded_of(const struct exchange *ex)
{
	const struct client *c = ex->client;

	return (struct forwarded){
		.fields = ex->view.fields,
		.chain = ex->chain,
		.field = ex->worker->proxy->trust.field,
		.peer = { c->address, c->address_len },
		.host = ex->view.host,
		.proto = c->listen_flags & LISTEN_TLS ? SPAN_LITERAL("https") :
							SPAN_LITERAL("http"),
		.port = c->local_port,
	};
}

bool
head_is_secure(const struct exchange *ex)
{
	struct forwarded told;

	if (!ex->chain)
		return (ex->client->listen_flags & LISTEN_TLS) != 0;
	told = forwarded_of(ex);
	return span_is_nocase(forwarded_proto(&told), "https");
}

static void
put_via(const struct exchange *ex, struct writer *w)
{
	put_str(w, ex->request.ll.http_minor ? "Via: 1.1 " : "Via: 1.0 ");
	put_str(w, ex->worker->proxy->pseudonym);
	put_str(w, CRLF);
}

/* What the client's certificate says of it, for those who are to know. */
static struct span
tls_peer_of(const struct exchange *ex)
{
	const char *peer = tls_peer(&ex->client->io);

	return ex->worker->proxy->tls_client_header.len ? span_of(peer) :
		SPAN_LITERAL("");
}

static void
put_tls_peer(const struct exchange *ex, struct writer *w)
{
	struct span peer = tls_peer_of(ex);

	if (!peer.len)
		return;
	put(w, ex->worker->proxy->tls_client_header);
	put_str(w, ": ");
	put(w, peer);
	put_str(w, CRLF);
}

static void
put_request_framing(struct exchange *ex, struct writer *w)
{
	bool has_length = ex->request.ll.flags & F_CONTENT_LENGTH;
	bool chunked = ex->upload.framing == PARSE_CHUNKED;
	uint64_t length = ex->request.ll.content_length;
	char text[48];

	if (ex->upload_collected)	/* its length is known by now */
		length = ex->upload.true_bytes;
	if (chunked && !ex->upload_collected) {
		put_str(w, "Transfer-Encoding: chunked" CRLF);
	} else if (has_length || chunked) {
		snprintf(text, sizeof(text), "Content-Length: %llu" CRLF,
			 (unsigned long long)length);
		put_str(w, text);
	}
}

/* For HTTP/1.0 without Host: what goes on as 1.1 needs one (RFC 9112 3.2). */
static struct span
upstream_host(const struct exchange *ex)
{
	const struct rules_address *a = &ex->pool->endpoint->address;

	return a->addr.ss_family == AF_UNIX ? SPAN_LITERAL("localhost") :
					      span_of(a->text);
}

/* A connection that has one request only has nothing to keep. */
static void
put_forwarded(const struct exchange *ex, const struct forwarded *told,
	      struct writer *w)
{
	struct client *c = ex->client;

	if (c->served == 0)
		forwarded_put(told, w);
	else
		forwarded_put_kept(told, &c->told, w);
}

static int
add_request_fields(struct exchange *ex, bool own_host)
{
	struct forwarded told = forwarded_of(ex);
	size_t size = 256 + TRACE_LINE_SIZE + forwarded_size(&told) +
		      ex->view.host.len +
		      (own_host ? upstream_host(ex).len : 0) +
		      hop_request_size(ex) +
		      ex->worker->proxy->tls_client_header.len +
		      tls_peer_of(ex).len;
	char *block = arena_alloc(&ex->arena, size), id[ID_TEXT_SIZE];
	struct writer w = { block, block + size };

	if (!block)
		return -1;
	if (own_host) {
		put_str(&w, "Host: ");
		put(&w, ex->view.host.len ? ex->view.host :
					    upstream_host(ex));
		put_str(&w, CRLF);
	}
	put_via(ex, &w);
	put_forwarded(ex, &told, &w);
	put_tls_peer(ex, &w);
	trace_put(ex, &w);
	/* New services get the id that joins their logs to the event; the
	 * legacy's requests stay as they are. */
	if (ex->target != ex->lease->rules->legacy) {
		put_str(&w, "Matapalo-Exchange: ");
		put_str(&w, id_text(exchange_id(ex), id));
		put_str(&w, CRLF);
	}
	hop_put_request(ex, &w);
	put_request_framing(ex, &w);
	put_str(&w, CRLF);
	return out_add(&ex->to_upstream, block, (size_t)(w.at - block)) ? 0 :
									  -1;
}

/* What we write ourselves, or what has no place in the request as it goes
 * on. */
static uint64_t
request_withholds(const struct exchange *ex, bool own_host)
{
	uint64_t set = FIELD_BIT(FIELD_CONTENT_LENGTH) |
		       FIELD_BIT(FIELD_MATAPALO_EXCHANGE);
	bool chunked = ex->upload.framing == PARSE_CHUNKED &&
		       !ex->upload_collected;

	if (own_host)
		set |= FIELD_BIT(FIELD_HOST);
	if (trace_is_ours(ex))
		set |= FIELD_BIT(FIELD_TRACEPARENT) |
		       FIELD_BIT(FIELD_TRACESTATE);
	if (ex->hop.limited)
		set |= FIELD_BIT(FIELD_MAX_FORWARDS);
	/* HTTP/1.0 has no expectations, and without a body there is nothing
	 * to expect (RFC 9110 10.1.1): some origins wait for one forever. */
	if (ex->request.ll.http_minor == 0 ||
	    ex->upload.framing == PARSE_NO_BODY)
		set |= FIELD_BIT(FIELD_EXPECT);
	if (!chunked)
		set |= FIELD_BIT(FIELD_TRAILER);
	return set;
}

int
head_forward_request(struct exchange *ex)
{
	struct message_fields f = ex->view.fields;
	const struct message_field *host = parse_find(&ex->request,
						      FIELD_HOST);
	bool own_host = !host || !span_equal(host->value, ex->view.host);
	bool as_is = line_goes_as_it_is(ex);
	struct keep k;
	const char *end, *start;

	trace_settle(ex);
	k = (struct keep){ request_withholds(ex, own_host), KEEP_REQUEST,
			   ex->chain, ex->worker->proxy->tls_client_header };
	out_reset(&ex->to_upstream);
	end = ex->request_head->data + ex->request_head_end - 2;
	start = as_is ? ex->request.start.at : (f.count ? f.at[0].name.at :
						end);
	if (!as_is && add_request_line(ex))
		return -1;
	if (add_runs(&ex->to_upstream, start, end, &ex->request, &k))
		return -1;
	return add_request_fields(ex, own_host);
}

/* ---- response ---- */

bool
head_keeps_client(const struct exchange *ex)
{
	return ex->keep_alive && ex->upload.done && !ex->aborted;
}

static int
add_status_line(struct exchange *ex, const char *line)
{
	const char *start = ex->response.start.at - 5;	/* "HTTP/" */
	const char *reason = start + sizeof("HTTP/1.1 200") - 1;
	char *own;

	if (ex->response.ll.http_minor == 1 && *reason == ' ')
		return out_add(&ex->to_client, start, (size_t)(line - start)) ?
			0 : -1;
	/* Without a reason the space before it is due all the same
	 * (RFC 9112 4). */
	own = arena_printf(&ex->arena, "HTTP/1.1 %d%s%.*s",
			   ex->response.ll.status_code,
			   *reason == ' ' ? "" : " ", (int)(line - reason),
			   reason);
	return own && out_add(&ex->to_client, own, strlen(own)) ? 0 : -1;
}

/* How the answer's body is framed towards this client. */
static void
frame_answer(struct exchange *ex)
{
	bool old_client = ex->request.ll.http_minor == 0;

	if (ex->download.framing == PARSE_CHUNKED)
		ex->answer_rechunked = !old_client;
	if (ex->download.framing == PARSE_UNTIL_CLOSE) {
		ex->answer_rechunked = !old_client;
		if (old_client)
			ex->keep_alive = false;
	}
}

static int
add_answer_fields(struct exchange *ex)
{
	size_t size = 160 + hop_upgrade_size(ex);
	char *block = arena_alloc(&ex->arena, size);
	struct writer w = { block, block + size };

	if (!block)
		return -1;
	if (!(ex->response.seen & FIELD_BIT(FIELD_DATE)))
		put_str(&w, worker_date(ex->worker));
	if (ex->answer_rechunked)
		put_str(&w, "Transfer-Encoding: chunked" CRLF);
	hop_put_upgrade(ex, &w);
	if (!ex->keep_alive && ex->status != 101)
		put_str(&w, "Connection: close" CRLF);
	put_str(&w, CRLF);
	return out_add(&ex->to_client, block, (size_t)(w.at - block)) ? 0 : -1;
}

/* 1xx and 204 have no length (RFC 9110 8.6). */
static uint64_t
response_withholds(const struct exchange *ex)
{
	int status = ex->response.ll.status_code;

	return (ex->answer_rechunked ? 0 : FIELD_BIT(FIELD_TRAILER)) |
	       (status < 200 || status == 204 ?
		FIELD_BIT(FIELD_CONTENT_LENGTH) : 0);
}

int
head_forward_response(struct exchange *ex)
{
	struct message_fields f = parse_fields(&ex->response);
	const char *end = ex->response.end - 2;
	const char *line = f.count ? f.at[0].name.at : end;
	struct keep k;

	frame_answer(ex);
	k = (struct keep){ response_withholds(ex), KEEP_ANSWER, NULL,
			  { NULL, 0 } };
	if (!ex->upload.done || ex->worker->draining)
		ex->keep_alive = false;
	if (add_status_line(ex, line))
		return -1;
	if (add_runs(&ex->to_client, line, end, &ex->response, &k))
		return -1;
	ex->answer_started = true;
	return add_answer_fields(ex);
}

/* 1xx goes on to HTTP/1.1 clients only (RFC 9110 15.2). A copy: the buffer
 * may be replaced before a slow client has taken it. */
int
head_forward_interim(struct exchange *ex)
{
	const char *rest = ex->response.start.at + 3;	/* behind "1.1" */
	const char *end = ex->response.end - 2;
	struct keep k = { .withheld = response_withholds(ex),
			  .of = KEEP_ANSWER };
	size_t size = sizeof("HTTP/1.1") + (size_t)(end - rest) + 2;
	struct writer w;
	struct out runs;
	char *copy;
	int i;

	if (ex->request.ll.http_minor == 0)
		return 0;
	out_init(&runs);
	copy = arena_alloc(&ex->arena, size);
	if (!copy || add_runs(&runs, rest, end, &ex->response, &k))
		return -1;
	w = (struct writer){ copy, copy + size };
	put_str(&w, "HTTP/1.1");
	for (i = 0; i < runs.count; i++)
		put(&w, (struct span){ runs.iov[i].iov_base,
				       runs.iov[i].iov_len });
	put_str(&w, CRLF);
	return out_add(&ex->to_client, copy, (size_t)(w.at - copy)) ? 0 : -1;
}
