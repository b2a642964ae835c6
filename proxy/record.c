/* SPDX-License-Identifier: Apache-2.0 */
/* Copies an exchange into one flat record and pushes it into the worker's
 * ring; the encoding happens on the journal's thread. */
#include "proxy/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "base/invariant.h"
#include "proxy/client.h"
#include "proxy/exchange.h"
#include "proxy/later.h"
#include "proxy/tls.h"
#include "proxy/tls_server.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "rules/rules.h"

static struct record_budget *
box_budget(const struct record_box *box)
{
	return box->worker->records.budget;
}

static void
heavy_add(struct record_box *box, size_t n)
{
	if (n == 0)
		return;
	box->heavy += n;
	record_budget_take(box_budget(box), n);
}

/* Any thread. */
static void
box_free(struct record_box *box)
{
	if (box->heavy)
		record_budget_give(box_budget(box), box->heavy);
	free(box->heap[0]);
	free(box->heap[1]);
	record_pool_give(box, box->chunk);
}

/* ---- back from the journal ---- */

static void
record_arrived(struct worker *w, struct mail *m)
{
	struct record_box *box = (struct record_box *)((char *)m -
			offsetof(struct record_box, mail));
	struct exchange *ex = box->ex;
	enum journal_status status = box->status;

	(void)w;
	box_free(box);
	INVARIANT(ex->commit_pending);
	ex->commit_pending = false;
	if (status != JOURNAL_COMMITTED)
		ex->commit_failed = true;
	exchange_run(ex);
}

static void
record_committed(struct bus_record *r, enum journal_status status)
{
	((struct record_box *)r)->status = status;
}

/* On the writer's thread, and the last call there. */
static void
record_release(struct bus_record *r)
{
	struct record_box *box = (struct record_box *)r;

	if (!box->ex) {
		box_free(box);
		return;
	}
	box->mail.handle = record_arrived;
	worker_mail(box->worker, &box->mail);
}

/* ---- the flat copy ---- */

/* Appends to the box's memory, which was sized for everything. */
struct flat {
	char *at, *end;
};

static struct span
flat_copy(struct flat *f, struct span s)
{
	struct span out = { f->at, s.len };

	if (s.len == 0)
		return (struct span){ "", 0 };
	INVARIANT((size_t)(f->end - f->at) >= s.len);
	memcpy(f->at, s.at, s.len);
	f->at += s.len;
	return out;
}

static void *
flat_take(struct flat *f, size_t n)
{
	void *p = f->at;

	INVARIANT((size_t)(f->end - f->at) >= n);
	f->at += n;
	return p;
}

static size_t
fields_size(struct message_fields f)
{
	size_t i, n = f.count * sizeof(struct message_field);

	for (i = 0; i < f.count; i++)
		n += f.at[i].name.len + f.at[i].value.len;
	return n;
}

static struct message_fields
fields_copy(struct flat *flat, struct message_field *to,
	    struct message_fields f)
{
	size_t i;

	for (i = 0; i < f.count; i++) {
		to[i].name = flat_copy(flat, f.at[i].name);
		to[i].value = flat_copy(flat, f.at[i].value);
	}
	return (struct message_fields){ to, f.count };
}

/* A captured body longer than the rule keeps (commands collect more). */
static void
body_cut(struct bus_body *b, size_t limit)
{
	struct digest_stream *d;

	if (b->bytes.len <= limit)
		return;
	d = digest_stream_new();
	if (d) {
		digest_stream_add(d, b->bytes.at, b->bytes.len);
		digest_stream_end(d, b->digest);
		digest_stream_free(&d);
	}
	b->bytes.len = limit;
	b->truncated = true;
}

/* Takes over the heap part; a borrowed first part is copied. */
static void
body_take(struct record_box *box, int side, struct flat *flat,
	  struct capture *c, uint64_t true_bytes, struct bus_body *out)
{
	out->true_bytes = true_bytes;
	out->truncated = c->truncated;
	if (c->digest)
		digest_stream_end(c->digest, out->digest);
	if (c->first.at) {
		out->bytes = flat_copy(flat, c->first);
		return;
	}
	out->bytes = (struct span){ c->heap ? c->heap : "", c->len };
	box->heap[side] = c->heap;
	heavy_add(box, c->cap);
	c->heap = NULL;
	c->len = c->cap = 0;
}

/* What has arrived in full; an answer of our own has none. */
static struct span
trailers_of(const struct parse *p, const struct body *b)
{
	return b->framing == PARSE_CHUNKED && p->message_done ?
		       parse_trailers(p) : (struct span){ "", 0 };
}

