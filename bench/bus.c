/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of `make bench-bus`, over whatever bench/wire.h it is linked
 * with. A line of JSON comes out.
 *
 *   in URL PUBLISHERS BATCH SECONDS EVENTS
 *	publishes until one of the two is reached; all of it is stored.
 *   out URL GROUPS MAX EVENTS SECONDS acks|none NAME
 *	one consumer in each of so many new groups, until each has had them.
 *   live URL GROUPS MAX RATE SECONDS NAME
 *	publishers that send one event at its time, RATE a second in all, and
 *	a consumer in each group: the time from when it was due to be sent
 *	until it is there. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/histogram.h"
#include "bench/wire.h"

#define THREADS_MOST 64
#define LIVE_PUBLISHERS 8
#define WARM_US 500000
#define WAIT_MS 500

struct run {
	const char *url, *name;
	enum wire_acks acks;
	enum wire_start start;
	size_t max, events, rate;
	uint64_t from_us, until_us;	/* what is counted */
};

struct worker {
	const struct run *run;
	pthread_t thread;
	size_t index, count;
	bool late;			/* time was over first */
	struct histogram latency;
};

static struct worker workers[THREADS_MOST];

void
wire_fail(const char *what, const char *why)
{
	fprintf(stderr, "bench: %s: %s\n", what, why);
	exit(1);
}

const char *
wire_body(char body[WIRE_EVENT_BYTES + 1], uint64_t stamp_us)
{
	int n = snprintf(body, WIRE_EVENT_BYTES, WIRE_STAMP "%0*" PRIu64
			 ",\"fill\":\"", WIRE_STAMP_DIGITS,
			 stamp_us + 1000000000000000u);

	memset(body + n, 'x', (size_t)(WIRE_EVENT_BYTES - n));
	memcpy(body + WIRE_EVENT_BYTES - 2, "\"}", 3);
	return body;
}

static void
run_workers(const struct run *run, size_t from, size_t count,
	    void *(*main)(void *))
{
	for (size_t i = from; i < from + count; i++) {
		if (i >= THREADS_MOST)
			wire_fail("too many threads", "");
		workers[i] = (struct worker){ .run = run, .index = i - from };
		if (pthread_create(&workers[i].thread, NULL, main,
				   &workers[i]))
			wire_fail("cannot start a thread", "");
	}
}

static size_t
join_workers(size_t from, size_t count)
{
	size_t n = 0;

	for (size_t i = from; i < from + count; i++) {
		pthread_join(workers[i].thread, NULL);
		n += workers[i].count;
	}
	return n;
}

static double
cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void
report(const char *part, size_t n, double seconds, const char *more)
{
	printf("{\"part\":\"%s\",\"events\":%zu,\"seconds\":%.6f,"
	       "\"per_second\":%.0f,\"driver_cpu_us\":%.2f%s}\n", part, n,
	       seconds, (double)n / seconds,
	       n ? cpu_seconds() * 1e6 / (double)n : 0, more);
}

static double
seconds_since(uint64_t us)
{
	return (double)(clock_mono_us() - us) / 1e6;
}

/* ---- in ---- */

static void *
publish(void *arg)
{
	struct worker *w = arg;
	const struct run *r = w->run;
	struct wire *wire = wire_open(r->url);

	while (w->count < r->events && clock_mono_us() < r->until_us) {
		size_t left = r->events - w->count;
		size_t n = left < r->max ? left : r->max;

		wire_publish(wire, n, clock_mono_us());
		w->count += n;
	}
	wire_settle(wire);
	wire_close(&wire);
	return NULL;
}

static void
part_in(const char *url, size_t publishers, size_t batch, size_t seconds,
	size_t events)
{
	uint64_t start = clock_mono_us();
	const struct run run = { .url = url, .max = batch,
				 .events = events / publishers,
				 .until_us = start + seconds * 1000000 };
	size_t n;

	run_workers(&run, 0, publishers, publish);
	n = join_workers(0, publishers);
	report("in", n, seconds_since(start), "");
}

/* ---- out ---- */

static struct wire *
join_group(const struct worker *w)
{
	struct wire *wire = wire_open(w->run->url);
	char group[64];

	snprintf(group, sizeof(group), "%s-%zu", w->run->name, w->index);
	wire_join(wire, group, w->run->start, w->run->acks);
	return wire;
}

