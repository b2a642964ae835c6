/* SPDX-License-Identifier: Apache-2.0 */
/* The bus protocol as the commands speak it: requests in, answers out. */
#include "console/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "console/file.h"
#include "console/value.h"
#include "payload/payload.h"

#define CONNECT_MS 3000u
#define TOKEN_BYTES_MAX 4096u
#define CALL_MS 5000u /* beyond what a long poll waits */

/* ---- the connection ---- */

int
wire_find_url(struct wire *w, const struct command_call *call,
	      struct error *err)
{
	w->token_file = call->values[OPTION_BUS_TOKEN_FILE];
	if (!w->token_file)
		w->token_file = getenv("MATAPALO_BUS_TOKEN_FILE");
	w->url = call->values[OPTION_BUS];
	if (w->url)
		return 0;
	if (runfile_read(&w->run, command_data(call), err))
		return -1;
	w->url = w->run.bus;
	return w->url ? 0 : error_set(err, "run.json names no bus");
}

/* The bus knows a consumer by its name; the random part keeps two of one
 * process number apart. */
static void
name_consumer(struct wire *w)
{
	struct id id = id_make();
	char text[ID_TEXT_SIZE], host[33] = "";

	gethostname(host, sizeof(host) - 1);
	for (char *c = host; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '"' || *c == '\\')
			*c = '-';
	snprintf(w->consumer, sizeof(w->consumer), "%s-%d-%s", host,
		 (int)getpid(), id_text(&id, text) + 24);
}

/* Read anew for each connection: tokens change. */
static int
use_token(struct wire *w, struct error *err)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	int rc;

	if (!w->token_file || !*w->token_file)
		return 0;
	if (file_read(w->token_file, TOKEN_BYTES_MAX, &text, err))
		return error_context(err, "the token for the bus");
	if (!*buf_str(&text))
		return error_set(err, "the token for the bus: %s is empty",
				 w->token_file);
	text.data[strcspn(buf_str(&text), " \t\r\n")] = '\0';
	rc = bus_client_set_token(w->client, buf_str(&text), err);
	explicit_bzero(text.data, text.len);
	return rc;
}

int
wire_connect(struct wire *w, struct error *err)
{
	w->refused = false;
	if (w->client)
		return 0;
	if (!*w->consumer)
		name_consumer(w);
	w->client = bus_client_open(w->url, CONNECT_MS, err);
	if (w->client && use_token(w, err))
		wire_disconnect(w);
	return w->client ? 0 : -1;
}

void
wire_disconnect(struct wire *w)
{
	bus_client_close(&w->client);
}

void
wire_close(struct wire *w)
{
	wire_disconnect(w);
	runfile_fini(&w->run);
	buf_fini(&w->acks);
	buf_fini(&w->naks);
	buf_fini(&w->request);
	buf_fini(&w->answer);
}

/* ---- requests ---- */

static void
begin(struct wire *w, struct json *j, const char *op)
{
	buf_clear(&w->request);
	json_init(j, &w->request);
	json_object_begin(j);
	json_key(j, "op");
	json_str(j, op);
}

static void
add_text(struct json *j, const char *key, const char *value)
{
	if (!value)
		return;
	json_key(j, key);
	json_str(j, value);
}

static void
add_who(struct wire *w, struct json *j)
{
	add_text(j, "group", w->group);
	add_text(j, "consumer", w->consumer);
}

/* Without an answer it was the connection, and some answers say "not now":
 * both are worth another try. */
static bool
is_final(const struct buf *answer)
{
	struct cJSON *tree CLEANUP(payload_free) = NULL;
	const char *code;

	if (!answer->len)
		return false;
	tree = payload_parse(buf_span(answer), NULL);
	code = payload_string(payload_at(tree, "/error/code"), "");
	return strcmp(code, "unavailable") && strcmp(code, "no_memory");
}

static int
send(struct wire *w, unsigned wait_ms, struct error *err)
{
	buf_clear(&w->answer);
	w->refused = false;
	if (w->request.failed)
		return error_set(err, "no memory for a request to the bus");
	if (!bus_client_call(w->client, buf_span(&w->request),
			     CALL_MS + wait_ms, &w->answer, err))
		return 0;
	w->refused = is_final(&w->answer);
	return -1;
}

static int
call(struct wire *w, struct json *j, unsigned wait_ms, struct error *err)
{
	json_object_end(j);
	return send(w, wait_ms, err);
}

static int
parse(struct wire *w, struct cJSON **tree, struct error *err)
{
	*tree = payload_parse(buf_span(&w->answer), err);
	return *tree ? 0 : error_context(err, "the answer of the bus");
}

/* ---- fetch ---- */

static void
add_list(struct json *j, const char *key, const struct buf *items)
{
	if (!items->len)
		return;
	json_key(j, key);
	json_array_begin(j);
	json_raw(j, buf_span(items));
	json_array_end(j);
}

static void
add_start(struct json *j, int64_t start)
{
	json_key(j, "start");
	if (start == VALUE_OLDEST)
		json_str(j, "oldest");
	else if (start == VALUE_NOW)
		json_str(j, "newest");
	else
		json_i64(j, start);
}

