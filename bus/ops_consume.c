/* SPDX-License-Identifier: Apache-2.0 */
/* Operations of consumers: fetch, and what becomes of what was fetched. */
#include <stdio.h>

#include "base/clock.h"
#include "bus/server.h"
#include "payload/payload.h"

static struct groups_who
who_of(const struct call *c)
{
	return (struct groups_who){ c->group, c->consumer, c->session };
}

static bool
is_own_name(const char *name)
{
	return strncmp(name, "connection-", 11) == 0 ||
	       strncmp(name, "local-", 6) == 0;
}

/* Without a name of its own a consumer is its connection. */
static int
read_who(struct call *c, const struct cJSON *in, struct error *err)
{
	char own[SERVER_TOKEN_SIZE];

	snprintf(own, sizeof(own), "connection-%u", c->session);
	if (read_text(in, "group", NULL, c->group, sizeof(c->group), err) < 0)
		return -1;
	if (read_text(in, "consumer", own, c->consumer, sizeof(c->consumer),
		      err) < 0)
		return -1;
	if (is_own_name(c->consumer) && strcmp(c->consumer, own) != 0)
		return error_set(err, "consumer: names that begin with "
				 "\"connection-\" or \"local-\" are "
				 "matapalo's own");
	return 0;
}

/* ---- settling ---- */

struct settling {
	struct call *call;
	enum groups_verdict verdict;
	unsigned delay_ms;
	const char *reason;
	size_t settled, stale;
	bool unblocked;
};

static void
settle_one(struct settling *s, int64_t sequence, unsigned delay_ms,
	   const char *reason)
{
	const struct groups_who who = who_of(s->call);
	const struct groups_answer a = { s->verdict, sequence, delay_ms,
					 reason };
	enum groups_effect effect =
		groups_settle(s->call->server->bus->groups, &who, &a);

	s->settled += effect != GROUPS_STALE;
	s->stale += effect == GROUPS_STALE;
	s->unblocked |= effect == GROUPS_UNBLOCKED;
}

static void
settle_end(const struct settling *s)
{
	struct bus *b = s->call->server->bus;

	if (s->unblocked)
		bus_ring(b);
	else if (s->settled > 0)
		bus_ring_by(b, clock_mono_ms() + BUS_SOON_MS);
}

static unsigned
delay_of(const struct cJSON *p, unsigned fallback)
{
	int64_t v = payload_int(payload_member(p, "delay_ms"), fallback);

	return v < 0 ? 0 : v > 604800000 ? 604800000 : (unsigned)v;
}

/* [first, last]: what of it the consumer holds; the rest is nobody's fault. */
static int
settle_range(struct settling *s, const struct cJSON *range, const char *name,
	     struct error *err)
{
	const struct cJSON *from = payload_first(range);
	const struct cJSON *to = payload_next(from);
	const struct groups_range r = { payload_int(from, -1),
					payload_int(to, -1) };
	const struct groups_who who = who_of(s->call);
	const struct groups_answer a = { s->verdict, r.first, s->delay_ms,
					 s->reason };
	enum groups_effect effect = GROUPS_STALE;

	if (r.first < 0 || r.last < r.first || payload_next(to))
		return error_set(err, "%s: a range is a list of its first and "
				 "its last sequence", name);
	s->settled += groups_settle_range(s->call->server->bus->groups, &who,
					  &r, &a, &effect);
	s->unblocked |= effect == GROUPS_UNBLOCKED;
	return 0;
}

