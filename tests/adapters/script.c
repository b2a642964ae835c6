/* SPDX-License-Identifier: Apache-2.0 */
/* An adapter that does what the test says, and remembers what it was told. */
#include "tests/adapters/script.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PATIENCE_S 20

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct script_orders orders;
	unsigned counts[4];
	char pending[4096], taken[4096];	/* subjects */
} script = { .lock = PTHREAD_MUTEX_INITIALIZER,
	     .changed = PTHREAD_COND_INITIALIZER };

/* Under the lock. */
static void
count(enum script_step step)
{
	script.counts[step]++;
	pthread_cond_broadcast(&script.changed);
}

static int
script_check(const struct adapter_config *c, struct error *err)
{
	if (c->setting_count > 1)
		return error_set(err, "one setting at most");
	return 0;
}

static void *
script_open(const struct adapter_config *c, struct error *err)
{
	void *self = &script;

	(void)c;
	pthread_mutex_lock(&script.lock);
	count(SCRIPT_OPEN);
	if (script.orders.fail_opens > 0) {
		script.orders.fail_opens--;
		error_set(err, "the receiver is away");
		self = NULL;
	}
	pthread_mutex_unlock(&script.lock);
	return self;
}

static void
add_word(char *words, size_t size, struct span word)
{
	size_t len = strlen(words);

	snprintf(words + len, size - len, "%s%.*s", len ? " " : "",
		 (int)word.len, word.at);
}

static enum adapter_verdict
judge(const struct bus_event *e, struct error *err)
{
	if (span_is(e->row.data, "\"poison\"")) {
		error_set(err, "cannot be carried");
		return ADAPTER_POISON;
	}
	if (span_is(e->row.data, "\"retry\"") && script.orders.retries > 0) {
		script.orders.retries--;
		error_set(err, "not now");
		return ADAPTER_RETRY;
	}
	add_word(script.pending, sizeof(script.pending), e->row.subject);
	return ADAPTER_OK;
}

static enum adapter_verdict
script_deliver(void *self, const struct bus_event *e, struct error *err)
{
	enum adapter_verdict v;

	(void)self;
	pthread_mutex_lock(&script.lock);
	count(SCRIPT_DELIVER);
	v = judge(e, err);
	pthread_mutex_unlock(&script.lock);
	return v;
}

static int
script_flush(void *self, struct error *err)
{
	int r = 0;

	(void)self;
	pthread_mutex_lock(&script.lock);
	if (script.orders.fail_flushes > 0) {
		script.orders.fail_flushes--;
		r = error_set(err, "the receiver went away");
	} else {
		add_word(script.taken, sizeof(script.taken),
			 span_of(script.pending));
	}
	script.pending[0] = '\0';
	count(SCRIPT_FLUSH);
	pthread_mutex_unlock(&script.lock);
	return r;
}

static void
script_close(void *self)
{
	(void)self;
	pthread_mutex_lock(&script.lock);
	count(SCRIPT_CLOSE);
	pthread_mutex_unlock(&script.lock);
}

const struct adapter_ops *
script_find(const char *kind)
{
	static const struct adapter_ops ops = {
		.kind = "script", .help = "For tests.",
		.check = script_check, .open = script_open,
		.deliver = script_deliver, .flush = script_flush,
		.close = script_close,
	};

	return kind && strcmp(kind, ops.kind) == 0 ? &ops : NULL;
}

void
script_reset(const struct script_orders *orders)
{
	pthread_mutex_lock(&script.lock);
	script.orders = *orders;
	memset(script.counts, 0, sizeof(script.counts));
	script.taken[0] = script.pending[0] = '\0';
	pthread_mutex_unlock(&script.lock);
}

const char *
script_taken(void)
{
	static char copy[sizeof(script.taken)];

	pthread_mutex_lock(&script.lock);
	memcpy(copy, script.taken, sizeof(copy));
	pthread_mutex_unlock(&script.lock);
	return copy;
}

static struct timespec
patience(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += PATIENCE_S;
	return ts;
}

void
script_await(const char *taken)
{
	struct timespec until = patience();
	int late = 0;

	pthread_mutex_lock(&script.lock);
	while (strcmp(script.taken, taken) != 0 && !late)
		late = pthread_cond_timedwait(&script.changed, &script.lock,
					      &until);
	pthread_mutex_unlock(&script.lock);
	ck_assert_str_eq(script_taken(), taken);
}

unsigned
script_count(enum script_step step)
{
	unsigned n;

	pthread_mutex_lock(&script.lock);
	n = script.counts[step];
	pthread_mutex_unlock(&script.lock);
	return n;
}

void
script_await_count(enum script_step step, unsigned at_least)
{
	struct timespec until = patience();
	int late = 0;

	pthread_mutex_lock(&script.lock);
	while (script.counts[step] < at_least && !late)
		late = pthread_cond_timedwait(&script.changed, &script.lock,
					      &until);
	pthread_mutex_unlock(&script.lock);
	ck_assert_uint_ge(script_count(step), at_least);
}
