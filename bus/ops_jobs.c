/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that begin, show and cancel a job. */
#include "bus/select.h"
#include "bus/server.h"
#include "payload/payload.h"

#define SAVE_WAIT_MS 5000	/* a job must be on disk */
#define ONE_WAIT_MS 10000	/* one dead letter is a matter of a moment */

/* ---- answers ---- */

static const char *
moved_name(enum job_verb verb)
{
	switch (verb) {
	case JOB_REDRIVE:
		return "redriven";
	case JOB_PURGE:
		return "purged";
	case JOB_REPLAY:
		return "replayed";
	}
	return "moved";
}

static void
write_job(struct call *c, const struct job_record *r)
{
	call_begin(c);
	json_key(&c->json, moved_name(r->verb));
	json_i64(&c->json, r->moved);
	json_key(&c->json, "job");
	job_record_write(r, &c->json);
	call_end(c);
}

/* Who names a group, sees its jobs only. */
static bool
is_asked_for(const struct call *c, const struct job_record *r)
{
	return !c->group[0] || strcmp(c->group, r->group) == 0;
}

/* Answers once the job is on disk, or over where that was asked for. */
static bool
job_again(struct call *c, bool last)
{
	struct jobs *jobs = c->server->bus->jobs;
	enum job_phase phase = jobs_phase(jobs, c->after);
	struct job_record r;

	if (!last && (phase == JOB_UNSAVED || (phase == JOB_GOING && c->max)))
		return false;
	if (phase == JOB_UNSAVED)
		call_error(c, "unavailable", "job %lld is not on disk yet: the "
			   "journal cannot be written now; it begins when it "
			   "can", (long long)c->after);
	else if (!jobs_get(jobs, c->after, &r) || !is_asked_for(c, &r))
		call_error(c, "unknown_job", "there is no job %lld (any "
			   "more); \"jobs\" lists them", (long long)c->after);
	else
		write_job(c, &r);
	return true;
}

static enum call_result
answer_job(struct call *c, int64_t id, int64_t wait_ms)
{
	c->after = id;
	c->max = wait_ms > 0;
	if (job_again(c, false))
		return CALL_ANSWERED;
	return call_wait(c, wait_ms ? wait_ms : SAVE_WAIT_MS, job_again);
}

static enum call_result
start(struct call *c, const struct job_record *r, int64_t wait_ms)
{
	struct error err = { 0 };
	int64_t id = jobs_start(c->server->bus->jobs, r, &err);

	if (id < 0)
		return call_error(c, "unavailable", "%s", err.text);
	return answer_job(c, id, wait_ms);
}

/* ---- dead letters ---- */

static int
read_letters(struct call *c, const struct cJSON *in, struct job_record *r,
	     struct error *err)
{
	struct server *s = c->server;
	int rc;

	if (read_text(in, "group", "", r->group, sizeof(r->group), err) < 0 ||
	    read_text(in, "request", "", r->request, sizeof(r->request),
		      err) < 0 ||
	    select_pace(in, r, err) < 0)
		return -1;
	pthread_mutex_lock(&s->read_lock);
	rc = select_letters(in, s->reader, r, err);
	pthread_mutex_unlock(&s->read_lock);
	return rc;
}

static enum call_result
letters(struct call *c, const struct cJSON *in, struct job_record *r)
{
	struct groups *g = c->server->bus->groups;
	bool one = payload_member(in, "id") != NULL;
	struct groups_view view;
	struct error err = { 0 };
	int64_t wait_ms = 0;

	if (read_count(in, "wait_ms", one ? ONE_WAIT_MS : 0,
		       SERVER_WAIT_MAX_MS, &wait_ms, &err) < 0 ||
	    read_letters(c, in, r, &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	if (r->verb == JOB_REDRIVE && !r->group[0] && !one)
		return call_error(c, "bad_request", "group is missing");
	if (r->verb == JOB_REDRIVE && r->group[0] &&
	    groups_look(g, r->group, &view) < 0)
		return call_error(c, "unknown_group", "there is no group "
				  "\"%s\" (any more); \"groups\" lists them",
				  r->group);
	return start(c, r, wait_ms);
}

enum call_result
op_dlq_redrive(struct call *c, const struct cJSON *in)
{
	struct job_record r = { .verb = JOB_REDRIVE };

	return letters(c, in, &r);
}

enum call_result
op_dlq_purge(struct call *c, const struct cJSON *in)
{
	struct job_record r = { .verb = JOB_PURGE };

	return letters(c, in, &r);
}

/* ---- replay ---- */

static int
read_replay(struct call *c, const struct cJSON *in, int64_t last,
	    struct job_record *r, struct error *err)
{
	struct server *s = c->server;
	int rc;

	if (read_text(in, "request", "", r->request, sizeof(r->request),
		      err) < 0 ||
	    select_pace(in, r, err) < 0)
		return -1;
	pthread_mutex_lock(&s->read_lock);
	rc = select_events(in, s->reader, last, r, err);
	pthread_mutex_unlock(&s->read_lock);
	return rc;
}

enum call_result
op_replay(struct call *c, const struct cJSON *in)
{
	struct job_record r = { .verb = JOB_REPLAY };
	struct groups_view view;
	struct error err = { 0 };
	int64_t wait_ms = 0;

	if (read_text(in, "group", NULL, r.group, sizeof(r.group), &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	if (groups_look(c->server->bus->groups, r.group, &view) < 0)
		return call_error(c, "unknown_group", "there is no group "
				  "\"%s\"; its first fetch makes it, with "
				  "\"start\" where it shall begin", r.group);
	if (read_count(in, "wait_ms", 0, SERVER_WAIT_MAX_MS, &wait_ms,
		       &err) < 0 ||
	    read_replay(c, in, view.read, &r, &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	return start(c, &r, wait_ms);
}

/* ---- jobs ---- */

static int
read_id(const struct cJSON *in, int64_t *id, struct error *err)
{
	*id = payload_int(payload_member(in, "id"), 0);
	if (*id > 0)
		return 0;
	return error_set(err, "id must be the number of a job");
}

enum call_result
op_jobs(struct call *c, const struct cJSON *in)
{
	struct error err = { 0 };
	int64_t id = 0, wait_ms = 0;

	if (read_text(in, "group", "", c->group, sizeof(c->group), &err) < 0 ||
	    read_count(in, "wait_ms", 0, SERVER_WAIT_MAX_MS, &wait_ms,
		       &err) < 0 ||
	    (payload_member(in, "id") && read_id(in, &id, &err) < 0))
		return call_error(c, "bad_request", "%s", err.text);
	if (payload_member(in, "id"))
		return answer_job(c, id, wait_ms);
	call_begin(c);
	json_key(&c->json, "jobs");
	jobs_write(c->server->bus->jobs, c->group, &c->json);
	call_end(c);
	return CALL_ANSWERED;
}

enum call_result
op_job_cancel(struct call *c, const struct cJSON *in)
{
	struct jobs *jobs = c->server->bus->jobs;
	struct job_record r;
	struct error err = { 0 };
	int64_t id;

	if (read_text(in, "group", "", c->group, sizeof(c->group), &err) < 0 ||
	    read_id(in, &id, &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	if (jobs_get(jobs, id, &r) && is_asked_for(c, &r))
		(void)jobs_cancel(jobs, id);
	return answer_job(c, id, SAVE_WAIT_MS);
}
