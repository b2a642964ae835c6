/* SPDX-License-Identifier: Apache-2.0 */
/* One step of a job: what may be moved now is found on the bus's thread, moved
 * on the journal's, and given to the groups after the commit. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "bus/internal.h"
#include "bus/job.h"
#include "journal/dead.h"

#define SCAN_ROWS 2000
#define NO_ROOM_MS 50	/* the group has to settle events first */
#define BURST_S 0.25	/* what a late tick may make up for */
#define TICK_S 0.02	/* at most so often */

struct move {
	int64_t letter, sequence;
	char group[GROUPS_NAME_SIZE];
	bool moved, letter_gone;
};

struct step {
	struct journal_item item;
	struct bus *bus;
	struct job_record record;	/* as of the commit */
	int64_t now_us, forget;
	struct move *at;
	size_t count;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	enum step_status status;	/* under the lock */
};

/* ---- on the journal's thread ---- */

static void
apply_move(struct step *s, struct move *m, struct journal_tx *tx)
{
	enum journal_replayed replayed;

	switch (s->record.verb) {
	case JOB_REDRIVE:
		m->moved = journal_tx_redrive(tx, m->letter, s->now_us);
		m->letter_gone = m->moved;
		break;
	case JOB_PURGE:
		m->moved = journal_tx_purge(tx, m->letter);
		m->letter_gone = m->moved;
		break;
	case JOB_REPLAY:
		replayed = journal_tx_replay(tx, m->group, m->sequence,
					     s->now_us);
		m->moved = replayed != JOURNAL_REPLAY_NONE;
		m->letter_gone = replayed == JOURNAL_REPLAY_LETTER;
		break;
	}
	s->record.moved += m->moved;
	s->record.skipped += !m->moved;
}

static void
job_key(int64_t id, char out[24])
{
	snprintf(out, 24, "%019lld", (long long)id);
}

static int
step_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct step *s = (struct step *)item;
	struct buf text CLEANUP(buf_fini) = { 0 };
	struct json j;
	char key[24];

	for (size_t i = 0; i < s->count; i++)
		apply_move(s, &s->at[i], tx);
	if (s->record.state != JOB_RUNNING)
		s->record.ended_us = s->now_us;
	json_init(&j, &text);
	job_record_write(&s->record, &j);
	job_key(s->record.id, key);
	if (!text.failed)	/* else an older one, and work done twice */
		journal_tx_state_put(tx, "job", key, buf_span(&text));
	if (s->forget) {
		job_key(s->forget, key);
		journal_tx_state_delete(tx, "job", key);
	}
	return 0;
}

/* The bell goes first: whoever sees the status may free the step. */
static void
step_done(struct journal_item *item, enum journal_status status)
{
	struct step *s = (struct step *)item;

	pthread_mutex_lock(&s->lock);
	s->status = status == JOURNAL_COMMITTED ? STEP_COMMITTED : STEP_FAILED;
	bus_ring(s->bus);
	pthread_cond_broadcast(&s->ended);
	pthread_mutex_unlock(&s->lock);
}

/* ---- on the bus's ---- */

static struct step *
step_make(struct bus *b, const struct job_record *r)
{
	static const struct journal_item_ops ops = { .apply = step_apply,
						     .done = step_done };
	struct step *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->item.ops = &ops;
	s->item.urgent = true;
	s->bus = b;
	s->record = *r;
	s->now_us = clock_wall_us();
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->ended, NULL);
	return s;
}

void
step_free(struct step **sp)
{
	struct step *s = *sp;

	if (!s)
		return;
	*sp = NULL;
	pthread_cond_destroy(&s->ended);
	pthread_mutex_destroy(&s->lock);
	free(s->at);
	free(s);
}

struct step *
step_save(struct bus *b, const struct job_record *r, int64_t forget)
{
	struct step *s = step_make(b, r);

	if (s)
		s->forget = forget;
	return s;
}

void
step_post(struct step *s)
{
	journal_post(s->bus->journal, &s->item);
}

