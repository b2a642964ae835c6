/* SPDX-License-Identifier: Apache-2.0 */
/* Many events in one request, each judged by itself: what is right is stored,
 * in one transaction and in the order of the list; what was stored before is
 * known by its id; what is wrong is refused, and holds up no other. */
#include <stdlib.h>

#include "bus/server.h"
#include "payload/payload.h"

/* SAME: as another of the list, which comes before it. */
enum each_state { EACH_REFUSED, EACH_NEW, EACH_KNOWN, EACH_SAME };

struct each_event {
	enum each_state state;
	struct publication *made;
	struct recent_key key;
	int64_t sequence;
	size_t twin;
};

struct each {
	struct journal_item item;	/* first */
	struct call *call;
	struct recent_key key;
	bool keyed;
	struct buf errors;	/* objects with commas between them */
	size_t count, fresh;	/* of them NEW */
	struct each_event at[];
};

static void
each_free(struct each *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->at[i].made);
	buf_fini(&m->errors);
	free(m);
}

static void
refuse(struct each *m, size_t i, const char *code, const char *text)
{
	struct json j;

	m->at[i].state = EACH_REFUSED;
	if (m->errors.len > 0)
		buf_addc(&m->errors, ',');
	json_init(&j, &m->errors);
	json_object_begin(&j);
	json_key(&j, "index");
	json_u64(&j, i);
	json_key(&j, "code");
	json_str(&j, code);
	json_key(&j, "message");
	json_str(&j, text);
	json_object_end(&j);
}

/* ---- the answer ---- */

static void
write_sequence(struct json *j, const struct each *m, size_t i)
{
	const struct each_event *e = &m->at[i];

	switch (e->state) {
	case EACH_REFUSED:
		json_none(j);
		return;
	case EACH_SAME:
		json_i64(j, m->at[e->twin].sequence);
		return;
	case EACH_NEW:
	case EACH_KNOWN:
		json_i64(j, e->sequence);
		return;
	}
}

static void
answer(struct call *c, const struct each *m)
{
	call_begin(c);
	json_key(&c->json, "sequences");
	json_array_begin(&c->json);
	for (size_t i = 0; i < m->count; i++)
		write_sequence(&c->json, m, i);
	json_array_end(&c->json);
	json_key(&c->json, "errors");
	json_array_begin(&c->json);
	if (m->errors.len > 0)
		json_raw(&c->json, buf_span(&m->errors));
	json_array_end(&c->json);
	call_end(c);
}

enum each_end { EACH_STORED, EACH_FAILED };

static void
answer_one(struct call *c, const struct each *m, enum each_end end)
{
	if (end == EACH_STORED && !m->errors.failed)
		answer(c, m);
	else
		(void)call_error(c, "unavailable", "the journal cannot write "
				 "now; send the request again later");
}

/* Whoever has sent the very list again waits with its own call. */
static void
answer_twins(struct each *m, enum each_end end)
{
	struct call *same = NULL;

	if (m->keyed)
		same = recent_end(m->call->server->recent, &m->key,
				  end == EACH_STORED);
	while (same) {
		struct call *next = same->next_same;

		answer_one(same, m, end);
		call_send(same);
		same = next;
	}
}

/* ---- on the journal's thread ---- */

static int
each_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct each *m = (struct each *)item;

	for (size_t i = 0; i < m->count; i++)
		if (m->at[i].state == EACH_NEW &&
		    journal_tx_append(tx, &m->at[i].made->event,
				      &m->at[i].sequence) < 0)
			return -1;
	return 0;
}

static void
end_events(struct each *m, enum each_end end)
{
	for (size_t i = 0; i < m->count; i++) {
		struct each_event *e = &m->at[i];
		int64_t sequence = end == EACH_STORED ? e->sequence : 0;

		if (e->state == EACH_NEW)
			publish_answer_all(recent_end(m->call->server->recent,
						      &e->key, sequence),
					   sequence);
	}
}

