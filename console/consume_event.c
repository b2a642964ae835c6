/* SPDX-License-Identifier: Apache-2.0 */
/* One event: environment and input for the handler, verdict and reply from
 * it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "console/consume.h"
#include "payload/payload.h"

#define REASON_SIZE 256
#define OUTPUT_LIMIT_BYTES ((size_t)4 * 1024 * 1024)
#define ENV_LIMIT_BYTES ((size_t)4 * 1024 * 1024)
#define ENV_VALUE_MAX 32768 /* the kernel refuses above 128 KiB */

/* ---- environment ---- */

struct environment {
	struct arena memory;
	char **list;
	size_t count, room;
};

static void
add_variable(struct environment *env, char *text)
{
	if (text && env->count + 1 < env->room)
		env->list[env->count++] = text;
}

/* What we say of the event is not to be mixed with what we inherited, for
 * example from a consume around this one. */
static void
inherit(struct environment *env)
{
	for (char **e = environ; *e; e++)
		if (strncmp(*e, "CE_", 3))
			add_variable(env, *e);
}

/* CloudEvents names are lower-case letters and digits: "correlationid"
 * becomes CE_CORRELATIONID. */
static void
add_attribute(struct environment *env, const char *name, const char *value)
{
	char *text;

	if (strlen(value) > ENV_VALUE_MAX ||
	    strspn(name, "abcdefghijklmnopq"
			 "rstuvwxyz01234"
			 "56789") != strlen(name))
		return;
	text = arena_printf(&env->memory, "CE_%s=%s", name, value);
	for (char *c = text; c && *c != '='; c++)
		*c = (char)toupper((unsigned char)*c);
	add_variable(env, text);
}

static size_t
count_attributes(const struct matapalo_event *e)
{
	const char *name;
	size_t n = 0;

	while (matapalo_event_attribute_at(e, n, &name))
		n++;
	return n;
}

static int
build_environment(struct environment *env, const struct matapalo_event *e)
{
	const char *name, *value;
	char attempt[16];

	arena_init(&env->memory, NULL, 0, ENV_LIMIT_BYTES);
	for (char **v = environ; *v; v++)
		env->room++;
	env->room += count_attributes(e) + 5;
	env->list = calloc(env->room, sizeof(*env->list));
	if (!env->list)
		return -1;
	inherit(env);
	for (size_t i = 0; (value = matapalo_event_attribute_at(e, i, &name));
	     i++)
		add_attribute(env, name, value);
	snprintf(attempt, sizeof(attempt), "%u", matapalo_event_attempt(e));
	add_attribute(env, "attempt", attempt);
	add_attribute(env, "redelivered",
		      matapalo_event_flags(e) & MATAPALO_REDELIVERED
			      ? "true" : "false");
	return 0;
}

static void
environment_fini(struct environment *env)
{
	free(env->list);
	arena_fini(&env->memory);
}

/* ---- reply ---- */

/* A handler's JSON object with a status is a reply as it stands. */
static bool
is_reply(const struct cJSON *printed)
{
	return printed && payload_is_object(printed) &&
	       payload_int(payload_member(printed, "status"), 0) > 0;
}

/* Whatever else --reply finds on standard output becomes the body. */
static void
wrap_output(const struct buf *out, const struct cJSON *printed,
	    struct buf *data)
{
	struct json j;

	json_init(&j, data);
	json_object_begin(&j);
	json_key(&j, "status");
	json_i64(&j, out->len ? 200 : 204);
	if (printed) {
		json_key(&j, "json");
		json_raw(&j, buf_span(out));
	} else if (out->len) {
		json_key(&j, "headers");
		json_object_begin(&j);
		json_key(&j, "content-type");
		json_str(&j, "text/plain; charset=utf-8");
		json_object_end(&j);
		json_key(&j, "body");
		json_span(&j, buf_span(out));
	}
	json_object_end(&j);
}

