/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of an operator: redrives, purges and replays.
 *
 * A job is done in steps on the bus's own thread. A step is one transaction of
 * the journal: what it moves and how far the job is are written together, so
 * that a restart goes on exactly where the last step ended. */
#ifndef BUS_JOB_H
#define BUS_JOB_H

#include <pthread.h>

#include "base/json.h"
#include "bus/revive.h"

#define JOB_REQUEST_SIZE 129
#define JOB_BATCH 200		/* moved in one step */
#define JOBS_RUNNING_MAX 64
#define JOBS_ENDED_MAX 50	/* remembered */

struct bus;
struct cJSON;
struct jobs;

enum job_verb {
#define JOB(sym, name, sentence) JOB_##sym,
#include "bus/jobs.def"
#undef JOB
};
enum job_state { JOB_RUNNING, JOB_DONE, JOB_CANCELLED };

/* What is stored and shown of a job. */
struct job_record {
	int64_t id;
	enum job_verb verb;
	enum job_state state;
	char request[JOB_REQUEST_SIZE];	/* "": none; else it is new for each */
	char group[GROUPS_NAME_SIZE];	/* "": all (PURGE) */
	char type[GROUPS_FILTER_SIZE];	/* "": all */
	char subject[GROUPS_FILTER_SIZE];
	char reason[GROUPS_REASON_SIZE];
	int64_t since_us, until_us;	/* 0: any */
	int64_t after, upto;	/* ids of dead letters; REPLAY: sequences */
	double rate;		/* a second; 0: any */
	double speed;		/* REPLAY: of the original pace; 0: any */
	int64_t total;		/* -1: nobody has counted */
	int64_t moved, skipped;
	int64_t began_us, ended_us;
};

/* ---- job_record.c ---- */

void job_record_write(const struct job_record *r, struct json *j);
MUST_CHECK int job_record_read(const struct cJSON *o, struct job_record *r);

/* ---- jobs.c: any thread, but for jobs_tick ---- */

MUST_CHECK struct jobs *jobs_open(struct bus *b, struct error *err);
void jobs_close(struct jobs **j);
/* jobs_start gives the job its id and returns it; that of an older one when
 * the request is the same. -1 with err. */
MUST_CHECK int64_t jobs_start(struct jobs *j, const struct job_record *r,
			      struct error *err);
enum job_phase { JOB_UNKNOWN, JOB_UNSAVED, JOB_GOING, JOB_OVER };
enum job_phase jobs_phase(struct jobs *j, int64_t id);
/* jobs_cancel: what was moved stays moved. The phase before it. */
enum job_phase jobs_cancel(struct jobs *j, int64_t id);
/* jobs_get copies a record; false when there is none. */
bool jobs_get(struct jobs *j, int64_t id, struct job_record *r);
/* jobs_write writes an array, oldest first; group "": of all. */
void jobs_write(struct jobs *j, const char *group, struct json *out);
/* jobs_tick does what is due; returns when (monotonic ms) it wants to be
 * called again. The pump. */
uint64_t jobs_tick(struct jobs *j);

/* ---- job_step.c ---- */

/* Pace of a job, in memory only. */
struct job_pace {
	double credit;
	uint64_t credit_at_ms;
	int64_t base_event_us;	/* 0: no event yet */
	uint64_t base_ms;
};
struct step;
/* step_new looks for what may be moved now. NULL: nothing to do before
 * *next_ms. */
struct step *step_new(struct bus *b, struct journal_reader *reader,
		      const struct job_record *r, struct job_pace *pace,
		      uint64_t *next_ms);
/* step_save writes the record only; forget: a job to remove, or 0. */
struct step *step_save(struct bus *b, const struct job_record *r,
		       int64_t forget);
void step_post(struct step *s);
enum step_status { STEP_RUNS, STEP_COMMITTED, STEP_FAILED };
enum step_status step_status(struct step *s);
/* step_end gives the groups what was moved and the record as it is now. */
void step_end(struct step *s, struct job_record *r);
void step_wait(struct step *s);
void step_free(struct step **s);

#endif
