/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the chain of hops that a trusted peer reports, and cuts it at the
 * right-most hop that is not trusted: what that one says of its own past is
 * a stranger's word (RFC 7239 8.1). */
#include <ctype.h>
#include <string.h>

#include "proxy/forwarded.h"

/* The newest nodes; older ones are pushed out. */
struct window {
	struct forwarded_node nodes[FORWARDED_CHAIN_MAX];
	unsigned count, at;	/* at: where the next one goes */
};

static void
window_add(struct window *w, const struct forwarded_node *n)
{
	w->nodes[w->at] = *n;
	w->at = (w->at + 1) % FORWARDED_CHAIN_MAX;
	if (w->count < FORWARDED_CHAIN_MAX)
		w->count++;
}

/* `back` 1 is the newest. */
static const struct forwarded_node *
window_get(const struct window *w, unsigned back)
{
	return &w->nodes[(w->at + FORWARDED_CHAIN_MAX - back) %
			 FORWARDED_CHAIN_MAX];
}

/* ---- a node (RFC 7239 6) ---- */

static bool
is_obfuscated(struct span s)
{
	size_t i;

	if (s.len < 2 || s.len > 64 || s.at[0] != '_')
		return false;
	for (i = 1; i < s.len; i++)
		if (!isalnum((unsigned char)s.at[i]) &&
		    !memchr("._-", s.at[i], 3))
			return false;
	return true;
}

static bool
is_port(struct span s)
{
	size_t i;

	if (is_obfuscated(s))
		return true;
	for (i = 0; i < s.len; i++)
		if (!isdigit((unsigned char)s.at[i]))
			return false;
	return s.len >= 1 && s.len <= 5;
}

static bool
read_name(struct span s, struct forwarded_node *n)
{
	n->name = s;
	if (network_read_address(s, &n->address) || is_obfuscated(s))
		return true;
	n->name = SPAN_LITERAL("unknown");
	return span_is_nocase(s, "unknown");
}

static bool
read_bracketed(struct span s, struct forwarded_node *n)
{
	const char *close = memchr(s.at, ']', s.len);
	size_t inner = close ? (size_t)(close - s.at) - 1 : 0;

	if (!close || !network_read_address((struct span){ s.at + 1, inner },
					    &n->address))
		return false;
	n->name = (struct span){ s.at + 1, inner };
	if (!memchr(n->name.at, ':', inner))
		return false;
	s = (struct span){ close + 1, s.len - inner - 2 };
	if (s.len == 0)
		return true;
	n->port = (struct span){ s.at + 1, s.len - 1 };
	return s.at[0] == ':' && is_port(n->port);
}

/* An IPv6 address has more than one colon, a port comes behind the only
 * one. */
static bool
read_node(struct span s, struct forwarded_node *n)
{
	const char *colon;

	if (s.len == 0)
		return false;
	if (s.at[0] == '[')
		return read_bracketed(s, n);
	colon = memchr(s.at, ':', s.len);
	if (!colon || memchr(colon + 1, ':',
			     (size_t)(s.at + s.len - colon - 1)))
		return read_name(s, n);
	n->port = (struct span){ colon + 1,
				 (size_t)(s.at + s.len - colon - 1) };
	return is_port(n->port) &&
	       read_name((struct span){ s.at, (size_t)(colon - s.at) }, n);
}

/* ---- X-Forwarded-For ---- */

static void
read_x_line(struct window *w, struct span line)
{
	struct span token;

	while (span_next_token(&line, &token)) {
		struct forwarded_node n = { .element = token };

		if (read_node(token, &n))
			window_add(w, &n);
		else
			w->count = 0;
	}
}

/* ---- Forwarded ---- */

struct cursor {
	const char *at, *end;
};

