/* SPDX-License-Identifier: Apache-2.0 */
/* A trace as OpenTelemetry has it: OTLP in the JSON mapping of its protobuf
 * (ids in hex, 64-bit numbers as strings, enumerations as numbers).
 *
 * The exchange is the span around all; a command, a reply and an event are
 * spans below what caused them. A traceparent that a consumer has made itself
 * is the better parent: the cause is then a link. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/trace.h"
#include "console/trace.h"
#include "payload/payload.h"

#define TRACE_HEX 32
#define SPAN_HEX 16
#define PARENT_TRACE_AT 3	/* in a traceparent */
#define PARENT_SPAN_AT 36

/* opentelemetry/proto/trace/v1/trace.proto */
enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER = 2, SPAN_PRODUCER = 4,
		 SPAN_CONSUMER = 5 };
enum { STATUS_ERROR = 2 };

struct export {
	const struct trace *t;
	struct json j;
	char trace_id[TRACE_HEX + 1];
	char remote[SPAN_HEX + 1];	/* the caller's span, or "" */
	size_t around;			/* the exchange, or TRACE_NONE */
};

struct span_ids {
	char trace_id[TRACE_HEX + 1], parent[SPAN_HEX + 1];
	char link[SPAN_HEX + 1];
};

/* ---- ids ---- */

static void
hex(const uint8_t *bytes, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static bool
has_parent(const struct trace_event *e)
{
	return strlen(e->traceparent) == TRACE_PARENT_SIZE - 1;
}

static void
copy_hex(char *out, const struct trace_event *e, size_t at, size_t n)
{
	memcpy(out, e->traceparent + at, n);
	out[n] = '\0';
}

/* What the candidate was told to be below of is the copy's own span. */
static void
span_id(const struct trace_event *e, char out[SPAN_HEX + 1])
{
	if (e->kind == TRACE_COMMAND && e->is_shadow && has_parent(e))
		copy_hex(out, e, PARENT_SPAN_AT, SPAN_HEX);
	else
		hex(e->id.bytes + 8, 8, out);
}

static void
find_ids(struct export *x)
{
	const struct trace *t = x->t;
	struct id own = { { 0 } };

	x->around = TRACE_NONE;
	for (size_t i = 0; i < t->count; i++) {
		const struct trace_event *e = &t->at[i];

		if (e->kind == TRACE_EXCHANGE && x->around == TRACE_NONE)
			x->around = i;
		if (!*x->trace_id && has_parent(e) && !e->is_shadow) {
			copy_hex(x->trace_id, e, PARENT_TRACE_AT, TRACE_HEX);
			copy_hex(x->remote, e, PARENT_SPAN_AT, SPAN_HEX);
		}
	}
	if (*x->trace_id)
		return;
	if (id_parse(t->correlation, strlen(t->correlation), &own) < 0)
		own = t->at[0].id;
	hex(own.bytes, sizeof(own.bytes), x->trace_id);
}

/* The request and the command of an exchange came before its event, but are
 * a part of it. */
static size_t
enclosing(const struct export *x, size_t i)
{
	const struct trace_event *e = &x->t->at[i];

	if (i == x->around)
		return TRACE_NONE;
	return e->parent != TRACE_NONE ? e->parent : x->around;
}

static void
find_parents(const struct export *x, size_t i, struct span_ids *ids)
{
	const struct trace_event *e = &x->t->at[i];
	size_t cause = enclosing(x, i);

	*ids = (struct span_ids){ "", "", "" };
	memcpy(ids->trace_id, x->trace_id, sizeof(ids->trace_id));
	if (cause != TRACE_NONE)
		span_id(&x->t->at[cause], ids->parent);
	else
		memcpy(ids->parent, x->remote, sizeof(ids->parent));
	if (!has_parent(e) || e->kind != TRACE_EVENT ||
	    (!strncmp(e->traceparent + PARENT_TRACE_AT, x->trace_id,
		      TRACE_HEX) &&
	     !strncmp(e->traceparent + PARENT_SPAN_AT, x->remote, SPAN_HEX)))
		return;
	memcpy(ids->link, ids->parent, sizeof(ids->link));
	copy_hex(ids->trace_id, e, PARENT_TRACE_AT, TRACE_HEX);
	copy_hex(ids->parent, e, PARENT_SPAN_AT, SPAN_HEX);
}

/* ---- attributes ---- */

static void
begin_attribute(struct json *j, const char *name, const char *type)
{
	json_object_begin(j);
	json_key(j, "key");
	json_str(j, name);
	json_key(j, "value");
	json_object_begin(j);
	json_key_span(j, span_of(type));
}

static void
end_attribute(struct json *j)
{
	json_object_end(j);
	json_object_end(j);
}

static void
text_attribute(struct json *j, const char *name, const char *text)
{
	if (!*text)
		return;
	begin_attribute(j, name, "stringValue");
	json_str(j, text);
	end_attribute(j);
}

static void
put_i64(struct json *j, int64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, n);
	json_str(j, text);
}

