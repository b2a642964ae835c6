/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the domain events of an exchange, and appends them behind it in the
 * same transaction: there is one exactly when there is the other. */
#include "bus/emit.h"

#include <string.h>

#include "base/attribute.h"
#include "base/counter.h"
#include "payload/payload.h"

#define ATTRIBUTE_MAX 1024

enum made { MADE, MADE_MISSING, MADE_TOO_LARGE };

/* ---- conditions ---- */

static bool
equals(const struct emit_found *found, struct span expected)
{
	static const struct payload_compare exact;
	struct cJSON *want = payload_parse(expected, NULL);
	bool same;

	if (found->json)
		same = want && payload_compare_json(want, found->json, &exact,
						    0, NULL, NULL) == 0;
	else
		same = span_is(found->text, payload_string(want, ""));
	payload_free(&want);
	return same;
}

static bool
condition_holds(struct emit_view *v, const struct emit_condition *c)
{
	struct emit_found found;
	bool there = emit_view_find(v, &c->value, &found);

	switch (c->test) {
	case EMIT_IS:
		return there && equals(&found, c->expected);
	case EMIT_PRESENT:
		return there;
	case EMIT_ABSENT:
		return !there;
	}
	return false;
}

static bool
conditions_hold(struct emit_view *v, const struct emit *e)
{
	for (size_t i = 0; i < e->condition_count; i++)
		if (!condition_holds(v, &e->conditions[i]))
			return false;
	return true;
}

/* ---- texts ---- */

/* A value inside a string: text, numbers, true and false; several header
 * lines as one (RFC 9110 5.3). */
static bool
add_json_text(const struct cJSON *json, struct buf *out)
{
	const char *text = payload_string(json, NULL), *between = "";
	size_t from = out->len;

	if (text) {
		buf_adds(out, text);
		return true;
	}
	if (payload_is_object(json))
		return false;
	if (!payload_is_array(json)) {
		payload_write(json, out);
		return out->len - from != 4 ||
		       memcmp(out->data + from, "null", 4) != 0;
	}
	for (const struct cJSON *i = payload_first(json); i;
	     i = payload_next(i)) {
		if (!payload_string(i, NULL))
			return false;
		buf_printf(out, "%s%s", between, payload_string(i, ""));
		between = ", ";
	}
	return true;
}

static enum made
add_text(struct emit_view *v, const struct emit_text *t, struct buf *out)
{
	struct emit_found found;

	for (size_t i = 0; i < t->count; i++) {
		const struct emit_part *p = &t->parts[i];

		if (!p->is_value) {
			buf_add(out, p->literal.at, p->literal.len);
			continue;
		}
		if (!emit_view_find(v, &p->value, &found))
			return MADE_MISSING;
		if (!found.json)
			buf_add(out, found.text.at, found.text.len);
		else if (!add_json_text(found.json, out))
			return MADE_MISSING;
	}
	return MADE;
}

/* An attribute: short, not empty, UTF-8, and a string of CloudEvents. */
static enum made
add_attribute(struct emit_view *v, const struct emit_text *t, struct buf *out)
{
	size_t from = out->len;
	enum made m = add_text(v, t, out);

	if (m != MADE || t->count == 0)
		return m;
	if (out->len == from)
		return MADE_MISSING;
	if (out->len - from > ATTRIBUTE_MAX)
		return MADE_TOO_LARGE;
	return attribute_mend(out->data + from, out->len - from) < 0
		       ? MADE_MISSING
		       : MADE;
}

/* ---- data ---- */

static enum made
write_found(struct json *j, const struct emit_found *found)
{
	struct buf text = { 0 };

	if (!found->json) {
		json_span(j, found->text);
		return MADE;
	}
	payload_write(found->json, &text);
	if (text.failed)
		j->out->failed = true;
	json_raw(j, buf_span(&text));
	buf_fini(&text);
	return MADE;
}

static enum made
write_text(struct emit_view *v, const struct emit *e, struct json *j,
	   const struct emit_text *t)
{
	struct emit_found found;
	struct buf text = { 0 };
	enum made m;

	if (t->count == 1 && t->parts[0].is_value) {
		if (emit_view_find(v, &t->parts[0].value, &found))
			return write_found(j, &found);
		m = MADE_MISSING;
	} else {
		m = add_text(v, t, &text);
		if (m == MADE)
			json_span(j, buf_span(&text));
		j->out->failed |= text.failed;
		buf_fini(&text);
	}
	if (m != MADE_MISSING)
		return m;
	json_none(j);	/* also where it is given up: a key has a value */
	return e->missing == EMIT_MISSING_SKIP ? MADE_MISSING : MADE;
}

