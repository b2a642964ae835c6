/* SPDX-License-Identifier: Apache-2.0 */
/* The command `groups`: what consumer groups are at, and an operator's hand
 * on them, over the bus of the running process. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "console/command.h"
#include "console/status.h"
#include "console/value.h"
#include "console/wire.h"
#include "payload/payload.h"

#define WAIT_MS 5000u	/* until it is on disk */
#define RATE_MAX 1000000u
#define IN_FLIGHT_MAX 100000u
#define ATTEMPTS_MAX 1000000u
#define BACKOFF_MAX 16u

enum takes { TAKES_NOTHING, TAKES_SETTINGS, TAKES_PLACE, TAKES_FORCE };

static const struct verb {
	const char *name, *op;
	size_t args;		/* the verb is one */
	enum takes takes;
	const char *done;	/* "group NAME ..."; NULL: prints */
} verbs[] = {
	{ "list", "groups", 1, TAKES_NOTHING, NULL },
	{ "show", "groups", 2, TAKES_NOTHING, NULL },
	{ "create", "group_create", 2, TAKES_SETTINGS, "is made" },
	{ "set", "group_set", 2, TAKES_SETTINGS, "is changed" },
	{ "reset", "group_reset", 2, TAKES_NOTHING,
	  "begins again with the oldest event" },
	{ "seek", "group_seek", 3, TAKES_PLACE, "goes on there" },
	{ "pause", "group_pause", 2, TAKES_NOTHING, "pauses" },
	{ "resume", "group_resume", 2, TAKES_NOTHING, "goes on" },
	{ "delete", "group_delete", 2, TAKES_FORCE, "is deleted" },
};

/* ---- the request ---- */

/* What is no number is the bus's to judge. */
static void
add_place(struct json *j, const char *name, const char *place)
{
	int64_t sequence;

	json_key(j, name);
	if (value_sequence(place, &sequence, NULL) == 0)
		json_i64(j, sequence);
	else
		json_str(j, strcmp(place, "now") ? place : "newest");
}

static int
add_number(struct json *j, const struct command_call *call,
	   enum command_option o, const char *name, unsigned most,
	   struct error *err)
{
	unsigned n;

	if (!call->values[o])
		return 0;
	if (command_number(call, o, most, 0, &n, err))
		return -1;
	json_key(j, name);
	json_u64(j, n);
	return 0;
}

static int
add_lease(struct json *j, const struct command_call *call, struct error *err)
{
	unsigned ms;

	if (!call->values[OPTION_LEASE])
		return 0;
	if (command_duration(call, OPTION_LEASE, 0, &ms, err))
		return -1;
	json_key(j, "lease_ms");
	json_u64(j, ms);
	return 0;
}

/* "1s,5s,1m"; an empty text is an empty list. */
static int
add_backoff(struct json *j, const struct command_call *call,
	    struct error *err)
{
	const char *text = call->values[OPTION_BACKOFF];
	struct span list = span_of(text), item;
	char word[32];
	unsigned ms;

	if (!text)
		return 0;
	json_key(j, "backoff_ms");
	json_array_begin(j);
	while (span_next_token(&list, &item)) {
		if (item.len >= sizeof(word))
			return error_set(err, "--backoff: `%s' is no list of "
					 "times such as 1s,5s,1m", text);
		memcpy(word, item.at, item.len);
		word[item.len] = '\0';
		if (value_duration(word, &ms, err))
			return error_context(err, "--backoff");
		json_u64(j, ms);
	}
	json_array_end(j);
	return 0;
}

static void
add_filter(struct json *j, const struct command_call *call)
{
	const char *type = call->values[OPTION_TYPE];
	const char *subject = call->values[OPTION_SUBJECT];

	if (!type && !subject)
		return;
	json_key(j, "filter");
	json_object_begin(j);
	if (type) {
		json_key(j, "type");
		json_str(j, type);
	}
	if (subject) {
		json_key(j, "subject");
		json_str(j, subject);
	}
	json_object_end(j);
}

