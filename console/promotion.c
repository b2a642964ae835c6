/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that move a rule: orders to the admin listener. */
#include "console/promotion.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "console/ask.h"
#include "payload/payload.h"

#define NAME_MAX_BYTES 200

struct request {
	const char *path;
	const char *rule; /* NULL: all */
	const char *to, *token_file;
	bool force, release;
};

/* Who he says he is: the system's name for him. */
static void
write_operator(struct json *j)
{
	const struct passwd *user = getpwuid(getuid());
	char host[NAME_MAX_BYTES] = "", name[2 * NAME_MAX_BYTES];

	if (!user || gethostname(host, sizeof(host) - 1))
		return;
	snprintf(name, sizeof(name), "%.*s@%s", NAME_MAX_BYTES, user->pw_name,
		 host);
	json_key(j, "operator");
	json_str(j, name);
}

static void
write_text(struct json *j, const char *key, const char *text)
{
	if (!text)
		return;
	json_key_span(j, span_of(key));
	json_str(j, text);
}

static void
write_request(const struct command_call *call, const struct request *r,
	      struct buf *out)
{
	const char *reason = call->values[OPTION_PLACE_REASON];
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	write_text(&j, "rule", r->rule);
	json_given_bool(&j, "all", !r->rule);
	write_text(&j, "to", r->to);
	json_given_bool(&j, "force", r->force);
	json_given_bool(&j, "release", r->release);
	write_text(&j, "reason",
		   reason ? reason : call->values[OPTION_HOLD_REASON]);
	write_operator(&j);
	json_object_end(&j);
}

/* ---- the answer ---- */

static void
print_place(const struct cJSON *tree, const char *name, struct buf *out)
{
	const struct cJSON *place = payload_member(tree, name);
	const char *stage = payload_string(payload_member(place, "stage"), "");

	buf_adds(out, stage);
	if (!strcmp(stage, "canary"))
		buf_printf(out, " %g%%",
			   100 * payload_number(payload_member(place, "share"),
						0));
}

static void
print_rule(const struct cJSON *tree, const char *rule, struct buf *out)
{
	buf_printf(out, "%s: ", rule);
	print_place(tree, "old", out);
	buf_adds(out, " -> ");
	print_place(tree, "new", out);
	if (payload_bool(payload_member(tree, "killed"), false))
		buf_adds(out, ", by the kill-switch until it is released");
	else if (payload_bool(payload_member(tree, "held"), false))
		buf_adds(out, ", held until `resume'");
	buf_addc(out, '\n');
}

static int
print(const struct ask_reply *reply, struct error *err)
{
	struct cJSON *tree CLEANUP(payload_free) = NULL;
	struct buf out CLEANUP(buf_fini) = { 0 };
	const char *rule;

	tree = payload_parse(buf_span(&reply->body), NULL);
	if (reply->status != 200)
		return error_set(err, "%s",
				 payload_string(payload_member(tree, "detail"),
						"the admin listener refused"));
	rule = payload_string(payload_member(tree, "rule"), NULL);
	if (rule)
		print_rule(tree, rule, &out);
	else if (payload_bool(payload_member(tree, "killed"), false))
		buf_adds(&out, "everything is on the legacy until `matapalo "
			       "kill-switch --all --release'\n");
	else
		buf_adds(&out, "the kill-switch is off\n");
	return command_print(&out);
}

static int
order(const struct command_call *call, const struct request *r,
      const char *name)
{
	struct buf body CLEANUP(buf_fini) = { 0 };
	struct ask_reply reply CLEANUP(ask_reply_fini) = { 0 };
	struct error err = { 0 };
	int status = -1;

	write_request(call, r, &body);
	if (!ask(call,
		 &(struct ask){ .path = r->path,
				.token_file = r->token_file,
				.body = buf_span(&body) },
		 &reply, &err))
		status = print(&reply, &err);
	if (status >= 0)
		return status;
	error_context(&err, "%s", name);
	return command_fail(COMMAND_FAILED, NULL, &err);
}

/* ---- the commands ---- */

int
command_promote(const struct command_call *call)
{
	return order(call,
		     &(struct request){
			     .path = "/promote",
			     .rule = call->args[0],
			     .to = call->values[OPTION_PLACE],
			     .token_file = call->values[OPTION_TOKEN_FILE],
		     },
		     "promote");
}

int
command_rollback(const struct command_call *call)
{
	return order(call,
		     &(struct request){
			     .path = "/rollback",
			     .rule = call->args[0],
			     .to = call->values[OPTION_PLACE],
			     .force = call->values[OPTION_PLACE_FORCE] != NULL,
			     .token_file = call->values[OPTION_TOKEN_FILE],
		     },
		     "rollback");
}

/* Of `hold', which has legal holds too, --token-file is the bus's. */
int
promotion_hold(const struct command_call *call)
{
	return order(call,
		     &(struct request){
			     .path = "/hold",
			     .rule = call->args[0],
			     .token_file = call->values[OPTION_BUS_TOKEN_FILE],
		     },
		     "hold");
}

int
command_resume(const struct command_call *call)
{
	return order(call,
		     &(struct request){
			     .path = "/resume",
			     .rule = call->args[0],
			     .token_file = call->values[OPTION_TOKEN_FILE],
		     },
		     "resume");
}

int
command_kill_switch(const struct command_call *call)
{
	const char *all = call->values[OPTION_ALL];
	struct error err = { 0 };

	if (!all == !call->arg_count) {
		error_set(&err, "kill-switch: name a RULE, or --all for "
				"everything");
		return command_fail(COMMAND_USAGE, NULL, &err);
	}
	return order(call,
		     &(struct request){
			     .path = "/kill-switch",
			     .rule = all ? NULL : call->args[0],
			     .release = call->values[OPTION_RELEASE] != NULL,
			     .token_file = call->values[OPTION_TOKEN_FILE],
		     },
		     "kill-switch");
}
