/* SPDX-License-Identifier: Apache-2.0 */
/* Many callers of a command, each on a connection of its own, from one
 * thread: as many requests wait for their answers at once as there are
 * callers. Each request has a number; an answer that carries another one, and
 * bytes that nobody asked for, belong to somebody else. Whatever became of a
 * number is in the log. Loopback only, bounded in count and in time. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tests/tools/loopback.h"

#define CONNECTIONS_MAX 20000
#define COUNT_MAX 2000000
#define SECONDS_MAX 900
#define CONNECTING_MAX 128	/* the listener's queue is not endless */
#define ANSWER_BYTES 2048
#define EVENTS 512
#define STATUS_MAX 600

enum state { CLOSED, CONNECTING, ASKING };

struct caller {
	int fd;
	enum state state;
	unsigned long n;	/* 0: nothing is asked */
	size_t got;
	char answer[ANSWER_BYTES];
};

struct callers {
	struct sockaddr_in to;
	unsigned connections, seconds;
	unsigned long count, first, next;
	const char *path, *prefer;
	bool keyed;
	FILE *log;
	int epoll;
	unsigned connecting, closed, busy;
	struct caller *at;
	unsigned long statuses[STATUS_MAX];
	unsigned long broken, crossed, odd, opened;
};

static volatile sig_atomic_t stop_asked;

static void
ask_stop(int sig)
{
	(void)sig;
	stop_asked = 1;
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
note(struct callers *w, struct caller *c, int status)
{
	fprintf(w->log, "%lu %d\n", c->n, status);
	if (status == 0)
		w->broken++;
	else
		w->statuses[status]++;
	c->n = 0;
	c->got = 0;
	w->busy--;
}

/* ---- connections ---- */

static void
disconnect(struct callers *w, struct caller *c)
{
	if (c->state == CONNECTING)
		w->connecting--;
	else if (c->n)
		note(w, c, 0);
	close(c->fd);
	c->fd = -1;
	c->got = 0;
	c->state = CLOSED;
	w->closed++;
}

static void
dial(struct callers *w, struct caller *c)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
				 .data.ptr = c };
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		perror("callers: socket");
		exit(1);
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->state = CONNECTING;
	w->closed--;
	w->connecting++;
	if (connect(c->fd, (const struct sockaddr *)&w->to, sizeof(w->to)) &&
	    errno != EINPROGRESS)
		disconnect(w, c);
	else if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
		abort();
}

static bool
has_more(const struct callers *w)
{
	return w->next < w->first + w->count && !stop_asked;
}

static void
dial_some(struct callers *w)
{
	for (unsigned i = 0; i < w->connections && w->closed > 0 &&
	     w->connecting < CONNECTING_MAX && has_more(w); i++)
		if (w->at[i].state == CLOSED)
			dial(w, &w->at[i]);
}

/* ---- one request ---- */

static void
ask(struct callers *w, struct caller *c)
{
	char text[640], key[64] = "", body[40];
	int len, body_len;

	if (!has_more(w))
		return;
	c->n = w->next++;
	w->busy++;
	if (w->keyed)
		snprintf(key, sizeof(key), "Idempotency-Key: \"k-%lu\"\r\n",
			 c->n);
	body_len = snprintf(body, sizeof(body), "{\"n\":%lu}", c->n);
	len = snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\n"
		       "Host: callers.test\r\n%s%s%s%s"
		       "Content-Type: application/json\r\n"
		       "Content-Length: %d\r\n\r\n%s", w->path, key,
		       w->prefer ? "Prefer: " : "",
		       w->prefer ? w->prefer : "", w->prefer ? "\r\n" : "",
		       body_len, body);
	/* Less than any socket's buffer, and it is empty. */
	if (send(c->fd, text, (size_t)len, MSG_NOSIGNAL) != len)
		disconnect(w, c);
}

static bool
field(const char *head, const char *name, const char *value)
{
	const char *at = strcasestr(head, name);

	return at && strncasecmp(at + strlen(name), value,
				 strlen(value)) == 0;
}

/* The number in the body, or that of nobody. */
static unsigned long
number(const char *body)
{
	const char *at = strstr(body, "\"n\":");

	return at ? strtoul(at + 4, NULL, 10) : 0;
}

static void
judge(struct callers *w, const struct caller *c, int status, const char *body)
{
	bool problem = status >= 400;

	if (status >= 200 && status < 300 && status != 202 &&
	    number(body) != c->n)
		w->crossed++;
	if (problem && (!field(c->answer, "\r\nContent-Type: ",
			       "application/problem+json") ||
			!strstr(body, "\"correlationid\":\"")))
		w->odd++;
}

/* True when an answer was there whole, and what it said is noted. */
static bool
take_answer(struct callers *w, struct caller *c)
{
	char *end = memmem(c->answer, c->got, "\r\n\r\n", 4);
	const char *length;
	size_t whole;
	int status;
	bool closes;

	if (!end)
		return false;
	*end = '\0';
	length = strcasestr(c->answer, "\r\nContent-Length: ");
	whole = (size_t)(end + 4 - c->answer) +
		(length ? strtoul(length + 18, NULL, 10) : 0);
	if (c->got < whole) {
		*end = '\r';
		return false;
	}
	status = atoi(c->answer + strcspn(c->answer, " "));
	if (status < 100 || status >= STATUS_MAX)
		abort();
	closes = field(c->answer, "\r\nConnection: ", "close");
	judge(w, c, status, end + 4);
	w->crossed += c->got > whole;	/* more than was asked for */
	note(w, c, status);
	if (closes)
		disconnect(w, c);
	return true;
}