static int
add_settings(struct json *j, const struct command_call *call,
	     struct error *err)
{
	add_filter(j, call);
	if (call->values[OPTION_FROM])
		add_place(j, "start", call->values[OPTION_FROM]);
	if (add_number(j, call, OPTION_RATE, "rate", RATE_MAX, err) ||
	    add_number(j, call, OPTION_MAX_IN_FLIGHT, "max_in_flight",
		       IN_FLIGHT_MAX, err) ||
	    add_number(j, call, OPTION_MAX_ATTEMPTS, "max_attempts",
		       ATTEMPTS_MAX, err) ||
	    add_lease(j, call, err))
		return -1;
	return add_backoff(j, call, err);
}

static int
write_request(const struct verb *v, const struct command_call *call,
	      struct buf *out, struct error *err)
{
	struct json j;
	int rc = 0;

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "op");
	json_str(&j, v->op);
	if (v->args > 1) {
		json_key(&j, "group");
		json_str(&j, call->args[1]);
	}
	switch (v->takes) {
	case TAKES_NOTHING:
		break;
	case TAKES_SETTINGS:
		rc = add_settings(&j, call, err);
		break;
	case TAKES_PLACE:
		add_place(&j, "to", call->args[2]);
		break;
	case TAKES_FORCE:
		json_key(&j, "force");
		json_bool(&j, call->values[OPTION_FORCE] != NULL);
		break;
	}
	json_object_end(&j);
	return rc;
}

/* ---- what is printed ---- */

static void
write_each(const struct cJSON *groups, const char *name, struct buf *out)
{
	const struct cJSON *g = groups ? payload_first(groups) : NULL;

	for (; g; g = payload_next(g)) {
		if (name && strcmp(payload_string(payload_member(g, "name"),
						  ""), name))
			continue;
		payload_write(g, out);
		buf_addc(out, '\n');
	}
}

static int
print(const struct verb *v, const struct command_call *call,
      const struct cJSON *answer, struct error *err)
{
	const struct cJSON *groups = payload_member(answer, "groups");
	struct buf out CLEANUP(buf_fini) = { 0 };

	if (v->done)
		buf_printf(&out, "group %s %s\n", call->args[1], v->done);
	else if (v->args > 1)
		write_each(groups, call->args[1], &out);
	else if (call->values[OPTION_JSON])
		write_each(groups, NULL, &out);
	else
		status_write_groups(groups, &out);
	if (!v->done && v->args > 1 && out.len == 0)
		return error_set(err, "there is no group \"%s\"",
				 call->args[1]);
	return command_print(&out);
}

/* ---- the command ---- */

static const struct verb *
find_verb(const struct command_call *call, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		const struct verb *v = &verbs[i];

		if (strcmp(v->name, call->args[0]))
			continue;
		if (call->arg_count == v->args)
			return v;
		error_set(err, "usage: matapalo groups %s%s%s", v->name,
			  v->args > 1 ? " NAME" : "",
			  v->args > 2 ? " SEQUENCE|TIME|oldest|now" : "");
		return NULL;
	}
	error_set(err, "`%s' is unknown: list, show, create, set, reset, "
		  "seek, pause, resume or delete", call->args[0]);
	return NULL;
}

static int
run(const struct verb *v, const struct command_call *call,
    const struct buf *request, struct error *err)
{
	struct cJSON *answer CLEANUP(payload_free) = NULL;
	struct wire w CLEANUP(wire_close) = { 0 };

	if (wire_find_url(&w, call, err) || wire_connect(&w, err) ||
	    wire_ask(&w, buf_span(request), WAIT_MS, &answer, err))
		return -1;
	return print(v, call, answer, err);
}

int
command_groups(const struct command_call *call)
{
	struct buf request CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };
	const struct verb *v = find_verb(call, &err);
	int result;

	if (!v || write_request(v, call, &request, &err)) {
		error_context(&err, "groups");
		return command_fail(COMMAND_USAGE, NULL, &err);
	}
	result = run(v, call, &request, &err);
	if (result >= 0)
		return result;
	error_context(&err, "groups");
	return command_fail(COMMAND_FAILED, NULL, &err);
}
