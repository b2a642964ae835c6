/* SPDX-License-Identifier: Apache-2.0 */
/* One event: environment and input for its handler, verdict and reply. */
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

bool
consume_event_may_reply(const struct consume *c,
			const struct matapalo_event *e)
{
	return c->always_reply || matapalo_event_flags(e) & MATAPALO_COMMAND;
}

/* ---- verdicts ---- */

void
consume_event_ack(struct consume *c, const struct matapalo_event *e)
{
	c->no_memory |= matapalo_ack(c->consumer, matapalo_event_sequence(e));
}

void
consume_event_nak(struct consume *c, const struct matapalo_event *e,
		  int64_t delay_ms, const char *reason)
{
	c->no_memory |= matapalo_nak(c->consumer, matapalo_event_sequence(e),
				     delay_ms, reason);
}

void
consume_event_term(struct consume *c, const struct matapalo_event *e,
		   const char *reason)
{
	struct matapalo_error err;

	if (!matapalo_term(c->consumer, matapalo_event_sequence(e), reason,
			   &err))
		return;
	log_warn("consume.term", "%s; the event comes again", err.text);
	consume_event_nak(c, e, MATAPALO_DELAY_GROUP, reason);
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
	consume_event_term(c, e, reason);
}

static bool
may_be_tried_again(enum matapalo_code code)
{
	return code == MATAPALO_UNREACHABLE || code == MATAPALO_BUSY ||
	       code == MATAPALO_NO_MEMORY;
}

/* A reply that did not get through must be tried again: without it the caller
 * gets nothing, and the handler may be asked twice. */
void
consume_event_reply(struct consume *c, const struct matapalo_event *e,
		    const char *reply)
{
	struct matapalo_error err;
	enum matapalo_code code = matapalo_reply(c->consumer, e, reply, NULL,
						 &err);

	if (!code) {
		consume_event_ack(c, e);
		return;
	}
	log_warn("consume.reply", "%s", err.text);
	if (may_be_tried_again(code))
		consume_event_nak(c, e, MATAPALO_DELAY_GROUP, err.text);
	else
		refuse_reply(c, e, err.text);
}

/* ---- the event ---- */

void
consume_event_settle(struct consume *c, const struct matapalo_event *e,
		     struct handler *h)
{
	struct cJSON *printed CLEANUP(payload_free) = NULL;
	struct buf text CLEANUP(buf_fini) = { 0 };
	char reason[CONSUME_REASON_SIZE];

	if (h->end != HANDLER_EXITED || h->code) {
		consume_event_nak(c, e, MATAPALO_DELAY_GROUP,
				  handler_reason(h, reason, sizeof(reason)));
		return;
	}
	if (consume_event_may_reply(c, e))
		printed = payload_parse(buf_span(&h->out), NULL);
	if (is_reply(printed)) {
		consume_event_reply(c, e, buf_str(&h->out));
	} else if (c->always_reply) {
		wrap_output(&h->out, printed, &text);
		consume_event_reply(c, e, buf_str(&text));
	} else {
		consume_event_ack(c, e);
	}
}

int
consume_event_begin(struct consume *c, struct handler *h,
		    const struct matapalo_event *e, struct error *err)
{
	struct environment env CLEANUP(environment_fini) = { 0 };
	struct buf input CLEANUP(buf_fini) = { 0 };

	buf_adds(&input, matapalo_event_json(e));
	buf_addc(&input, '\n');
	if (input.failed || build_environment(&env, e))
		return error_set(err, "the consumer has no memory");
	if (handler_start(h, c->command, env.list, err))
		return -1;
	if (handler_give(h, buf_span(&input))) {
		handler_kill(h);
		return error_set(err, "the consumer has no memory");
	}
	return 0;
}
