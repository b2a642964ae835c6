/* SPDX-License-Identifier: Apache-2.0 */
/* Writes exchanges, requests and commands as event data. */
#include "bus/encode.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/attribute.h"
#include "base/clock.h"
#include "bus/bus.h"

static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static pthread_key_t scratch_key;

static void
scratch_free(void *arg)
{
	encode_scratch_fini(arg);
	free(arg);
}

static void
scratch_make_key(void)
{
	(void)pthread_key_create(&scratch_key, scratch_free);
}

struct encode_scratch *
encode_scratch(void)
{
	struct encode_scratch *s;

	(void)pthread_once(&scratch_once, scratch_make_key);
	s = pthread_getspecific(scratch_key);
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (s && pthread_setspecific(scratch_key, s) != 0) {
		free(s);
		return NULL;
	}
	return s;
}

void
encode_scratch_fini(struct encode_scratch *s)
{
	buf_fini(&s->data);
	buf_fini(&s->extensions);
	buf_fini(&s->subject);
	buf_fini(&s->work);
}

struct span
encode_members(const struct buf *out)
{
	return out->failed || out->len < 2
		       ? (struct span){ "", 0 }
		       : (struct span){ out->data + 1, out->len - 2 };
}

static void
write_span(struct json *j, const char *name, struct span s)
{
	if (s.len == 0)
		return;
	json_key(j, name);
	json_span(j, s);
}

/* ---- headers ---- */

/* Referer, Location and the like repeat targets, with their secrets. */
static bool
may_hold_url(const struct redact *r, struct span value)
{
	if (r && r->query_count && value.len &&
	    memchr(value.at, '?', value.len))
		return true;
	return value.len && memchr(value.at, '@', value.len) &&
	       memmem(value.at, value.len, "://", 3);
}

static void
write_secret(struct json *j, const struct encode_secrets *how,
	     const struct message_field *f)
{
	char text[REDACT_TEXT_SIZE];

	buf_clear(how->work);
	if (span_is_nocase(f->name, "cookie"))
		redact_cookies(how->key, f->value, how->work);
	else if (span_is_nocase(f->name, "set-cookie"))
		redact_set_cookie(how->key, f->value, how->work);
	else
		buf_adds(how->work, redact_text(how->key, f->value, text));
	if (how->work->failed)
		j->out->failed = true;
	json_span(j, buf_span(how->work));
}

static void
write_target(struct json *j, const struct encode_secrets *how,
	     struct span target)
{
	buf_clear(how->work);
	redact_target(how->redact, how->key, target, how->work);
	if (how->work->failed)
		j->out->failed = true;
	json_span(j, buf_span(how->work));
}

static void
write_value(struct json *j, const struct encode_secrets *how,
	    const struct message_field *f)
{
	if (redact_header_is_secret(how->redact, f->name))
		write_secret(j, how, f);
	else if (may_hold_url(how->redact, f->value))
		write_target(j, how, f->value);
	else
		json_span(j, f->value);
}

/* Index of the next field of the same name from `from` on, or count. */
static size_t
next_same(struct message_fields fields, size_t from, struct span name)
{
	while (from < fields.count &&
	       !span_equal_nocase(fields.at[from].name, name))
		from++;
	return from;
}

static void
write_field(struct json *j, const struct encode_secrets *how,
	    struct message_fields fields, size_t i)
{
	struct span name = fields.at[i].name;
	size_t next = next_same(fields, i + 1, name);

	json_key_span_lower(j, name);
	if (next == fields.count) {
		write_value(j, how, &fields.at[i]);
		return;
	}
	json_array_begin(j);
	for (; i < fields.count; i = next_same(fields, i + 1, name))
		write_value(j, how, &fields.at[i]);
	json_array_end(j);
}

void
encode_headers(struct json *j, const struct encode_secrets *how,
	       struct message_fields fields)
{
	json_object_begin(j);
	for (size_t i = 0; i < fields.count; i++)
		if (next_same(fields, 0, fields.at[i].name) == i)
			write_field(j, how, fields, i);
	json_object_end(j);
}

#define TRAILERS_MAX 64u

