/* SPDX-License-Identifier: Apache-2.0 */
/* A scripted HTTP/1.1 origin for tests: it can misbehave on request, and it
 * can record every byte that reaches it. One thread per connection. */
#include "tests/tools/origin.h"

#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/tools/loopback.h"

struct settings {
	const char *name, *record;
	unsigned short port;
	int tap;
};

struct connection {
	const struct settings *settings;
	struct stream stream;
	struct origin_request request;
};

static atomic_ulong requests;

unsigned long
origin_requests(void)
{
	return atomic_load(&requests);
}

static bool
split_request_line(char *head, struct origin_request *r)
{
	char *line = strndup(head, strcspn(head, "\r"));
	char *save = NULL;

	r->method = line ? strtok_r(line, " ", &save) : NULL;
	r->target = r->method ? strtok_r(NULL, " ", &save) : NULL;
	if (r->target)
		return true;
	free(line);
	return false;
}

static unsigned long
argument_of(const struct origin_script *s, const char *target)
{
	return strtoul(target + strlen(s->path), NULL, 10);
}

static enum origin_after
read_body(struct connection *c)
{
	const char *head = c->request.head;

	if (stream_header_has(head, "Expect", "100-continue") &&
	    stream_write(c->stream.fd, "HTTP/1.1 100 Continue\r\n\r\n",
			 25) < 0)
		return ORIGIN_CLOSE;
	if (stream_body_framed(&c->stream, head, &c->request.body) < 0)
		return ORIGIN_CLOSE;
	return ORIGIN_KEEP;
}

static enum origin_after
serve_request(struct connection *c)
{
	struct origin_request *r = &c->request;
	const struct origin_script *s = origin_script_find(r->target);
	enum origin_after after;

	atomic_fetch_add(&requests, 1);
	r->argument = argument_of(s, r->target);
	if (!s->before_body && read_body(c) != ORIGIN_KEEP)
		return ORIGIN_CLOSE;
	after = s->run(r);
	if (after == ORIGIN_KEEP &&
	    stream_header_has(r->head, "Connection", "close"))
		return ORIGIN_CLOSE;
	return after;
}

static enum origin_after
serve_next(struct connection *c)
{
	char *head = stream_head(&c->stream);
	enum origin_after after = ORIGIN_CLOSE;

	if (!head)
		return ORIGIN_CLOSE;
	memset(&c->request, 0, sizeof(c->request));
	c->request.fd = c->stream.fd;
	c->request.name = c->settings->name;
	c->request.head = head;
	if (split_request_line(head, &c->request)) {
		after = serve_request(c);
		free((char *)c->request.method);	/* and the target */
	}
	free(head);
	return after;
}

static void *
serve(void *arg)
{
	struct connection *c = arg;
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	enum origin_after after;

	do
		after = serve_next(c);
	while (after == ORIGIN_KEEP);
	if (after == ORIGIN_RESET)
		setsockopt(c->stream.fd, SOL_SOCKET, SO_LINGER, &now,
			   sizeof(now));
	close(c->stream.fd);
	free(c);
	return NULL;
}

static void
accept_one(int listener, const struct settings *s, pthread_attr_t *attr)
{
	pthread_t thread;
	struct connection *c;
	int on = 1;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c = malloc(sizeof(*c));
	if (!c)
		abort();
	c->settings = s;
	stream_init(&c->stream, fd, s->tap);
	if (pthread_create(&thread, attr, serve, c) != 0)
		abort();
}

static void
usage(void)
{
	puts("usage: origin [--name NAME] [--record FILE] [--port PORT]\n"
	     "Listens on 127.0.0.1, prints its port, serves until killed.");
	origin_script_list();
}

static int
parse(int argc, char **argv, struct settings *s)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "record", required_argument, NULL, 'r' },
		{ "port", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (c == 'n')
			s->name = optarg;
		else if (c == 'r')
			s->record = optarg;
		else if (c == 'p')
			s->port = (unsigned short)atoi(optarg);
		else
			return -1;
	return optind == argc ? 0 : -1;
}

int
main(int argc, char **argv)
{
	struct settings s = { .name = "", .tap = -1 };
	pthread_attr_t attr;
	int listener;

	if (parse(argc, argv, &s) < 0) {
		usage();
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (s.record)
		s.tap = open(s.record, O_WRONLY | O_CREAT | O_APPEND |
			     O_CLOEXEC, 0600);
	listener = loopback_listen(&s.port);
	if (listener < 0 || (s.record && s.tap < 0)) {
		perror("origin");
		return 1;
	}
	printf("%hu\n", s.port);
	fflush(stdout);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	for (;;)
		accept_one(listener, &s, &attr);
}
