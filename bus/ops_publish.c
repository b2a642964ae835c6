/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that append: publish and reply. Both answer after the commit. */
#include "base/clock.h"
#include "base/counter.h"
#include "bus/kept.h"
#include "bus/server.h"
#include "journal/operation.h"
#include "payload/payload.h"

/* What the end of an append needs; behind the publication. */
struct append {
	struct call *call;
	struct recent_key key;
	bool keyed;
	/* a reply's */
	struct bus_reply *reply;
	struct id cause;
	bool has_cause;
	char *text;		/* its data, behind the room for more */
	bool claimed;
	enum commands_claim claim;	/* once claimed */
	commands_deliver_fn *deliver;
	void *arg;
	struct journal_operation operation;	/* that waits for it, if */
	bool kept, too_large;
};

/* ---- answers ---- */

static bool
is_late(const struct append *a)
{
	return a->claim == CLAIM_LATE || a->claim == CLAIM_DUPLICATE;
}

static void
write_stored(struct call *c, int64_t sequence, const struct append *a)
{
	call_begin(c);
	json_key(&c->json, "sequence");
	json_i64(&c->json, sequence);
	if (a && a->reply) {
		json_key(&c->json, "late");
		json_bool(&c->json, is_late(a));
	}
	if (a && a->reply && a->claim == CLAIM_DUPLICATE) {
		json_key(&c->json, "duplicate");
		json_bool(&c->json, true);
	}
	call_end(c);
}

static void
write_answer(struct call *c, int64_t sequence, const struct append *a)
{
	if (a && a->too_large)
		(void)call_error(c, "too_large", "this answer has %zu bytes "
				 "and would be kept, the limit is %zu "
				 "(answer_size): store it elsewhere and "
				 "reply with its address",
				 reply_bytes(a->reply),
				 c->server->bus->answer_max);
	else if (sequence == 0)
		(void)call_error(c, "unavailable", "the journal cannot write "
				 "now; send the request again later");
	else if (a && a->reply && a->claim == CLAIM_FOREIGN)
		(void)call_error(c, "unknown_correlation", "no command with "
				 "this correlationid was ever given out, or "
				 "causationid is not its event; the reply is "
				 "recorded as foreign and answers nobody");
	else
		write_stored(c, sequence, a);
}

void
publish_answer_all(struct call *same, int64_t sequence)
{
	while (same) {
		struct call *next = same->next_same;

		write_answer(same, sequence, NULL);
		call_send(same);
		same = next;
	}
}

/* On the journal's thread. */
static void
append_end(struct append *a, int64_t sequence)
{
	struct call *c = a->call, *same = NULL;
	bool foreign = a->reply && a->claim == CLAIM_FOREIGN;

	if (a->keyed)
		same = recent_end(c->server->recent, &a->key,
				  foreign ? 0 : sequence);
	while (same) {
		struct call *next = same->next_same;

		write_answer(same, sequence, a);
		call_send(same);
		same = next;
	}
	write_answer(c, sequence, a);
	call_send(c);
}

static void
on_published(struct publication *p, enum journal_status status)
{
	append_end(publication_extra(p),
		   status == JOURNAL_COMMITTED ? p->sequence : 0);
}

/* RECENT_NEW: the caller goes on; anything else has been dealt with. */
static enum recent_state
begin(struct call *c, struct append *a, enum call_result *result)
{
	enum recent_state state = RECENT_NEW;
	int64_t sequence = 0;

	if (a->keyed)
		state = recent_begin(c->server->recent, &a->key, c,
				     &sequence);
	switch (state) {
	case RECENT_NEW:
		break;
	case RECENT_PENDING:
		*result = CALL_LATER;
		break;
	case RECENT_DONE:
		write_answer(c, sequence, NULL);
		*result = CALL_ANSWERED;
		break;
	}
	return state;
}

static enum call_result
no_memory(struct call *c, struct append *a)
{
	struct call *same = NULL;

	if (a->keyed)
		same = recent_end(c->server->recent, &a->key, 0);
	publish_answer_all(same, 0);
	bus_reply_free(&a->reply);
	return call_error(c, "no_memory", "the bus is out of memory");
}

struct append_hooks {
	void (*before)(struct publication *p, struct journal_tx *tx);
	void (*after)(struct publication *p, struct journal_tx *tx);
	void (*ended)(struct publication *p, enum journal_status status);
};

/* The last thing that touches the call: its answer may be under way before
 * this returns. */
static enum call_result
append(struct call *c, const struct journal_event *e, struct append *a,
       const struct append_hooks *hooks)
{
	struct publication *p = publication_new(e, sizeof(*a));

	if (!p)
		return no_memory(c, a);
	memcpy(publication_extra(p), a, sizeof(*a));
	p->before = hooks->before;
	p->after = hooks->after;
	p->ended = hooks->ended;
	publication_post(c->server->bus, p);
	return CALL_LATER;
}

/* ---- publish ---- */

