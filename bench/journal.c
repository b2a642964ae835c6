/* SPDX-License-Identifier: Apache-2.0 */
/* The journal under load, as lines of JSON: `journal DIR EVENTS [BYTES]`.
 *
 * append: producers push events into queues of their own as fast as they are
 *   acknowledged; an event counts when its commit, fsync included, is told.
 * reopen: a process that appended is killed in the middle of a transaction;
 *   how long until the journal is open again.
 * backlog: all events are read from the oldest, as a consumer does that was
 *   away; how fast, and what memory it takes.
 * A new measurement is a row of `parts`. The files stay until the next part
 * that needs none. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/digest.h"
#include "base/json.h"
#include "bench/histogram.h"
#include "journal/journal.h"

#define PRODUCERS 2
/* Events on their way, for each producer. */
#define WINDOW 16384
#define SAMPLE_EVERY 64
#define BYTES_MOST (1 << 16)
#define READ_AT_ONCE 200
#define PATIENCE_US 200

struct bench {
	const char *dir;
	char path[4096];
	size_t events, bytes;
};

struct producer;
struct event_item {
	struct journal_item item;	/* first */
	struct producer *producer;
	struct id id;
	int64_t time_us;
	uint64_t pushed_us;		/* 0: not a sample */
};

struct producer {
	const struct bench *bench;
	struct journal_queue *queue;
	pthread_t thread;
	size_t count;
	struct event_item *items;	/* WINDOW, used in turn */
	_Alignas(64) _Atomic size_t told;	/* by the writer */
	size_t failed;			/* the writer's */
	struct histogram latency;	/* the writer's */
};

static char body[BYTES_MOST];

static void
fail(const char *what)
{
	fprintf(stderr, "bench/journal: %s\n", what);
	exit(1);
}

/* ---- figures ---- */

static double
cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static uint64_t
rss_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long size = 0, resident = 0;

	if (!f || fscanf(f, "%lu %lu", &size, &resident) != 2)
		fail("cannot read /proc/self/statm");
	fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void
figures_begin(struct json *js, struct buf *out, const struct bench *b,
	      const char *part, double seconds)
{
	json_init(js, out);
	json_object_begin(js);
	json_key(js, "part");
	json_str(js, part);
	json_key(js, "events");
	json_u64(js, b->events);
	json_key(js, "bytes");
	json_u64(js, b->bytes);
	json_key(js, "seconds");
	json_double(js, (double)(int64_t)(seconds * 1e6) / 1e6);
}

static void
figures_end(struct json *js)
{
	json_object_end(js);
	puts(buf_str(js->out));
	fflush(stdout);
	buf_fini(js->out);
}

static void
figure(struct json *js, const char *name, uint64_t value)
{
	json_key(js, name);
	json_u64(js, value);
}

/* ---- append ---- */

static int
event_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct event_item *e = (struct event_item *)item;
	struct journal_event event = {
		.id = e->id,
		.time_us = e->time_us,
		.type = SPAN_LITERAL("matapalo.exchange.v1"),
		.source = SPAN_LITERAL("/bench"),
		.subject = SPAN_LITERAL("GET /products/7"),
		.correlation = SPAN_LITERAL(
			"0190f1c2-7d4e-7abc-8def-0123456789ab"),
		.data = { body, e->producer->bench->bytes },
	};

	return journal_tx_append(tx, &event, NULL);
}

static void
event_done(struct journal_item *item, enum journal_status status)
{
	struct event_item *e = (struct event_item *)item;
	struct producer *p = e->producer;

	if (status != JOURNAL_COMMITTED)
		p->failed++;
	if (e->pushed_us)
		histogram_add(&p->latency, clock_mono_us() - e->pushed_us);
	atomic_fetch_add_explicit(&p->told, 1, memory_order_release);
}

static const struct journal_item_ops event_ops = { event_apply, event_done };

static void
await_told(struct producer *p, size_t n)
{
	while (atomic_load_explicit(&p->told, memory_order_acquire) < n)
		usleep(PATIENCE_US);
}

static void *
produce(void *arg)
{
	struct producer *p = arg;
	size_t i;

	for (i = 0; i < p->count; i++) {
		struct event_item *e = &p->items[i % WINDOW];

		if (i >= WINDOW)
			await_told(p, i - WINDOW + 1);
		*e = (struct event_item){ .item.ops = &event_ops,
					  .item.urgent = i + 1 == p->count,
					  .producer = p,
					  .id = id_make(),
					  .time_us = clock_wall_us() };
		if (i % SAMPLE_EVERY == 0)
			e->pushed_us = clock_mono_us();
		while (!journal_push(p->queue, &e->item))
			usleep(PATIENCE_US);
	}
	await_told(p, p->count);
	return NULL;
}

static struct journal *
journal_start(const struct bench *b)
{
	const struct journal_options o = { .path = b->path };
	struct error err = {0};
	struct journal *j = journal_open(&o, &err);

	if (!j)
		fail(err.text);
	return j;
}

static void
producer_start(struct producer *p, const struct bench *b, struct journal *j)
{
	*p = (struct producer){ .bench = b, .count = b->events / PRODUCERS };
	p->queue = journal_queue_new(j);
	p->items = calloc(WINDOW, sizeof(*p->items));
	if (!p->queue || !p->items ||
	    pthread_create(&p->thread, NULL, produce, p))
		fail("cannot start a producer");
}

