/* SPDX-License-Identifier: Apache-2.0 */
/* Handing out events: first what is in the list, by sequence, then what the
 * journal has beyond it. */
#include "bus/group.h"

#include "base/log.h"

#define SCAN_ROWS 2000		/* at one time under the lock */
#define WAITING_MAX 1024	/* read, but held up by their keys */
#define RETRYING_MAX 10000	/* then new events must wait */
#define CHANGES_MAX 20000	/* not on disk yet; the same */

typedef bool emit_fn(void *arg, const struct journal_row *row,
		     const struct groups_delivery *d);

struct taking {
	struct groups *g;
	struct group *p;
	struct consumer *c;
	size_t max, count;
	emit_fn *emit;
	void *arg;
	const char *request;
	bool stopped;
	bool failed;	/* without memory */
	struct entry *entry;	/* the one that is read by its sequence */
};

static bool
has_enough(const struct taking *t)
{
	return t->stopped || t->failed || t->count >= t->max ||
	       t->p->in_flight >= t->p->settings.max_in_flight;
}

static bool
emit(struct taking *t, const struct entry *e, const struct journal_row *row)
{
	const struct groups_delivery d = {
		e->attempts, e->origin,
		e->again || e->sequence <= t->p->doubtful };

	return t->emit(t->arg, row, &d);
}

/* Only asked when there is an event to give: the rate then counts on it. */
static bool
is_full(const struct taking *t)
{
	return has_enough(t) || !group_may_deliver(t->g, t->p);
}

/* The row goes to the consumer, or is settled when nobody may have it. */
static void
hand_out(struct taking *t, struct entry *e, const struct journal_row *row)
{
	const struct groups_env *env = &t->g->env;

	if (env->hand_out && !env->hand_out(env->arg, row)) {
		entry_settle(t->g, t->p, e);
		return;
	}
	if (t->count++ == 0)
		t->c->batch++;
	entry_lease(t->g, t->p, e, t->c);
	group_delivered(t->p);
	if (!emit(t, e, row))
		t->stopped = true;
	e->again = true;
}

/* ---- from the list ---- */

/* Whichever event of a batch ended its consumer, all of them have lost an
 * attempt. The next one each makes alone: only the one that did it goes on
 * to lose them. */
static bool
on_listed_row(void *arg, const struct journal_row *row)
{
	struct taking *t = arg;
	bool alone = t->entry->suspect;

	hand_out(t, t->entry, row);
	if (alone && t->count > 0)
		t->stopped = true;
	return true;
}

static void
entry_gone(struct groups *g, struct group *p, struct entry *e)
{
	log_warn("bus.event-gone", "group %s: event %lld cannot be read any "
		 "more and is left out", p->name, (long long)e->sequence);
	entry_settle(g, p, e);
}

static void
take_listed(struct taking *t)
{
	unsigned most = t->p->settings.max_attempts;

	for (size_t i = 0; i < t->p->count && !has_enough(t); i++) {
		struct entry *e = &t->p->at[i];

		if (!entry_is_free(t->g, e, t->c))
			continue;
		if (is_full(t))
			return;
		if (e->suspect && t->count > 0)
			continue;
		if (e->attempts >= most) {	/* the limit was lowered */
			entry_bury(t->g, t->p, e, "out of attempts");
			continue;
		}
		t->entry = e;
		if (journal_read_one(t->g->reader, e->sequence, on_listed_row,
				     t) == 0)
			entry_gone(t->g, t->p, e);
	}
}

/* ---- from the journal ---- */

static bool
may_read_on(const struct taking *t)
{
	const struct group *p = t->p;
	/* An event that is tried again is both retrying and in flight. */
	size_t busy = p->retrying + p->in_flight + p->settled;

	return !is_full(t) && p->retrying < RETRYING_MAX &&
	       p->changes.count < CHANGES_MAX && p->count < WAITING_MAX + busy;
}

static bool
on_new_row(void *arg, const struct journal_row *row)
{
	struct taking *t = arg;
	struct entry *e;

	if (entry_any(t->p, row->sequence))
		return true;	/* known from its retry or dead letter */
	e = entry_add(t->p, row->sequence);
	if (!e || entry_set_key(t->p, e, row->partition_key) < 0) {
		t->failed = true;
		return false;
	}
	e->time_us = row->time_us;
	if (entry_is_free(t->g, e, t->c))
		hand_out(t, e, row);
	return may_read_on(t);
}

