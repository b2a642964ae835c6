/* SPDX-License-Identifier: Apache-2.0 */
/* Writes Forwarded and the X-Forwarded fields of one request. */
#include "proxy/forwarded.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/attr.h"

#define CRLF "\r\n"

/* ---- which fields are ours ---- */

static bool
name_is(struct span name, struct span wanted)
{
	size_t i;

	if (name.len != wanted.len)
		return false;
	for (i = 0; i < name.len; i++) {
		char c = name.at[i] == '_' ? '-' : name.at[i];

		if (tolower((unsigned char)c) != wanted.at[i])
			return false;
	}
	return true;
}

static bool
name_begins(struct span name, struct span with)
{
	if (name.len < with.len)
		return false;
	name.len = with.len;
	return name_is(name, with);
}

/* A trusted peer's other X-Forwarded fields (-Prefix, -Ssl) go on; names
 * with an underscore are nobody's. */
static bool
x_name_is_ours(struct span name, const struct forwarded_chain *chain)
{
	static const struct span written[] = {
		{ "x-forwarded-for", 15 },
		{ "x-forwarded-proto", 17 },
		{ "x-forwarded-host", 16 },
		{ "x-forwarded-port", 16 },
	};
	size_t i;

	if (name_is(name, SPAN_LITERAL("x-real-ip")))
		return true;
	if (!name_begins(name, SPAN_LITERAL("x-forwarded")))
		return false;
	if (!chain || memchr(name.at, '_', name.len))
		return true;
	for (i = 0; i < ARRAY_SIZE(written); i++)
		if (name_is(name, written[i]))
			return true;
	return false;
}

/* Most names are told apart by their first letter. */
bool
forwarded_is_ours(struct span name, const struct forwarded_chain *chain)
{
	if (name.len < 9)
		return false;
	if ((name.at[0] | 0x20) == 'x')
		return x_name_is_ours(name, chain);
	return (name.at[0] | 0x20) == 'f' && name.len == 9 &&
	       strncasecmp(name.at, "forwarded", 9) == 0;
}

/* ---- what a trusted peer says of the client's own hop ---- */

#define PROTO_MARKS "+-."
#define HOST_MARKS "-._~:[]"

/* The value, or nothing when a character is neither a letter, a digit nor
 * one of the marks. */
static struct span
plain(struct span s, const char *marks)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.at[i]) &&
		    !memchr(marks, s.at[i], strlen(marks)))
			return (struct span){ NULL, 0 };
	return s.len <= 255 ? s : (struct span){ NULL, 0 };
}

static size_t
count_tokens(struct message_fields f, struct span name)
{
	struct span list, token;
	size_t i, n = 0;

	for (i = 0; i < f.count; i++) {
		if (!span_equal_nocase(f.at[i].name, name))
			continue;
		list = f.at[i].value;
		while (span_next_token(&list, &token))
			n++;
	}
	return n;
}

/* Peers that append write an element a hop: the one that stands as far from
 * the right as the client does in the chain. Peers that replace write one. */
static struct span
pick_token(const struct forwarded *f, struct span name)
{
	size_t kept = f->chain->count ? f->chain->count : 1;
	size_t i, n = count_tokens(f->fields, name);
	size_t skip = n > kept ? n - kept : 0;
	struct span list, token;

	for (i = 0; i < f->fields.count; i++) {
		if (!span_equal_nocase(f->fields.at[i].name, name))
			continue;
		list = f->fields.at[i].value;
		while (span_next_token(&list, &token))
			if (skip-- == 0)
				return token;
	}
	return (struct span){ NULL, 0 };
}

static struct span
plain_port(struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!isdigit((unsigned char)s.at[i]))
			return (struct span){ NULL, 0 };
	return s.len <= 5 ? s : (struct span){ NULL, 0 };
}

struct told {
	struct span proto, host, port;
};

static struct told
told_by_peer(const struct forwarded *f)
{
	const struct forwarded_chain *c = f->chain;
	struct told t = { 0 };

	if (f->field == FORWARDED_X) {
		t.proto = pick_token(f, SPAN_LITERAL("x-forwarded-proto"));
		t.host = pick_token(f, SPAN_LITERAL("x-forwarded-host"));
		t.port = pick_token(f, SPAN_LITERAL("x-forwarded-port"));
	} else if (c->count) {
		t.proto = c->nodes[0].proto;
		t.host = c->nodes[0].host;
	}
	t.proto = plain(t.proto, PROTO_MARKS);
	t.host = plain(t.host, HOST_MARKS);
	t.port = plain_port(t.port);
	return t;
}

/* ---- writing ---- */

static void
put_port(struct writer *w, uint16_t port)
{
	char digits[5];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + port % 10);
		port /= 10;
	} while (port);
	put(w, (struct span){ digits + at, sizeof(digits) - at });
}

