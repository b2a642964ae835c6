/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on groups: what operators and deployments do. Each is answered
 * once it is on disk. */
#include "bus/server.h"
#include "payload/payload.h"

#define SAVE_WAIT_MS 5000

enum call_result
op_groups(struct call *c, const struct cJSON *in)
{
	struct groups *g = c->server->bus->groups;
	struct error err = { 0 };

	if (read_text(in, "group", "", c->group, sizeof(c->group), &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	call_begin(c);
	json_key(&c->json, "groups");
	if (!c->group[0]) {
		groups_status(g, &c->json);
	} else {
		json_array_begin(&c->json);
		(void)groups_status_one(g, c->group, &c->json);
		json_array_end(&c->json);
	}
	call_end(c);
	return CALL_ANSWERED;
}

/* ---- answers ---- */

static bool
saved_again(struct call *c, bool last)
{
	struct groups *g = c->server->bus->groups;
	bool saved = groups_is_saved(g, c->group, c->version);

	if (!saved && !last)
		return false;
	if (!saved) {
		call_error(c, "unavailable", "group \"%s\": done, but not on "
			   "disk yet: a crash could undo it; the log of "
			   "matapalo says what is wrong with the journal",
			   c->group);
		return true;
	}
	call_begin(c);
	json_key(&c->json, "group");
	if (!groups_status_one(g, c->group, &c->json))
		json_str(&c->json, NULL);
	call_end(c);
	return true;
}

static enum call_result
answer_saved(struct call *c)
{
	bus_ring(c->server->bus);	/* saves, and wakes consumers */
	return call_wait(c, SAVE_WAIT_MS, saved_again);
}

static enum call_result
answer(struct call *c, enum groups_result result)
{
	switch (result) {
	case GROUPS_DONE:
		return answer_saved(c);
	case GROUPS_UNKNOWN:
		return call_error(c, "unknown_group", "there is no group "
				  "\"%s\"", c->group);
	case GROUPS_IN_USE:
		return call_error(c, "in_use", "group \"%s\" has consumers; "
				  "stop them, or add \"force\": true; a group "
				  "of matapalo itself is never deleted while "
				  "it runs", c->group);
	case GROUPS_FAILED:
		return call_error(c, "unavailable", "the journal cannot be "
				  "read; the log of matapalo says why");
	}
	return CALL_ANSWERED;
}

static int
read_group(struct call *c, const struct cJSON *in, struct error *err)
{
	return read_text(in, "group", NULL, c->group, sizeof(c->group), err);
}

/* ---- create and set ---- */

struct changing {
	const struct cJSON *in;
	bool make;
	const char *code;	/* why not */
};

static int
change(void *arg, struct groups_settings *s, bool is_new, struct error *err)
{
	struct changing *w = arg;

	w->code = "bad_request";
	if (groups_settings_read(w->in, s, err) < 0)
		return -1;
	if (is_new && !w->make) {
		w->code = "unknown_group";
		return error_set(err, "there is no such group; group_create "
				 "makes it");
	}
	if (!is_new && w->make) {
		w->code = "exists";
		return error_set(err, "the group exists; group_set changes "
				 "it");
	}
	return 0;
}

static enum call_result
change_group(struct call *c, struct changing *w)
{
	struct groups *g = c->server->bus->groups;
	struct error err = { 0 };

	w->code = "bad_request";
	if (read_group(c, w->in, &err) < 0 ||
	    groups_ensure(g, c->group, change, w, &err) < 0)
		return call_error(c, w->code, "%s", err.text);
	c->version = groups_version(g, c->group);
	return answer_saved(c);
}

enum call_result
op_group_create(struct call *c, const struct cJSON *in)
{
	struct changing w = { .in = in, .make = true };

	return change_group(c, &w);
}

enum call_result
op_group_set(struct call *c, const struct cJSON *in)
{
	struct changing w = { .in = in };

	return change_group(c, &w);
}

/* ---- seek ---- */

static enum call_result
seek(struct call *c, const struct groups_place *to)
{
	return answer(c, groups_seek(c->server->bus->groups, c->group, to,
				     &c->version));
}

enum call_result
op_group_seek(struct call *c, const struct cJSON *in)
{
	struct groups_place to;
	struct error err = { 0 };

	if (read_group(c, in, &err) < 0 ||
	    groups_place_read(payload_member(in, "to"), "to", &to, &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	return seek(c, &to);
}

enum call_result
op_group_reset(struct call *c, const struct cJSON *in)
{
	const struct groups_place oldest = { .start = GROUPS_OLDEST };
	struct error err = { 0 };

	if (read_group(c, in, &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	return seek(c, &oldest);
}

/* ---- pause, resume, delete ---- */

static enum call_result
set_flow(struct call *c, const struct cJSON *in, enum groups_flow flow)
{
	struct error err = { 0 };

	if (read_group(c, in, &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	return answer(c, groups_set_flow(c->server->bus->groups, c->group,
					 flow, &c->version));
}

enum call_result
op_group_pause(struct call *c, const struct cJSON *in)
{
	return set_flow(c, in, GROUPS_PAUSED);
}

enum call_result
op_group_resume(struct call *c, const struct cJSON *in)
{
	return set_flow(c, in, GROUPS_RUNNING);
}

enum call_result
op_group_delete(struct call *c, const struct cJSON *in)
{
	bool force = payload_bool(payload_member(in, "force"), false);
	struct error err = { 0 };

	if (read_group(c, in, &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	return answer(c, groups_delete(c->server->bus->groups, c->group,
				       force ? GROUPS_BY_FORCE
					     : GROUPS_IF_UNUSED,
				       &c->version));
}
