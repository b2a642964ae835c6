/* SPDX-License-Identifier: Apache-2.0 */
/* The bus as a whole: its parts, its bell, and the thread that keeps time. */
#include "bus/bus.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/invariant.h"
#include "bus/internal.h"
#include "bus/job.h"

/* ---- the bell ---- */

void
bus_ring(struct bus *b)
{
	pthread_mutex_lock(&b->bell);
	b->rings++;
	pthread_cond_broadcast(&b->rung);
	pthread_mutex_unlock(&b->bell);
}

void
bus_ring_by(struct bus *b, uint64_t by_ms)
{
	pthread_mutex_lock(&b->bell);
	if (b->pump_at > by_ms) {
		b->pump_at = by_ms;
		b->rings++;
		pthread_cond_broadcast(&b->rung);
	}
	pthread_mutex_unlock(&b->bell);
}

void
bus_after_settle(struct bus *b, enum groups_effect effect)
{
	switch (effect) {
	case GROUPS_STALE:
		return;
	case GROUPS_SETTLED:
		bus_ring_by(b, clock_mono_ms() + BUS_SOON_MS);
		return;
	case GROUPS_UNBLOCKED:
		bus_ring(b);
		return;
	}
}

/* When too many go at once the leases of the rest simply run out. */
void
bus_session_gone(struct bus *b, uint32_t session)
{
	pthread_mutex_lock(&b->bell);
	if (b->gone_count < BUS_SESSIONS_GONE)
		b->gone[b->gone_count++] = session;
	b->rings++;
	pthread_cond_broadcast(&b->rung);
	pthread_mutex_unlock(&b->bell);
}

uint64_t
bus_bell_count(struct bus *b)
{
	uint64_t n;

	pthread_mutex_lock(&b->bell);
	n = b->rings;
	pthread_mutex_unlock(&b->bell);
	return n;
}

bool
bus_is_stopping(struct bus *b)
{
	bool stopping;

	pthread_mutex_lock(&b->bell);
	stopping = b->stopping;
	pthread_mutex_unlock(&b->bell);
	return stopping;
}

static void
wait_locked(struct bus *b, uint64_t until_ms)
{
	struct timespec ts = { .tv_sec = (time_t)(until_ms / 1000u),
			       .tv_nsec = (long)(until_ms % 1000u) * 1000000 };

	if (until_ms == GROUPS_NEVER)
		pthread_cond_wait(&b->rung, &b->bell);
	else
		pthread_cond_timedwait(&b->rung, &b->bell, &ts);
}

uint64_t
bus_bell_wait(struct bus *b, uint64_t seen, uint64_t until_ms)
{
	uint64_t n;

	pthread_mutex_lock(&b->bell);
	while (b->rings == seen && !b->stopping && clock_mono_ms() < until_ms)
		wait_locked(b, until_ms);
	n = b->rings;
	pthread_mutex_unlock(&b->bell);
	return n;
}

static void
on_commit(void *arg, int64_t sequence)
{
	(void)sequence;
	bus_ring(arg);
}

static void
on_flush(void *arg)
{
	bus_ring(arg);
}

static bool
on_hand_out(void *arg, const struct journal_row *row)
{
	struct bus *b = arg;

	return commands_hand_out(b->commands, row);
}

/* ---- the pump ---- */

/* What came while waiting: connections that ended, a stop. */
struct news {
	uint32_t gone[BUS_SESSIONS_GONE];
	size_t gone_count;
	uint64_t rings;
	bool stopping;
};

/* Waits for the bell or for the time. In the latter case the bell is rung
 * for the others: an event may be due again. */
static void
pump_wait(struct bus *b, uint64_t next_ms, struct news *n)
{
	pthread_mutex_lock(&b->bell);
	b->pump_at = next_ms;
	while (b->rings == n->rings && !b->stopping &&
	       clock_mono_ms() < next_ms)
		wait_locked(b, next_ms);
	if (b->rings == n->rings) {
		b->rings++;
		pthread_cond_broadcast(&b->rung);
	}
	b->pump_at = 0;
	n->rings = b->rings;
	n->stopping = b->stopping;
	n->gone_count = b->gone_count;
	memcpy(n->gone, b->gone, b->gone_count * sizeof(*n->gone));
	b->gone_count = 0;
	pthread_mutex_unlock(&b->bell);
}