static void
number_attribute(struct json *j, const char *name, int64_t n)
{
	begin_attribute(j, name, "intValue");
	put_i64(j, n);
	end_attribute(j);
}

struct attribute_source {
	const char *name, *pointer;
};

static void
data_attributes(struct json *j, const struct trace_event *e)
{
	static const struct attribute_source words[] = {
		{ "http.request.method", "/request/method" },
		{ "matapalo.rule", "/route/rule" },
		{ "matapalo.stage", "/route/stage" },
		{ "matapalo.target", "/route/target" },
		{ "http.route", "/route/path" },
		{ "matapalo.outcome", "/outcome" },
		{ "error.type", "/error" },
		{ "matapalo.shadow.verdict", "/verdict" },
		{ "matapalo.shadow.candidate", "/candidate" },
		{ "matapalo.shadow.rule", "/rule" },
		{ "messaging.consumer.group.name", "/by/group" },
		{ "messaging.client.id", "/by/consumer" },
	};
	static const struct attribute_source numbers[] = {
		{ "http.response.status_code", "/response/status" },
		{ "http.response.status_code", "/status" },
		{ "matapalo.shadow.differences", "/difference_count" },
		{ "matapalo.attempt", "/by/attempt" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		text_attribute(j, words[i].name,
			       trace_word(e, words[i].pointer));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (payload_at(e->data, numbers[i].pointer))
			number_attribute(j, numbers[i].name, trace_number(
				e, numbers[i].pointer, 0));
}

static void
put_attributes(struct export *x, const struct trace_event *e)
{
	static const char *const marks[] = { "", "late", "duplicate",
					     "foreign" };
	char id[ID_TEXT_SIZE];
	struct json *j = &x->j;

	json_key(j, "attributes");
	json_array_begin(j);
	text_attribute(j, "cloudevents.event_id", id_text(&e->id, id));
	text_attribute(j, "cloudevents.event_type", e->type);
	text_attribute(j, "cloudevents.event_source", e->source);
	text_attribute(j, "cloudevents.event_subject", e->subject);
	text_attribute(j, "matapalo.correlation_id", x->t->correlation);
	number_attribute(j, "matapalo.sequence", e->sequence);
	text_attribute(j, "matapalo.reply", marks[e->lateness]);
	data_attributes(j, e);
	json_array_end(j);
}

/* ---- times ---- */

static void
put_nanoseconds(struct json *j, const char *name, int64_t us)
{
	json_key_span(j, span_of(name));
	put_i64(j, us * 1000);
}

static int64_t
began_us(const struct trace_event *e)
{
	int64_t us = e->time_us;

	if (e->kind == TRACE_EXCHANGE)
		(void)clock_parse_rfc3339(trace_word(e, "/timings/started"),
					  &us);
	else if (e->kind == TRACE_REPLY)
		(void)clock_parse_rfc3339(trace_word(e, "/by/given"), &us);
	return us < e->time_us ? us : e->time_us;
}

/* A command lasts until it is answered; what has not ended, until now. */
static int64_t
ended_us(const struct export *x, size_t at)
{
	const struct trace *t = x->t;
	const struct trace_event *e = &t->at[at];

	if (e->kind == TRACE_REQUEST)
		return t->last_us;
	if (e->kind != TRACE_COMMAND)
		return e->time_us;
	for (size_t i = 0; i < t->count; i++)
		if (t->at[i].kind == TRACE_REPLY && t->at[i].parent == at &&
		    t->at[i].time_us > e->time_us)
			return t->at[i].time_us;
	return e->time_us;
}

/* ---- what became of it, as events of the span ---- */

static void
put_span_event(struct json *j, const char *name, int64_t us,
	       const struct trace_fate *f, unsigned attempt,
	       const char *reason)
{
	json_object_begin(j);
	put_nanoseconds(j, "timeUnixNano", us);
	json_key(j, "name");
	json_str(j, name);
	json_key(j, "attributes");
	json_array_begin(j);
	text_attribute(j, "messaging.consumer.group.name", f->group);
	number_attribute(j, "matapalo.attempt", attempt);
	text_attribute(j, "matapalo.reason", reason);
	json_array_end(j);
	json_object_end(j);
}

static void
put_fates(struct export *x, const struct trace_event *e)
{
	json_key(&x->j, "events");
	json_array_begin(&x->j);
	for (const struct trace_fate *f = e->fates; f; f = f->next) {
		for (const struct trace_attempt *a = f->history; a;
		     a = a->next)
			put_span_event(&x->j, "attempt failed", a->time_us, f,
				       a->attempt, a->reason);
		put_span_event(&x->j, f->letter ? "dead letter" : "waiting",
			       f->last_us ? f->last_us : e->time_us, f,
			       f->attempts, f->reason);
	}
	json_array_end(&x->j);
}

/* ---- spans ---- */

static void
put_name(struct export *x, const struct trace_event *e)
{
	struct buf name CLEANUP(buf_fini) = { 0 };
	const char *path = trace_word(e, "/route/path");

	if (e->kind == TRACE_REQUEST || e->kind == TRACE_EXCHANGE)
		buf_printf(&name, "%s %s", trace_word(e, "/request/method"),
			   path);
	else if (e->kind == TRACE_REPLY)
		buf_adds(&name, "reply");
	else if (e->kind == TRACE_VERDICT)
		buf_printf(&name, "compare %s", trace_word(e, "/candidate"));
	else
		buf_printf(&name, "send %s", e->type);
	json_key(&x->j, "name");
	json_str(&x->j, buf_str(&name));
}

static enum span_kind
kind_of(enum trace_kind k)
{
	switch (k) {
	case TRACE_REQUEST:
	case TRACE_EXCHANGE:
		return SPAN_SERVER;
	case TRACE_COMMAND:
	case TRACE_EVENT:
		return SPAN_PRODUCER;
	case TRACE_REPLY:
		return SPAN_CONSUMER;
	case TRACE_VERDICT:
		return SPAN_INTERNAL;
	}
	return SPAN_INTERNAL;
}

static bool
is_error(const struct trace_event *e)
{
	for (const struct trace_fate *f = e->fates; f; f = f->next)
		if (f->letter)
			return true;
	return trace_number(e, "/response/status", 0) >= 500 ||
	       trace_number(e, "/status", 0) >= 500 ||
	       (e->kind == TRACE_EXCHANGE &&
		strcmp(trace_word(e, "/outcome"), "response")) ||
	       (e->kind == TRACE_VERDICT &&
		strcmp(trace_word(e, "/verdict"), "match"));
}

static void
put_text(struct json *j, const char *name, const char *text)
{
	if (!*text)
		return;
	json_key_span(j, span_of(name));
	json_str(j, text);
}

static void
put_links(struct export *x, const struct span_ids *ids)
{
	json_key(&x->j, "links");
	json_array_begin(&x->j);
	if (*ids->link) {
		json_object_begin(&x->j);
		put_text(&x->j, "traceId", x->trace_id);
		put_text(&x->j, "spanId", ids->link);
		json_object_end(&x->j);
	}
	json_array_end(&x->j);
}

static void
put_span(struct export *x, size_t i)
{
	const struct trace_event *e = &x->t->at[i];
	struct span_ids ids;
	char id[SPAN_HEX + 1];

	find_parents(x, i, &ids);
	span_id(e, id);
	json_object_begin(&x->j);
	put_text(&x->j, "traceId", ids.trace_id);
	put_text(&x->j, "spanId", id);
	put_text(&x->j, "parentSpanId", ids.parent);
	put_name(x, e);
	json_key(&x->j, "kind");
	json_i64(&x->j, kind_of(e->kind));
	put_nanoseconds(&x->j, "startTimeUnixNano", began_us(e));
	put_nanoseconds(&x->j, "endTimeUnixNano", ended_us(x, i));
	put_attributes(x, e);
	put_fates(x, e);
	put_links(x, &ids);
	json_key(&x->j, "status");
	json_object_begin(&x->j);
	if (is_error(e)) {
		json_key(&x->j, "code");
		json_i64(&x->j, STATUS_ERROR);
	}
	json_object_end(&x->j);
	json_object_end(&x->j);
}

/* ---- the message ---- */

static void
put_resource(struct export *x, const char *source)
{
	json_key(&x->j, "resource");
	json_object_begin(&x->j);
	json_key(&x->j, "attributes");
	json_array_begin(&x->j);
	text_attribute(&x->j, "service.name", "matapalo");
	text_attribute(&x->j, "service.instance.id", source);
	json_array_end(&x->j);
	json_object_end(&x->j);
}

static void
put_source(struct export *x, size_t first)
{
	const char *source = x->t->at[first].source;

	json_object_begin(&x->j);
	put_resource(x, source);
	json_key(&x->j, "scopeSpans");
	json_array_begin(&x->j);
	json_object_begin(&x->j);
	json_key(&x->j, "scope");
	json_object_begin(&x->j);
	put_text(&x->j, "name", "matapalo");
	put_text(&x->j, "version", PACKAGE_VERSION);
	json_object_end(&x->j);
	json_key(&x->j, "spans");
	json_array_begin(&x->j);
	for (size_t i = first; i < x->t->count; i++)
		if (!strcmp(x->t->at[i].source, source))
			put_span(x, i);
	json_array_end(&x->j);
	json_object_end(&x->j);
	json_array_end(&x->j);
	json_object_end(&x->j);
}

static bool
is_first_of_source(const struct trace *t, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(t->at[k].source, t->at[i].source))
			return false;
	return true;
}

void
trace_write_otlp(const struct trace *t, struct buf *out)
{
	struct export x = { .t = t };

	find_ids(&x);
	json_init(&x.j, out);
	json_object_begin(&x.j);
	json_key(&x.j, "resourceSpans");
	json_array_begin(&x.j);
	for (size_t i = 0; i < t->count; i++)
		if (is_first_of_source(t, i))
			put_source(&x, i);
	json_array_end(&x.j);
	json_object_end(&x.j);
	buf_addc(out, '\n');
}
