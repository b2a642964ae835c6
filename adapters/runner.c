/* SPDX-License-Identifier: Apache-2.0 */
/* One running adapter: fetch, deliver, flush, acknowledge; for ever.
 *
 * A receiver that is down costs no event an attempt: after a failed flush the
 * adapter is closed, and nothing is fetched until it opens again. */
#include "adapters/runner.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapters/config.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/id.h"
#include "base/invariant.h"
#include "base/log.h"

#define RUNNER_MAGIC 0xada90002u
#define BATCH_EVENTS 100
#define FETCH_WAIT_MS 1000
#define BACKOFF_FIRST_MS 250u
#define BACKOFF_LAST_MS 30000u
/* A batch may wait long for a slow receiver before it counts as lost. */
#define LEASE_MS 600000u
#define MAX_ATTEMPTS 20

#define STATES(X) \
	X(REFUSED, "refused") \
	X(CONNECTING, "connecting") \
	X(RUNNING, "running") \
	X(STOPPED, "stopped")

enum runner_state {
#define X(symbol, text) RUNNER_##symbol,
	STATES(X)
#undef X
};

static const char *const state_names[] = {
#define X(symbol, text) text,
	STATES(X)
#undef X
};

struct adapter_runner {
	uint32_t magic;
	const struct adapter_ops *ops;
	struct adapter_config config;	/* a deep copy */
	struct bus_subscriber *sub;
	pthread_t thread;
	bool has_thread;
	unsigned backoff_ms;		/* the thread's own */
	pthread_mutex_t lock;		/* everything below */
	pthread_cond_t wake;
	bool stopping;
	enum runner_state state;
	uint64_t delivered, retried, poisoned, flush_failures;
	int64_t last_sequence;
	char last_error[ERROR_TEXT_MAX];
};

/* ---- shared numbers ---- */

static void
set_state(struct adapter_runner *r, enum runner_state state)
{
	pthread_mutex_lock(&r->lock);
	r->state = state;
	pthread_mutex_unlock(&r->lock);
}

static void
note_error(struct adapter_runner *r, const char *id, const struct error *err)
{
	pthread_mutex_lock(&r->lock);
	snprintf(r->last_error, sizeof(r->last_error), "%s", err->text);
	pthread_mutex_unlock(&r->lock);
	log_warn(id, "adapter %s: %s", r->config.name, err->text);
}

static bool
is_stopping(struct adapter_runner *r)
{
	bool stopping;

	pthread_mutex_lock(&r->lock);
	stopping = r->stopping;
	pthread_mutex_unlock(&r->lock);
	return stopping;
}

/* Twice as long each time, between half and all of it by chance, so that
 * many instances do not come back in step. */
static void
back_off(struct adapter_runner *r)
{
	uint32_t chance;
	uint64_t until_us;
	struct timespec ts;

	id_random(&chance, sizeof(chance));
	until_us = clock_mono_us() +
		   1000u * (r->backoff_ms / 2 +
			    chance % (r->backoff_ms / 2 + 1));
	ts.tv_sec = (time_t)(until_us / 1000000u);
	ts.tv_nsec = (long)(until_us % 1000000u) * 1000;
	pthread_mutex_lock(&r->lock);
	while (!r->stopping && clock_mono_us() < until_us)
		pthread_cond_timedwait(&r->wake, &r->lock, &ts);
	pthread_mutex_unlock(&r->lock);
	if (r->backoff_ms < BACKOFF_LAST_MS / 2)
		r->backoff_ms *= 2;
	else
		r->backoff_ms = BACKOFF_LAST_MS;
}

/* ---- one batch ---- */

static void
count_verdict(struct adapter_runner *r, enum adapter_verdict v)
{
	pthread_mutex_lock(&r->lock);
	switch (v) {
	case ADAPTER_OK:
		break;		/* counted once it is safe */
	case ADAPTER_RETRY:
		r->retried++;
		counter_inc(COUNTER_ADAPTER_RETRIED);
		break;
	case ADAPTER_POISON:
		r->poisoned++;
		counter_inc(COUNTER_ADAPTER_POISONED);
		break;
	}
	pthread_mutex_unlock(&r->lock);
}

