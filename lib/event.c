/* SPDX-License-Identifier: Apache-2.0 */
/* A batch of events and what can be asked of one. */
#include <stdlib.h>
#include <string.h>

#include "lib/internal.h"

static char *
text_of(const struct cJSON *p)
{
	struct buf b = { 0 };

	payload_write(p, &b);
	if (b.failed || !*buf_str(&b)) {
		buf_fini(&b);
		return NULL;
	}
	return buf_steal(&b, NULL);
}

/* A request that became a command carries it; events of matapalo's own are
 * records of what has happened. */
static bool
is_command(const struct cJSON *event)
{
	const char *type = payload_string(payload_member(event, "type"), "");
	const char *schema = payload_string(
		payload_member(event, "dataschema"), "");

	return strncmp(type, "matapalo.", 9) &&
	       (payload_at(event, "/data/request") ||
		!strcmp(schema, "urn:matapalo:schema:command:v1")) &&
	       payload_member(event, "correlationid");
}

static unsigned
flag(const struct cJSON *item, const char *name, enum matapalo_event_flag f)
{
	return payload_bool(payload_member(item, name), false) ? f : 0;
}

static bool
look_at(struct matapalo_event *e, const struct cJSON *item)
{
	const struct cJSON *data;

	e->event = payload_member(item, "event");
	e->sequence = payload_int(payload_member(item, "sequence"), 0);
	e->attempt = (unsigned)payload_int(payload_member(item, "attempt"),
					   1);
	e->flags = flag(item, "redelivered", MATAPALO_REDELIVERED) |
		   flag(item, "redriven", MATAPALO_REDRIVEN) |
		   flag(item, "replayed", MATAPALO_REPLAYED) |
		   (is_command(e->event) ? MATAPALO_COMMAND : 0u);
	e->json = e->event ? text_of(e->event) : NULL;
	data = payload_member(e->event, "data");
	e->data = data ? text_of(data) : NULL;
	return e->json && (e->data || !data);
}

static bool
fill(struct matapalo_batch *b)
{
	const struct cJSON *list = payload_member(b->tree, "events");
	const struct cJSON *differs = payload_member(b->tree, "differs");
	const struct cJSON *i;
	size_t n = 0;

	b->stale = (size_t)payload_int(payload_member(b->tree, "stale"), 0);
	if (differs && !(b->differs = text_of(differs)))
		return false;
	for (i = payload_first(list); i; i = payload_next(i))
		n++;
	b->events = calloc(n + 1, sizeof(*b->events));
	if (!b->events)
		return false;
	for (i = payload_first(list); i; i = payload_next(i))
		if (!look_at(&b->events[b->count++], i))
			return false;
	return true;
}

struct matapalo_batch *
batch_make(struct cJSON **answer)
{
	struct matapalo_batch *b = calloc(1, sizeof(*b));

	if (!b) {
		payload_free(answer);
		return NULL;
	}
	b->tree = *answer;
	*answer = NULL;
	if (!fill(b))
		matapalo_batch_free(&b);
	return b;
}

void
matapalo_batch_free(struct matapalo_batch **bp)
{
	struct matapalo_batch *b = *bp;

	if (!b)
		return;
	*bp = NULL;
	for (size_t i = 0; i < b->count; i++) {
		free(b->events[i].json);
		free(b->events[i].data);
	}
	free(b->events);
	free(b->differs);
	payload_free(&b->tree);
	free(b);
}

size_t
matapalo_batch_count(const struct matapalo_batch *b)
{
	return b ? b->count : 0;
}

const struct matapalo_event *
matapalo_batch_event(const struct matapalo_batch *b, size_t i)
{
	return b && i < b->count ? &b->events[i] : NULL;
}

size_t
matapalo_batch_stale(const struct matapalo_batch *b)
{
	return b ? b->stale : 0;
}

const char *
matapalo_batch_differs(const struct matapalo_batch *b)
{
	return b ? b->differs : NULL;
}

int64_t
matapalo_event_sequence(const struct matapalo_event *e)
{
	return e->sequence;
}

unsigned
matapalo_event_attempt(const struct matapalo_event *e)
{
	return e->attempt;
}

unsigned
matapalo_event_flags(const struct matapalo_event *e)
{
	return e->flags;
}

const char *
matapalo_event_attribute(const struct matapalo_event *e, const char *name)
{
	return strcmp(name, "data") ?
	       payload_string(payload_member(e->event, name), NULL) : NULL;
}

/* Attributes that are strings, which all of CloudEvents' are here. */
const char *
matapalo_event_attribute_at(const struct matapalo_event *e, size_t i,
			    const char **name)
{
	for (const struct cJSON *m = payload_first(e->event); m;
	     m = payload_next(m)) {
		const char *value = payload_string(m, NULL);

		if (!value || !strcmp(payload_name(m), "data") || i-- > 0)
			continue;
		*name = payload_name(m);
		return value;
	}
	return NULL;
}

const char *
matapalo_event_string(const struct matapalo_event *e, const char *pointer)
{
	return payload_string(payload_at(e->event, pointer), NULL);
}

const char *
matapalo_event_json(const struct matapalo_event *e)
{
	return e->json;
}

const char *
matapalo_event_data(const struct matapalo_event *e)
{
	return e->data;
}