/* Returns true when there may be more beyond. */
static bool
take_new(struct taking *t)
{
	struct group *p = t->p;
	const struct journal_filter f = {
		.type = p->settings.type[0] ? p->settings.type : NULL,
		.subject = p->settings.subject[0] ? p->settings.subject : NULL,
		.shadow_only = p->settings.shadow_only };
	int64_t scanned = p->read;
	int n;

	if (!may_read_on(t) ||
	    p->read >= journal_last_sequence(t->g->env.journal))
		return false;
	n = journal_read(t->g->reader, p->read, &f, t->max + WAITING_MAX,
			 SCAN_ROWS, on_new_row, t, &scanned);
	groups_note_damage(t->g);
	if (t->failed)
		return false;
	if (scanned > p->read)
		group_dirty(t->g, p, GROUP_SKIP_MS);
	p->read = scanned;
	if (group_given_is_short(p))
		group_dirty(t->g, p, 0);
	return n >= 0;
}

static void
remember_request(struct taking *t)
{
	memset(t->c->request, 0, sizeof(t->c->request));
	if (t->request)
		strncpy(t->c->request, t->request,
			sizeof(t->c->request) - 1);
}

/* One round under the lock. 1: nothing yet, but there is more to read. */
static int
take_round(struct taking *t, const struct groups_who *who)
{
	bool more = false;

	groups_refresh(t->g);
	t->p = group_find(t->g, who->group);
	t->c = t->p ? consumer_seen(t->g, t->p, who) : NULL;
	if (!t->p)
		t->failed = true;
	if (!t->c || t->p->paused)
		return 0;
	(void)group_expire(t->g, t->p);
	take_listed(t);
	while (!is_full(t) && (more = take_new(t)) && t->count > 0)
		;
	if (t->count > 0)
		remember_request(t);
	return more && t->count == 0;
}

int
groups_take(struct groups *g, const struct groups_who *who, size_t max,
	    const char *request, emit_fn *fn, void *arg)
{
	struct taking t = { .g = g, .max = max, .emit = fn, .arg = arg,
			    .request = request };
	int again;

	do {	/* others get the lock between two rounds */
		pthread_mutex_lock(&g->lock);
		again = take_round(&t, who);
		pthread_mutex_unlock(&g->lock);
	} while (again);
	return t.failed && t.count == 0 ? -1 : (int)t.count;
}

/* ---- again ---- */

bool
groups_is_repeat(struct groups *g, const struct groups_who *who,
		 const char *request)
{
	const struct consumer *c = NULL;
	struct group *p;
	bool repeat;

	pthread_mutex_lock(&g->lock);
	p = group_find(g, who->group);
	if (p)
		c = consumer_find(p, who->consumer);
	repeat = c && c->request[0] && strcmp(c->request, request) == 0;
	pthread_mutex_unlock(&g->lock);
	return repeat;
}

static bool
on_repeated_row(void *arg, const struct journal_row *row)
{
	struct taking *t = arg;

	t->count++;
	if (!emit(t, t->entry, row))
		t->stopped = true;
	return true;
}

int
groups_repeat(struct groups *g, const struct groups_who *who, emit_fn *fn,
	      void *arg)
{
	struct taking t = { .g = g, .emit = fn, .arg = arg };

	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	t.p = group_find(g, who->group);
	t.c = t.p ? consumer_seen(g, t.p, who) : NULL;
	for (size_t i = 0; t.c && i < t.p->count && !t.stopped; i++) {
		t.entry = &t.p->at[i];
		if (t.entry->state != ENTRY_LEASED || t.entry->owner != t.c ||
		    t.entry->batch != t.c->batch)
			continue;
		(void)journal_read_one(g->reader, t.entry->sequence,
				       on_repeated_row, &t);
	}
	pthread_mutex_unlock(&g->lock);
	return t.c ? (int)t.count : -1;
}

/* ---- at start, and for dead letters ---- */

struct loading {
	struct group *p;
	struct entry *entry;
	int failed;
};

static bool
on_loaded_row(void *arg, const struct journal_row *row)
{
	struct loading *l = arg;

	l->entry->time_us = row->time_us;
	l->failed = entry_set_key(l->p, l->entry, row->partition_key);
	return true;
}

int
entry_load(struct groups *g, struct group *p, struct entry *e)
{
	struct loading l = { .p = p, .entry = e };

	if (journal_read_one(g->reader, e->sequence, on_loaded_row, &l) != 1)
		return -1;
	return l.failed;
}