static const struct append_hooks publish_hooks = { .ended = on_published };

static enum call_result
publish(struct call *c, const struct published *p)
{
	struct append a = { .call = c, .keyed = p->has_id,
			    .key = { RECENT_PUBLISH,
				     published_key(p) } };
	enum call_result result = CALL_LATER;
	struct journal_event e;

	published_event(p, c->server->bus->source, &e);
	if (begin(c, &a, &result) != RECENT_NEW)
		return result;
	return append(c, &e, &a, &publish_hooks);
}

enum call_result
op_publish(struct call *c, const struct cJSON *in)
{
	const struct cJSON *events = payload_member(in, "events");
	struct published p = { 0 };
	struct error err = { 0 };
	enum call_result result;

	if (events)
		return publish_many(c, in, events);
	if (published_read(in, PUBLISHED_IN_REQUEST, c->lifted, &p, &err) < 0)
		result = call_error(c, p.code, "%s", err.text);
	else
		result = publish(c, &p);
	published_fini(&p);
	return result;
}

/* ---- reply ---- */

/* The operation that waits for this reply. A copy that a candidate got has
 * the same correlation: its reply is nobody's answer. */
static bool
find_operation(struct append *a, struct journal_tx *tx)
{
	return journal_tx_operation_pending(tx, &a->reply->exchange_id,
					    &a->operation) == 1 &&
	       (!a->has_cause || !a->operation.has_command ||
		id_equal(&a->cause, &a->operation.command));
}

static void
claim_once(struct append *a, struct commands *c)
{
	if (a->claimed)
		return;
	a->claimed = true;
	a->claim = commands_claim(c, &a->reply->exchange_id,
				  a->has_cause ? &a->cause : NULL,
				  &a->deliver, &a->arg);
}

/* Over the brace, in the room before it. */
static void
write_claim(struct append *a, struct span *data)
{
	static const struct span texts[] = {
		[CLAIM_DELIVER] = SPAN_LITERAL("{"),
		[CLAIM_SHADOW] = SPAN_LITERAL("{"),
		[CLAIM_KEPT] = SPAN_LITERAL("{"),
		[CLAIM_LATE] = SPAN_LITERAL("{\"late\":true,"),
		[CLAIM_DUPLICATE] =
			SPAN_LITERAL("{\"late\":true,\"duplicate\":true,"),
		[CLAIM_FOREIGN] = SPAN_LITERAL("{\"foreign\":true,"),
	};
	const struct span *text = &texts[a->claim];
	const char *end = data->at + data->len;
	char *at;

	if (!a->text)
		a->text = (char *)(uintptr_t)data->at + REPLY_ROOM;
	at = a->text + 1 - text->len;
	memcpy(at, text->at, text->len);
	*data = (struct span){ at, (size_t)(end - at) };
}

/* On the writer's thread, before the append, and again when the transaction
 * has to be: who comes first decides whether the reply is late. */
static void
claim_waiter(struct publication *p, struct journal_tx *tx)
{
	struct append *a = publication_extra(p);
	struct bus *b = a->call->server->bus;

	a->kept = find_operation(a, tx);
	a->too_large = a->kept && b->answer_max &&
		       reply_bytes(a->reply) > b->answer_max;
	p->withdrawn = a->too_large;
	if (a->too_large)
		return;
	claim_once(a, b->commands);
	a->kept &= a->claim != CLAIM_SHADOW && a->claim != CLAIM_FOREIGN;
	if (a->kept && a->claim != CLAIM_DELIVER)
		a->claim = CLAIM_KEPT;
	write_claim(a, &p->event.data);
}

/* In the reply's own transaction: there is no moment with one of them only.
 * Without memory the reply is one that nobody keeps, and its caller has to
 * ask somebody else. */
static void
keep_answer(struct publication *p, struct journal_tx *tx)
{
	struct append *a = publication_extra(p);
	struct bus *b = a->call->server->bus;
	CLEANUP(buf_fini) struct buf sealed = { 0 };

	if (!a->kept)
		return;
	a->kept = kept_seal(b->source->key, &a->operation.id, a->reply,
			    &sealed) == 0;
	if (!a->kept)
		return;
	journal_tx_operation_finish(
		tx, &a->operation.id, buf_span(&sealed),
		journal_tx_time_us(tx) + a->operation.keep_us);
	told_append(b, tx, &a->operation, TOLD_DONE, a->reply->status,
		    &p->event.id);
}

static void
count_reply(const struct append *a)
{
	switch (a->claim) {
	case CLAIM_DELIVER:
	case CLAIM_SHADOW:
	case CLAIM_KEPT:
		return;
	case CLAIM_LATE:
		counter_inc(COUNTER_COMMANDS_LATE);
		return;
	case CLAIM_DUPLICATE:
		counter_inc(COUNTER_COMMANDS_DUPLICATE);
		return;
	case CLAIM_FOREIGN:
		counter_inc(COUNTER_COMMANDS_FOREIGN);
		return;
	}
}

