/* SPDX-License-Identifier: Apache-2.0 */
/* The list of jobs: begun, carried on after a restart, cancelled, ended. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "bus/internal.h"
#include "bus/job.h"
#include "payload/payload.h"

#define RETRY_AFTER_FAILURE_MS 500

struct job {
	struct job *next;
	struct job_record record;
	struct job_pace pace;
	bool saved, cancelled;
	uint64_t retry_at_ms;
	struct step *step;	/* under way, or NULL */
};

struct jobs {
	struct bus *bus;
	struct journal_reader *reader;	/* the pump's */
	pthread_mutex_t lock;		/* of all below */
	struct job *first;		/* oldest first */
	int64_t last_id;
};

/* ---- the list ---- */

static struct job *
job_find(struct jobs *j, int64_t id)
{
	for (struct job *p = j->first; p; p = p->next)
		if (p->record.id == id)
			return p;
	return NULL;
}

static struct job *
job_add(struct jobs *j, const struct job_record *r)
{
	struct job *p = calloc(1, sizeof(*p)), **at = &j->first;

	if (!p)
		return NULL;
	p->record = *r;
	while (*at)
		at = &(*at)->next;
	*at = p;
	if (r->id > j->last_id)
		j->last_id = r->id;
	return p;
}

static size_t
count_in(const struct jobs *j, enum job_state state)
{
	size_t n = 0;

	for (const struct job *p = j->first; p; p = p->next)
		n += p->record.state == state;
	return n;
}

/* The oldest that has ended makes room; 0: there is enough. */
static int64_t
forget_one(struct jobs *j)
{
	struct job **at = &j->first, *p;
	int64_t id;

	if (count_in(j, JOB_DONE) + count_in(j, JOB_CANCELLED) <=
	    JOBS_ENDED_MAX)
		return 0;
	while ((*at)->record.state == JOB_RUNNING || (*at)->step)
		if (!*(at = &(*at)->next))
			return 0;
	p = *at;
	id = p->record.id;
	*at = p->next;
	free(p);
	return id;
}

/* ---- start and end ---- */

static void
on_stored(void *arg, const char *key, struct span value)
{
	struct jobs *j = arg;
	struct cJSON *o CLEANUP(payload_free) = payload_parse(value, NULL);
	struct job_record r;
	struct job *p;

	if (!o || job_record_read(o, &r) < 0) {
		log_error("bus.job", "the job %s cannot be read and is left "
			  "out", key);
		return;
	}
	p = job_add(j, &r);
	if (p)
		p->saved = true;
}

struct jobs *
jobs_open(struct bus *b, struct error *err)
{
	struct jobs *j = calloc(1, sizeof(*j));

	if (!j) {
		error_set(err, "no memory for the bus");
		return NULL;
	}
	j->bus = b;
	pthread_mutex_init(&j->lock, NULL);
	j->reader = journal_reader_open(journal_path(b->journal), err);
	if (j->reader && journal_read_state(j->reader, "job", on_stored, j)) {
		error_set(err, "%s: the jobs cannot be read; the log says why",
			  journal_path(b->journal));
		jobs_close(&j);
	} else if (!j->reader) {
		jobs_close(&j);
	}
	return j;
}

