/* SPDX-License-Identifier: Apache-2.0 */
/* What is written beside a command so that its answer can be asked for. */
#include "proxy/later.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/idempotency.h"
#include "base/json.h"
#include "proxy/exchange.h"
#include "proxy/worker.h"

#define RETRY_MAX_S 30u

/* ---- who asks ---- */

static struct span
caller_value(const struct exchange *ex, enum rules_caller kind,
	     struct span name)
{
	const struct message_field *f;
	struct span value = { "", 0 };

	switch (kind) {
	case RULES_CALLER_ANY:
		break;
	case RULES_CALLER_HEADER:
		f = message_find_span(ex->view.fields, name);
		if (f)
			value = f->value;
		break;
	case RULES_CALLER_COOKIE:
		(void)message_cookie(ex->view.fields, name, &value);
		break;
	}
	return value;
}

static void
write_caller(const struct exchange *ex, enum rules_caller kind,
	     struct span name, char out[JOURNAL_OPERATION_CALLER_SIZE])
{
	char hex[DIGEST_HEX_SIZE];

	digest_keyed_hex(ex->worker->proxy->source.key,
			 caller_value(ex, kind, name), hex,
			 DIGEST_HEX_SIZE - 1);
	snprintf(out, JOURNAL_OPERATION_CALLER_SIZE, "%s:%.*s=%s",
		 kind == RULES_CALLER_COOKIE ? "cookie" : "header",
		 (int)name.len, name.at, hex);
}

void
later_caller(const struct exchange *ex,
	     char out[JOURNAL_OPERATION_CALLER_SIZE])
{
	const struct rules_later *rule = &ex->decision.rule->later;

	out[0] = '\0';
	if (rule->caller != RULES_CALLER_ANY)
		write_caller(ex, rule->caller, span_of(rule->caller_name),
			     out);
}

/* As it was written, whatever the rules say by now. */
bool
later_is_caller(const struct exchange *ex, const char *written)
{
	char own[JOURNAL_OPERATION_CALLER_SIZE];
	const char *colon = strchr(written, ':'), *end;
	enum rules_caller kind = RULES_CALLER_HEADER;

	if (!*written)
		return true;
	end = strrchr(written, '=');
	if (!colon || !end || end < colon)
		return false;
	if (*written == 'c')
		kind = RULES_CALLER_COOKIE;
	write_caller(ex, kind,
		     (struct span){ colon + 1, (size_t)(end - colon - 1) },
		     own);
	return digest_same(span_of(own), span_of(written));
}

/* ---- what was asked ---- */

/* With its length, so that no two lists of parts look alike. */
static void
add_part(struct digest_stream *s, struct span part)
{
	uint64_t n = part.len;

	digest_stream_add(s, &n, sizeof(n));
	digest_stream_add(s, part.at, part.len);
}

static void
add_fields(struct digest_stream *s, struct message_fields fields,
	   const char *name)
{
	add_part(s, span_of(name));
	for (size_t i = 0; i < fields.count; i++)
		if (span_is_nocase(fields.at[i].name, name))
			add_part(s, fields.at[i].value);
}

/* Keyed at the end: what was sent cannot be guessed from the journal. */
static int
make_fingerprint(const struct exchange *ex, char out[DIGEST_HEX_SIZE])
{
	const struct rules_later *rule = &ex->decision.rule->later;
	struct digest_stream *s = digest_stream_new();
	char plain[DIGEST_HEX_SIZE];

	if (!s)
		return -1;
	add_part(s, ex->view.method);
	add_part(s, ex->view.target);
	for (size_t i = 0; i < rule->header_count; i++)
		add_fields(s, ex->view.fields, rule->headers[i]);
	add_part(s, capture_bytes(&ex->upload_capture));
	digest_stream_end(s, plain);
	digest_stream_free(&s);
	digest_keyed_hex(ex->worker->proxy->source.key, span_of(plain), out,
			 DIGEST_HEX_SIZE - 1);
	return 0;
}

/* A key means something only together with the rule and the caller. */
static int
make_key(const struct exchange *ex, const struct idempotency_key *key,
	 struct bus_operation *o)
{
	CLEANUP(buf_fini) struct buf all = { 0 };

	buf_adds(&all, ex->decision.rule->name);
	buf_addc(&all, '\n');
	buf_adds(&all, o->caller);
	buf_addc(&all, '\n');
	buf_add(&all, key->text, key->len);
	if (all.failed)
		return -1;
	digest_keyed_hex(ex->worker->proxy->source.key, buf_span(&all),
			 o->key, DIGEST_HEX_SIZE - 1);
	return make_fingerprint(ex, o->fingerprint);
}