static size_t
record_size(const struct exchange *ex)
{
	const struct message_request *v = &ex->view;
	const char *peer = tls_peer(&ex->client->io);

	return sizeof(struct record_box) + fields_size(v->fields) +
	       fields_size(ex->answer_fields) + v->method.len +
	       v->target.len + v->host.len + v->client.len +
	       ex->upload_capture.first.len +
	       ex->download_capture.first.len + (peer ? strlen(peer) : 0) +
	       trailers_of(&ex->request, &ex->upload).len +
	       trailers_of(&ex->response, &ex->download).len + 1536;
}

static void
copy_trace(struct bus_record *r, struct flat *flat, struct exchange *ex)
{
	char state[TRACE_STATE_MAX];

	trace_settle(ex);
	r->traceparent = flat_copy(flat, trace_parent(ex));
	if (r->traceparent.len)
		r->tracestate = flat_copy(
			flat, (struct span){ state, trace_state(ex, state) });
}

static void
copy_request(struct bus_record *r, struct flat *flat,
	     struct message_field *table, const struct message_request *v)
{
	size_t path_len = v->path.len;

	r->request.method = flat_copy(flat, v->method);
	r->request.target = flat_copy(flat, v->target);
	r->request.path = (struct span){ r->request.target.at, path_len };
	if (v->query.len)
		r->request.query = (struct span){
			r->request.target.at + path_len + 1, v->query.len };
	r->request.host = flat_copy(flat, v->host);
	r->request.client = flat_copy(flat, v->client);
	r->request.fields = fields_copy(flat, table, v->fields);
}

/* Names are copied: the rules may be gone before the record is written. */
static void
copy_route(struct bus_record *r, struct flat *flat,
	   const struct exchange *ex)
{
	const struct router_decision *d = &ex->decision;
	const struct rules_rule *rule = d->rule;

	r->rule = span_of(rule->name);
	r->stage = span_of(rules_stage_name(d->place.stage));
	r->path_template = span_of(rule->path_template);
	r->target = ex->target ? span_of(ex->target->name) :
				 (struct span){ "", 0 };
	if (ex->target && ex->target->kind == RULES_TARGET_COMMAND)
		r->command = span_of(ex->target->command);
	if (ex->pool)
		r->upstream = flat_copy(
			flat, span_of(ex->pool->endpoint->address.text));
	if (d->shadow && ex->status != 101)	/* no copy of a tunnel */
		r->shadow = span_of(d->shadow->name);
	r->proto = ex->secure ? SPAN_LITERAL("https") : SPAN_LITERAL("http");
	r->redact = &ex->lease->rules->redact;
	r->emits = rule->emits.count ? &rule->emits : NULL;
	r->strict = d->strict;
}

static struct record_box *
box_new(struct exchange *ex, enum bus_record_kind kind, struct flat *flat)
{
	size_t size = record_size(ex);
	struct record_chunk *chunk;
	struct record_box *box = record_pool_take(&ex->worker->records, size,
						  &chunk);
	struct bus_record *r;

	if (!box)
		return NULL;
	box->worker = ex->worker;
	box->chunk = chunk;
	box->ex = NULL;
	box->heavy = 0;
	heavy_add(box, chunk ? 0 : size);
	box->heap[0] = box->heap[1] = NULL;
	*flat = (struct flat){ (char *)(box + 1), (char *)box + size };
	r = &box->record;
	bus_record_init(r, kind, &ex->worker->proxy->source);
	r->committed = record_committed;
	r->release = record_release;
	r->exchange_id = *exchange_id(ex);
	r->event_id = id_make();
	r->started_us = exchange_started_wall_us(ex);
	return box;
}

static void
copy_certificate(struct bus_record *r, struct flat *flat,
		 const struct exchange *ex)
{
	struct span hash, subject;

	tls_server_peer_parts(&ex->client->io, &hash, &subject);
	r->certificate_hash = flat_copy(flat, hash);
	r->certificate_subject = flat_copy(flat, subject);
}