static enum adapter_verdict
deliver_one(struct adapter_runner *r, void *self, const struct bus_event *e)
{
	struct error err = { 0 };
	enum adapter_verdict v = r->ops->deliver(self, e, &err);

	count_verdict(r, v);
	switch (v) {
	case ADAPTER_OK:
		break;
	case ADAPTER_RETRY:
		note_error(r, "adapter.retry", &err);
		bus_nak(r->sub, e->row.sequence, 0, err.text);
		break;
	case ADAPTER_POISON:
		note_error(r, "adapter.poison", &err);
		bus_term(r->sub, e->row.sequence, err.text);
		break;
	}
	return v;
}

/* Sets done[i] for what the adapter took; returns how many. */
static size_t
deliver_all(struct adapter_runner *r, void *self, const struct bus_batch *b,
	    bool *done)
{
	size_t taken = 0;

	for (size_t i = 0; i < b->count; i++) {
		done[i] = deliver_one(r, self, &b->events[i]) == ADAPTER_OK;
		taken += done[i];
	}
	return taken;
}

static void
settle(struct adapter_runner *r, const struct bus_batch *b, const bool *done,
       size_t taken)
{
	for (size_t i = 0; i < b->count; i++)
		if (done[i])
			bus_ack(r->sub, b->events[i].row.sequence);
	counter_add(COUNTER_ADAPTER_DELIVERED, (int64_t)taken);
	r->backoff_ms = BACKOFF_FIRST_MS;
	pthread_mutex_lock(&r->lock);
	r->delivered += taken;
	r->last_sequence = b->events[b->count - 1].row.sequence;
	pthread_mutex_unlock(&r->lock);
}

static void
take_back(struct adapter_runner *r, const struct bus_batch *b, const bool *done,
	  const struct error *err)
{
	for (size_t i = 0; i < b->count; i++)
		if (done[i])
			bus_nak(r->sub, b->events[i].row.sequence, 0,
				err->text);
	counter_inc(COUNTER_ADAPTER_FLUSH_FAILED);
	pthread_mutex_lock(&r->lock);
	r->flush_failures++;
	pthread_mutex_unlock(&r->lock);
	note_error(r, "adapter.flush-failed", err);
}

/* 0, or -1 when the receiver has to be opened anew. */
static int
handle_batch(struct adapter_runner *r, void *self, const struct bus_batch *b)
{
	bool done[BATCH_EVENTS] = { false };
	struct error err = { 0 };
	size_t taken;

	INVARIANT(b->count <= BATCH_EVENTS);
	taken = deliver_all(r, self, b, done);
	if (taken == 0)
		return 0;
	if (r->ops->flush(self, &err) != 0) {
		take_back(r, b, done, &err);
		return -1;
	}
	settle(r, b, done, taken);
	return 0;
}

/* Until the receiver fails (-1) or the runner stops (0). */
static int
pump(struct adapter_runner *r, void *self)
{
	struct bus_batch b;

	while (!is_stopping(r)) {
		int failed = 0;

		if (bus_fetch(r->sub, BATCH_EVENTS, FETCH_WAIT_MS, &b) != 0)
			return 0;
		if (b.count > 0)
			failed = handle_batch(r, self, &b);
		bus_batch_fini(&b);
		if (failed)
			return -1;
	}
	return 0;
}

static void *
runner_main(void *arg)
{
	struct adapter_runner *r = arg;

	while (!is_stopping(r)) {
		struct error err = { 0 };
		void *self = r->ops->open(&r->config, &err);
		int failed = -1;

		if (self) {
			set_state(r, RUNNER_RUNNING);
			failed = pump(r, self);
			r->ops->close(self);
		} else {
			note_error(r, "adapter.open-failed", &err);
		}
		if (failed == 0)
			break;
		set_state(r, RUNNER_CONNECTING);
		back_off(r);
	}
	set_state(r, RUNNER_STOPPED);
	return NULL;
}