void
jobs_close(struct jobs **jp)
{
	struct jobs *j = *jp;

	if (!j)
		return;
	*jp = NULL;
	while (j->first) {
		struct job *p = j->first;

		if (p->step)
			step_wait(p->step);
		step_free(&p->step);
		j->first = p->next;
		free(p);
	}
	journal_reader_close(&j->reader);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

/* ---- an operator's decisions ---- */

static struct job *
find_request(struct jobs *j, const char *request)
{
	for (struct job *p = j->first; *request && p; p = p->next)
		if (strcmp(p->record.request, request) == 0)
			return p;
	return NULL;
}

static int64_t
start_locked(struct jobs *j, const struct job_record *r, struct error *err)
{
	struct job *p = find_request(j, r->request);

	if (p)
		return p->record.id;
	if (count_in(j, JOB_RUNNING) >= JOBS_RUNNING_MAX)
		return error_set(err, "%d jobs are running; wait for one or "
				 "cancel one (\"jobs\" lists them)",
				 JOBS_RUNNING_MAX);
	p = job_add(j, r);
	if (!p)
		return error_set(err, "no memory for a job");
	p->record.id = ++j->last_id;
	p->record.state = JOB_RUNNING;
	p->record.began_us = clock_wall_us();
	return p->record.id;
}

int64_t
jobs_start(struct jobs *j, const struct job_record *r, struct error *err)
{
	int64_t id;

	pthread_mutex_lock(&j->lock);
	id = start_locked(j, r, err);
	pthread_mutex_unlock(&j->lock);
	bus_ring(j->bus);
	return id;
}

static enum job_phase
phase_of(const struct job *p)
{
	if (!p)
		return JOB_UNKNOWN;
	if (!p->saved)
		return JOB_UNSAVED;
	return p->record.state == JOB_RUNNING ? JOB_GOING : JOB_OVER;
}

enum job_phase
jobs_phase(struct jobs *j, int64_t id)
{
	enum job_phase phase;

	pthread_mutex_lock(&j->lock);
	phase = phase_of(job_find(j, id));
	pthread_mutex_unlock(&j->lock);
	return phase;
}

enum job_phase
jobs_cancel(struct jobs *j, int64_t id)
{
	enum job_phase phase;
	struct job *p;

	pthread_mutex_lock(&j->lock);
	p = job_find(j, id);
	phase = phase_of(p);
	if (p)
		p->cancelled = true;
	pthread_mutex_unlock(&j->lock);
	bus_ring(j->bus);
	return phase;
}

bool
jobs_get(struct jobs *j, int64_t id, struct job_record *r)
{
	struct job *p;

	pthread_mutex_lock(&j->lock);
	p = job_find(j, id);
	if (p)
		*r = p->record;
	pthread_mutex_unlock(&j->lock);
	return p;
}

void
jobs_write(struct jobs *j, const char *group, struct json *out)
{
	json_array_begin(out);
	pthread_mutex_lock(&j->lock);
	for (struct job *p = j->first; p; p = p->next)
		if (!*group || strcmp(group, p->record.group) == 0)
			job_record_write(&p->record, out);
	pthread_mutex_unlock(&j->lock);
	json_array_end(out);
}

/* ---- work ---- */

static void
log_end(const struct job_record *r)
{
	log_info("bus.job-end", "job %lld of group %s: %s, %lld moved, %lld "
		 "left out", (long long)r->id, *r->group ? r->group : "(all)",
		 r->state == JOB_DONE ? "done" : "cancelled",
		 (long long)r->moved, (long long)r->skipped);
}

/* false while the last step is under way. */
static bool
job_reap(struct job *p)
{
	if (!p->step)
		return true;
	switch (step_status(p->step)) {
	case STEP_RUNS:
		return false;
	case STEP_COMMITTED:
		step_end(p->step, &p->record);
		p->saved = true;
		if (p->record.state != JOB_RUNNING)
			log_end(&p->record);
		break;
	case STEP_FAILED:
		p->retry_at_ms = clock_mono_ms() + RETRY_AFTER_FAILURE_MS;
		break;
	}
	step_free(&p->step);
	return true;
}

static struct step *
job_step(struct jobs *j, struct job *p, uint64_t *next_ms)
{
	struct job_record r = p->record;

	if (p->cancelled)
		r.state = JOB_CANCELLED;
	if (p->cancelled || !p->saved)
		return step_save(j->bus, &r, forget_one(j));
	return step_new(j->bus, j->reader, &r, &p->pace, next_ms);
}

static uint64_t
job_tick(struct jobs *j, struct job *p)
{
	uint64_t next_ms = clock_mono_ms() + RETRY_AFTER_FAILURE_MS;

	if (!job_reap(p) || p->record.state != JOB_RUNNING)
		return GROUPS_NEVER;	/* the step's end wakes us */
	if (p->retry_at_ms > clock_mono_ms())
		return p->retry_at_ms;
	p->step = job_step(j, p, &next_ms);
	if (!p->step)
		return next_ms;
	step_post(p->step);
	return GROUPS_NEVER;
}

uint64_t
jobs_tick(struct jobs *j)
{
	uint64_t next = GROUPS_NEVER;

	pthread_mutex_lock(&j->lock);
	for (struct job *p = j->first; p; p = p->next) {
		uint64_t at = job_tick(j, p);

		next = at < next ? at : next;
	}
	pthread_mutex_unlock(&j->lock);
	return next;
}
