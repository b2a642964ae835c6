/* SPDX-License-Identifier: Apache-2.0 */
/* Events that wait for a lane, in the order in which they came. */
#include <stdlib.h>

#include "base/log.h"
#include "console/consume.h"

struct consume_batch {
	struct matapalo_batch *batch;
	size_t users;
};

void
consume_queue_init(struct consume *c)
{
	c->first = NULL;
	c->end = &c->first;
}

static void
leave_batch(struct consume_batch *b)
{
	if (--b->users > 0)
		return;
	matapalo_batch_free(&b->batch);
	free(b);
}

void
consume_held_free(struct consume_held **h)
{
	if (!*h)
		return;
	leave_batch((*h)->batch);
	free(*h);
	*h = NULL;
}

/* ---- in ---- */

static bool
is_here(const struct consume *c, int64_t sequence)
{
	for (size_t i = 0; i < c->lane_count; i++)
		if (c->lanes[i].held && matapalo_event_sequence(
				c->lanes[i].held->event) == sequence)
			return true;
	for (const struct consume_held *h = c->first; h; h = h->next)
		if (matapalo_event_sequence(h->event) == sequence)
			return true;
	return false;
}

static int
add(struct consume *c, struct consume_batch *b, const struct matapalo_event *e)
{
	struct consume_held *h = malloc(sizeof(*h));

	if (!h)
		return -1;
	*h = (struct consume_held){ .batch = b, .event = e };
	b->users++;
	*c->end = h;
	c->end = &h->next;
	c->queued++;
	return 0;
}

int
consume_queue_add(struct consume *c, struct matapalo_batch **batch)
{
	struct consume_batch *b = malloc(sizeof(*b));
	int added = 0, rc = 0;

	if (!b) {
		matapalo_batch_free(batch);
		return -1;
	}
	*b = (struct consume_batch){ *batch, 1 };
	*batch = NULL;
	for (size_t i = 0; rc == 0 && i < matapalo_batch_count(b->batch);
	     i++) {
		const struct matapalo_event *e =
			matapalo_batch_event(b->batch, i);

		if (is_here(c, matapalo_event_sequence(e)))
			continue;
		rc = add(c, b, e);
		added += rc == 0;
	}
	leave_batch(b);
	return rc ? rc : added;
}

void
consume_queue_return(struct consume *c, struct consume_held *h)
{
	h->next = c->first;
	if (!c->first)
		c->end = &h->next;
	c->first = h;
	c->queued++;
}

/* ---- out ---- */

static const char *
key_of(const struct consume_held *h)
{
	return matapalo_event_attribute(h->event, "partitionkey");
}

static bool
is_key_busy(const struct consume *c, const char *key)
{
	for (size_t i = 0; key && i < c->lane_count; i++) {
		const struct consume_held *h = c->lanes[i].held;
		const char *busy = h ? key_of(h) : NULL;

		if (busy && !strcmp(busy, key))
			return true;
	}
	return false;
}

static struct consume_held *
unlink_at(struct consume *c, struct consume_held **at)
{
	struct consume_held *h = *at;

	*at = h->next;
	if (!h->next)
		c->end = at;
	h->next = NULL;
	c->queued--;
	return h;
}

/* An earlier event of the same key is busy or free just as this one is, so
 * that the first free one is also the first of its key. */
struct consume_held *
consume_queue_take(struct consume *c)
{
	for (struct consume_held **at = &c->first; *at; at = &(*at)->next)
		if (!is_key_busy(c, key_of(*at)))
			return unlink_at(c, at);
	return NULL;
}

void
consume_queue_release(struct consume *c)
{
	struct matapalo_error err;
	enum matapalo_code code = MATAPALO_OK;

	while (c->first) {
		struct consume_held *h = unlink_at(c, &c->first);
		int64_t sequence = matapalo_event_sequence(h->event);

		if (!code)
			code = matapalo_release(c->consumer, sequence, &err);
		consume_held_free(&h);
		if (code && !c->first)
			log_warn("consume.release", "%s; events that were not "
				 "begun come again as of a consumer that went "
				 "away", err.text);
	}
}

void
consume_queue_fini(struct consume *c)
{
	while (c->first) {
		struct consume_held *h = unlink_at(c, &c->first);

		consume_held_free(&h);
	}
}