static void
copy_both(struct record_box *box, struct flat *flat, struct exchange *ex)
{
	struct bus_record *r = &box->record;
	size_t request_n = ex->view.fields.count;
	struct message_field *table;

	/* Tables first: what follows them has no alignment to keep. */
	table = flat_take(flat, (request_n + ex->answer_fields.count) *
				sizeof(*table));
	copy_request(r, flat, table, &ex->view);
	copy_route(r, flat, ex);
	copy_trace(r, flat, ex);
	copy_certificate(r, flat, ex);
	r->request_trailers = flat_copy(
		flat, trailers_of(&ex->request, &ex->upload));
	if (r->kind != BUS_RECORD_EXCHANGE)
		return;
	r->response = fields_copy(flat, table + request_n, ex->answer_fields);
	r->response_trailers = flat_copy(
		flat, trailers_of(&ex->response, &ex->download));
}

/* What an exchange waits for is on its way whatever there is already: as
 * many as there are connections. So is the end of what was begun on disk,
 * which its beginning waited for. */
static bool
may_be_dropped(const struct record_box *box, const struct exchange *ex)
{
	return !box->ex && !ex->opened;
}

static bool
is_over_budget(const struct record_box *box)
{
	const struct record_budget *b = box_budget(box);

	return b->most && atomic_load_explicit(&b->bytes,
					       memory_order_relaxed) > b->most;
}

static enum record_result
box_drop(struct record_box *box, enum counter reason)
{
	counter_inc(reason);
	box_free(box);
	return RECORD_OK;
}

/* Pushes; when the ring is full, what must not be lost goes on the list,
 * everything else is counted and dropped. */
static enum record_result
box_push(struct record_box *box, struct exchange *ex, bool wait)
{
	struct worker *w = ex->worker;

	if (wait) {
		box->ex = ex;
		box->record.item.urgent = true;
		ex->commit_pending = true;
	}
	if (may_be_dropped(box, ex) && is_over_budget(box))
		return box_drop(box, COUNTER_DROPPED_RING_BYTES);
	if (!journal_push(w->queue, &box->record.item)) {
		if (may_be_dropped(box, ex))
			return box_drop(box, COUNTER_DROPPED_RING_FULL);
		journal_post(w->proxy->journal, &box->record.item);
	}
	return wait ? RECORD_WAIT : RECORD_OK;
}

enum record_result
record_open(struct exchange *ex, enum bus_record_kind kind)
{
	struct flat flat;
	struct record_box *box;
	struct bus_record *r;

	if (ex->worker->detached)
		return RECORD_FAILED;
	box = box_new(ex, kind, &flat);
	if (!box)
		return RECORD_FAILED;
	r = &box->record;
	copy_both(box, &flat, ex);
	r->status = 0;
	r->request_body.bytes = (struct span){ "", 0 };
	if (kind == BUS_RECORD_COMMAND) {
		/* Borrowed: the exchange waits, so its body stays. */
		r->request_body.bytes = capture_bytes(&ex->upload_capture);
		r->request_body.true_bytes = ex->upload.true_bytes;
		r->operation = ex->later ? &ex->later->operation : NULL;
	}
	ex->opened = true;
	ex->opened_by = r->event_id;
	return box_push(box, ex, true);
}

enum record_result
record_close(struct exchange *ex)
{
	const struct rules_rule *rule = ex->decision.rule;
	bool wait = ex->decision.strict && ex->held;
	struct flat flat;
	struct record_box *box;
	struct bus_record *r;

	if (ex->worker->detached) {
		counter_inc(COUNTER_DROPPED_HANDOVER);
		return RECORD_OK;
	}
	box = box_new(ex, BUS_RECORD_EXCHANGE, &flat);
	if (!box) {
		counter_inc(COUNTER_DROPPED_MEMORY);
		return RECORD_FAILED;
	}
	r = &box->record;
	copy_both(box, &flat, ex);
	body_take(box, 0, &flat, &ex->upload_capture, ex->upload.true_bytes,
		  &r->request_body);
	body_take(box, 1, &flat, &ex->download_capture,
		  ex->download.true_bytes, &r->response_body);
	body_cut(&r->request_body, rule->record_body_bytes);
	body_cut(&r->response_body, rule->record_body_bytes);
	r->status = ex->status;
	r->connect_us = ex->connect_us;
	r->first_byte_us = ex->first_byte_us;
	r->total_us = exchange_elapsed_us(ex);
	r->opened = ex->opened && !ex->commit_failed;
	r->opened_by = ex->opened_by;
	r->outcome = ex->aborted ? BUS_OUTCOME_ABORTED : BUS_OUTCOME_RESPONSE;
	r->answered_by_proxy = ex->answered_here;
	r->fell_back = ex->fell_back;
	if (ex->problem != PROBLEM_NONE)
		r->error = span_of(problem_row(ex->problem)->code);
	return box_push(box, ex, wait);
}