static enum matapalo_code
send_reply(struct consume *c, const struct matapalo_event *e,
	   struct handler_result *r, struct matapalo_error *err)
{
	struct cJSON *printed CLEANUP(payload_free) = NULL;
	struct buf text CLEANUP(buf_fini) = { 0 };

	if (!c->always_reply && !(matapalo_event_flags(e) & MATAPALO_COMMAND))
		return MATAPALO_OK;
	printed = payload_parse(buf_span(&r->out), NULL);
	if (is_reply(printed))
		return matapalo_reply(c->consumer, e, buf_str(&r->out), NULL,
				      err);
	if (!c->always_reply)
		return MATAPALO_OK;
	wrap_output(&r->out, printed, &text);
	return matapalo_reply(c->consumer, e, buf_str(&text), NULL, err);
}

/* ---- the event ---- */

static void
ack(struct consume *c, const struct matapalo_event *e)
{
	c->no_memory |= matapalo_ack(c->consumer, matapalo_event_sequence(e));
}

static void
nak(struct consume *c, const struct matapalo_event *e, const char *reason)
{
	c->no_memory |= matapalo_nak(c->consumer, matapalo_event_sequence(e),
				     MATAPALO_DELAY_GROUP, reason);
}

/* The bus will never take this reply, and the handler would only run again:
 * the caller is told, and whoever looks at the dead letters. */
static void
refuse_reply(struct consume *c, const struct matapalo_event *e,
	     const char *reason)
{
	static const char text[] =
		"{\"status\":502,\"headers\":{\"content-type\":"
		"\"application/problem+json\"},\"json\":{\"title\":"
		"\"Bad Gateway\",\"status\":502,\"detail\":\"The reply to the "
		"command cannot be sent as an HTTP answer.\"}}";
	struct matapalo_error err;

	if (matapalo_reply(c->consumer, e, text, NULL, &err))
		log_warn("consume.reply", "%s", err.text);
	if (matapalo_term(c->consumer, matapalo_event_sequence(e), reason,
			  &err))
		nak(c, e, reason);
}

static bool
may_be_tried_again(enum matapalo_code code)
{
	return code == MATAPALO_UNREACHABLE || code == MATAPALO_BUSY ||
	       code == MATAPALO_NO_MEMORY;
}

static void
settle(struct consume *c, const struct matapalo_event *e,
       struct handler_result *r)
{
	char reason[REASON_SIZE];
	struct matapalo_error err;
	enum matapalo_code code;

	if (r->end != HANDLER_EXITED || r->code) {
		nak(c, e, handler_reason(r, reason, sizeof(reason)));
		return;
	}
	/* A reply that did not get through must be tried again: without it
	 * the caller gets nothing, and the handler may be asked twice. */
	code = send_reply(c, e, r, &err);
	if (!code) {
		ack(c, e);
		return;
	}
	log_warn("consume.reply", "%s", err.text);
	if (may_be_tried_again(code))
		nak(c, e, err.text);
	else
		refuse_reply(c, e, err.text);
}

void
consume_event(struct consume *c, const struct matapalo_event *e)
{
	struct environment env CLEANUP(environment_fini) = { 0 };
	struct handler_result result CLEANUP(handler_result_fini) = { 0 };
	struct buf input CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };
	struct handler_job job = {
		.command = c->command,
		.timeout_ms = c->timeout_ms,
		.output_limit_bytes = OUTPUT_LIMIT_BYTES,
		.stop = &c->stop,
	};

	buf_adds(&input, matapalo_event_json(e));
	buf_addc(&input, '\n');
	job.input = buf_span(&input);
	if (input.failed || build_environment(&env, e)) {
		nak(c, e, "the consumer has no memory");
		return;
	}
	job.env = env.list;
	if (handler_run(&job, &result, &err))
		nak(c, e, err.text);
	else
		settle(c, e, &result);
}
