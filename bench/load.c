/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmark's load driver: connections that stay open between windows,
 * and windows whose CPU time, requests and latencies begin and end together.
 * It obeys lines on its standard input:
 *   window WARM_MS MS RATE   as fast as answers come (RATE 0), or RATE
 *                            requests a second, late ones counted as late
 *   touch                    one request on each connection
 * Loopback only, bounded in count and in time. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/caller.h"
#include "bench/histogram.h"
#include "tests/tools/loopback.h"

#define CONNECTIONS_MAX 20000
#define WINDOW_MS_MAX 120000
#define PIDS_MAX 16
#define EVENTS 512
#define TOUCH_AT_ONCE 64
#define DRAIN_US 20000000

struct settings {
	const char *to, *method, *path;
	unsigned connections, sources;
	size_t body;
	bool tls;
	pid_t pids[PIDS_MAX];
	unsigned n_pids;
};

/* At one moment, all of it. */
struct figures {
	uint64_t now_us, done, bytes_in, bytes_out;
	double cpu, own_cpu;
};

struct load {
	struct caller_world world;
	struct settings s;
	int epoll;
	struct caller *callers;
	unsigned *idle, n_idle;
	uint64_t done, broken;
	/* Open loop: when the next request is due; 0: as fast as possible. */
	uint64_t interval_ns, due_ns;
	bool issuing;
	struct histogram latency;
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t
now_us(void)
{
	return now_ns() / 1000;
}

static double
cpu_of(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 ||
	    clock_gettime(clock, &ts) < 0) {
		fprintf(stderr, "load: process %d is gone\n", (int)pid);
		exit(1);
	}
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct figures
look(const struct load *l)
{
	struct figures f = {
		now_us(), l->done, l->world.bytes_in, l->world.bytes_out, 0,
		cpu_of(0),
	};
	unsigned i;

	for (i = 0; i < l->s.n_pids; i++)
		f.cpu += cpu_of(l->s.pids[i]);
	return f;
}

/* ---- connections ---- */

static void
open_caller(struct load *l, unsigned number)
{
	struct caller *c = &l->callers[number];
	struct epoll_event e = {
		.events = EPOLLIN | EPOLLOUT | EPOLLET,
		.data.u32 = number,
	};

	if (caller_connect(c, &l->world, number) < 0 ||
	    epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
		exit(1);
	l->idle[l->n_idle++] = number;
}

static void
after(struct load *l, unsigned number, enum caller_result result)
{
	struct caller *c = &l->callers[number];

	switch (result) {
	case CALLER_WANTS_INPUT:
	case CALLER_WANTS_OUTPUT:
		return;
	case CALLER_DONE:
		l->done++;
		histogram_add(&l->latency, now_us() - c->start_us);
		l->idle[l->n_idle++] = number;
		return;
	case CALLER_BROKEN:
		l->broken++;
		/* An idle one stays in the list, with a new connection. */
		if (!c->busy)
			for (unsigned i = 0; i < l->n_idle; i++)
				if (l->idle[i] == number)
					l->idle[i] = l->idle[--l->n_idle];
		caller_close(c);
		open_caller(l, number);
		return;
	}
}

static void
issue(struct load *l, uint64_t start_us)
{
	unsigned number = l->idle[--l->n_idle];

	l->callers[number].start_us = start_us;
	after(l, number, caller_begin(&l->callers[number], &l->world));
}

/* All that is due and has a free connection; what waits for one is timed
 * from the moment it was due, so a stall is not hidden by waiting for it. */
static void
issue_due(struct load *l)
{
	if (!l->issuing)
		return;
	if (l->interval_ns == 0) {
		for (unsigned n = l->n_idle; n > 0 && l->n_idle > 0; n--)
			issue(l, now_us());
		return;
	}
	while (l->n_idle > 0 && l->due_ns <= now_ns()) {
		issue(l, l->due_ns / 1000);
		l->due_ns += l->interval_ns;
	}
}

static uint64_t
next_wake_us(const struct load *l, uint64_t until_us)
{
	uint64_t due = l->due_ns / 1000 + 1;

	if (l->issuing && l->interval_ns > 0 && l->n_idle > 0 &&
	    due < until_us)
		return due;
	return until_us;
}

static void
turn(struct load *l, uint64_t until_us)
{
	static struct epoll_event events[EVENTS];
	uint64_t now, wake;
	struct timespec wait = { 0 };
	int i, n;

	issue_due(l);
	wake = next_wake_us(l, until_us);
	now = now_us();
	if (wake > now) {
		wait.tv_sec = (time_t)((wake - now) / 1000000);
		wait.tv_nsec = (long)((wake - now) % 1000000) * 1000;
	}
	n = epoll_pwait2(l->epoll, events, EVENTS, &wait, NULL);
	for (i = 0; i < n; i++) {
		unsigned number = events[i].data.u32;

		after(l, number, caller_next(&l->callers[number], &l->world));
		issue_due(l);
	}
}

static void
run_until(struct load *l, uint64_t until_us)
{
	while (now_us() < until_us)
		turn(l, until_us);
}

static void
drain(struct load *l)
{
	uint64_t end = now_us() + DRAIN_US;

	l->issuing = false;
	while (l->n_idle < l->s.connections && now_us() < end)
		turn(l, end);
	if (l->n_idle < l->s.connections) {
		fprintf(stderr, "load: %u answers never came\n",
			l->s.connections - l->n_idle);
		exit(1);
	}
}

/* ---- commands ---- */

static double
ms_at(const struct load *l, double share)
{
	return (double)histogram_at(&l->latency, share) / 1000;
}

static void
print_window(const struct load *l, const struct figures *a,
	     const struct figures *b)
{
	printf("{\"seconds\": %.6f, \"requests\": %llu, \"cpu\": %.6f, "
	       "\"own_cpu\": %.6f, \"bytes_in\": %llu, \"bytes_out\": %llu, "
	       "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f, "
	       "\"max_ms\": %.3f, \"broken\": %llu, \"refused\": %llu}\n",
	       (double)(b->now_us - a->now_us) / 1e6,
	       (unsigned long long)(b->done - a->done), b->cpu - a->cpu,
	       b->own_cpu - a->own_cpu,
	       (unsigned long long)(b->bytes_in - a->bytes_in),
	       (unsigned long long)(b->bytes_out - a->bytes_out),
	       ms_at(l, 0.5), ms_at(l, 0.99), ms_at(l, 0.999),
	       (double)l->latency.most_us / 1000,
	       (unsigned long long)l->broken,
	       (unsigned long long)l->world.refused);
}

static void
run_window(struct load *l, unsigned warm_ms, unsigned ms, double rate)
{
	struct figures a, b;
	uint64_t begin = now_us() + warm_ms * UINT64_C(1000);

	l->broken = l->world.refused = 0;
	l->interval_ns = rate > 0 ? (uint64_t)(1e9 / rate) : 0;
	l->due_ns = now_ns();
	l->issuing = true;
	run_until(l, begin);
	histogram_clear(&l->latency);
	a = look(l);
	run_until(l, begin + ms * UINT64_C(1000));
	b = look(l);
	print_window(l, &a, &b);
	fflush(stdout);
	drain(l);
	puts("drained");
}

static void
touch_all(struct load *l)
{
	unsigned number;
	uint64_t end = now_us() + DRAIN_US;

	l->broken = l->world.refused = 0;
	l->n_idle = 0;
	for (number = 0; number < l->s.connections; number++) {
		l->idle[l->n_idle++] = number;
		issue(l, now_us());
		while (number + 1 - l->n_idle > TOUCH_AT_ONCE &&
		       now_us() < end)
			turn(l, end);
	}
	drain(l);
	printf("{\"touched\": %u, \"broken\": %llu, \"refused\": %llu}\n",
	       l->s.connections, (unsigned long long)l->broken,
	       (unsigned long long)l->world.refused);
}

static void
obey(struct load *l)
{
	unsigned warm_ms, ms;
	char line[128];
	double rate;

	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "touch\n") == 0)
			touch_all(l);
		else if (sscanf(line, "window %u %u %lf", &warm_ms, &ms,
				&rate) == 3 && warm_ms <= WINDOW_MS_MAX &&
			 ms <= WINDOW_MS_MAX)
			run_window(l, warm_ms, ms, rate);
		else
			puts("{\"error\": \"no such command\"}");
		fflush(stdout);
	}
}