static void
add_settings(struct wire *w, struct json *j)
{
	add_start(j, w->start);
	if (w->max_attempts) {
		json_key(j, "max_attempts");
		json_u64(j, w->max_attempts);
	}
	if (!w->type && !w->subject)
		return;
	json_key(j, "filter");
	json_object_begin(j);
	add_text(j, "type", w->type);
	add_text(j, "subject", w->subject);
	json_object_end(j);
}

/* The group is older than this call's options. */
static void
tell_differences(struct wire *w, const struct cJSON *answer)
{
	const struct cJSON *differs = payload_member(answer, "differs");
	struct buf list CLEANUP(buf_fini) = { 0 };

	if (!differs || w->told)
		return;
	w->told = true;
	payload_write(differs, &list);
	log_warn("consume.settings", "group %s was made with other settings, "
		 "which it keeps: %s; `matapalo groups set' changes them",
		 w->group, buf_str(&list));
}

int
wire_fetch(struct wire *w, unsigned max, unsigned wait_ms,
	   struct cJSON **answer, struct error *err)
{
	char request[32];
	struct json j;

	begin(w, &j, "fetch");
	add_who(w, &j);
	snprintf(request, sizeof(request), "%" PRIu64, w->serial);
	add_text(&j, "request", request);
	json_key(&j, "max");
	json_u64(&j, max);
	json_key(&j, "wait_ms");
	json_u64(&j, wait_ms);
	add_settings(w, &j);
	add_list(&j, "acks", &w->acks);
	add_list(&j, "naks", &w->naks);
	if (call(w, &j, wait_ms, err) || parse(w, answer, err))
		return -1;
	w->serial++;
	tell_differences(w, *answer);
	buf_clear(&w->acks);
	buf_clear(&w->naks);
	return 0;
}

static void
look_at(struct wire_event *e)
{
	e->event = payload_member(e->item, "event");
	e->sequence = payload_int(payload_member(e->item, "sequence"), 0);
	e->attempt = (int)payload_int(payload_member(e->item, "attempt"), 1);
	e->redelivered = payload_bool(payload_member(e->item, "redelivered"),
				      false);
}

void
wire_first(const struct cJSON *answer, struct wire_event *e)
{
	e->item = payload_at(answer, "/events/0");
	if (e->item)
		look_at(e);
}

void
wire_next(struct wire_event *e)
{
	e->item = payload_next(e->item);
	if (e->item)
		look_at(e);
}

/* ---- verdicts ---- */

void
wire_ack(struct wire *w, int64_t sequence)
{
	buf_printf(&w->acks, "%s%" PRId64, w->acks.len ? "," : "", sequence);
}

void
wire_nak(struct wire *w, int64_t sequence, const char *reason)
{
	struct json j;

	if (w->naks.len)
		buf_addc(&w->naks, ',');
	json_init(&j, &w->naks);
	json_object_begin(&j);
	json_key(&j, "sequence");
	json_i64(&j, sequence);
	add_text(&j, "reason", reason);
	json_object_end(&j);
}

bool
wire_has_verdicts(const struct wire *w)
{
	return w->acks.len || w->naks.len;
}

/* A fetch of nothing carries them. */
int
wire_flush(struct wire *w, struct error *err)
{
	struct cJSON *answer CLEANUP(payload_free) = NULL;

	return wire_fetch(w, 0, 0, &answer, err);
}

int
wire_touch(struct wire *w, const struct wire_event *e, struct error *err)
{
	struct wire_event at = *e;
	struct json j;

	begin(w, &j, "touch");
	add_who(w, &j);
	json_key(&j, "sequences");
	json_array_begin(&j);
	for (; at.item; wire_next(&at))
		json_i64(&j, at.sequence);
	json_array_end(&j);
	return call(w, &j, 0, err);
}

int
wire_term(struct wire *w, int64_t sequence, const char *reason,
	  struct error *err)
{
	struct json j;

	begin(w, &j, "term");
	add_who(w, &j);
	json_key(&j, "sequence");
	json_i64(&j, sequence);
	add_text(&j, "reason", reason);
	return call(w, &j, 0, err);
}

/* ---- commands ---- */

int
wire_reply(struct wire *w, const struct wire_event *e,
	   const struct cJSON *reply, struct error *err)
{
	static const char *const members[] = { "status", "headers", "body",
					       "body_base64", "json" };
	struct json j;

	begin(w, &j, "reply");
	add_text(&j, "correlationid",
		 payload_string(payload_member(e->event, "correlationid"),
				NULL));
	add_text(&j, "causationid",
		 payload_string(payload_member(e->event, "id"), NULL));
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const struct cJSON *m = payload_member(reply, members[i]);
		struct buf value CLEANUP(buf_fini) = { 0 };

		if (!m)
			continue;
		payload_write(m, &value);
		if (value.failed)
			return error_set(err, "no memory for a reply");
		json_key(&j, members[i]);
		json_raw(&j, buf_span(&value));
	}
	return call(w, &j, 0, err);
}

/* ---- anything ---- */

int
wire_ask(struct wire *w, struct span request, unsigned wait_ms,
	 struct cJSON **answer, struct error *err)
{
	buf_clear(&w->request);
	buf_add(&w->request, request.at, request.len);
	if (send(w, wait_ms, err))
		return -1;
	return parse(w, answer, err);
}