/* An item is a sequence, {"sequence", "delay_ms"?, "reason"?} or a range. */
static int
settle_list(struct settling *s, const struct cJSON *list, const char *name,
	    struct error *err)
{
	if (!list)
		return 0;
	if (!payload_is_array(list))
		return error_set(err, "%s must be a list", name);
	for (const struct cJSON *i = payload_first(list); i;
	     i = payload_next(i)) {
		bool object = payload_is_object(i);
		int64_t sequence = payload_int(
			object ? payload_member(i, "sequence") : i, -1);

		if (payload_is_array(i)) {
			if (settle_range(s, i, name, err) < 0)
				return -1;
			continue;
		}
		if (sequence < 0)
			return error_set(err, "%s: an item is the sequence of "
					 "an event, an object with it, or a "
					 "list of a first and a last one",
					 name);
		settle_one(s, sequence,
			   object ? delay_of(i, s->delay_ms) : s->delay_ms,
			   object ? payload_string(payload_member(i, "reason"),
						   s->reason)
				  : s->reason);
	}
	return 0;
}

/* {"sequence": n} or {"sequences": [n, ...]}. */
static int
settle_named(struct settling *s, const struct cJSON *in, struct error *err)
{
	const struct cJSON *one = payload_member(in, "sequence");
	const struct cJSON *many = payload_member(in, "sequences");

	if (!one && !many)
		return error_set(err, "sequence or sequences is missing");
	if (one && payload_int(one, -1) < 0)
		return error_set(err, "sequence must be the number of an "
				 "event");
	if (one)
		settle_one(s, payload_int(one, -1), s->delay_ms, s->reason);
	return settle_list(s, many, "sequences", err);
}

static enum call_result
settle(struct call *c, const struct cJSON *in, enum groups_verdict verdict)
{
	struct settling s = { .call = c, .verdict = verdict };
	struct error err = { 0 };
	int rc = read_who(c, in, &err);

	s.delay_ms = delay_of(in, 0);
	s.reason = payload_string(payload_member(in, "reason"), NULL);
	if (rc == 0)
		rc = settle_named(&s, in, &err);
	settle_end(&s);
	if (rc < 0)
		return call_error(c, "bad_request", "%s", err.text);
	call_begin(c);
	json_key(&c->json, "settled");
	json_u64(&c->json, s.settled);
	json_key(&c->json, "stale");
	json_u64(&c->json, s.stale);
	call_end(c);
	return CALL_ANSWERED;
}

enum call_result
op_ack(struct call *c, const struct cJSON *in)
{
	return settle(c, in, GROUPS_ACK);
}

enum call_result
op_nak(struct call *c, const struct cJSON *in)
{
	return settle(c, in, GROUPS_NAK);
}

enum call_result
op_term(struct call *c, const struct cJSON *in)
{
	return settle(c, in, GROUPS_TERM);
}

enum call_result
op_touch(struct call *c, const struct cJSON *in)
{
	return settle(c, in, GROUPS_TOUCH);
}

enum call_result
op_release(struct call *c, const struct cJSON *in)
{
	return settle(c, in, GROUPS_RELEASE);
}

/* ---- fetch ---- */

/* Events whose turn came in the log need no word on it. */
static void
write_origin(struct json *j, enum journal_origin origin)
{
	switch (origin) {
	case JOURNAL_FROM_LOG:
		return;
	case JOURNAL_REDRIVEN:
		json_key(j, "redriven");
		break;
	case JOURNAL_REPLAYED:
		json_key(j, "replayed");
		break;
	}
	json_bool(j, true);
}

static bool
write_event(void *arg, const struct journal_row *row,
	    const struct groups_delivery *d)
{
	struct call *c = arg;
	struct json *j = &c->json;

	json_object_begin(j);
	json_key(j, "sequence");
	json_i64(j, row->sequence);
	json_key(j, "attempt");
	json_u64(j, d->attempt);
	json_key(j, "redelivered");
	json_bool(j, groups_is_redelivery(d));
	write_origin(j, d->origin);
	json_key(j, "event");
	bus_write_cloudevent_within(j, row, c->event_bytes);
	json_object_end(j);
	return c->out.len < SERVER_ANSWER_SOFT;
}

