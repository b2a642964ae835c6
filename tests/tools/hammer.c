/* SPDX-License-Identifier: Apache-2.0 */
/* A load driver that remembers: every number whose answer it has read in
 * full is in its log. The log lives outside the victim, so it can accuse.
 * Loopback only, bounded in count and in time. */
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "tests/tools/loopback.h"
#include "tests/tools/stream.h"

#define SECONDS_MAX 600
#define CONNECTIONS_MAX 1024
#define LOG_BYTES (4 << 20)

enum verdict { ACKED, REFUSED, BROKEN };

struct settings {
	struct sockaddr_in to;
	unsigned connections, posts_percent, seconds, timeout_ms;
	unsigned long count, first, rate;
	const char *log, *get, *post;
};

/* Numbers that were acknowledged and are not yet on disk. */
struct ack_log {
	pthread_mutex_t lock;
	int fd;
	size_t len;
	char *text, *spare;	/* the spare one is being written */
	char memory[2][LOG_BYTES];
};

struct totals {
	atomic_ulong acked_get, acked_post, refused, broken, crossed, opened;
};

struct hammer {
	struct settings s;
	struct ack_log log;
	struct totals totals;
	atomic_ulong next;
	atomic_bool done;
	double start, end;
};

struct worker {
	struct hammer *h;
	pthread_t thread;
	int fd;			/* -1: not connected */
	double due;
	struct stream stream;
};

static atomic_bool stop_asked;	/* lock-free: a handler may set it */

