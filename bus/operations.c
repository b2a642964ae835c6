/* SPDX-License-Identifier: Apache-2.0 */
/* Who looks at an operation, who waits for it, and its end by time.
 *
 * One thread reads: workers must not wait for the disk. It also sees to it
 * that answers past their time are deleted. */
#include "bus/operations.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "bus/internal.h"
#include "bus/kept.h"

#define WAITING_MAX 65536	/* questions */
#define BUCKETS 1024
#define LOOK_AGAIN_MS 10000	/* for dead letters */
#define GIVE_UP_MOST 50		/* in one sweep */
#define SWEEP_AGAIN_MS 1000	/* after a failure */

struct watch {
	struct watch *next;
	struct id operation, watcher;
	bus_wake_fn *wake;
	void *arg;
};

struct operations {
	struct bus *bus;
	struct journal_reader *reader;	/* the thread's */
	pthread_t thread;
	bool runs;
	int64_t due_us;			/* the thread's; 0: never */
	int64_t began_after;		/* the newest event then */

	pthread_mutex_t lock;		/* of all below */
	pthread_cond_t rung;
	bool stopping, sweeping, look;
	uint64_t rest_ms;		/* no sweep before */
	struct bus_lookup *first, **last;
	size_t waiting;
	struct watch *at[BUCKETS];
};

/* ---- who waits ---- */

static struct watch **
bucket(struct operations *o, const struct id *operation)
{
	unsigned h;

	memcpy(&h, operation->bytes, sizeof(h));
	return &o->at[h % BUCKETS];
}

int
bus_watch(struct bus *bus, const struct id *operation,
	  const struct id *watcher, bus_wake_fn *wake, void *arg)
{
	struct operations *o = bus->operations;
	struct watch *w = malloc(sizeof(*w)), **at;

	if (!w)
		return -1;
	*w = (struct watch){ .operation = *operation, .watcher = *watcher,
			     .wake = wake, .arg = arg };
	pthread_mutex_lock(&o->lock);
	at = bucket(o, operation);
	w->next = *at;
	*at = w;
	pthread_mutex_unlock(&o->lock);
	return 0;
}

/* Takes out all that watch the operation, or one of them. */
static struct watch *
take_watches(struct operations *o, const struct id *operation,
	     const struct id *watcher)
{
	struct watch **at = bucket(o, operation), *taken = NULL;

	while (*at) {
		struct watch *w = *at;

		if (!id_equal(&w->operation, operation) ||
		    (watcher && !id_equal(&w->watcher, watcher))) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = taken;
		taken = w;
	}
	return taken;
}

static void
free_watches(struct watch *w)
{
	while (w) {
		struct watch *next = w->next;

		free(w);
		w = next;
	}
}

void
bus_unwatch(struct bus *bus, const struct id *operation,
	    const struct id *watcher)
{
	struct operations *o = bus->operations;
	struct watch *w;

	pthread_mutex_lock(&o->lock);
	w = take_watches(o, operation, watcher);
	pthread_mutex_unlock(&o->lock);
	free_watches(w);
}

bool
operations_is_own(const struct operations *o,
		  const struct journal_operation *op)
{
	return op->sequence > o->began_after;
}

static void
tell_watchers(struct operations *o, const struct id *operation)
{
	struct watch *all, *w;

	pthread_mutex_lock(&o->lock);
	all = take_watches(o, operation, NULL);
	o->look = true;
	pthread_cond_signal(&o->rung);
	pthread_mutex_unlock(&o->lock);
	for (w = all; w; w = w->next)
		w->wake(w->arg, &w->watcher);
	free_watches(all);
}

void
operations_finished(struct operations *o, const struct id *operation)
{
	counter_inc(COUNTER_OPERATIONS_DONE);
	tell_watchers(o, operation);
}

/* ---- questions ---- */

bool
bus_lookup(struct bus *bus, struct bus_lookup *l)
{
	struct operations *o = bus->operations;
	bool taken;

	l->next = NULL;
	l->answer = NULL;
	pthread_mutex_lock(&o->lock);
	taken = o->waiting < WAITING_MAX;
	if (taken) {
		*o->last = l;
		o->last = &l->next;
		o->waiting++;
		pthread_cond_signal(&o->rung);
	}
	pthread_mutex_unlock(&o->lock);
	return taken;
}