static void
read_some(struct callers *w, struct caller *c)
{
	ssize_t n;

	while (c->state == ASKING) {
		n = recv(c->fd, c->answer + c->got,
			 sizeof(c->answer) - 1 - c->got, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			disconnect(w, c);
			return;
		}
		c->got += (size_t)n;
		c->answer[c->got] = '\0';
		if (!c->n) {
			w->crossed++;
			disconnect(w, c);
		} else if (take_answer(w, c) && c->state == ASKING) {
			ask(w, c);
		}
	}
}

static void
on_event(struct callers *w, struct caller *c, uint32_t events)
{
	int failed = 0;
	socklen_t size = sizeof(failed);

	if (c->state == CLOSED)
		return;
	if (c->state == CONNECTING) {
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failed, &size);
		if (failed || (events & (EPOLLERR | EPOLLHUP))) {
			disconnect(w, c);
			return;
		}
		if (!(events & EPOLLOUT))
			return;
		w->connecting--;
		w->opened++;
		c->state = ASKING;
		ask(w, c);
	}
	read_some(w, c);
}

/* ---- the whole run ---- */

static void
run(struct callers *w)
{
	struct epoll_event events[EVENTS];
	double end = now() + w->seconds;

	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->at = calloc(w->connections, sizeof(*w->at));
	if (w->epoll < 0 || !w->at)
		abort();
	w->closed = w->connections;
	while ((has_more(w) || w->busy > 0) && now() < end) {
		int n;

		dial_some(w);
		n = epoll_wait(w->epoll, events, EVENTS, 5);
		for (int i = 0; i < n; i++)
			on_event(w, events[i].data.ptr, events[i].events);
		fflush(w->log);
	}
}

static void
report(const struct callers *w, double seconds)
{
	const char *comma = "";

	printf("{\"asked\": %lu, \"unanswered\": %u, \"broken\": %lu, "
	       "\"crossed\": %lu, \"odd\": %lu, \"connections\": %lu, "
	       "\"seconds\": %.3f, \"statuses\": {", w->next - w->first,
	       w->busy, w->broken, w->crossed, w->odd, w->opened, seconds);
	for (int i = 0; i < STATUS_MAX; i++) {
		if (!w->statuses[i])
			continue;
		printf("%s\"%d\": %lu", comma, i, w->statuses[i]);
		comma = ", ";
	}
	puts("}}");
}

static const struct option options[] = {
	{ "to", required_argument, NULL, 't' },
	{ "log", required_argument, NULL, 'l' },
	{ "connections", required_argument, NULL, 'c' },
	{ "count", required_argument, NULL, 'n' },
	{ "first", required_argument, NULL, 'f' },
	{ "seconds", required_argument, NULL, 's' },
	{ "path", required_argument, NULL, 'p' },
	{ "prefer", required_argument, NULL, 'P' },
	{ "keyed", no_argument, NULL, 'k' },
	{ NULL, 0, NULL, 0 }
};

static int
set_option(struct callers *w, int c)
{
	unsigned long n = optarg ? strtoul(optarg, NULL, 10) : 0;

	switch (c) {
	case 't': return loopback_parse(optarg, &w->to);
	case 'c': w->connections = (unsigned)n; return 0;
	case 'n': w->count = n; return 0;
	case 'f': w->first = n; return 0;
	case 's': w->seconds = (unsigned)n; return 0;
	case 'p': w->path = optarg; return 0;
	case 'P': w->prefer = optarg; return 0;
	case 'k': w->keyed = true; return 0;
	case 'l':
		w->log = fopen(optarg, "ae");
		return w->log ? 0 : -1;
	}
	return -1;
}

static int
parse(int argc, char **argv, struct callers *w)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (c == '?' || set_option(w, c) < 0)
			return -1;
	return w->to.sin_port != 0 && w->log && w->connections > 0 &&
		w->connections <= CONNECTIONS_MAX && w->count <= COUNT_MAX &&
		w->seconds <= SECONDS_MAX && w->first > 0 &&
		strlen(w->path) < 256 ? 0 : -1;
}

int
main(int argc, char **argv)
{
	static struct callers w = { .connections = 1, .count = 1, .first = 1,
				    .seconds = 60, .path = "/orders" };
	struct rlimit limit;
	double start;

	if (parse(argc, argv, &w) < 0) {
		fputs("usage: callers --to 127.0.0.1:PORT --log FILE\n"
		      "  [--connections N] [--count N] [--first N]\n"
		      "  [--seconds N] [--path P] [--prefer P] [--keyed]\n",
		      stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, ask_stop);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	w.next = w.first;
	start = now();
	run(&w);
	fclose(w.log);
	report(&w, now() - start);
	return 0;
}