/* "Name: value" CRLF, again and again, as they went on. */
static size_t
split_trailers(struct span lines, struct message_field to[TRAILERS_MAX])
{
	size_t n = 0;

	while (lines.len > 0 && n < TRAILERS_MAX) {
		const char *end = memchr(lines.at, '\r', lines.len);
		const char *colon = memchr(lines.at, ':', lines.len);
		size_t len = end ? (size_t)(end - lines.at) : lines.len;

		if (!colon || colon >= lines.at + len)
			break;
		to[n].name = (struct span){ lines.at,
					    (size_t)(colon - lines.at) };
		to[n].value = span_trim((struct span){
			colon + 1, (size_t)(lines.at + len - colon - 1) });
		n++;
		len = len + 2 < lines.len ? len + 2 : lines.len;
		lines.at += len;
		lines.len -= len;
	}
	return n;
}

static void
write_trailers(struct json *j, const struct encode_secrets *how,
	       struct span lines)
{
	struct message_field fields[TRAILERS_MAX];
	size_t n = split_trailers(lines, fields);

	if (n == 0)
		return;
	json_key(j, "trailers");
	encode_headers(j, how, (struct message_fields){ fields, n });
}

static void
write_certificate(struct json *j, const struct bus_record *r)
{
	if (r->certificate_hash.len == 0)
		return;
	json_key(j, "client_certificate");
	json_object_begin(j);
	write_span(j, "sha256", r->certificate_hash);
	write_span(j, "subject", r->certificate_subject);
	json_object_end(j);
}

/* ---- the parts of an exchange ---- */

static void
write_request(struct json *j, const struct encode_secrets *how,
	      const struct bus_record *r)
{
	const struct message_request *q = &r->request;

	json_key(j, "request");
	json_object_begin(j);
	write_span(j, "method", q->method);
	json_key(j, "target");
	write_target(j, how, q->target);
	write_span(j, "host", q->host);
	write_span(j, "client", q->client);
	write_span(j, "proto", r->proto);
	write_certificate(j, r);
	json_key(j, "headers");
	encode_headers(j, how, q->fields);
	encode_body(j, how, q->fields, &r->request_body,
		    r->kind == BUS_RECORD_COMMAND ? ENCODE_BODY_AND_JSON
						  : ENCODE_BODY_ONLY);
	write_trailers(j, how, r->request_trailers);
	json_object_end(j);
}

static void
write_response(struct json *j, const struct encode_secrets *how,
	       const struct bus_record *r)
{
	if (r->status == 0)
		return;
	json_key(j, "response");
	json_object_begin(j);
	json_key(j, "status");
	json_i64(j, r->status);
	json_key(j, "headers");
	encode_headers(j, how, r->response);
	encode_body(j, how, r->response, &r->response_body, ENCODE_BODY_ONLY);
	write_trailers(j, how, r->response_trailers);
	json_object_end(j);
}

static void
write_route(struct json *j, const struct bus_record *r)
{
	json_key(j, "route");
	json_object_begin(j);
	write_span(j, "rule", r->rule);
	write_span(j, "stage", r->stage);
	write_span(j, "target", r->target);
	write_span(j, "upstream", r->upstream);
	write_span(j, "path", r->path_template);
	json_object_end(j);
}

static void
write_timings(struct json *j, const struct bus_record *r)
{
	char started[CLOCK_RFC3339_SIZE];

	json_key(j, "timings");
	json_object_begin(j);
	json_key(j, "started");
	json_str(j, clock_rfc3339(r->started_us, started));
	json_key(j, "connect_us");
	json_u64(j, r->connect_us);
	json_key(j, "first_byte_us");
	json_u64(j, r->first_byte_us);
	json_key(j, "total_us");
	json_u64(j, r->total_us);
	json_object_end(j);
}

static const char *
outcome_name(enum bus_outcome o)
{
	switch (o) {
	case BUS_OUTCOME_RESPONSE:
		return "response";
	case BUS_OUTCOME_ABORTED:
		return "aborted";
	case BUS_OUTCOME_UNKNOWN:
		return "unknown";
	}
	return "unknown";
}

static void
write_end(struct json *j, const struct bus_record *r)
{
	json_key(j, "outcome");
	json_str(j, outcome_name(r->outcome));
	if (r->answered_by_proxy) {
		json_key(j, "answered_by");
		json_str(j, "matapalo");
	}
	write_span(j, "error", r->error);
	json_given_bool(j, "fell_back", r->fell_back);
	write_timings(j, r);
	write_span(j, "shadow", r->shadow);
}

