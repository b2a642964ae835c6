/* SPDX-License-Identifier: Apache-2.0 */
/* Many events in one request: one item of the journal, so that they are
 * stored together or not at all, one behind the other. */
#include <stdlib.h>

#include "bus/server.h"
#include "payload/payload.h"

struct many {
	struct journal_item item;	/* first */
	struct call *call;
	struct recent_key key;
	bool keyed;
	int64_t first;			/* sequence */
	size_t count;
	struct publication *at[];
};

static void
many_free(struct many *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->at[i]);
	free(m);
}

/* ---- on the journal's thread ---- */

/* What could be refused was, before: only the journal can fail here, and then
 * the whole transaction goes. */
static int
many_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct many *m = (struct many *)item;
	int64_t sequence;

	for (size_t i = 0; i < m->count; i++)
		if (journal_tx_append(tx, &m->at[i]->event,
				      i ? &sequence : &m->first) < 0)
			return -1;
	return 0;
}

static void
answer(struct call *c, int64_t first)
{
	if (first == 0) {
		(void)call_error(c, "unavailable", "the journal cannot write "
				 "now; send the request again later");
		return;
	}
	call_begin(c);
	json_key(&c->json, "sequence");
	json_i64(&c->json, first);
	json_key(&c->json, "count");
	json_u64(&c->json, c->max);
	call_end(c);
}

static void
answer_all(struct call *same, int64_t first)
{
	while (same) {
		struct call *next = same->next_same;

		answer(same, first);
		call_send(same);
		same = next;
	}
}

static void
many_done(struct journal_item *item, enum journal_status status)
{
	struct many *m = (struct many *)item;
	int64_t first = status == JOURNAL_COMMITTED ? m->first : 0;
	struct call *c = m->call;

	if (m->keyed)
		answer_all(recent_end(c->server->recent, &m->key, first),
			   first);
	many_free(m);
	answer(c, first);
	call_send(c);
}

/* ---- the request ---- */

/* 0, or -1 with the call answered. */
static int
add_event(struct many *m, const struct cJSON *in)
{
	struct call *c = m->call;
	struct published p = { 0 };
	struct error err = { 0 };
	struct publication *made = NULL;
	struct journal_event e;
	int rc = published_read(in, PUBLISHED_IN_LIST, c->lifted, &p, &err);

	if (rc == 0) {
		published_event(&p, c->server->bus->source, &e);
		made = publication_new(&e, 0);
	}
	if (made)
		m->at[m->count++] = made;
	else if (rc == 0)
		(void)call_error(c, "no_memory", "the bus is out of memory");
	else
		(void)call_error(c, p.code, "events[%zu]: %s", m->count,
				 err.text);
	published_fini(&p);
	return made ? 0 : -1;
}

static struct many *
read_many(struct call *c, const struct cJSON *events, size_t count)
{
	static const struct journal_item_ops ops = { many_apply, many_done };
	struct many *m = calloc(1, sizeof(*m) + count * sizeof(*m->at));

	if (!m) {
		(void)call_error(c, "no_memory", "the bus is out of memory");
		return NULL;
	}
	m->item.ops = &ops;
	m->item.urgent = true;
	m->call = c;
	for (const struct cJSON *i = payload_first(events); i;
	     i = payload_next(i))
		if (add_event(m, i) < 0) {
			many_free(m);
			return NULL;
		}
	return m;
}

/* The same request again waits for the first, or has its answer already. */
static enum call_result
post(struct many *m)
{
	struct call *c = m->call;
	enum recent_state state = RECENT_NEW;
	int64_t first = 0;

	c->max = m->count;
	if (m->keyed)
		state = recent_begin(c->server->recent, &m->key, c, &first);
	switch (state) {
	case RECENT_NEW:
		journal_post(c->server->bus->journal, &m->item);
		return CALL_LATER;
	case RECENT_PENDING:
		many_free(m);
		return CALL_LATER;
	case RECENT_DONE:
		break;
	}
	many_free(m);
	answer(c, first);
	return CALL_ANSWERED;
}

static size_t
count_items(const struct cJSON *list)
{
	size_t n = 0;

	for (const struct cJSON *i = payload_first(list); i;
	     i = payload_next(i))
		n++;
	return n;
}

enum call_result
publish_many(struct call *c, const struct cJSON *in,
	     const struct cJSON *events)
{
	size_t count = payload_is_array(events) ? count_items(events) : 0;
	struct error err = { 0 };
	struct id id;
	int has_id = published_read_id(in, "id", &id, &err);
	bool each = payload_bool(payload_member(in, "each"), false);
	struct many *m;

	if (has_id < 0)
		return call_error(c, "bad_request", "%s", err.text);
	if (count == 0 || count > SERVER_BATCH_MAX)
		return call_error(c, "bad_request", "events must be a list of "
				  "1 to %d events", SERVER_BATCH_MAX);
	if (each)
		return publish_each(c, events, count, has_id ? &id : NULL);
	m = read_many(c, events, count);
	if (!m)
		return CALL_ANSWERED;
	m->keyed = has_id == 1;
	if (m->keyed)
		m->key = (struct recent_key){ RECENT_PUBLISH_MANY, id };
	return post(m);
}