/* A claimed reply is delivered even when its own event failed: the waiting
 * request's terminal event decides what its client gets. */
static void
on_replied(struct publication *p, enum journal_status status)
{
	struct append *a = publication_extra(p);
	int64_t sequence = status == JOURNAL_COMMITTED ? p->sequence : 0;
	struct bus *b = a->call->server->bus;
	struct bus_reply *reply = a->reply;
	bool deliver = a->claimed && a->claim == CLAIM_DELIVER;

	if (a->kept && sequence) {
		commands_answered(b->commands, &reply->exchange_id);
		operations_finished(b->operations, &a->operation.id);
	}
	if (a->claimed && sequence)
		count_reply(a);
	if (deliver)
		a->deliver(a->arg, reply);
	append_end(a, sequence);
	if (!deliver)
		bus_reply_free(&reply);
}

static const struct append_hooks reply_hooks = { claim_waiter, keep_answer,
						 on_replied };

struct answer_to {
	struct id correlation, cause, id;
	bool has_cause, has_id;
	struct reply_by by;
};

/* Who says that it holds the command is named in the reply's event. */
static int
read_by(struct call *c, const struct cJSON *in, struct answer_to *to,
	struct error *err)
{
	const struct groups_who who = { c->group, c->consumer, c->session };
	int64_t sequence = payload_int(payload_member(in, "sequence"), 0);

	if (read_text(in, "group", "", c->group, sizeof(c->group), err) < 0 ||
	    read_text(in, "consumer", "", c->consumer, sizeof(c->consumer),
		      err) < 0)
		return -1;
	if (*c->group && sequence > 0 &&
	    groups_lease(c->server->bus->groups, &who, sequence,
			 &to->by.lease)) {
		to->by.group = c->group;
		to->by.consumer = c->consumer;
	}
	return 0;
}

static int
read_answer_to(const struct cJSON *in, struct answer_to *to,
	       struct error *err)
{
	int rc = published_read_id(in, "correlationid", &to->correlation,
				   err);
	int cause, id;

	if (rc == 0)
		return error_set(err, "correlationid is missing: it is the "
				 "command's");
	cause = published_read_id(in, "causationid", &to->cause, err);
	id = published_read_id(in, "id", &to->id, err);
	to->has_cause = cause > 0;
	to->has_id = id > 0;
	return rc < 0 || cause < 0 || id < 0 ? -1 : 0;
}

/* A reply that is sent again has its own id, or answers the same command.
 * One that only has the cause in common must not be taken for it. */
static struct id
reply_key(const struct answer_to *to)
{
	struct id key = to->correlation;
	const struct id *own = to->has_id ? &to->id :
			       to->has_cause ? &to->cause : NULL;

	for (size_t i = 0; own && i < sizeof(key.bytes); i++)
		key.bytes[i] ^= own->bytes[sizeof(key.bytes) - 1 - i];
	return key;
}

static enum call_result
reply(struct call *c, const struct answer_to *to, struct bus_reply *r)
{
	CLEANUP(buf_fini) struct buf data = { 0 };
	CLEANUP(buf_fini) struct buf extensions = { 0 };
	char correlation[ID_TEXT_SIZE];
	struct append a = { .call = c, .keyed = true, .reply = r,
			    .cause = to->cause, .has_cause = to->has_cause,
			    .key = { RECENT_REPLY, reply_key(to) } };
	struct journal_event e = {
		.id = to->has_id ? to->id : id_make(),
		.time_us = clock_wall_us(),
		.type = SPAN_LITERAL(ENCODE_TYPE_REPLY),
		.source = span_of(c->server->bus->source->source),
		.correlation = span_of(id_text(&to->correlation,
					       correlation)),
	};
	enum call_result result = CALL_LATER;
	struct id cause = to->cause;

	buf_adds(&extensions,
		 "\"dataschema\":\"" ENCODE_SCHEMA "reply:v1\"");
	if (to->has_cause || commands_cause(c->server->bus->commands,
					    &to->correlation, &cause)) {
		buf_addc(&extensions, ',');
		published_write_causation(&extensions, &cause);
	}
	if (begin(c, &a, &result) != RECENT_NEW) {
		bus_reply_free(&r);
		return result;
	}
	if (reply_write_data(c->server->bus, r, &to->by, &data) < 0 ||
	    extensions.failed)
		return no_memory(c, &a);
	e.data = buf_span(&data);
	e.extensions = buf_span(&extensions);
	return append(c, &e, &a, &reply_hooks);
}

enum call_result
op_reply(struct call *c, const struct cJSON *in)
{
	struct answer_to to = { 0 };
	struct error err = { 0 };
	struct bus_reply *r;

	if (read_answer_to(in, &to, &err) < 0 ||
	    read_by(c, in, &to, &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	r = reply_parse(in, &err);
	if (!r)
		return call_error(c, "bad_reply", "%s", err.text);
	r->exchange_id = to.correlation;
	return reply(c, &to, r);
}