/* ---- start ---- */

static void
make_request(struct load *l)
{
	const struct settings *s = &l->s;
	char length[96] = "", *text = malloc(1024 + s->body);
	int n;

	if (!text)
		abort();
	if (s->body > 0)
		snprintf(length, sizeof(length), "Content-Type: text/plain\r\n"
			 "Content-Length: %zu\r\n", s->body);
	n = snprintf(text, 1024, "%s %s HTTP/1.1\r\nHost: bench.test\r\n%s"
		     "\r\n", s->method, s->path, length);
	memset(text + n, 'x', s->body);
	l->world.request = text;
	l->world.request_bytes = (size_t)n + s->body;
}

static void
start(struct load *l)
{
	struct rlimit limit;
	unsigned i;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->callers = calloc(l->s.connections, sizeof(*l->callers));
	l->idle = calloc(l->s.connections, sizeof(*l->idle));
	if (l->epoll < 0 || !l->callers || !l->idle)
		abort();
	l->world.sources = l->s.sources;
	l->world.tls = l->s.tls ? caller_tls() : NULL;
	make_request(l);
	for (i = 0; i < l->s.connections; i++)
		open_caller(l, i);
	puts("ready");
	fflush(stdout);
}

static const struct option options[] = {
	{ "to", required_argument, NULL, 't' },
	{ "connections", required_argument, NULL, 'c' },
	{ "sources", required_argument, NULL, 's' },
	{ "method", required_argument, NULL, 'm' },
	{ "path", required_argument, NULL, 'p' },
	{ "body", required_argument, NULL, 'b' },
	{ "pid", required_argument, NULL, 'i' },
	{ "tls", no_argument, NULL, 'T' },
	{ NULL, 0, NULL, 0 }
};