static void
ask_stop(int sig)
{
	(void)sig;
	stop_asked = true;
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
pause_for(double seconds)
{
	struct timespec ts = { .tv_sec = (time_t)seconds };

	ts.tv_nsec = (long)((seconds - (double)ts.tv_sec) * 1e9);
	nanosleep(&ts, NULL);
}

static bool
is_over(struct hammer *h)
{
	return stop_asked || now() >= h->end;
}

/* ---- the log ---- */

/* One thread at a time; the workers go on meanwhile. */
static void
log_sync(struct ack_log *l)
{
	size_t n;
	char *text;

	pthread_mutex_lock(&l->lock);
	text = l->text;
	n = l->len;
	l->text = l->spare;
	l->spare = text;
	l->len = 0;
	pthread_mutex_unlock(&l->lock);
	if (n > 0 && (write(l->fd, text, n) != (ssize_t)n ||
		      fdatasync(l->fd) < 0)) {
		perror("hammer: ack log");
		abort();
	}
}

static void
log_add(struct ack_log *l, char kind, unsigned long n)
{
	pthread_mutex_lock(&l->lock);
	if (l->len + 32 > LOG_BYTES)
		abort();	/* an ack that cannot be kept */
	l->len += (size_t)snprintf(l->text + l->len, 32, "%c %lu\n", kind, n);
	pthread_mutex_unlock(&l->lock);
}

/* ---- one request ---- */

static int
connect_worker(struct worker *w)
{
	struct settings *s = &w->h->s;

	while (w->fd < 0 && !is_over(w->h)) {
		w->fd = loopback_connect(&s->to, s->timeout_ms);
		if (w->fd < 0)
			pause_for(0.002);	/* the victim is restarting */
	}
	if (w->fd < 0)
		return -1;
	atomic_fetch_add(&w->h->totals.opened, 1);
	stream_init(&w->stream, w->fd, -1);
	return 0;
}

static void
disconnect(struct worker *w)
{
	close(w->fd);
	w->fd = -1;
}

static int
send_request(struct worker *w, char kind, unsigned long n)
{
	const struct settings *s = &w->h->s;
	char text[512], body[64] = "";
	int len, body_len = 0;

	if (kind == 'P')
		body_len = snprintf(body, sizeof(body), "{\"n\":%lu}", n);
	len = snprintf(text, sizeof(text), "%s %s?n=%lu HTTP/1.1\r\n"
		       "Host: hammer.test\r\n", kind == 'P' ? "POST" : "GET",
		       kind == 'P' ? s->post : s->get, n);
	if (kind == 'P')
		len += snprintf(text + len, sizeof(text) - (size_t)len,
				"Content-Type: application/json\r\n"
				"Content-Length: %d\r\n", body_len);
	len += snprintf(text + len, sizeof(text) - (size_t)len, "\r\n%s", body);
	return stream_write(w->fd, text, (size_t)len);
}

/* An answer that carries another number belongs to somebody else. */
static bool
is_crossed(const struct stream_body *b, unsigned long n)
{
	const char *at = memmem(b->first, b->kept, "?n=", 3);
	char digits[32] = "";

	if (!at)
		return false;
	at += 3;
	for (size_t i = 0; i + 1 < sizeof(digits) &&
	     at + i < b->first + b->kept; i++)
		digits[i] = at[i];
	return strtoul(digits, NULL, 10) != n;
}

static int
read_body(struct worker *w, const char *head, struct stream_body *b)
{
	size_t len;

	if (stream_header(head, "Content-Length", &len) ||
	    stream_header_has(head, "Transfer-Encoding", "chunked"))
		return stream_body_framed(&w->stream, head, b);
	stream_body_to_end(&w->stream, b);
	return -1;	/* no telling whether it is whole */
}

static enum verdict
judge(struct worker *w, char *head, unsigned long n)
{
	struct stream_body b = { 0 };
	int status = atoi(head + strcspn(head, " "));

	if (read_body(w, head, &b) < 0)
		return BROKEN;
	if (is_crossed(&b, n))
		atomic_fetch_add(&w->h->totals.crossed, 1);
	if (stream_header_has(head, "Connection", "close"))
		disconnect(w);
	return status >= 200 && status < 300 ? ACKED : REFUSED;
}

static enum verdict
read_answer(struct worker *w, unsigned long n)
{
	for (;;) {
		char *head = stream_head(&w->stream);
		bool interim = head && strncmp(head, "HTTP/1.1 1", 10) == 0;
		enum verdict v = head && !interim ? judge(w, head, n) : BROKEN;

		free(head);
		if (!interim)
			return v;
	}
}

static void
account(struct worker *w, char kind, unsigned long n, enum verdict v)
{
	struct totals *t = &w->h->totals;

	switch (v) {
	case ACKED:
		log_add(&w->h->log, kind, n);
		atomic_fetch_add(kind == 'P' ? &t->acked_post : &t->acked_get,
				 1);
		break;
	case REFUSED:
		atomic_fetch_add(&t->refused, 1);
		break;
	case BROKEN:
		atomic_fetch_add(&t->broken, 1);
		if (w->fd >= 0)
			disconnect(w);
		break;
	}
}

static void
keep_pace(struct worker *w)
{
	const struct settings *s = &w->h->s;
	double ahead;

	if (s->rate == 0)
		return;
	ahead = w->due - now();
	if (ahead > 0)
		pause_for(ahead);
	else
		w->due = now();		/* no burst after an outage */
	w->due += (double)s->connections / (double)s->rate;
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct hammer *h = w->h;

	while (!is_over(h)) {
		unsigned long n;
		char kind;

		keep_pace(w);
		if (w->fd < 0 && connect_worker(w) < 0)
			break;
		n = atomic_fetch_add(&h->next, 1);
		if (n >= h->s.first + h->s.count)
			break;
		kind = n % 100 < h->s.posts_percent ? 'P' : 'G';
		if (send_request(w, kind, n) < 0)
			account(w, kind, n, BROKEN);
		else
			account(w, kind, n, read_answer(w, n));
	}
	if (w->fd >= 0)
		disconnect(w);
	return NULL;
}

/* ---- the whole run ---- */

static struct worker *
start_workers(struct hammer *h)
{
	struct worker *w = calloc(h->s.connections, sizeof(*w));

	if (!w)
		abort();
	for (unsigned i = 0; i < h->s.connections; i++) {
		w[i].h = h;
		w[i].fd = -1;
		w[i].due = h->start;
		if (pthread_create(&w[i].thread, NULL, work, &w[i]) != 0)
			abort();
	}
	return w;
}

static void *
sync_often(void *arg)
{
	struct hammer *h = arg;

	while (!atomic_load(&h->done)) {
		pause_for(0.02);
		log_sync(&h->log);
	}
	return NULL;
}

static void
report(struct hammer *h)
{
	struct totals *t = &h->totals;
	double seconds = now() - h->start;
	unsigned long acked = t->acked_get + t->acked_post;

	printf("{\"acked\": %lu, \"acked_get\": %lu, \"acked_post\": %lu, "
	       "\"refused\": %lu, \"broken\": %lu, \"crossed\": %lu, "
	       "\"connections\": %lu, \"seconds\": %.3f, \"rate\": %.0f}\n",
	       acked, (unsigned long)t->acked_get,
	       (unsigned long)t->acked_post, (unsigned long)t->refused,
	       (unsigned long)t->broken, (unsigned long)t->crossed,
	       (unsigned long)t->opened, seconds, (double)acked / seconds);
}

static int
run(struct hammer *h)
{
	pthread_t syncer;
	struct worker *w;

	h->log.fd = open(h->s.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			 0600);
	if (h->log.fd < 0) {
		perror(h->s.log);
		return 1;
	}
	h->log.text = h->log.memory[0];
	h->log.spare = h->log.memory[1];
	pthread_mutex_init(&h->log.lock, NULL);
	atomic_store(&h->next, h->s.first);
	h->start = now();
	h->end = h->start + h->s.seconds;
	w = start_workers(h);
	if (pthread_create(&syncer, NULL, sync_often, h) != 0)
		abort();
	for (unsigned i = 0; i < h->s.connections; i++)
		pthread_join(w[i].thread, NULL);
	atomic_store(&h->done, true);
	pthread_join(syncer, NULL);
	log_sync(&h->log);
	report(h);
	free(w);
	return 0;
}

static const struct option options[] = {
	{ "to", required_argument, NULL, 't' },
	{ "log", required_argument, NULL, 'l' },
	{ "connections", required_argument, NULL, 'c' },
	{ "posts", required_argument, NULL, 'p' },
	{ "seconds", required_argument, NULL, 's' },
	{ "count", required_argument, NULL, 'n' },
	{ "first", required_argument, NULL, 'f' },
	{ "rate", required_argument, NULL, 'r' },
	{ "timeout-ms", required_argument, NULL, 'w' },
	{ "get-path", required_argument, NULL, 'G' },
	{ "post-path", required_argument, NULL, 'P' },
	{ NULL, 0, NULL, 0 }
};

static int
set_option(struct settings *s, int c, const char *value)
{
	unsigned long n = strtoul(value, NULL, 10);

	switch (c) {
	case 't': return loopback_parse(value, &s->to);
	case 'l': s->log = value; return 0;
	case 'G': s->get = value; return 0;
	case 'P': s->post = value; return 0;
	case 'c': s->connections = (unsigned)n; return 0;
	case 'p': s->posts_percent = (unsigned)n; return 0;
	case 's': s->seconds = (unsigned)n; return 0;
	case 'n': s->count = n; return 0;
	case 'f': s->first = n; return 0;
	case 'r': s->rate = n; return 0;
	case 'w': s->timeout_ms = (unsigned)n; return 0;
	}
	return -1;
}

static int
parse(int argc, char **argv, struct settings *s)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (c == '?' || set_option(s, c, optarg) < 0)
			return -1;
	return s->to.sin_port != 0 && s->log && s->seconds > 0 &&
		s->seconds <= SECONDS_MAX && s->connections > 0 &&
		s->connections <= CONNECTIONS_MAX ? 0 : -1;
}

int
main(int argc, char **argv)
{
	static struct hammer h = {
		.s = { .connections = 8, .seconds = 10, .count = 1000000000,
		       .posts_percent = 50, .timeout_ms = 10000,
		       .get = "/x", .post = "/orders" }
	};
	struct sigaction sa = { .sa_handler = ask_stop };

	if (parse(argc, argv, &h.s) < 0) {
		fputs("usage: hammer --to 127.0.0.1:PORT --log FILE\n"
		      "  [--connections N] [--seconds N] [--count N]\n"
		      "  [--first N] [--posts PERCENT] [--rate PER_SECOND]\n"
		      "  [--timeout-ms N] [--get-path P] [--post-path P]\n",
		      stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	return run(&h);
}