static void
write_data(struct encode_scratch *s, const struct bus_record *r)
{
	struct encode_secrets how = { .redact = r->redact,
				      .key = r->source->key,
				      .work = &s->work };
	struct json j;

	buf_clear(&s->data);
	json_init(&j, &s->data);
	json_object_begin(&j);
	write_request(&j, &how, r);
	if (r->kind == BUS_RECORD_EXCHANGE)
		write_response(&j, &how, r);
	write_route(&j, r);
	if (r->kind == BUS_RECORD_EXCHANGE)
		write_end(&j, r);
	json_key(&j, "durability");
	json_str(&j, r->strict ? "strict" : "bounded");
	json_object_end(&j);
}

/* ---- attributes ---- */

/* Not in the midst of a character. */
static void
cut_subject(struct buf *subject)
{
	size_t end = ENCODE_SUBJECT_MAX;

	if (subject->failed || subject->len <= end)
		return;
	for (int i = 0; i < 3 && ((unsigned char)subject->data[end] & 0xc0) ==
					 0x80; i++)
		end--;
	subject->len = end;
}

static void
write_subject(struct encode_scratch *s, const struct bus_record *r)
{
	struct span path = r->request.path;

	buf_clear(&s->subject);
	buf_add(&s->subject, r->request.method.at, r->request.method.len);
	buf_addc(&s->subject, ' ');
	if (path.len > 0 && path.at[0] == '/')
		buf_add(&s->subject, path.at, path.len);
	else	/* absolute-form: user and password may stand in it */
		redact_target(r->redact, r->source->key, path, &s->subject);
	cut_subject(&s->subject);
	if (!s->subject.failed &&
	    attribute_mend(s->subject.data, s->subject.len) < 0)
		return;	/* not UTF-8: written with U+FFFD */
}

static const char *
schema_of(enum bus_record_kind kind)
{
	switch (kind) {
	case BUS_RECORD_REQUEST:
		return ENCODE_SCHEMA "request:v1";
	case BUS_RECORD_EXCHANGE:
		return ENCODE_SCHEMA "exchange:v1";
	case BUS_RECORD_COMMAND:
		return BUS_COMMAND_SCHEMA;
	}
	return ENCODE_SCHEMA "unknown";
}

static void
write_extensions(struct encode_scratch *s, const struct bus_record *r)
{
	static const struct id none;
	char id[ID_TEXT_SIZE];
	struct json j;

	buf_clear(&s->extensions);
	json_init(&j, &s->extensions);
	json_object_begin(&j);
	json_key(&j, "dataschema");
	json_str(&j, schema_of(r->kind));
	if (r->kind == BUS_RECORD_EXCHANGE && r->opened &&
	    !id_equal(&r->opened_by, &none)) {
		json_key(&j, "causationid");
		json_str(&j, id_text(&r->opened_by, id));
	}
	write_span(&j, "traceparent", r->traceparent);
	write_span(&j, "tracestate", r->tracestate);
	json_object_end(&j);
}

static struct span
type_of(const struct bus_record *r)
{
	switch (r->kind) {
	case BUS_RECORD_REQUEST:
		return SPAN_LITERAL(ENCODE_TYPE_REQUEST);
	case BUS_RECORD_EXCHANGE:
		return SPAN_LITERAL(ENCODE_TYPE_EXCHANGE);
	case BUS_RECORD_COMMAND:
		return r->command;
	}
	return (struct span){ "", 0 };
}

static enum journal_mark
mark_of(const struct bus_record *r)
{
	if (r->kind != BUS_RECORD_EXCHANGE)
		return JOURNAL_MARK_OPENS;
	return r->opened ? JOURNAL_MARK_CLOSES : JOURNAL_MARK_NONE;
}

int
encode_record(struct encode_scratch *s, const struct bus_record *r,
	      struct journal_event *e)
{
	bool ended = r->kind == BUS_RECORD_EXCHANGE;

	write_data(s, r);
	write_subject(s, r);
	write_extensions(s, r);
	if (s->data.failed || s->subject.failed || s->extensions.failed)
		return -1;
	*e = (struct journal_event){
		.id = r->event_id,
		.time_us = r->started_us + (ended ? r->total_us : 0),
		.type = type_of(r),
		.source = span_of(r->source->source),
		.subject = buf_span(&s->subject),
		.extensions = encode_members(&s->extensions),
		.data = buf_span(&s->data),
		.shadow = ended && r->shadow.len > 0,
		.mark = mark_of(r),
	};
	return 0;
}
