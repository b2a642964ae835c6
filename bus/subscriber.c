/* SPDX-License-Identifier: Apache-2.0 */
/* Consumers in this process: the same engine, without a socket. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/invariant.h"
#include "bus/internal.h"

#define SUBSCRIBER_MAGIC 0x42535542u
#define BATCH_BYTES (4u << 20)	/* then the batch is full */
/* Each commit rings the bell: who found nothing looks again after so long, not
 * a thousand times a second for events of other groups. */
#define REST_MS 5u

struct bus_subscriber {
	uint32_t magic;
	struct bus *bus;
	char group[GROUPS_NAME_SIZE];
	char consumer[32];
	_Atomic bool stopped;
};

static struct groups_who
who_of(const struct bus_subscriber *s)
{
	return (struct groups_who){ s->group, s->consumer, 0 };
}

/* ---- subscribe ---- */

static int
copy_filter(char *out, const char *text, struct error *err)
{
	memset(out, 0, GROUPS_FILTER_SIZE);
	if (!text)
		return 0;
	if (strlen(text) >= GROUPS_FILTER_SIZE)
		return error_set(err, "a filter has at most %d characters: %s",
				 GROUPS_FILTER_SIZE - 1, text);
	memcpy(out, text, strlen(text));
	return 0;
}

static void
copy_backoff(struct groups_settings *s, const unsigned *list)
{
	size_t n = 0;

	for (; list[n] && n < GROUPS_BACKOFF_MAX; n++)
		s->backoff_ms[n] = list[n];
	s->backoff_count = n;
}

/* The program decides: a new version's filter and limits replace the old. */
static int
change_settings(void *arg, struct groups_settings *s, bool is_new,
		struct error *err)
{
	const struct bus_group_options *o = arg;

	(void)is_new;
	groups_settings_default(s);
	s->shadow_only = o->shadow_only;
	s->place.start = o->start_newest ? GROUPS_NEWEST : GROUPS_OLDEST;
	if (o->max_in_flight)
		s->max_in_flight = o->max_in_flight;
	if (o->lease_ms)
		s->lease_ms = o->lease_ms;
	if (o->max_attempts)
		s->max_attempts = o->max_attempts;
	if (o->backoff_ms)
		copy_backoff(s, o->backoff_ms);
	if (copy_filter(s->type, o->type_filter, err) < 0)
		return -1;
	return copy_filter(s->subject, o->subject_filter, err);
}

static unsigned
next_number(struct bus *b)
{
	unsigned n;

	pthread_mutex_lock(&b->bell);
	n = ++b->subscribers;
	pthread_mutex_unlock(&b->bell);
	return n;
}

struct bus_subscriber *
bus_subscribe(struct bus *bus, const struct bus_group_options *o,
	      struct error *err)
{
	struct bus_subscriber *s;

	MAGIC_CHECK(bus, BUS_MAGIC);
	if (groups_name_check(o->name, err) < 0 ||
	    groups_ensure(bus->groups, o->name, change_settings,
			  (void *)(uintptr_t)o, err) < 0)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s) {
		error_set(err, "no memory for a subscriber of %s", o->name);
		return NULL;
	}
	MAGIC_SET(s, SUBSCRIBER_MAGIC);
	s->bus = bus;
	snprintf(s->group, sizeof(s->group), "%s", o->name);
	snprintf(s->consumer, sizeof(s->consumer), "local-%u",
		 next_number(bus));
	bus_ring(bus);	/* saves the new group */
	return s;
}

void
bus_unsubscribe(struct bus_subscriber **sp)
{
	struct bus_subscriber *s = *sp;
	struct groups_who who;

	if (!s)
		return;
	*sp = NULL;
	MAGIC_CHECK(s, SUBSCRIBER_MAGIC);
	who = who_of(s);
	groups_leave(s->bus->groups, &who);
	bus_ring(s->bus);
	MAGIC_CLEAR(s);
	free(s);
}

void
bus_stop(struct bus_subscriber *s)
{
	atomic_store(&s->stopped, true);
	bus_ring(s->bus);
}

/* ---- fetch ---- */

struct collect {
	struct buf bytes;		/* texts; offsets until the end */
	struct bus_event *events;
	size_t count, cap;
	bool failed;
};

/* The buffer moves while it grows: offsets stand in for pointers. */
static void
keep(struct collect *c, struct span *s)
{
	size_t at = c->bytes.len;

	buf_add(&c->bytes, s->at, s->len);
	s->at = (const char *)(uintptr_t)at;
}