static enum made
write_node(struct emit_view *v, const struct emit *e, struct json *j,
	   const struct emit_node *n)
{
	enum made m = MADE;

	switch (n->kind) {
	case EMIT_NODE_RAW:
		json_raw(j, n->raw);
		return MADE;
	case EMIT_NODE_TEXT:
		return write_text(v, e, j, &n->text);
	case EMIT_NODE_OBJECT:
	case EMIT_NODE_ARRAY:
		break;
	}
	if (n->kind == EMIT_NODE_OBJECT)
		json_object_begin(j);
	else
		json_array_begin(j);
	for (size_t i = 0; i < n->count && m == MADE; i++) {
		if (n->kind == EMIT_NODE_OBJECT)
			json_key_span(j, n->children[i].key);
		m = write_node(v, e, j, &n->children[i]);
	}
	if (n->kind == EMIT_NODE_OBJECT)
		json_object_end(j);
	else
		json_array_end(j);
	return m;
}

/* The cause is the exchange's event. */
static void
write_extensions(struct buf *out, const struct emit *e,
		 const struct bus_record *r)
{
	char id[ID_TEXT_SIZE];
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	if (e->schema) {
		json_key(&j, "dataschema");
		json_str(&j, e->schema);
	}
	json_key(&j, "causationid");
	json_str(&j, id_text(&r->event_id, id));
	if (r->traceparent.len) {
		json_key(&j, "traceparent");
		json_span(&j, r->traceparent);
	}
	if (r->tracestate.len) {
		json_key(&j, "tracestate");
		json_span(&j, r->tracestate);
	}
	json_object_end(&j);
}

static enum made
make_one(struct emit_view *v, const struct emit *e, struct buf *out,
	 struct emit_item *item)
{
	struct json j;
	enum made m;

	*item = (struct emit_item){ .emit = e, .subject = out->len };
	m = add_attribute(v, &e->subject, out);
	item->partition_key = out->len;
	if (m == MADE)
		m = add_attribute(v, &e->partition_key, out);
	item->data = out->len;
	json_init(&j, out);
	if (m == MADE)
		m = write_node(v, e, &j, &e->data);
	item->extensions = out->len;
	if (m == MADE && item->extensions - item->data > EMIT_DATA_MAX)
		return MADE_TOO_LARGE;
	write_extensions(out, e, v->r);
	item->end = out->len;
	return m;
}

static void
make(struct emit_view *v, const struct emit *e, struct emit_made *out)
{
	struct emit_item *item = &out->items[out->count];

	switch (make_one(v, e, &out->text, item)) {
	case MADE:
		out->count++;
		return;
	case MADE_MISSING:
		counter_inc(COUNTER_EMIT_MISSING);
		break;
	case MADE_TOO_LARGE:
		counter_inc(COUNTER_EMIT_TOO_LARGE);
		break;
	}
	out->text.len = item->subject;
}

/* matapalo's own answers say nothing about the system behind it. */
static bool
may_emit(const struct bus_record *r)
{
	if (!r->emits || r->kind != BUS_RECORD_EXCHANGE || !r->status ||
	    r->answered_by_proxy)
		return false;
	for (size_t i = 0; i < r->emits->count; i++)
		if (emit_takes_status(&r->emits->at[i], r->status))
			return true;
	return false;
}

int
emit_make(const struct bus_record *r, struct span data, struct emit_made *out)
{
	struct emit_view v;

	buf_clear(&out->text);
	out->count = 0;
	if (!may_emit(r))
		return 0;
	if (emit_view_open(&v, r, data) < 0)
		return -1;
	for (size_t i = 0; i < r->emits->count; i++) {
		const struct emit *e = &r->emits->at[i];

		if (emit_takes_status(e, r->status) && conditions_hold(&v, e))
			make(&v, e, out);
	}
	emit_view_close(&v);
	return out->text.failed ? -1 : 0;
}

static struct span
piece(const struct emit_made *m, size_t from, size_t to)
{
	return (struct span){ m->text.data + from, to - from };
}

/* Nothing can fail here but the transaction as a whole. */
int
emit_append(const struct emit_made *made, const struct journal_event *cause,
	    struct journal_tx *tx)
{
	int result = 0;

	for (size_t i = 0; i < made->count && result == 0; i++) {
		const struct emit_item *item = &made->items[i];
		struct journal_event e = {
			.id = id_make(),
			.time_us = cause->time_us,
			.type = span_of(item->emit->type),
			.source = cause->source,
			.subject = piece(made, item->subject,
					 item->partition_key),
			.partition_key = piece(made, item->partition_key,
					       item->data),
			.correlation = cause->correlation,
			.data = piece(made, item->data, item->extensions),
			/* without their braces */
			.extensions = piece(made, item->extensions + 1,
					    item->end - 1),
		};

		if (e.partition_key.len == 0)
			e.partition_key = e.subject;
		result = journal_tx_append(tx, &e, NULL);
	}
	return result;
}

void
emit_made_fini(struct emit_made *m)
{
	buf_fini(&m->text);
}