static struct bus_lookup *
take_question(struct operations *o)
{
	struct bus_lookup *l = o->first;

	if (!l)
		return NULL;
	o->first = l->next;
	if (!o->first)
		o->last = &o->first;
	o->waiting--;
	return l;
}

struct found {
	struct operations *o;
	struct bus_lookup *l;
	bool dead;		/* its end may be near */
};

static int64_t
now_us(const struct operations *o)
{
	return journal_time_us(o->bus->journal);
}

/* What a client is told is compared with its own clock. */
static void
tell_wall_time(struct journal_operation *o, int64_t ahead_us)
{
	o->created_us += ahead_us;
	if (o->expires_us)
		o->expires_us += ahead_us;
	if (o->died_us)
		o->died_us += ahead_us;
}

static void
on_found(void *arg, const struct journal_operation *row)
{
	struct found *f = arg;
	struct bus_lookup *l = f->l;
	int64_t now = now_us(f->o);

	l->operation = *row;
	l->operation.when_done &= ~BUS_OPERATION_TELLS;
	l->operation.rule = l->operation.answer = (struct span){ "", 0 };
	tell_wall_time(&l->operation, clock_wall_us() - now);
	f->dead = row->died_us != 0;
	if (row->state != JOURNAL_OPERATION_DONE)
		return;
	if (row->expires_us <= now) {
		l->operation.state = JOURNAL_OPERATION_EXPIRED;
		return;
	}
	l->answer = kept_open(f->o->bus->source->key, &l->id, row->answer);
	if (!l->answer)
		log_error("bus.operation", "an answer that is kept cannot be "
			  "read: was the file redact.key of the data "
			  "directory replaced?");
}

/* Returns whether it is worth looking what is due. */
static bool
answer_question(struct operations *o, struct bus_lookup *l)
{
	struct found f = { o, l, false };
	int rc = journal_read_operation(o->reader, &l->id, on_found, &f);

	l->result = rc < 0 ? BUS_LOOKUP_FAILED :
		    rc > 0 ? BUS_LOOKUP_FOUND : BUS_LOOKUP_NONE;
	l->done(l);
	return f.dead;
}

/* ---- the end by time ---- */

struct sweep {
	struct journal_item item;
	struct operations *o;
	int expired;
	size_t given_up;
	struct id ids[GIVE_UP_MOST];
};

/* After an operator's time for a redrive there is an end, also of the key. */
static void
give_up(struct sweep *s, struct journal_tx *tx)
{
	int64_t now = journal_tx_time_us(tx);
	struct journal_operation o;

	s->given_up = 0;
	while (s->given_up < GIVE_UP_MOST &&
	       journal_tx_operation_given_up(tx, now, &o) == 1) {
		if (ended_finish(s->o->bus, tx, &o, ENDED_GIVEN_UP) < 0)
			return;
		s->ids[s->given_up++] = o.id;
	}
}

static int
sweep_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct sweep *s = (struct sweep *)item;

	give_up(s, tx);
	s->expired = journal_tx_operations_sweep(tx, journal_tx_time_us(tx));
	return 0;
}

static void
sweep_count(const struct sweep *s)
{
	counter_add(COUNTER_OPERATIONS_EXPIRED, s->expired);
	counter_add(COUNTER_OPERATIONS_GIVEN_UP, (int64_t)s->given_up);
	for (size_t i = 0; i < s->given_up; i++)
		tell_watchers(s->o, &s->ids[i]);
}

static void
sweep_done(struct journal_item *item, enum journal_status status)
{
	struct sweep *s = (struct sweep *)item;
	struct operations *o = s->o;

	if (status == JOURNAL_COMMITTED)
		sweep_count(s);
	free(s);
	pthread_mutex_lock(&o->lock);
	if (status != JOURNAL_COMMITTED)
		o->rest_ms = clock_mono_ms() + SWEEP_AGAIN_MS;
	o->sweeping = false;
	o->look = true;
	pthread_cond_signal(&o->rung);
	pthread_mutex_unlock(&o->lock);
}

