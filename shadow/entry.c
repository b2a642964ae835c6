/* SPDX-License-Identifier: Apache-2.0 */
/* What the shadow writes to the journal: an event, values, or both at once. */
#include "shadow/entry.h"

#include <stdio.h>
#include <stdlib.h>

#define ENTRY_LIMIT_BYTES (64u << 20)

struct shadow_change {
	struct shadow_change *next;
	const char *space;		/* a literal */
	const char *key;
	struct span value;
	bool deletes;
};

static int
entry_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct shadow_entry *e = (struct shadow_entry *)item;

	if (e->has_event &&
	    journal_tx_append(tx, &e->event, &e->sequence) != 0)
		return -1;
	for (struct shadow_change *c = e->changes; c; c = c->next) {
		if (c->deletes)
			journal_tx_state_delete(tx, c->space, c->key);
		else
			journal_tx_state_put(tx, c->space, c->key, c->value);
	}
	return 0;
}

static void
entry_done(struct journal_item *item, enum journal_status status)
{
	struct shadow_entry *e = (struct shadow_entry *)item;

	e->done(e->arg, e, status);
}

struct shadow_entry *
shadow_entry_new(enum shadow_entry_kind kind, const char *correlation)
{
	static const struct journal_item_ops ops = { .apply = entry_apply,
						     .done = entry_done };
	struct shadow_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->item.ops = &ops;
	e->item.urgent = kind == SHADOW_ENTRY_COMMAND;
	e->kind = kind;
	snprintf(e->correlation, sizeof(e->correlation), "%s", correlation);
	arena_init(&e->memory, NULL, 0, ENTRY_LIMIT_BYTES);
	return e;
}

void
shadow_entry_free(struct shadow_entry **ep)
{
	struct shadow_entry *e = *ep;

	*ep = NULL;
	if (!e)
		return;
	arena_fini(&e->memory);
	free(e->verdict);
	free(e);
}

bool
shadow_entry_is_whole(const struct shadow_entry *e)
{
	return !e->failed;
}

static struct span
copy_span(struct shadow_entry *e, struct span s)
{
	char *copy = arena_copy(&e->memory, s.at, s.len);

	if (!copy)
		e->failed = true;
	return (struct span){ copy, copy ? s.len : 0 };
}

void
shadow_entry_set_event(struct shadow_entry *e,
		       const struct journal_event *event)
{
	e->has_event = true;
	e->event = *event;
	e->event.type = copy_span(e, event->type);
	e->event.source = copy_span(e, event->source);
	e->event.subject = copy_span(e, event->subject);
	e->event.correlation = copy_span(e, event->correlation);
	e->event.partition_key = copy_span(e, event->partition_key);
	e->event.extensions = copy_span(e, event->extensions);
	e->event.data = copy_span(e, event->data);
}

static struct shadow_change *
add_change(struct shadow_entry *e, const char *space, const char *key)
{
	struct shadow_change *c = arena_alloc(&e->memory, sizeof(*c));

	if (!c) {
		e->failed = true;
		return NULL;
	}
	*c = (struct shadow_change){ .next = e->changes, .space = space };
	c->key = copy_span(e, span_of(key)).at;
	e->changes = c;
	return c;
}

void
shadow_entry_put(struct shadow_entry *e, const char *space, const char *key,
		 struct span value)
{
	struct shadow_change *c = add_change(e, space, key);

	if (c)
		c->value = copy_span(e, value);
}

void
shadow_entry_delete(struct shadow_entry *e, const char *space,
		    const char *key)
{
	struct shadow_change *c = add_change(e, space, key);

	if (c)
		c->deletes = true;
}
