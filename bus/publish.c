/* SPDX-License-Identifier: Apache-2.0 */
/* Events that are published: one block of memory and an item of the
 * journal. */
#include "bus/internal.h"

#include <stdlib.h>

#define ALIGN(n) (((n) + 15) & ~(size_t)15)

static int
publication_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct publication *p = (struct publication *)item;

	if (p->before)
		p->before(p, tx);
	if (p->withdrawn)
		return 0;
	if (journal_tx_append(tx, &p->event, &p->sequence) < 0)
		return -1;
	if (p->after)
		p->after(p, tx);
	return 0;
}

static void
publication_done(struct journal_item *item, enum journal_status status)
{
	struct publication *p = (struct publication *)item;

	if (p->done)
		p->done(p->arg, status);
	if (p->ended)
		p->ended(p, status);
	free(p);
}

static void
keep(struct span *s, char **at)
{
	if (s->len == 0) {
		*s = (struct span){ "", 0 };
		return;
	}
	memcpy(*at, s->at, s->len);
	s->at = *at;
	*at += s->len;
}

struct publication *
publication_new(const struct journal_event *e, size_t extra)
{
	static const struct journal_item_ops ops = {
		.apply = publication_apply, .done = publication_done };
	size_t n = ALIGN(extra) + e->type.len + e->source.len +
		   e->subject.len + e->correlation.len +
		   e->partition_key.len + e->extensions.len + e->data.len;
	struct publication *p = malloc(sizeof(*p) + 16 + n);
	char *at;

	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	p->item.ops = &ops;
	p->item.urgent = true;	/* somebody waits */
	p->event = *e;
	memset(publication_extra(p), 0, extra);
	at = (char *)publication_extra(p) + ALIGN(extra);
	keep(&p->event.type, &at);
	keep(&p->event.source, &at);
	keep(&p->event.subject, &at);
	keep(&p->event.correlation, &at);
	keep(&p->event.partition_key, &at);
	keep(&p->event.extensions, &at);
	keep(&p->event.data, &at);
	return p;
}

void *
publication_extra(struct publication *p)
{
	return (char *)p + ALIGN(sizeof(*p));
}

void
publication_post(struct bus *b, struct publication *p)
{
	journal_post(b->journal, &p->item);
}

void
bus_publish(struct bus *bus, const struct journal_event *e,
	    void (*done)(void *arg, enum journal_status st), void *arg)
{
	struct publication *p = publication_new(e, 0);

	if (!p) {
		if (done)
			done(arg, JOURNAL_FAILED);
		return;
	}
	p->done = done;
	p->arg = arg;
	publication_post(bus, p);
}
