/* SPDX-License-Identifier: Apache-2.0 */
/* The data of an event that was too large to come with it (claim check). */
#include "bus/server.h"
#include "payload/payload.h"

/* As base64 a part stays within what an answer is meant to hold. */
#define PART_BYTES_MAX (384 << 10)

struct wanted {
	struct call *call;
	struct id id;
	int64_t offset, max;
	enum { WANTED_OTHER, WANTED_FORBIDDEN, WANTED_NO_GROUP,
	       WANTED_BEYOND, WANTED_FOUND } found;
};

static void
write_part(struct call *c, const struct wanted *w, struct span data)
{
	size_t left = data.len - (size_t)w->offset;
	size_t n = left < (size_t)w->max ? left : (size_t)w->max;

	call_begin(c);
	json_key(&c->json, "offset");
	json_i64(&c->json, w->offset);
	json_key(&c->json, "total");
	json_u64(&c->json, data.len);
	json_key(&c->json, "part_base64");
	json_base64(&c->json, (struct span){ data.at + w->offset, n });
	call_end(c);
}

static bool
may_have(struct wanted *w, const struct journal_row *row)
{
	struct call *c = w->call;

	if (!c->group[0])
		return true;
	switch (groups_may_have(c->server->bus->groups, c->group, row)) {
	case GROUPS_DONE:
		return true;
	case GROUPS_UNKNOWN:
		w->found = WANTED_NO_GROUP;
		return false;
	case GROUPS_IN_USE:
	case GROUPS_FAILED:
		break;
	}
	w->found = WANTED_FORBIDDEN;
	return false;
}

static bool
on_row(void *arg, const struct journal_row *row)
{
	struct wanted *w = arg;

	if (!id_equal(&w->id, &row->id) || row->data.len == 0 ||
	    !may_have(w, row))
		return true;
	if ((uint64_t)w->offset > row->data.len) {
		w->found = WANTED_BEYOND;
		return true;
	}
	w->found = WANTED_FOUND;
	write_part(w->call, w, row->data);
	return true;
}

static enum call_result
refuse(struct call *c, const struct wanted *w)
{
	switch (w->found) {
	case WANTED_OTHER:
		break;
	case WANTED_NO_GROUP:
		return call_error(c, "unknown_group", "there is no group "
				  "\"%s\"", c->group);
	case WANTED_FORBIDDEN:
		return call_error(c, "forbidden", "the filter of group \"%s\" "
				  "does not take this event", c->group);
	case WANTED_BEYOND:
		return call_error(c, "bad_request", "offset is beyond the end "
				  "of the data");
	case WANTED_FOUND:
		return CALL_ANSWERED;
	}
	return call_error(c, "unknown_data", "the event is not in this journal "
			  "(any more), or is damaged");
}

static enum call_result
find(struct call *c, const struct cJSON *in)
{
	struct server *s = c->server;
	struct wanted w = { .call = c };
	char reference[BUS_DATAREF_SIZE];
	struct error err = { 0 };
	int64_t sequence;
	int n;

	if (read_text(in, "dataref", NULL, reference, sizeof(reference),
		      &err) < 0 ||
	    read_count(in, "offset", 0, INT64_MAX, &w.offset, &err) < 0 ||
	    read_count(in, "max", PART_BYTES_MAX, PART_BYTES_MAX, &w.max,
		       &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	if (bus_dataref_parse(reference, &sequence, &w.id) < 0)
		return call_error(c, "bad_request", "dataref is none of "
				  "matapalo's: send it as the event has it");
	pthread_mutex_lock(&s->read_lock);
	n = journal_read_one(s->reader, sequence, on_row, &w);
	pthread_mutex_unlock(&s->read_lock);
	if (n < 0)
		return call_error(c, "unavailable", "the journal cannot be "
				  "read; the log of matapalo says why");
	return refuse(c, &w);
}

/* Only what the group's filter takes: a token is bound to groups. */
enum call_result
op_data(struct call *c, const struct cJSON *in)
{
	struct error err = { 0 };

	if (read_text(in, "group", NULL, c->group, sizeof(c->group), &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	if (!c->group[0])
		return call_error(c, "bad_request", "group is empty");
	return find(c, in);
}

enum call_result
op_read_data(struct call *c, const struct cJSON *in)
{
	return find(c, in);
}
