/* SPDX-License-Identifier: Apache-2.0 */
/* The stored form: numbers of four bytes, least first. Status, number of
 * fields; for each field the lengths of name and value, and both; then the
 * body to the end. */
#include "bus/kept.h"

#include <stdlib.h>

#include "base/seal.h"

#define FIELDS_MAX 1024u

/* ---- writing ---- */

static void
put_number(struct buf *out, size_t n)
{
	char bytes[4];

	for (int i = 0; i < 4; i++)
		bytes[i] = (char)(n >> (8 * i));
	buf_add(out, bytes, sizeof(bytes));
}

static void
put_reply(struct buf *out, const struct bus_reply *r)
{
	put_number(out, (size_t)r->status);
	put_number(out, r->field_count);
	for (size_t i = 0; i < r->field_count; i++) {
		const struct message_field *f = &r->fields[i];

		put_number(out, f->name.len);
		put_number(out, f->value.len);
		buf_add(out, f->name.at, f->name.len);
		buf_add(out, f->value.at, f->value.len);
	}
	buf_add(out, r->body.at, r->body.len);
}

static struct span
about(const struct id *operation)
{
	return (struct span){ (const char *)operation->bytes,
			      sizeof(operation->bytes) };
}

int
kept_seal(const struct digest_key *key, const struct id *operation,
	  const struct bus_reply *r, struct buf *out)
{
	CLEANUP(buf_fini) struct buf plain = { 0 };

	put_reply(&plain, r);
	if (plain.failed)
		return -1;
	return seal_close(key, about(operation), buf_span(&plain), out);
}

/* ---- reading: errors stick ---- */

struct cursor {
	struct span left;
	bool failed;
};

static struct span
take(struct cursor *c, size_t n)
{
	struct span s = { c->left.at, n };

	if (c->failed || n > c->left.len) {
		c->failed = true;
		return (struct span){ "", 0 };
	}
	c->left.at += n;
	c->left.len -= n;
	return s;
}

static size_t
take_number(struct cursor *c)
{
	struct span s = take(c, 4);
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n |= (size_t)(unsigned char)s.at[i] << (8 * i);
	return n;
}

static void
take_fields(struct cursor *c, struct bus_reply *r)
{
	for (size_t i = 0; i < r->field_count; i++) {
		size_t name = take_number(c), value = take_number(c);

		r->fields[i].name = take(c, name);
		r->fields[i].value = take(c, value);
	}
}

/* One block: the reply, its table, and a copy of all bytes. */
static struct bus_reply *
reply_of(struct span plain)
{
	struct cursor c = { plain, false };
	size_t status = take_number(&c), count = take_number(&c);
	struct bus_reply *r;
	char *text;

	if (c.failed || count > FIELDS_MAX)
		return NULL;
	r = malloc(sizeof(*r) + count * sizeof(*r->fields) + plain.len + 1);
	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	r->status = (int)status;
	r->fields = (struct message_field *)(void *)(r + 1);
	r->field_count = count;
	text = (char *)(r->fields + count);
	if (c.left.len > 0)
		memcpy(text, c.left.at, c.left.len);
	c.left.at = text;
	take_fields(&c, r);
	r->body = c.left;
	if (c.failed)
		bus_reply_free(&r);
	return r;
}

struct bus_reply *
kept_open(const struct digest_key *key, const struct id *operation,
	  struct span sealed)
{
	CLEANUP(buf_fini) struct buf plain = { 0 };

	if (seal_open(key, about(operation), sealed, &plain) < 0)
		return NULL;
	return reply_of(buf_span(&plain));
}