enum step_status
step_status(struct step *s)
{
	enum step_status status;

	pthread_mutex_lock(&s->lock);
	status = s->status;
	pthread_mutex_unlock(&s->lock);
	return status;
}

void
step_wait(struct step *s)
{
	pthread_mutex_lock(&s->lock);
	while (s->status == STEP_RUNS)
		pthread_cond_wait(&s->ended, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void
give(struct groups *g, const struct move *m, enum job_verb verb)
{
	if (m->letter_gone)
		groups_letter_gone(g, m->group);
	if (!m->moved)
		return;
	switch (verb) {
	case JOB_REDRIVE:
		counter_inc(COUNTER_BUS_REDRIVEN);
		groups_revive(g, m->group, m->sequence, JOURNAL_REDRIVEN);
		return;
	case JOB_PURGE:
		counter_inc(COUNTER_BUS_PURGED);
		return;
	case JOB_REPLAY:
		counter_inc(COUNTER_BUS_REPLAYED);
		groups_revive(g, m->group, m->sequence, JOURNAL_REPLAYED);
		return;
	}
}

void
step_end(struct step *s, struct job_record *r)
{
	for (size_t i = 0; i < s->count; i++)
		give(s->bus->groups, &s->at[i], r->verb);
	*r = s->record;
	if (s->count > 0)
		bus_ring(s->bus);
}

/* ---- pace ---- */

/* How many the rate allows now. */
static size_t
allowance(const struct job_record *r, struct job_pace *p, uint64_t now,
	  uint64_t *next_ms)
{
	double most = r->rate * BURST_S, least = r->rate * TICK_S;

	if (r->rate <= 0)
		return JOB_BATCH;
	most = most < 1 ? 1 : most;
	least = least < 1 ? 1 : least;
	if (p->credit_at_ms)
		p->credit += (double)(now - p->credit_at_ms) * r->rate / 1000;
	else
		p->credit = 1;
	p->credit_at_ms = now;
	p->credit = p->credit > most ? most : p->credit;
	if (p->credit < least) {
		*next_ms = now + 1 +
			   (uint64_t)((least - p->credit) / r->rate * 1000);
		return 0;
	}
	return p->credit < JOB_BATCH ? (size_t)p->credit : JOB_BATCH;
}

/* When an event of that time is due, as its pause to the first one says. */
static uint64_t
due_at(const struct job_record *r, struct job_pace *p, int64_t time_us,
       uint64_t now)
{
	double pause_ms;

	if (!p->base_event_us) {
		p->base_event_us = time_us;
		p->base_ms = now;
	}
	pause_ms = (double)(time_us - p->base_event_us) / 1000 / r->speed;
	return pause_ms > 0 ? p->base_ms + (uint64_t)pause_ms : now;
}

/* ---- looking ---- */

struct looking {
	struct step *step;
	struct job_pace *pace;
	const struct groups_view *view;
	size_t max;
	uint64_t now, next_ms;
	int64_t held_back;	/* the first that is not due yet; 0: none */
};

static struct move *
add_move(struct step *s, const char *group, int64_t sequence)
{
	struct move *m = &s->at[s->count++];

	*m = (struct move){ .sequence = sequence };
	snprintf(m->group, sizeof(m->group), "%s", group);
	return m;
}

/* Without its event a dead letter has nothing to deliver. */
static void
on_letter(void *arg, const struct journal_letter *l)
{
	struct step *s = ((struct looking *)arg)->step;

	if (s->record.verb == JOB_REDRIVE && l->type.len == 0) {
		s->record.skipped++;
		return;
	}
	add_move(s, l->dead.group, l->dead.sequence)->letter = l->dead.id;
}

static const char *
or_null(const char *text)
{
	return *text ? text : NULL;
}

static int
look_for_letters(struct looking *l, struct journal_reader *reader)
{
	struct job_record *r = &l->step->record;
	const struct journal_dead_filter f = {
		.group = or_null(r->group), .type = or_null(r->type),
		.subject = or_null(r->subject), .reason = or_null(r->reason),
		.since_us = r->since_us, .until_us = r->until_us };
	struct journal_dead_page page = { .after = r->after, .upto = r->upto,
					  .max = l->max,
					  .scan_limit = SCAN_ROWS };

	/* upto 0: there was none when the job began */
	if (r->upto > 0 &&
	    journal_read_letters(reader, &f, &page, on_letter, l) < 0)
		return -1;
	r->after = page.after;
	if (!page.more || page.after >= r->upto)
		r->state = JOB_DONE;
	return 0;
}

/* The job's filter went to the journal; this is the group's own. */
static bool
is_wanted(const struct looking *l, const struct journal_row *row)
{
	const struct job_record *r = &l->step->record;
	const struct journal_filter own = {
		.type = or_null(l->view->type),
		.subject = or_null(l->view->subject),
		.shadow_only = l->view->shadow_only };

	return (!r->since_us || row->time_us >= r->since_us) &&
	       (!r->until_us || row->time_us < r->until_us) &&
	       journal_filter_takes(&own, row);
}

static bool
on_row(void *arg, const struct journal_row *row)
{
	struct looking *l = arg;
	struct job_record *r = &l->step->record;

	if (row->sequence > r->upto)
		return false;
	if (!is_wanted(l, row))
		return true;
	if (groups_holds(l->step->bus->groups, r->group, row->sequence)) {
		r->skipped++;
		return true;
	}
	if (r->speed > 0) {
		uint64_t due = due_at(r, l->pace, row->time_us, l->now);

		if (due > l->now) {
			l->next_ms = due;
			l->held_back = row->sequence;
			return false;
		}
	}
	(void)add_move(l->step, r->group, row->sequence);
	return l->step->count < l->max;
}

static int
look_for_events(struct looking *l, struct journal_reader *reader)
{
	struct job_record *r = &l->step->record;
	const struct journal_filter f = { .type = or_null(r->type),
					  .subject = or_null(r->subject) };
	int64_t scanned = r->after;

	if (r->after < r->upto &&
	    journal_read(reader, r->after, &f, SCAN_ROWS, SCAN_ROWS, on_row,
			 l, &scanned) < 0)
		return -1;
	r->after = l->held_back ? l->held_back - 1 : scanned;
	if (r->after >= r->upto) {
		r->after = r->upto;
		r->state = JOB_DONE;
	}
	return 0;
}

static int
look(struct looking *l, struct journal_reader *reader)
{
	switch (l->step->record.verb) {
	case JOB_REDRIVE:
	case JOB_PURGE:
		return look_for_letters(l, reader);
	case JOB_REPLAY:
		return look_for_events(l, reader);
	}
	return -1;
}

/* A job whose group is gone moves nothing, and comes to its end. */
static size_t
room_for(struct bus *b, const struct job_record *r, struct groups_view *v)
{
	if (r->verb == JOB_PURGE || groups_look(b->groups, r->group, v) < 0)
		return JOB_BATCH;
	return v->room;
}

static bool
has_news(const struct step *s, const struct job_record *before)
{
	return s->count > 0 || s->record.state != before->state ||
	       s->record.after != before->after ||
	       s->record.skipped != before->skipped;
}

struct step *
step_new(struct bus *b, struct journal_reader *reader,
	 const struct job_record *r, struct job_pace *pace, uint64_t *next_ms)
{
	struct groups_view view = { .room = 0 };
	struct looking l = { .pace = pace, .view = &view,
			     .now = clock_mono_ms() };
	size_t room = room_for(b, r, &view);
	struct step *s;

	*next_ms = l.now + NO_ROOM_MS;
	l.max = allowance(r, pace, l.now, next_ms);
	l.max = l.max < room ? l.max : room;
	if (l.max == 0)
		return NULL;
	s = l.step = step_make(b, r);
	if (!s || !(s->at = calloc(l.max, sizeof(*s->at))) ||
	    look(&l, reader) < 0 || !has_news(s, r)) {
		step_free(&s);
		if (l.next_ms)
			*next_ms = l.next_ms;
		return NULL;
	}
	pace->credit -= (double)s->count;
	return s;
}