/* Returns how many were not committed. */
static size_t
produce_all(const struct bench *b, struct journal *j, struct histogram *all)
{
	static struct producer producers[PRODUCERS];
	size_t failed = 0;

	for (int i = 0; i < PRODUCERS; i++)
		producer_start(&producers[i], b, j);
	histogram_clear(all);
	for (int i = 0; i < PRODUCERS; i++) {
		struct producer *p = &producers[i];

		pthread_join(p->thread, NULL);
		failed += p->failed;
		all->count += p->latency.count;
		if (all->most_us < p->latency.most_us)
			all->most_us = p->latency.most_us;
		for (size_t k = 0; k < HISTOGRAM_BUCKETS; k++)
			all->buckets[k] += p->latency.buckets[k];
		free(p->items);
	}
	return failed;
}

static void
run_append(const struct bench *b)
{
	static struct histogram latency;
	struct journal *j = journal_start(b);
	uint64_t rss = rss_kib(), start = clock_mono_us();
	int64_t commits = counter_get(COUNTER_JOURNAL_COMMITS);
	double cpu = cpu_seconds(), seconds, n = (double)b->events;
	size_t failed = produce_all(b, j, &latency);
	struct buf out = {0};
	struct json js;

	seconds = (double)(clock_mono_us() - start) / 1e6;
	cpu = cpu_seconds() - cpu;
	commits = counter_get(COUNTER_JOURNAL_COMMITS) - commits;
	figures_begin(&js, &out, b, "append", seconds);
	figure(&js, "producers", PRODUCERS);
	figure(&js, "failed", failed);
	figure(&js, "per_second", (uint64_t)(n / seconds));
	figure(&js, "cpu_ns_per_event", (uint64_t)(cpu * 1e9 / n));
	figure(&js, "commits", (uint64_t)commits);
	figure(&js, "p50_us", histogram_at(&latency, 0.5));
	figure(&js, "p99_us", histogram_at(&latency, 0.99));
	figure(&js, "grown_kib", rss_kib() - rss);
	figures_end(&js);
	journal_close(&j);
	if (failed)
		fail("events failed");
}

/* ---- reopen ---- */

/* Dies while events are on their way; what was told stays. */
static void
append_and_die(const struct bench *b)
{
	struct bench more = *b;
	struct journal *j = journal_start(b);
	static struct histogram latency;

	more.events = 20000;
	(void)produce_all(&more, j, &latency);
	raise(SIGKILL);
}

static void
run_reopen(const struct bench *b)
{
	struct buf out = {0};
	struct journal *j;
	struct json js;
	uint64_t start;
	int status;
	pid_t child = fork();

	if (child == 0)
		append_and_die(b);
	if (child < 0 || waitpid(child, &status, 0) != child ||
	    !WIFSIGNALED(status))
		fail("the process to be killed ended otherwise");
	start = clock_mono_us();
	j = journal_start(b);
	figures_begin(&js, &out, b, "reopen",
		      (double)(clock_mono_us() - start) / 1e6);
	figure(&js, "last_sequence", (uint64_t)journal_last_sequence(j));
	figures_end(&js);
	journal_close(&j);
}

/* ---- backlog ---- */

static bool
count_row(void *arg, const struct journal_row *row)
{
	(void)row;
	++*(uint64_t *)arg;
	return true;
}

static void
run_backlog(const struct bench *b)
{
	struct error err = {0};
	struct journal_reader *r = journal_reader_open(b->path, &err);
	uint64_t n = 0, rss = rss_kib(), start = clock_mono_us();
	int64_t after = 0, before = -1;
	struct buf out = {0};
	struct json js;
	double seconds;

	if (!r)
		fail(err.text);
	while (after != before) {
		before = after;
		if (journal_read(r, after, NULL, READ_AT_ONCE, READ_AT_ONCE,
				 count_row, &n, &after) < 0)
			fail("cannot read");
	}
	seconds = (double)(clock_mono_us() - start) / 1e6;
	figures_begin(&js, &out, b, "backlog", seconds);
	figure(&js, "read", n);
	figure(&js, "per_second", (uint64_t)((double)n / seconds));
	figure(&js, "grown_kib", rss_kib() - rss);
	figures_end(&js);
	journal_reader_close(&r);
}

/* ---- all of it ---- */

static void (*const parts[])(const struct bench *b) = {
	run_append, run_reopen, run_backlog,
};

static void
remove_files(const struct bench *b)
{
	static const char *const ends[] = { "", "-wal", "-shm", ".lock" };
	char name[sizeof(b->path) + 8];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", b->path, ends[i]);
		unlink(name);
	}
}

int
main(int argc, char **argv)
{
	static struct bench b;

	b = (struct bench){ .dir = argc > 1 ? argv[1] : ".",
			    .events = argc > 2 ? strtoul(argv[2], NULL, 10)
					       : 1000000,
			    .bytes = argc > 3 ? strtoul(argv[3], NULL, 10)
					      : 1024 };
	if (b.bytes == 0 || b.bytes > BYTES_MOST || b.events < PRODUCERS)
		fail("usage: journal DIR EVENTS [BYTES, at most 65536]");
	snprintf(b.path, sizeof(b.path), "%s/bench-journal.db", b.dir);
	digest_start();
	memset(body, 'x', sizeof(body));
	remove_files(&b);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		parts[i](&b);
	remove_files(&b);
	return 0;
}
