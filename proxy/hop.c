/* SPDX-License-Identifier: Apache-2.0 */
/* Fields that end at this hop and begin anew at the next (RFC 9110 7.6.1,
 * 7.6.2, 7.6.3, 7.8, 10.1.4). */
#include "proxy/hop.h"

#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "proxy/exchange.h"
#include "proxy/worker.h"
#include "proxy/writer.h"

#define CRLF "\r\n"

void
hop_pseudonym(char out[HOP_PSEUDONYM_SIZE])
{
	unsigned char r[6];

	id_random(r, sizeof(r));
	snprintf(out, HOP_PSEUDONYM_SIZE,
		 "matapalo-%02x%02x%02x%02x%02x%02x", r[0], r[1], r[2], r[3],
		 r[4], r[5]);
}

/* ---- lists ---- */

/* Goes through the elements of all field lines of one name, in order. */
struct elements {
	struct message_fields fields;
	const char *name;
	size_t next;
	struct span rest;
};

static bool
next_element(struct elements *e, struct span *element)
{
	for (;;) {
		if (span_next_token(&e->rest, element))
			return true;
		while (e->next < e->fields.count &&
		       !span_is_nocase(e->fields.at[e->next].name, e->name))
			e->next++;
		if (e->next == e->fields.count)
			return false;
		e->rest = e->fields.at[e->next++].value;
	}
}

static bool
has_option(struct message_fields f, const char *option)
{
	struct elements e = { .fields = f, .name = "connection" };
	struct span element;

	while (next_element(&e, &element))
		if (span_is_nocase(element, option))
			return true;
	return false;
}

static struct span
cut_at(struct span s, char c)
{
	const char *mark = memchr(s.at, c, s.len);

	return span_trim((struct span){ s.at, mark ? (size_t)(mark - s.at) :
						     s.len });
}

/* ---- Via ---- */

/* The pseudonym is random: found anywhere, it is us (7.6.3). */
static bool
was_here(const struct exchange *ex, struct span via)
{
	const char *self = ex->worker->proxy->pseudonym;

	return memmem(via.at, via.len, self, strlen(self)) != NULL;
}

/* ---- Max-Forwards ---- */

static int
read_max_forwards(struct hop *h, struct span value)
{
	unsigned n = 0;
	size_t i;

	if (value.len == 0 || h->limited)
		return -1;
	for (i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return -1;
		if (n < 100000000)	/* more hops than there are */
			n = n * 10 + (unsigned)(value.at[i] - '0');
	}
	h->limited = true;
	h->forwards_left = n;
	return 0;
}

/* ---- Upgrade ---- */

/* What carries HTTP again would pass the rules by unseen. */
static bool
may_be_tunnelled(struct span protocol)
{
	static const char *const http_again[] = { "h2c", "h2", "http",
						  "tls" };
	struct span name = cut_at(protocol, '/');
	size_t i;

	for (i = 0; i < ARRAY_SIZE(http_again); i++)
		if (span_is_nocase(name, http_again[i]))
			return false;
	return name.len > 0;
}

static bool
names_upgrade(struct message_fields f)
{
	struct elements e = { .fields = f, .name = "upgrade" };
	struct span protocol;

	while (next_element(&e, &protocol))
		if (may_be_tunnelled(protocol))
			return true;
	return false;
}

static bool
offers(struct message_fields f, struct span protocol)
{
	struct elements e = { .fields = f, .name = "upgrade" };
	struct span mine;

	while (next_element(&e, &mine))
		if (may_be_tunnelled(mine) &&
		    span_equal_nocase(cut_at(mine, '/'),
				      cut_at(protocol, '/')))
			return true;
	return false;
}

bool
hop_switches(const struct exchange *ex)
{
	struct elements e = { .fields = parse_fields(&ex->response),
			      .name = "upgrade" };
	struct span protocol;
	bool any = false;

	if (!ex->hop.offers_upgrade)
		return false;
	while (next_element(&e, &protocol)) {
		if (!offers(ex->view.fields, protocol))
			return false;
		any = true;
	}
	return any;
}

static size_t
upgrade_size(struct message_fields f)
{
	struct elements e = { .fields = f, .name = "upgrade" };
	struct span protocol;
	size_t n = 64;

	while (next_element(&e, &protocol))
		n += protocol.len + 2;
	return n;
}