static bool
is_tchar(char c)
{
	return isalnum((unsigned char)c) ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static struct span
take_token(struct cursor *c)
{
	struct span s = { c->at, 0 };

	while (c->at < c->end && is_tchar(*c->at))
		c->at++;
	s.len = (size_t)(c->at - s.at);
	return s;
}

static bool
take_char(struct cursor *c, char wanted)
{
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

/* No escapes: nothing that may stand in these values needs one. */
static bool
take_quoted(struct cursor *c, struct span *out)
{
	out->at = c->at;
	while (c->at < c->end && *c->at != '"' && *c->at != '\\')
		c->at++;
	out->len = (size_t)(c->at - out->at);
	return take_char(c, '"');
}

static bool
take_value(struct cursor *c, struct span *out)
{
	if (take_char(c, '"'))
		return take_quoted(c, out);
	*out = take_token(c);
	return out->len > 0;
}

/* Here an IPv6 address has its brackets, always. */
static bool
read_rfc_node(struct span s, struct forwarded_node *n)
{
	return read_node(s, n) &&
	       (s.at[0] == '[' || !memchr(n->name.at, ':', n->name.len));
}

enum parameter { PARAMETER_FOR = 1, PARAMETER_BY = 2, PARAMETER_HOST = 4,
		 PARAMETER_PROTO = 8 };

/* Each at most once (RFC 7239 4); unknown ones are let be. */
static bool
take_parameter(struct cursor *c, struct forwarded_node *n, unsigned *seen)
{
	struct forwarded_node ignored = { 0 };
	struct span name = take_token(c), value;
	unsigned bit = 0;
	bool valid = true;

	if (name.len == 0 || !take_char(c, '=') || !take_value(c, &value))
		return false;
	if (span_is_nocase(name, "for")) {
		bit = PARAMETER_FOR;
		valid = read_rfc_node(value, n);
	} else if (span_is_nocase(name, "by")) {
		bit = PARAMETER_BY;
		valid = read_rfc_node(value, &ignored);
	} else if (span_is_nocase(name, "host")) {
		bit = PARAMETER_HOST;
		n->host = value;
	} else if (span_is_nocase(name, "proto")) {
		bit = PARAMETER_PROTO;
		n->proto = value;
	}
	valid = valid && !(*seen & bit);
	*seen |= bit;
	return valid;
}

static void
skip_spaces(struct cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
		c->at++;
}

/* Up to the comma or the end. */
static bool
take_element(struct cursor *c, struct forwarded_node *n)
{
	unsigned seen = 0;

	n->element.at = c->at;
	do {
		if (!take_parameter(c, n, &seen))
			return false;
	} while (take_char(c, ';'));
	n->element.len = (size_t)(c->at - n->element.at);
	if (!(seen & PARAMETER_FOR))
		n->name = SPAN_LITERAL("unknown");
	skip_spaces(c);
	return c->at == c->end || *c->at == ',';
}

/* A stray quote must not swallow what the trusted peer has appended: after
 * a malformed element reading goes on at the next comma, quoted or not. */
static void
read_rfc_line(struct window *w, struct span line)
{
	struct cursor c = { line.at, line.at + line.len };

	for (;;) {
		struct forwarded_node n = { 0 };
		const char *start, *comma;

		while (c.at < c.end && strchr(" \t,", *c.at) && *c.at)
			c.at++;
		if (c.at == c.end)
			return;
		start = c.at;
		if (take_element(&c, &n)) {
			window_add(w, &n);
			continue;
		}
		w->count = 0;
		comma = memchr(start, ',', (size_t)(c.end - start));
		if (!comma)
			return;
		c.at = comma;
	}
}

/* ---- the chain ---- */

bool
forwarded_trusts(const struct forwarded_trust *t,
		 const struct network_address *a)
{
	unsigned i;

	for (i = 0; i < t->count; i++)
		if (network_contains(&t->networks[i], a))
			return true;
	return false;
}

static void
read_all(const struct forwarded_trust *t, struct message_fields f,
	 struct window *w)
{
	bool x = t->field == FORWARDED_X;
	struct span name = x ? SPAN_LITERAL("x-forwarded-for") :
			       SPAN_LITERAL("forwarded");
	size_t i;

	for (i = 0; i < f.count; i++) {
		if (!span_equal_nocase(f.at[i].name, name))
			continue;
		if (x)
			read_x_line(w, f.at[i].value);
		else
			read_rfc_line(w, f.at[i].value);
	}
}

/* How many nodes, from the right, up to the first that is not trusted. */
static unsigned
trusted_length(const struct forwarded_trust *t, const struct window *w)
{
	unsigned back;

	for (back = 1; back <= w->count; back++)
		if (!forwarded_trusts(t, &window_get(w, back)->address))
			return back;
	return w->count;
}

/* The client's address goes into events and decides stickiness: one address
 * has one text. */
static int
normalise(struct forwarded_node *n, struct arena *arena)
{
	char text[NETWORK_TEXT_MAX];
	size_t len = network_text(&n->address, text);

	if (len == 0)
		return 0;
	n->name.at = arena_copy(arena, text, len);
	n->name.len = len;
	return n->name.at ? 0 : -1;
}

struct forwarded_chain *
forwarded_read(const struct forwarded_trust *t, struct message_fields fields,
	       struct arena *arena)
{
	struct window w = { .count = 0 };
	struct forwarded_chain *chain;
	unsigned i, count;

	read_all(t, fields, &w);
	count = trusted_length(t, &w);
	chain = arena_alloc(arena, sizeof(*chain) +
				   count * sizeof(chain->nodes[0]));
	if (!chain)
		return NULL;
	chain->count = count;
	for (i = 0; i < count; i++)
		chain->nodes[i] = *window_get(&w, count - i);
	for (i = 0; i < count; i++)
		if (normalise(&chain->nodes[i], arena))
			return NULL;
	return chain;
}

struct span
forwarded_client(const struct forwarded_chain *chain, struct span peer)
{
	return chain && chain->count ? chain->nodes[0].name : peer;
}