/* ---- life ---- */

/* A signal is for the main thread; a pipe without a reader is an EPIPE. */
static int
start_thread(struct adapter_runner *r, struct error *err)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&r->thread, NULL, runner_main, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed)
		return error_set(err, "no thread: %s", strerror(failed));
	r->has_thread = true;
	return 0;
}

static struct bus_subscriber *
subscribe(struct bus *bus, const struct adapter_config *c, struct error *err)
{
	static const unsigned backoff_ms[] = { 1000, 5000, 30000, 60000, 0 };
	char group[256];
	struct bus_group_options o = {
		.name = group,
		.type_filter = c->type_filter,
		.subject_filter = c->subject_filter,
		.max_in_flight = BATCH_EVENTS,
		.lease_ms = LEASE_MS,
		.max_attempts = MAX_ATTEMPTS,
		.backoff_ms = backoff_ms,
	};

	snprintf(group, sizeof(group), "adapter.%s", c->name);
	return bus_subscribe(bus, &o, err);
}

static int
begin(struct adapter_runner *r, struct bus *bus, struct error *err)
{
	const struct adapter_config *c = &r->config;

	if (adapter_check(r->ops, c, err) != 0)
		return -1;
	r->state = RUNNER_CONNECTING;
	r->sub = subscribe(bus, c, err);
	return r->sub ? start_thread(r, err) : -1;
}

static void
init_lock(struct adapter_runner *r)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->wake, &attr);
	pthread_condattr_destroy(&attr);
}

struct adapter_runner *
adapter_runner_start(struct bus *bus, const struct adapter_ops *ops,
		     const struct adapter_config *config)
{
	struct adapter_runner *r = calloc(1, sizeof(*r));
	struct error err = { 0 };

	if (!r)
		return NULL;
	MAGIC_SET(r, RUNNER_MAGIC);
	init_lock(r);
	r->ops = ops;
	r->backoff_ms = BACKOFF_FIRST_MS;
	if (adapter_config_copy(&r->config, config) != 0) {
		adapter_runner_stop(&r);
		return NULL;
	}
	if (begin(r, bus, &err) != 0) {
		set_state(r, RUNNER_REFUSED);
		note_error(r, "adapter.refused", &err);
	}
	return r;
}

bool
adapter_runner_is(const struct adapter_runner *r,
		  const struct adapter_config *config)
{
	return adapter_config_equal(&r->config, config);
}

void
adapter_runner_stop_begin(struct adapter_runner *r)
{
	MAGIC_CHECK(r, RUNNER_MAGIC);
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	if (r->sub)
		bus_stop(r->sub);
}

void
adapter_runner_stop(struct adapter_runner **rp)
{
	struct adapter_runner *r = *rp;

	*rp = NULL;
	if (!r)
		return;
	adapter_runner_stop_begin(r);
	if (r->has_thread)
		pthread_join(r->thread, NULL);
	if (r->sub)
		bus_unsubscribe(&r->sub);
	adapter_config_fini(&r->config);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	MAGIC_CLEAR(r);
	free(r);
}

void
adapter_runner_status(struct adapter_runner *r, struct json *out)
{
	MAGIC_CHECK(r, RUNNER_MAGIC);
	pthread_mutex_lock(&r->lock);
	json_object_begin(out);
	json_key(out, "name");
	json_str(out, r->config.name);
	json_key(out, "kind");
	json_str(out, r->config.kind);
	json_key(out, "state");
	json_str(out, state_names[r->state]);
	json_key(out, "delivered");
	json_u64(out, r->delivered);
	json_key(out, "retried");
	json_u64(out, r->retried);
	json_key(out, "poisoned");
	json_u64(out, r->poisoned);
	json_key(out, "flush_failures");
	json_u64(out, r->flush_failures);
	json_key(out, "last_sequence");
	json_i64(out, r->last_sequence);
	json_key(out, "last_error");
	json_str(out, r->last_error[0] ? r->last_error : NULL);
	json_object_end(out);
	pthread_mutex_unlock(&r->lock);
}