static void *
pump_main(void *arg)
{
	struct bus *b = arg;
	struct news n = { 0 };

	while (!n.stopping) {
		uint64_t next = groups_tick(b->groups);
		uint64_t job = jobs_tick(b->jobs);
		uint64_t served = GROUPS_NEVER;

		next = job < next ? job : next;
		taken_back_trim(b);
		if (b->server)
			served = server_serve(b->server);
		pump_wait(b, next < served ? next : served, &n);
		for (size_t i = 0; i < n.gone_count; i++) {
			groups_session_gone(b->groups, n.gone[i]);
			server_session_gone(b->server, n.gone[i]);
		}
	}
	return NULL;
}

/* ---- open and close ---- */

static void
init_locks(struct bus *b)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&b->bell, NULL);
	pthread_mutex_init(&b->redact_lock, NULL);
	pthread_mutex_init(&b->taken_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->rung, &attr);
	pthread_condattr_destroy(&attr);
}

/* Recovery ends before the first consumer can ask. */
static int
open_parts(struct bus *b, const struct bus_options *o, struct error *err)
{
	const struct groups_env env = { .journal = b->journal,
					.hand_out = on_hand_out,
					.wake = on_flush, .arg = b };

	b->commands = commands_new();
	if (!b->commands)
		return error_set(err, "no memory for the bus");
	if (taken_back_recover(b, err) < 0 ||
	    recover_open_exchanges(b, err) < 0)
		return -1;
	b->groups = groups_open(&env, err);
	if (!b->groups || !(b->jobs = jobs_open(b, err)) ||
	    !(b->operations = operations_open(b, err)))
		return -1;
	if (o->urls && o->urls[0] &&
	    !(b->server = server_open(b, o, err)))
		return -1;
	if (pthread_create(&b->pump, NULL, pump_main, b) != 0)
		return error_set(err, "cannot start a thread for the bus");
	b->pump_runs = true;
	journal_set_on_commit(b->journal, on_commit, b);
	bus_ring(b);	/* for what came before the doorbell hung */
	return 0;
}

struct bus *
bus_open(struct journal *j, const struct bus_options *o, struct error *err)
{
	struct bus *b = calloc(1, sizeof(*b));

	if (!b) {
		error_set(err, "no memory for the bus");
		return NULL;
	}
	MAGIC_SET(b, BUS_MAGIC);
	b->journal = j;
	b->source = o->source;
	b->answer_max = o->answer_bytes;
	init_locks(b);
	if (open_parts(b, o, err) < 0)
		bus_close(&b);
	return b;
}

/* An item of the journal that only comes back. */
struct barrier {
	struct journal_item item;
	struct bus *bus;
	bool passed;	/* under the bell's lock */
};

static int
barrier_apply(struct journal_item *item, struct journal_tx *tx)
{
	(void)item;
	(void)tx;
	return 0;
}

static void
barrier_done(struct journal_item *item, enum journal_status status)
{
	struct barrier *w = (struct barrier *)item;
	struct bus *b = w->bus;

	(void)status;
	pthread_mutex_lock(&b->bell);
	w->passed = true;
	pthread_cond_broadcast(&b->rung);
	pthread_mutex_unlock(&b->bell);
}

/* The writer may be ringing at this moment; it is one thread, so when it has
 * passed here, it is not any more. */
static void
take_doorbell_off(struct bus *b)
{
	static const struct journal_item_ops ops = { barrier_apply,
						     barrier_done };
	struct barrier w = { .item = { .ops = &ops, .urgent = true },
			     .bus = b };

	journal_set_on_commit(b->journal, NULL, NULL);
	journal_post(b->journal, &w.item);
	pthread_mutex_lock(&b->bell);
	while (!w.passed)
		pthread_cond_wait(&b->rung, &b->bell);
	pthread_mutex_unlock(&b->bell);
}