/* IPv6 in brackets, and whatever has a colon in quotes (RFC 7239 6). */
static void
put_node(struct writer *w, struct span name, struct span port)
{
	bool v6 = memchr(name.at, ':', name.len) != NULL;

	put_str(w, v6 ? "for=\"[" : port.len ? "for=\"" : "for=");
	put(w, name);
	if (v6)
		put_str(w, "]");
	if (port.len) {
		put_str(w, ":");
		put(w, port);
	}
	if (v6 || port.len)
		put_str(w, "\"");
}

static void
put_parameters(struct writer *w, struct span host, struct span proto)
{
	if (host.len) {
		put_str(w, ";host=\"");
		put(w, host);
		put_str(w, "\"");
	}
	if (proto.len) {
		put_str(w, ";proto=");
		put(w, proto);
	}
}

static void
put_chain_x(const struct forwarded *f, struct writer *w)
{
	unsigned i;

	for (i = 0; f->chain && i < f->chain->count; i++) {
		put(w, f->chain->nodes[i].name);
		put_str(w, ", ");
	}
}

static void
put_chain_rfc(const struct forwarded *f, const struct told *t,
	      struct writer *w)
{
	unsigned i;

	for (i = 0; f->chain && i < f->chain->count; i++) {
		const struct forwarded_node *n = &f->chain->nodes[i];

		if (f->field == FORWARDED_RFC7239) {
			put(w, n->element);
		} else {
			put_node(w, n->name, n->port);
			if (i == 0)
				put_parameters(w, t->host, t->proto);
		}
		put_str(w, ", ");
	}
}

/* Without a word from the peer, its port on our side says nothing about the
 * port that the client went to. */
static void
put_x_port(const struct forwarded *f, const struct told *t, struct writer *w)
{
	if (f->chain ? !t->port.len : !f->port)
		return;
	put_str(w, CRLF "X-Forwarded-Port: ");
	if (f->chain)
		put(w, t->port);
	else
		put_port(w, f->port);
}

static bool
asks_real_ip(struct message_fields f)
{
	return message_find(f, "x-real-ip") != NULL;
}

static void
put_x(const struct forwarded *f, const struct told *t, struct writer *w)
{
	struct span host = t->host.len ? t->host : f->host;

	put_str(w, "X-Forwarded-For: ");
	put_chain_x(f, w);
	put(w, f->peer);
	put_str(w, CRLF "X-Forwarded-Proto: ");
	put(w, t->proto.len ? t->proto : f->proto);
	if (host.len) {
		put_str(w, CRLF "X-Forwarded-Host: ");
		put(w, host);
	}
	put_x_port(f, t, w);
	if (asks_real_ip(f->fields)) {
		put_str(w, CRLF "X-Real-IP: ");
		put(w, forwarded_client(f->chain, f->peer));
	}
}

struct span
forwarded_proto(const struct forwarded *f)
{
	struct told t = { 0 };

	if (f->chain)
		t = told_by_peer(f);
	return t.proto.len ? t.proto : f->proto;
}

size_t
forwarded_size(const struct forwarded *f)
{
	size_t size = 320 + 3 * f->peer.len + 2 * f->host.len;
	unsigned i;

	if (!f->chain)
		return size;
	size += 5 * 255;	/* what the peer told, each up to twice */
	for (i = 0; i < f->chain->count; i++)
		size += f->chain->nodes[i].element.len +
			3 * f->chain->nodes[i].name.len +
			f->chain->nodes[i].port.len + 32;
	return size;
}

void
forwarded_put(const struct forwarded *f, struct writer *w)
{
	struct told t = { 0 };

	if (f->chain)
		t = told_by_peer(f);
	put_x(f, &t, w);
	put_str(w, CRLF "Forwarded: ");
	put_chain_rfc(f, &t, w);
	put_node(w, f->peer, (struct span){ NULL, 0 });
	put_parameters(w, f->host, f->proto);
	put_str(w, CRLF);
}

static void
keep(struct forwarded_kept **kept, struct span host, struct span lines)
{
	struct forwarded_kept *k = malloc(sizeof(*k) + host.len + lines.len);

	free(*kept);
	*kept = k;
	if (!k)
		return;
	*k = (struct forwarded_kept){ host.len, lines.len };
	if (host.len)
		memcpy(k->text, host.at, host.len);
	memcpy(k->text + host.len, lines.at, lines.len);
}

void
forwarded_put_kept(const struct forwarded *f, struct forwarded_kept **kept,
		   struct writer *w)
{
	const struct forwarded_kept *k = *kept;
	const char *from = w->at;

	if (f->chain || asks_real_ip(f->fields)) {
		forwarded_put(f, w);
	} else if (k && span_equal(f->host, (struct span){ k->text,
							   k->host_len })) {
		put(w, (struct span){ k->text + k->host_len, k->len });
	} else {
		forwarded_put(f, w);
		keep(kept, f->host, (struct span){ from,
						   (size_t)(w->at - from) });
	}
}