static void
each_done(struct journal_item *item, enum journal_status status)
{
	struct each *m = (struct each *)item;
	struct call *c = m->call;
	enum each_end end = status == JOURNAL_COMMITTED ? EACH_STORED
							: EACH_FAILED;

	end_events(m, end);
	answer_twins(m, end);
	answer_one(c, m, end);
	each_free(m);
	call_send(c);
}

/* ---- the request ---- */

static void
read_event(struct each *m, size_t i, const struct cJSON *in)
{
	struct each_event *e = &m->at[i];
	struct published p = { 0 };
	struct error err = { 0 };
	struct journal_event event;

	if (published_read(in, PUBLISHED_IN_LIST, m->call->lifted, &p, &err) <
	    0) {
		refuse(m, i, p.code, err.text);
	} else if (!p.has_id) {
		refuse(m, i, "bad_request", "id is missing: with \"each\" it "
		       "is how an event is known when it comes again");
	} else {
		published_event(&p, m->call->server->bus->source, &event);
		e->made = publication_new(&event, 0);
		e->key = (struct recent_key){ RECENT_PUBLISH,
					      published_key(&p) };
		e->state = EACH_NEW;
		if (!e->made)
			refuse(m, i, "no_memory", "the bus is out of memory");
	}
	published_fini(&p);
}

static bool
find_twin(const struct each *m, size_t i, size_t *twin)
{
	const struct recent_key *key = &m->at[i].key;

	for (*twin = 0; *twin < i; ++*twin)
		if (m->at[*twin].state == EACH_NEW &&
		    id_equal(&m->at[*twin].key.id, &key->id))
			return true;
	return false;
}

static void
begin_event(struct each *m, size_t i)
{
	struct each_event *e = &m->at[i];

	switch (recent_begin(m->call->server->recent, &e->key, NULL,
			     &e->sequence)) {
	case RECENT_NEW:
		m->fresh++;
		return;
	case RECENT_DONE:
		e->state = EACH_KNOWN;
		return;
	case RECENT_PENDING:
		e->state = EACH_SAME;
		if (!find_twin(m, i, &e->twin))
			refuse(m, i, "unavailable", "another request stores "
			       "it just now; send it again later");
		return;
	}
}

static enum call_result
begin(struct each *m)
{
	struct call *c = m->call;

	for (size_t i = 0; i < m->count; i++)
		if (m->at[i].state == EACH_NEW)
			begin_event(m, i);
	if (m->fresh > 0) {
		journal_post(c->server->bus->journal, &m->item);
		return CALL_LATER;
	}
	answer_twins(m, EACH_STORED);
	answer_one(c, m, EACH_STORED);
	each_free(m);
	return CALL_ANSWERED;
}

/* The same list again, while it is being stored, waits for its end. After that
 * its events are known. */
static enum call_result
post(struct each *m, const struct id *id)
{
	enum recent_state state = RECENT_NEW;
	int64_t ended;

	m->key = (struct recent_key){ RECENT_PUBLISH_MANY, *id };
	if (m->keyed)
		state = recent_begin(m->call->server->recent, &m->key, m->call,
				     &ended);
	if (state == RECENT_PENDING) {
		each_free(m);
		return CALL_LATER;
	}
	m->keyed = m->keyed && state == RECENT_NEW;
	return begin(m);
}

enum call_result
publish_each(struct call *c, const struct cJSON *events, size_t count,
	     const struct id *id)
{
	static const struct journal_item_ops ops = { each_apply, each_done };
	static const struct id none;
	struct each *m = calloc(1, sizeof(*m) + count * sizeof(*m->at));
	size_t n = 0;

	if (!m)
		return call_error(c, "no_memory", "the bus is out of memory");
	m->item.ops = &ops;
	m->item.urgent = true;
	m->call = c;
	m->count = count;
	m->keyed = id;
	for (const struct cJSON *i = payload_first(events); i;
	     i = payload_next(i))
		read_event(m, n++, i);
	return post(m, id ? id : &none);
}