static void
stop(struct bus *b)
{
	pthread_mutex_lock(&b->bell);
	b->stopping = true;
	b->rings++;
	pthread_cond_broadcast(&b->rung);
	pthread_mutex_unlock(&b->bell);
	if (b->pump_runs)
		pthread_join(b->pump, NULL);
}

void
bus_close(struct bus **bp)
{
	struct bus *b = *bp;

	if (!b)
		return;
	*bp = NULL;
	MAGIC_CHECK(b, BUS_MAGIC);
	if (b->pump_runs)
		take_doorbell_off(b);
	stop(b);
	server_close(&b->server);
	jobs_close(&b->jobs);
	operations_close(&b->operations);
	groups_close(&b->groups);
	commands_free(&b->commands);
	bus_set_redact(b, NULL);
	pthread_cond_destroy(&b->rung);
	taken_back_close(b);
	pthread_mutex_destroy(&b->taken_lock);
	pthread_mutex_destroy(&b->redact_lock);
	pthread_mutex_destroy(&b->bell);
	MAGIC_CLEAR(b);
	free(b);
}

int
bus_reload_tokens(struct bus *bus, struct error *err)
{
	MAGIC_CHECK(bus, BUS_MAGIC);
	return bus->server ? server_reload_tokens(bus->server, err) : 0;
}

int
bus_reload_tls(struct bus *bus, struct error *err)
{
	MAGIC_CHECK(bus, BUS_MAGIC);
	return bus->server ? server_reload_tls(bus->server, err) : 0;
}

const char *
bus_url(const struct bus *bus, size_t i)
{
	return bus->server ? server_url(bus->server, i) : NULL;
}

struct journal *
bus_journal(const struct bus *bus)
{
	return bus->journal;
}

/* ---- commands and status ---- */

int
bus_expect(struct bus *bus, const struct id *exchange_id,
	   void (*deliver)(void *arg, struct bus_reply *reply), void *arg)
{
	return commands_expect(bus->commands, exchange_id, deliver, arg);
}

bool
bus_forget(struct bus *bus, const struct id *exchange_id)
{
	return commands_forget(bus->commands, exchange_id);
}

bool
bus_command_was_given(struct bus *bus, const struct id *exchange_id)
{
	return commands_was_given(bus->commands, exchange_id);
}

bool
bus_take_back(struct bus *bus, const struct id *exchange_id,
	      void (*done)(void *arg, enum journal_status status), void *arg)
{
	struct taken_back *t = taken_back_new(exchange_id, done, arg);

	if (!t || !commands_take_back(bus->commands, exchange_id)) {
		taken_back_free(&t);
		return false;
	}
	taken_back_post(bus, t);
	return true;
}

bool
bus_is_held_up(struct bus *bus)
{
	int64_t first, last;

	return groups_damage(bus->groups, &first, &last);
}

static void
write_damage(struct bus *bus, struct json *out)
{
	int64_t first, last;

	if (!groups_damage(bus->groups, &first, &last)) {
		json_str(out, NULL);
		return;
	}
	json_object_begin(out);
	json_key(out, "first");
	json_i64(out, first);
	json_key(out, "last");
	json_i64(out, last);
	json_object_end(out);
}

void
bus_status(struct bus *bus, struct json *out)
{
	MAGIC_CHECK(bus, BUS_MAGIC);
	json_object_begin(out);
	json_key(out, "groups");
	groups_status(bus->groups, out);
	json_key(out, "damaged");
	write_damage(bus, out);
	json_key(out, "dead_letters");
	json_array_begin(out);
	if (bus->server)
		server_write_newest_letters(bus->server, out);
	json_array_end(out);
	json_key(out, "jobs");
	jobs_write(bus->jobs, "", out);
	json_key(out, "commands_waiting");
	json_u64(out, commands_waiting(bus->commands));
	json_object_end(out);
}
