/* SPDX-License-Identifier: Apache-2.0 */
/* A recorded exchange, read back from its event. */
#include "shadow/exchange.h"

#include <stdio.h>
#include <stdlib.h>

static const char *
text_at(const struct cJSON *tree, const char *pointer)
{
	return payload_string(payload_at(tree, pointer), "");
}

/* NULL for what is not there. */
static char *
copy_member(const struct cJSON *object, const char *name)
{
	const char *text = payload_string(payload_member(object, name), NULL);

	return text ? strdup(text) : NULL;
}

/* Extensions are JSON members without their braces. */
static void
read_extensions(struct shadow_exchange *x, struct span members)
{
	struct buf text = { 0 };
	struct cJSON *tree = NULL;

	buf_addc(&text, '{');
	buf_add(&text, members.at, members.len);
	buf_addc(&text, '}');
	if (!text.failed)
		tree = payload_parse(buf_span(&text), NULL);
	x->traceparent = copy_member(tree, "traceparent");
	x->tracestate = copy_member(tree, "tracestate");
	payload_free(&tree);
	buf_fini(&text);
}

/* Longer than what is taken from a live call, too (proxy/record.c). */
#define TRACE_STATE_MAX 512

/* The trace of the live call, else of the caller. */
static void
read_trace_fields(struct shadow_exchange *x)
{
	struct message_fields fields = shadow_side_fields(&x->request);
	const struct message_field *parent = message_find(fields,
							  "traceparent");
	const struct message_field *state = message_find(fields,
							 "tracestate");

	if (x->traceparent || !parent)
		return;
	x->traceparent = strndup(parent->value.at, parent->value.len);
	if (!x->tracestate && state && state->value.len <= TRACE_STATE_MAX)
		x->tracestate = strndup(state->value.at, state->value.len);
}

static int
read_row(struct shadow_exchange *x, const struct journal_row *row,
	 struct error *err)
{
	if (row->correlation.len == 0 ||
	    row->correlation.len >= sizeof(x->correlation))
		return error_set(err, "an exchange without correlationid");
	memcpy(x->correlation, row->correlation.at, row->correlation.len);
	x->sequence = row->sequence;
	x->event_id = row->id;
	x->source = strndup(row->source.at, row->source.len);
	x->partition_key = strndup(row->partition_key.len
					   ? row->partition_key.at : "",
				   row->partition_key.len);
	x->subject = strndup(row->subject.len ? row->subject.at : "",
			     row->subject.len);
	if (!x->source || !x->partition_key || !x->subject)
		return error_no_memory(err, "no memory for an exchange");
	read_extensions(x, row->extensions);
	x->tree = payload_parse(row->data, err);
	return x->tree ? 0 : -1;
}

static uint32_t
microseconds(const struct cJSON *tree, const char *pointer)
{
	int64_t us = payload_int(payload_at(tree, pointer), 0);

	return us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

/* An answer that matapalo made itself (a 502, say) is nobody's behaviour. */
static bool
was_answered(const struct shadow_exchange *x)
{
	return x->status > 0 &&
	       strcmp(text_at(x->tree, "/outcome"), "response") == 0 &&
	       !payload_member(x->tree, "answered_by");
}

static int
read_data(struct shadow_exchange *x, struct error *err)
{
	const struct cJSON *request = payload_member(x->tree, "request");
	const struct cJSON *response = payload_member(x->tree, "response");

	x->method = text_at(x->tree, "/request/method");
	x->target = text_at(x->tree, "/request/target");
	x->host = text_at(x->tree, "/request/host");
	x->client = text_at(x->tree, "/request/client");
	x->proto = text_at(x->tree, "/request/proto");
	x->rule = text_at(x->tree, "/route/rule");
	x->path = text_at(x->tree, "/route/path");
	x->candidate = text_at(x->tree, "/shadow");
	x->status = (int)payload_int(payload_member(response, "status"), 0);
	x->total_us = microseconds(x->tree, "/timings/total_us");
	x->answered = was_answered(x);
	if (!*x->method || !*x->target)
		return error_set(err, "an exchange without method or target");
	if (shadow_side_decode(request, &x->request, err) != 0 ||
	    shadow_side_decode(response, &x->response, err) != 0)
		return -1;
	read_trace_fields(x);
	return 0;
}

struct shadow_exchange *
shadow_exchange_decode(const struct journal_row *row, struct error *err)
{
	struct shadow_exchange *x = calloc(1, sizeof(*x));

	if (!x) {
		error_no_memory(err, "no memory for an exchange");
		return NULL;
	}
	if (read_row(x, row, err) == 0 && read_data(x, err) == 0)
		return x;
	error_context(err, "event %lld", (long long)row->sequence);
	shadow_exchange_free(&x);
	return NULL;
}

struct shadow_exchange *
shadow_exchange_hold(struct shadow_exchange *x)
{
	x->holds++;
	return x;
}

void
shadow_exchange_free(struct shadow_exchange **xp)
{
	struct shadow_exchange *x = *xp;

	*xp = NULL;
	if (!x)
		return;
	if (x->holds > 0) {
		x->holds--;
		return;
	}
	shadow_side_fini(&x->request);
	shadow_side_fini(&x->response);
	payload_free(&x->tree);
	free(x->source);
	free(x->subject);
	free(x->partition_key);
	free(x->traceparent);
	free(x->tracestate);
	free(x);
}

bool
shadow_exchange_is_complete(const struct shadow_exchange *x)
{
	return x->request.complete && x->response.complete;
}

bool
shadow_exchange_is_safe(const struct shadow_exchange *x)
{
	static const char *const safe[] = { "GET", "HEAD", "OPTIONS",
					    "TRACE" };

	for (size_t i = 0; i < ARRAY_SIZE(safe); i++)
		if (strcmp(x->method, safe[i]) == 0)
			return true;
	return false;
}