static void
put_protocols(struct message_fields f, struct writer *w)
{
	struct elements e = { .fields = f, .name = "upgrade" };
	struct span protocol;
	const char *before = "Upgrade: ";

	while (next_element(&e, &protocol)) {
		if (!may_be_tunnelled(protocol))
			continue;
		put_str(w, before);
		put(w, protocol);
		before = ", ";
	}
	put_str(w, CRLF);
}

/* ---- the request ---- */

static bool
te_has_trailers(struct span te)
{
	struct span element;

	while (span_next_token(&te, &element))
		if (span_is_nocase(cut_at(element, ';'), "trailers"))
			return true;
	return false;
}

/* Fields without their connection option, and Upgrade in HTTP/1.0 or before
 * a body, are as if they were not there. */
static void
settle(struct exchange *ex, bool te, bool upgrade)
{
	struct message_fields f = parse_fields(&ex->request);

	if (ex->request.ll.http_minor == 0)
		return;
	ex->hop.wants_trailers = te && has_option(f, "te");
	ex->hop.offers_upgrade = upgrade && has_option(f, "upgrade") &&
				 ex->upload.framing == PARSE_NO_BODY &&
				 names_upgrade(f);
}

#define HOP_FIELDS \
	(FIELD_BIT(FIELD_TE) | FIELD_BIT(FIELD_VIA) | \
	 FIELD_BIT(FIELD_UPGRADE) | FIELD_BIT(FIELD_MAX_FORWARDS))

int
hop_read(struct exchange *ex, enum problem *why)
{
	struct message_fields f = parse_fields(&ex->request);
	bool te = false, upgrade = false;
	size_t i;

	if (!(ex->request.seen & HOP_FIELDS))
		return 0;
	*why = PROBLEM_LOOP;
	for (i = 0; i < f.count; i++) {
		struct span name = f.at[i].name, value = f.at[i].value;

		switch (name.len) {
		case 2:
			te |= span_is_nocase(name, "te") &&
			      te_has_trailers(value);
			break;
		case 3:
			if (span_is_nocase(name, "via") &&
			    was_here(ex, value))
				return -1;
			break;
		case 7:
			upgrade |= span_is_nocase(name, "upgrade");
			break;
		case 12:
			if (!span_is_nocase(name, "max-forwards") ||
			    !span_is(ex->request.start, "OPTIONS"))
				break;
			*why = PROBLEM_BAD_MAX_FORWARDS;
			if (read_max_forwards(&ex->hop, value))
				return -1;
			*why = PROBLEM_LOOP;
			break;
		}
	}
	if (te || upgrade)
		settle(ex, te, upgrade);
	return 0;
}

size_t
hop_request_size(const struct exchange *ex)
{
	return 96 + (ex->hop.offers_upgrade ?
		     upgrade_size(ex->view.fields) : 0);
}

void
hop_put_request(const struct exchange *ex, struct writer *w)
{
	const struct hop *h = &ex->hop;
	char text[48];

	if (h->limited) {
		snprintf(text, sizeof(text), "Max-Forwards: %u" CRLF,
			 h->forwards_left - 1);
		put_str(w, text);
	}
	if (h->wants_trailers && h->offers_upgrade)
		put_str(w, "Connection: TE, upgrade" CRLF);
	else if (h->wants_trailers)
		put_str(w, "Connection: TE" CRLF);
	else if (h->offers_upgrade)
		put_str(w, "Connection: upgrade" CRLF);
	if (h->wants_trailers)
		put_str(w, "TE: trailers" CRLF);
	if (h->offers_upgrade)
		put_protocols(ex->view.fields, w);
}

/* ---- the answer ---- */

/* 426 tells which protocol is required (RFC 9110 15.5.22). */
static bool
answer_has_upgrade(const struct exchange *ex)
{
	int status = ex->response.ll.status_code;

	return (status == 101 || status == 426) &&
	       names_upgrade(parse_fields(&ex->response));
}

size_t
hop_upgrade_size(const struct exchange *ex)
{
	return answer_has_upgrade(ex) ?
		upgrade_size(parse_fields(&ex->response)) : 0;
}

void
hop_put_upgrade(const struct exchange *ex, struct writer *w)
{
	if (!answer_has_upgrade(ex))
		return;
	put_str(w, "Connection: upgrade" CRLF);
	put_protocols(parse_fields(&ex->response), w);
}