static void *
consume(void *arg)
{
	struct worker *w = arg;
	const struct run *r = w->run;
	struct wire *wire = join_group(w);

	while (w->count < r->events && !w->late) {
		w->count += wire_fetch(wire, r->max, WAIT_MS, NULL, NULL);
		w->late = clock_mono_us() >= r->until_us;
	}
	wire_close(&wire);
	return NULL;
}

static void
part_out(const struct run *run, size_t groups)
{
	uint64_t start = clock_mono_us();
	size_t n;

	run_workers(run, 0, groups, consume);
	n = join_workers(0, groups);
	report("out", n, seconds_since(start), "");
}

/* ---- live ---- */

static void *
publish_paced(void *arg)
{
	struct worker *w = arg;
	const struct run *r = w->run;
	struct wire *wire = wire_open(r->url);
	uint64_t pause = 1000000 * LIVE_PUBLISHERS / r->rate;
	uint64_t due = clock_mono_us() + w->index * pause / LIVE_PUBLISHERS;

	for (; due < r->until_us; due += pause) {
		uint64_t now = clock_mono_us();

		if (now < due)
			usleep((useconds_t)(due - now));
		wire_publish(wire, 1, due);
		w->count++;
	}
	wire_close(&wire);
	return NULL;
}

static void
note_latency(void *arg, uint64_t stamp_us)
{
	struct worker *w = arg;
	uint64_t sent = stamp_us - 1000000000000000u;
	uint64_t now = clock_mono_us();

	if (sent < w->run->from_us || now < sent)
		return;
	histogram_add(&w->latency, now - sent);
	w->count++;
}

static void *
consume_live(void *arg)
{
	struct worker *w = arg;
	const struct run *r = w->run;
	struct wire *wire = join_group(w);
	size_t n = 1;

	while (n > 0 || clock_mono_us() < r->until_us)
		n = wire_fetch(wire, r->max, WAIT_MS, note_latency, w);
	wire_close(&wire);
	return NULL;
}

static void
add_histogram(struct histogram *all, const struct histogram *h)
{
	all->count += h->count;
	if (all->most_us < h->most_us)
		all->most_us = h->most_us;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		all->buckets[i] += h->buckets[i];
}

static void
part_live(struct run *run, size_t groups, size_t seconds)
{
	static struct histogram all;
	uint64_t start = clock_mono_us();
	char more[256];
	size_t sent, n;

	run->acks = WIRE_ACKS;
	run->start = WIRE_NEWEST;
	run->from_us = start + WARM_US;
	run->until_us = run->from_us + seconds * 1000000;
	run_workers(run, LIVE_PUBLISHERS, groups, consume_live);
	run_workers(run, 0, LIVE_PUBLISHERS, publish_paced);
	sent = join_workers(0, LIVE_PUBLISHERS);
	n = join_workers(LIVE_PUBLISHERS, groups);
	for (size_t i = 0; i < groups; i++)
		add_histogram(&all, &workers[LIVE_PUBLISHERS + i].latency);
	snprintf(more, sizeof(more), ",\"sent\":%zu,\"p50_us\":%" PRIu64
		 ",\"p99_us\":%" PRIu64 ",\"most_us\":%" PRIu64, sent,
		 histogram_at(&all, 0.5), histogram_at(&all, 0.99),
		 all.most_us);
	report("live", n, (double)seconds, more);
}

/* ---- all of it ---- */

static size_t
number(const char *text)
{
	return strtoul(text, NULL, 10);
}

int
main(int argc, char **argv)
{
	struct run run = { .url = argc > 2 ? argv[2] : "" };

	if (argc == 7 && strcmp(argv[1], "in") == 0) {
		part_in(argv[2], number(argv[3]), number(argv[4]),
			number(argv[5]), number(argv[6]));
		return 0;
	}
	if (argc == 9 && strcmp(argv[1], "out") == 0) {
		run.max = number(argv[4]);
		run.events = number(argv[5]);
		run.until_us = clock_mono_us() + number(argv[6]) * 1000000;
		run.acks = strcmp(argv[7], "acks") == 0 ? WIRE_ACKS
							: WIRE_NO_ACKS;
		run.name = argv[8];
		part_out(&run, number(argv[3]));
		return 0;
	}
	if (argc == 8 && strcmp(argv[1], "live") == 0) {
		run.max = number(argv[4]);
		run.rate = number(argv[5]);
		run.name = argv[7];
		part_live(&run, number(argv[3]), number(argv[6]));
		return 0;
	}
	wire_fail("usage", "in|out|live URL ...; see the head of bench/bus.c");
	return 1;
}