/* Under the lock. */
static void
sweep_start(struct operations *o)
{
	static const struct journal_item_ops ops = { .apply = sweep_apply,
						     .done = sweep_done };
	struct sweep *s = calloc(1, sizeof(*s));

	o->rest_ms = clock_mono_ms() + SWEEP_AGAIN_MS;
	if (!s)
		return;
	o->rest_ms = 0;
	s->item.ops = &ops;
	s->item.urgent = true;	/* a failure of it is no gap */
	s->o = o;
	o->sweeping = true;
	journal_post(o->bus->journal, &s->item);
}

/* ---- the thread ---- */

/* Monotonic ms to sleep until; 0: until something happens. */
static uint64_t
next_look(const struct operations *o, uint64_t now_ms)
{
	int64_t left_us = o->due_us - now_us(o);

	if (o->sweeping)
		return 0;
	if (o->due_us == 0)
		return now_ms + LOOK_AGAIN_MS;
	if (left_us <= 0)
		return o->rest_ms;
	return left_us > LOOK_AGAIN_MS * 1000 ?
		       now_ms + LOOK_AGAIN_MS :
		       now_ms + (uint64_t)left_us / 1000u + 1;
}

static void
sleep_until(struct operations *o, uint64_t at_ms)
{
	struct timespec ts = { (time_t)(at_ms / 1000u),
			       (long)(at_ms % 1000u) * 1000000 };

	if (!at_ms)
		pthread_cond_wait(&o->rung, &o->lock);
	else if (pthread_cond_timedwait(&o->rung, &o->lock, &ts) == ETIMEDOUT)
		o->look = true;		/* commands may have died */
}

/* With the lock, which it leaves for the journal. */
static void
look_for_due(struct operations *o)
{
	int64_t due = 0;

	o->look = false;
	pthread_mutex_unlock(&o->lock);
	if (journal_read_operations_due(o->reader, &due) < 0)
		due = now_us(o) + LOOK_AGAIN_MS * 1000;
	pthread_mutex_lock(&o->lock);
	o->due_us = due;
}

static bool
sweep_is_due(const struct operations *o)
{
	return !o->stopping && !o->sweeping && o->due_us &&
	       o->due_us <= now_us(o) && o->rest_ms <= clock_mono_ms();
}

static void *
operations_main(void *arg)
{
	struct operations *o = arg;
	struct bus_lookup *l;
	bool dead;

	(void)pthread_setname_np(pthread_self(), "operations");
	pthread_mutex_lock(&o->lock);
	while (!o->stopping || o->first || o->sweeping) {
		l = take_question(o);
		if (l) {
			pthread_mutex_unlock(&o->lock);
			dead = answer_question(o, l);
			pthread_mutex_lock(&o->lock);
			o->look |= dead;
		} else if (o->look && !o->sweeping) {
			look_for_due(o);
		} else if (sweep_is_due(o)) {
			sweep_start(o);
		} else {
			sleep_until(o, next_look(o, clock_mono_ms()));
		}
	}
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

/* ---- open and close ---- */

struct operations *
operations_open(struct bus *b, struct error *err)
{
	struct operations *o = calloc(1, sizeof(*o));
	pthread_condattr_t attr;

	if (!o) {
		error_set(err, "no memory for the operations");
		return NULL;
	}
	o->bus = b;
	o->last = &o->first;
	o->look = true;
	o->began_after = journal_last_sequence(b->journal);
	pthread_mutex_init(&o->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&o->rung, &attr);
	pthread_condattr_destroy(&attr);
	o->reader = journal_reader_open(journal_path(b->journal), err);
	if (o->reader)
		o->runs = pthread_create(&o->thread, NULL, operations_main,
					 o) == 0;
	if (!o->runs) {
		error_set(err, "cannot start a thread for the operations");
		operations_close(&o);
	}
	return o;
}

void
operations_close(struct operations **op)
{
	struct operations *o = *op;

	if (!o)
		return;
	*op = NULL;
	pthread_mutex_lock(&o->lock);
	o->stopping = true;
	pthread_cond_signal(&o->rung);
	pthread_mutex_unlock(&o->lock);
	if (o->runs)
		pthread_join(o->thread, NULL);
	for (size_t i = 0; i < BUCKETS; i++)
		free_watches(o->at[i]);
	journal_reader_close(&o->reader);
	pthread_cond_destroy(&o->rung);
	pthread_mutex_destroy(&o->lock);
	free(o);
}
