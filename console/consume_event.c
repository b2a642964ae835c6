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

#define TOUCH_MS 5000u /* far below any sensible lease */
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

static int
build_environment(struct environment *env, const struct wire_event *e)
{
	const struct cJSON *m;
	char attempt[16];

	arena_init(&env->memory, NULL, 0, ENV_LIMIT_BYTES);
	for (char **v = environ; *v; v++)
		env->room++;
	for (m = payload_first(e->event); m; m = payload_next(m))
		env->room++;
	env->room += 5;
	env->list = calloc(env->room, sizeof(*env->list));
	if (!env->list)
		return -1;
	inherit(env);
	for (m = payload_first(e->event); m; m = payload_next(m)) {
		const char *value = payload_string(m, NULL);

		if (value && strcmp(payload_name(m), "data"))
			add_attribute(env, payload_name(m), value);
	}
	snprintf(attempt, sizeof(attempt), "%d", e->attempt);
	add_attribute(env, "attempt", attempt);
	add_attribute(env, "redelivered", e->redelivered ? "true" : "false");
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

/* A request that became a command carries it; events of our own,
 * `matapalo.*', are records of what has happened. */
static bool
is_command(const struct wire_event *e)
{
	const struct cJSON *type = payload_member(e->event, "type");

	return strncmp(payload_string(type, ""), "matapalo.", 9) &&
	       payload_at(e->event, "/data/request") &&
	       payload_member(e->event, "correlationid");
}

static int
send_wrapped(struct consume *c, const struct wire_event *e,
	     const struct buf *out, const struct cJSON *printed,
	     struct error *err)
{
	struct cJSON *reply CLEANUP(payload_free) = NULL;
	struct buf text CLEANUP(buf_fini) = { 0 };

	wrap_output(out, printed, &text);
	reply = payload_parse(buf_span(&text), err);
	return reply ? wire_reply(&c->wire, e, reply, err) : -1;
}

static int
send_reply(struct consume *c, const struct wire_event *e,
	   const struct handler_result *r, struct error *err)
{
	struct cJSON *printed CLEANUP(payload_free) = NULL;

	if (!c->always_reply && !is_command(e))
		return 0;
	printed = payload_parse(buf_span(&r->out), NULL);
	if (is_reply(printed))
		return wire_reply(&c->wire, e, printed, err);
	if (!c->always_reply)
		return 0;
	return send_wrapped(c, e, &r->out, printed, err);
}

/* ---- the event ---- */

struct touching {
	struct consume *c;
	const struct wire_event *e;
};

static void
touch(void *arg)
{
	struct touching *t = arg;
	struct error err = { 0 };

	/* Not fatal: if the lease runs out, the event comes again. */
	if (wire_touch(&t->c->wire, t->e, &err))
		log_warn("consume.touch", "%s", err.text);
}

/* The bus will never take this reply, and the handler would only run again:
 * the caller is told, and whoever looks at the dead letters. */
static void
refuse_reply(struct consume *c, const struct wire_event *e,
	     const char *reason)
{
	static const char text[] =
		"{\"status\":502,\"headers\":{\"content-type\":"
		"\"application/problem+json\"},\"json\":{\"title\":"
		"\"Bad Gateway\",\"status\":502,\"detail\":\"The reply to the "
		"command cannot be sent as an HTTP answer.\"}}";
	struct cJSON *reply CLEANUP(payload_free) = NULL;
	struct error err = { 0 };

	reply = payload_parse(SPAN_LITERAL(text), &err);
	if (reply && wire_reply(&c->wire, e, reply, &err))
		log_warn("consume.reply", "%s", err.text);
	if (wire_term(&c->wire, e->sequence, reason, &err))
		wire_nak(&c->wire, e->sequence, reason);
}

static void
settle(struct consume *c, const struct wire_event *e,
       const struct handler_result *r)
{
	char reason[WIRE_REASON_SIZE];
	struct error err = { 0 };

	if (r->end != HANDLER_EXITED || r->code) {
		wire_nak(&c->wire, e->sequence,
			 handler_reason(r, reason, sizeof(reason)));
		return;
	}
	/* A reply that did not get through must be tried again: without it
	 * the caller gets nothing, and the handler may be asked twice. */
	if (send_reply(c, e, r, &err)) {
		log_warn("consume.reply", "%s", err.text);
		if (c->wire.refused)
			refuse_reply(c, e, err.text);
		else
			wire_nak(&c->wire, e->sequence, err.text);
		return;
	}
	wire_ack(&c->wire, e->sequence);
}

void
consume_event(struct consume *c, const struct wire_event *e)
{
	struct environment env CLEANUP(environment_fini) = { 0 };
	struct handler_result result CLEANUP(handler_result_fini) = { 0 };
	struct buf input CLEANUP(buf_fini) = { 0 };
	struct touching touching = { c, e };
	struct error err = { 0 };
	struct handler_job job = {
		.command = c->command,
		.timeout_ms = c->timeout_ms,
		.output_limit_bytes = OUTPUT_LIMIT_BYTES,
		.stop = &c->stop,
		.tick = touch,
		.tick_arg = &touching,
		.tick_ms = TOUCH_MS,
	};

	payload_write(e->event, &input);
	buf_addc(&input, '\n');
	job.input = buf_span(&input);
	if (input.failed || build_environment(&env, e)) {
		wire_nak(&c->wire, e->sequence, "the consumer has no memory");
		return;
	}
	job.env = env.list;
	if (handler_run(&job, &result, &err))
		wire_nak(&c->wire, e->sequence, err.text);
	else
		settle(c, e, &result);
}