/* Answers with events, or with none when this is the last look. */
static bool
fetch_again(struct call *c, bool last)
{
	struct groups *g = c->server->bus->groups;
	const struct groups_who who = who_of(c);
	int n = 0;

	call_begin(c);
	json_key(&c->json, "stale");
	json_u64(&c->json, c->stale);
	if (c->differs[0]) {
		json_key(&c->json, "differs");
		json_raw(&c->json, span_of(c->differs));
	}
	json_key(&c->json, "events");
	json_array_begin(&c->json);
	if (c->repeat)
		n = groups_repeat(g, &who, write_event, c);
	if (n <= 0)
		n = groups_take(g, &who, c->max, c->request, write_event, c);
	c->repeat = false;
	if (n < 0) {
		call_error(c, "unknown_group", "group \"%s\" was deleted; "
			   "another fetch makes it anew", c->group);
		return true;
	}
	if (n == 0 && !last)
		return false;
	if (n > 0)
		bus_ring_by(c->server->bus, clock_mono_ms() + BUS_SOON_MS);
	json_array_end(&c->json);
	call_end(c);
	return true;
}

/* What a fetch names makes a new group. An old one keeps its own: an
 * operator may have changed it, and two programs would change it in turn. */
struct wish {
	const struct cJSON *in;
	struct call *call;
};

static void
note_differences(struct call *c, const struct groups_settings *s,
		 const struct groups_settings *asked)
{
	struct buf list = { 0 };
	struct json j;

	json_init(&j, &list);
	json_array_begin(&j);
	if (groups_settings_differ(s, asked, &j) > 0) {
		json_array_end(&j);
		snprintf(c->differs, sizeof(c->differs), "%s",
			 buf_str(&list));
	}
	buf_fini(&list);
}

/* A filter must fit: what another one skipped would never come. */
static int
change_settings(void *arg, struct groups_settings *s, bool is_new,
		struct error *err)
{
	const struct wish *w = arg;
	struct groups_settings asked = *s;

	if (groups_settings_read(w->in, &asked, err) < 0)
		return -1;
	if (!is_new && groups_filter_differs(s, &asked))
		return error_set(err, "the group has another filter (type "
				 "\"%s\", subject \"%s\"); leave the filter "
				 "out, use another group, or change it with "
				 "group_set", s->type, s->subject);
	if (is_new || payload_bool(payload_member(w->in, "update"), false))
		*s = asked;
	else
		note_differences(w->call, s, &asked);
	return 0;
}

static int
settle_earlier(struct call *c, const struct cJSON *in, struct error *err)
{
	struct settling acks = { .call = c, .verdict = GROUPS_ACK };
	struct settling naks = { .call = c, .verdict = GROUPS_NAK };
	int rc = settle_list(&acks, payload_member(in, "acks"), "acks", err);

	if (rc == 0)
		rc = settle_list(&naks, payload_member(in, "naks"), "naks",
				 err);
	settle_end(&acks);
	settle_end(&naks);
	c->stale = acks.stale + naks.stale;
	return rc;
}

enum call_result
op_fetch(struct call *c, const struct cJSON *in)
{
	struct groups *g = c->server->bus->groups;
	struct wish wish = { in, c };
	struct error err = { 0 };
	int64_t max = 0, wait_ms = 0;

	c->differs[0] = '\0';
	if (read_who(c, in, &err) < 0 ||
	    read_text(in, "request", "", c->request, sizeof(c->request),
		      &err) < 0 ||
	    read_count(in, "max", 100, SERVER_BATCH_MAX, &max, &err) < 0 ||
	    read_count(in, "wait_ms", 0, SERVER_WAIT_MAX_MS, &wait_ms,
		       &err) < 0 ||
	    read_event_bytes(c, in, &err) < 0 ||
	    groups_ensure(g, c->group, change_settings, &wish, &err) < 0 ||
	    settle_earlier(c, in, &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	c->max = (size_t)max;
	c->repeat = false;
	if (c->request[0]) {
		const struct groups_who who = who_of(c);

		server_drop_same(c->server, c);
		c->repeat = groups_is_repeat(g, &who, c->request);
	}
	if (fetch_again(c, c->max == 0))
		return CALL_ANSWERED;
	return call_wait(c, wait_ms, fetch_again);
}