static int
set_option(struct load *l, int c)
{
	unsigned long n = optarg ? strtoul(optarg, NULL, 10) : 0;

	switch (c) {
	case 't': return loopback_parse(optarg, &l->world.to);
	case 'c': l->s.connections = (unsigned)n; return 0;
	case 's': l->s.sources = (unsigned)n; return 0;
	case 'm': l->s.method = optarg; return 0;
	case 'p': l->s.path = optarg; return 0;
	case 'b': l->s.body = n; return 0;
	case 'T': l->s.tls = true; return 0;
	case 'i':
		if (l->s.n_pids == PIDS_MAX)
			return -1;
		l->s.pids[l->s.n_pids++] = (pid_t)n;
		return 0;
	}
	return -1;
}

static int
parse(int argc, char **argv, struct load *l)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (c == '?' || set_option(l, c) < 0)
			return -1;
	return l->world.to.sin_port != 0 && l->s.connections > 0 &&
		l->s.connections <= CONNECTIONS_MAX && l->s.sources < 200 &&
		l->s.body <= 64 << 20 && strlen(l->s.path) < 512 &&
		strlen(l->s.method) < 16 ? 0 : -1;
}

int
main(int argc, char **argv)
{
	static struct load l = {
		.s = { .method = "GET", .path = "/", .connections = 1 }
	};

	if (parse(argc, argv, &l) < 0) {
		fputs("usage: load --to 127.0.0.1:PORT [--connections N]\n"
		      "  [--sources N] [--method M] [--path P] [--body BYTES]\n"
		      "  [--pid PID].. [--tls]\n", stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	start(&l);
	obey(&l);
	return 0;
}
