/* SPDX-License-Identifier: Apache-2.0 */
/* An order that came to the admin listener: from JSON to the source. */
#include <string.h>

#include "console/answer.h"
#include "payload/payload.h"

const char *
console_verb_word(enum console_verb v)
{
	static const char *const words[] = {
#define VERB(sym, word, help) word,
#include "console/verbs.def"
#undef VERB
	};

	return words[v];
}

/* ---- the body ---- */

static const struct {
	const char *name;
	enum { TEXT, SWITCH } kind;
} members[] = {
	{ "rule", TEXT },      { "to", TEXT },	    { "operator", TEXT },
	{ "reason", TEXT },    { "force", SWITCH }, { "all", SWITCH },
	{ "release", SWITCH },
};

/* What nobody would look at is refused: a misspelt "force" is none. */
static int
check_member(const struct cJSON *m, struct error *err)
{
	const char *name = payload_name(m);
	size_t i = 0;

	while (i < ARRAY_SIZE(members) && strcmp(members[i].name, name) != 0)
		i++;
	if (i == ARRAY_SIZE(members))
		return error_set(err, "\"%s\" is unknown", name);
	if (members[i].kind == TEXT)
		return payload_string(m, NULL)
			       ? 0
			       : error_set(err, "\"%s\" must be a string",
					   name);
	return payload_bool(m, true) == payload_bool(m, false)
		       ? 0
		       : error_set(err, "\"%s\" must be true or false", name);
}

static int
check_members(const struct cJSON *tree, struct error *err)
{
	const struct cJSON *m;

	if (!payload_is_object(tree))
		return error_set(err, "must be an object");
	for (m = payload_first(tree); m; m = payload_next(m))
		if (check_member(m, err))
			return -1;
	return 0;
}

static int
check_rule(const struct console_order *o, bool all, struct error *err)
{
	bool may = o->verb == CONSOLE_KILL || o->verb == CONSOLE_RELEASE;

	if (all && !may)
		return error_set(err, "\"all\" is for the kill-switch");
	if (all && o->rule)
		return error_set(err, "\"rule\" or \"all\", not both");
	if (!all && !o->rule)
		return error_set(err, may ? "which \"rule\", or \"all\"?"
					  : "which \"rule\"?");
	return 0;
}

static int
read_order(const struct cJSON *tree, struct console_order *o, struct error *err)
{
	bool release = payload_bool(payload_member(tree, "release"), false);

	if (check_members(tree, err))
		return -1;
	if (release && o->verb != CONSOLE_KILL)
		return error_set(err, "\"release\" is for the kill-switch");
	if (release)
		o->verb = CONSOLE_RELEASE;
	o->rule = payload_string(payload_member(tree, "rule"), NULL);
	o->to = payload_string(payload_member(tree, "to"), NULL);
	o->operator= payload_string(payload_member(tree, "operator"), NULL);
	o->reason = payload_string(payload_member(tree, "reason"), NULL);
	o->force = payload_bool(payload_member(tree, "force"), false)
			   ? CONSOLE_FORCES
			   : CONSOLE_ASKS;
	return check_rule(o, payload_bool(payload_member(tree, "all"), false),
			  err);
}

/* ---- the answer ---- */

static const char *
title_of(int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 409:
		return "Conflict";
	case 501:
		return "Not Implemented";
	default:
		return "Service Unavailable";
	}
}

static int
give_order(struct answer *out, const struct console_source *source,
	   const struct console_order *o, struct error *err)
{
	struct json j;

	if (!source->order) {
		error_set(err, "nobody here takes orders");
		return 501;
	}
	json_init(&j, &out->body);
	return source->order(source->arg, o, &j, err);
}

void
answer_order(struct answer *out, const struct answer_request *req,
	     const struct console_source *source, enum console_verb verb)
{
	struct cJSON *tree CLEANUP(payload_free) = NULL;
	struct console_order o = { .verb = verb };
	struct error err = { 0 };

	out->status = 400;
	tree = payload_parse(req->body, &err);
	if (tree && read_order(tree, &o, &err) == 0)
		out->status = give_order(out, source, &o, &err);
	if (out->status != 200) {
		answer_refuse(out, out->status, title_of(out->status),
			      err.text);
		return;
	}
	out->type = "application/json";
	buf_addc(&out->body, '\n');
}