static enum problem
read_key(struct exchange *ex, struct later *l, bool *given)
{
	const struct rules_later *rule = &ex->decision.rule->later;
	struct idempotency_key key;

	*given = false;
	if (!rule->idempotent)
		return PROBLEM_NONE;
	switch (idempotency_read(ex->view.fields, &key)) {
	case IDEMPOTENCY_ABSENT:
		return rule->key_required ? PROBLEM_KEY_MISSING :
					    PROBLEM_NONE;
	case IDEMPOTENCY_MALFORMED:
		return PROBLEM_KEY_MALFORMED;
	case IDEMPOTENCY_GIVEN:
		break;
	}
	*given = true;
	return make_key(ex, &key, &l->operation) ? PROBLEM_OVERLOAD :
						   PROBLEM_NONE;
}

/* ---- when the caller is answered ---- */

static void
read_preferences(struct exchange *ex, struct later *l)
{
	const struct rules_later *rule = &ex->decision.rule->later;

	prefer_read(ex->view.fields, &l->prefer);
	switch (rule->respond) {
	case RULES_RESPOND_SYNC:
		return;
	case RULES_RESPOND_ASYNC:
		l->async = true;
		break;
	case RULES_RESPOND_PREFER:
		ex->own_lines = "Vary: Prefer\r\n";
		l->async = l->prefer.respond_async;
		break;
	}
	if (!l->async || !l->prefer.has_wait)
		return;
	l->wait_ms = l->prefer.wait_s * 1000u;
	if (l->wait_ms > ex->target->reply_within_ms) {
		l->wait_ms = ex->target->reply_within_ms;
		l->prefer.has_wait = false;	/* not as it was asked */
	}
}

static bool
is_plain(const struct rules_later *rule)
{
	return rule->respond == RULES_RESPOND_SYNC && !rule->idempotent;
}

enum problem
later_prepare(struct exchange *ex)
{
	const struct rules_later *rule = &ex->decision.rule->later;
	struct later *l;
	enum problem p;
	bool keyed;

	if (is_plain(rule))
		return PROBLEM_NONE;
	l = arena_alloc(&ex->arena, sizeof(*l));
	if (!l)
		return PROBLEM_OVERLOAD;
	memset(l, 0, sizeof(*l));
	arena_init(&l->arena, l->room, sizeof(l->room),
		   sizeof(l->room) - 16);	/* as aligned */
	read_preferences(ex, l);
	later_caller(ex, l->operation.caller);
	p = read_key(ex, l, &keyed);
	if (p != PROBLEM_NONE || (!l->async && !keyed))
		return p;
	id_random(&l->operation.id, sizeof(l->operation.id));
	l->operation.keep_us = (int64_t)rule->keep_ms * 1000;
	l->operation.when_done = (int)rule->when_done;
	l->operation.tells = rule->hook != NULL;
	ex->later = l;
	return PROBLEM_NONE;
}

/* ---- 202 ---- */

unsigned
later_retry_s(int64_t created_us)
{
	int64_t age_s = (clock_wall_us() - created_us) / 1000000;

	if (age_s < 0)
		age_s = 0;
	return age_s / 10 + 1 > RETRY_MAX_S ? RETRY_MAX_S :
					      (unsigned)(age_s / 10 + 1);
}

static const char *
applied_line(const struct later *l, char line[64])
{
	if (!l->prefer.respond_async)
		return "";
	if (l->prefer.has_wait)
		snprintf(line, 64, "Preference-Applied: respond-async, "
			 "wait=%u\r\n", l->prefer.wait_s);
	else
		snprintf(line, 64, "Preference-Applied: respond-async\r\n");
	return line;
}

static void
write_document(struct exchange *ex, const char *place, struct buf *out)
{
	char id[ID_TEXT_SIZE];
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "state");
	json_str(&j, "accepted");
	json_key(&j, "status");
	json_str(&j, place);
	if (ex->later->operation.found == BUS_FOUND_NONE) {
		json_key(&j, "correlationid");
		json_str(&j, id_text(exchange_id(ex), id));
	}
	json_object_end(&j);
}

void
later_accept(struct exchange *ex)
{
	struct later *l = ex->later;
	const char *prefix = ex->lease->rules->status_path;
	char id[ID_TEXT_SIZE], place[ID_TEXT_SIZE + 160], applied[64];
	CLEANUP(buf_fini) struct buf body = { 0 };

	snprintf(place, sizeof(place), "%s%s", prefix,
		 id_text(&l->operation.id, id));
	ex->own_arena = &l->arena;
	ex->own_lines = arena_printf(
		&l->arena, "%sLocation: %s\r\nRetry-After: 1\r\n"
		"Cache-Control: no-store\r\n%s%s",
		ex->own_lines ? ex->own_lines : "", place,
		applied_line(l, applied),
		l->operation.found == BUS_FOUND_NONE ?
			"" : "Idempotency-Replayed: true\r\n");
	if (l->operation.found == BUS_FOUND_NONE)
		counter_inc(COUNTER_OPERATIONS_ACCEPTED);
	write_document(ex, place, &body);
	answer_document(ex, 202, "Accepted", buf_span(&body));
}