static void
settle_span(const struct collect *c, struct span *s)
{
	s->at = s->len ? c->bytes.data + (uintptr_t)s->at : "";
}

static void
each_span(struct journal_row *r, struct collect *c, int settle)
{
	struct span *all[] = { &r->type,	  &r->source,
			       &r->subject,	  &r->correlation,
			       &r->partition_key, &r->extensions,
			       &r->data };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (settle)
			settle_span(c, all[i]);
		else
			keep(c, all[i]);
	}
}

static bool
on_event(void *arg, const struct journal_row *row,
	 const struct groups_delivery *d)
{
	struct collect *c = arg;

	if (c->count == c->cap) {	/* cannot be: cap is the fetch's max */
		c->failed = true;
		return false;
	}
	c->events[c->count] = (struct bus_event){ *row, d->attempt };
	each_span(&c->events[c->count++].row, c, 0);
	return c->bytes.len < BATCH_BYTES;
}

static void
collect_end(struct collect *c, struct bus_batch *batch)
{
	for (size_t i = 0; i < c->count; i++)
		each_span(&c->events[i].row, c, 1);
	batch->events = c->events;
	batch->count = c->count;
	batch->memory = buf_steal(&c->bytes, NULL);
	buf_fini(&c->bytes);
}

static bool
is_over(const struct bus_subscriber *s)
{
	return atomic_load(&s->stopped) || bus_is_stopping(s->bus);
}

/* A batch that could not be copied is handed back: its leases would only
 * run out otherwise. */
static int
fetch_once(struct bus_subscriber *s, size_t max, struct bus_batch *batch)
{
	const struct groups_who who = who_of(s);
	struct collect c = { .cap = max };
	int n;

	c.events = calloc(max, sizeof(*c.events));
	if (!c.events)
		return 0;
	n = groups_take(s->bus->groups, &who, max, NULL, on_event, &c);
	if (n > 0 && !c.bytes.failed) {
		collect_end(&c, batch);
		bus_ring_by(s->bus, clock_mono_ms() + BUS_SOON_MS);
		return n;
	}
	if (n > 0)
		groups_leave(s->bus->groups, &who);
	free(c.events);
	buf_fini(&c.bytes);
	return 0;
}

/* Waits for the bell, and no less than REST_MS from the last look. */
static void
rest(struct bus_subscriber *s, uint64_t seen, uint64_t looked, uint64_t until)
{
	uint64_t now;

	(void)bus_bell_wait(s->bus, seen, until);
	now = clock_mono_ms();
	if (now < looked + REST_MS && now < until && !is_over(s)) {
		uint64_t ms = looked + REST_MS - now;
		const struct timespec ts = {
			.tv_nsec = (long)(ms < until - now ? ms : until - now) *
				   1000000,
		};

		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	}
}

int
bus_fetch(struct bus_subscriber *s, size_t max, unsigned wait_ms,
	  struct bus_batch *batch)
{
	uint64_t until, seen;

	MAGIC_CHECK(s, SUBSCRIBER_MAGIC);
	*batch = (struct bus_batch){ 0 };
	until = clock_mono_ms() + wait_ms;
	do {
		seen = bus_bell_count(s->bus);
		if (is_over(s))
			return -1;
		if (max > 0 && fetch_once(s, max, batch) > 0)
			return 0;
		if (clock_mono_ms() < until && !is_over(s))
			rest(s, seen, clock_mono_ms(), until);
	} while (clock_mono_ms() < until);
	return is_over(s) ? -1 : 0;
}

void
bus_batch_fini(struct bus_batch *batch)
{
	free(batch->events);
	free(batch->memory);
	*batch = (struct bus_batch){ 0 };
}

/* ---- answers ---- */

static void
answer(struct bus_subscriber *s, enum groups_verdict verdict,
       int64_t sequence, unsigned delay_ms, const char *reason)
{
	const struct groups_who who = who_of(s);
	const struct groups_answer a = { verdict, sequence, delay_ms, reason };

	MAGIC_CHECK(s, SUBSCRIBER_MAGIC);
	bus_after_settle(s->bus, groups_settle(s->bus->groups, &who, &a));
}

void
bus_ack(struct bus_subscriber *s, int64_t sequence)
{
	answer(s, GROUPS_ACK, sequence, 0, NULL);
}

void
bus_nak(struct bus_subscriber *s, int64_t sequence, unsigned delay_ms,
	const char *reason)
{
	answer(s, GROUPS_NAK, sequence, delay_ms, reason);
}

void
bus_term(struct bus_subscriber *s, int64_t sequence, const char *reason)
{
	answer(s, GROUPS_TERM, sequence, 0, reason);
}
