/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmark's origin: one thread, the cheapest honest HTTP/1.1 server.
 * It reads a request's body to its end before it answers:
 *   /N   N bytes
 * Listens on 127.0.0.1, prints its port, serves until killed. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/tools/loopback.h"

#define EVENTS 256
#define HEAD_BYTES 8192
#define BODY_MAX (1 << 20)

enum after { WAIT, END };

struct connection {
	int fd;
	bool closing;
	uint64_t body_left;	/* of the request, to be read */
	size_t answer_bytes;	/* of the answer's body; what /N asked for */
	size_t head_len, out_len, out_done;	/* out: head and body */
	bool answering, in_body;
	char head[HEAD_BYTES];
	char out[160];
};

static char input[1 << 17], content[BODY_MAX];

static const char *
field(const char *head, const char *name)
{
	size_t n = strlen(name);
	const char *line;

	for (line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, n) == 0)
			return line + n + strspn(line + n, " ");
	}
	return NULL;
}

static enum after
write_answer(struct connection *c)
{
	while (c->answering) {
		size_t total = c->out_len + c->answer_bytes;
		struct iovec v[2] = { { c->out, c->out_len },
				      { content, c->answer_bytes } };
		struct iovec *at = v;
		ssize_t n;

		if (c->out_done < c->out_len) {
			v[0].iov_base = c->out + c->out_done;
			v[0].iov_len -= c->out_done;
		} else {
			v[1].iov_len = total - c->out_done;
			at = v + 1;
		}
		n = writev(c->fd, at, at == v ? 2 : 1);
		if (n < 0)
			return errno == EAGAIN ? WAIT : END;
		c->out_done += (size_t)n;
		c->answering = c->out_done < total;
	}
	return c->closing ? END : WAIT;
}

static enum after
answer(struct connection *c)
{
	c->out_len = (size_t)snprintf(
		c->out, sizeof(c->out), "HTTP/1.1 200 OK\r\n"
		"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
		"Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
		c->answer_bytes);
	c->out_done = 0;
	c->answering = true;
	return write_answer(c);
}

/* The head is whole and terminated; -1: not for us. */
static int
judge(struct connection *c)
{
	const char *length = field(c->head, "content-length:");
	const char *close = field(c->head, "connection:");
	const char *path = strchr(c->head, '/');

	if (!path || field(c->head, "transfer-encoding:"))
		return -1;
	c->answer_bytes = strtoull(path + 1, NULL, 10);
	c->closing = close && strncasecmp(close, "close", 5) == 0;
	c->body_left = length ? strtoull(length, NULL, 10) : 0;
	c->in_body = true;
	return c->answer_bytes <= BODY_MAX ? 0 : -1;
}

/* Adds to the head; how much of it was the head's, -1: no head. */
static ssize_t
take_head(struct connection *c, const char *data, size_t n)
{
	size_t before = c->head_len, room = sizeof(c->head) - 1 - before;
	char *end;

	if (n > room)
		n = room;
	memcpy(c->head + before, data, n);
	c->head_len += n;
	c->head[c->head_len] = '\0';
	end = strstr(c->head + (before > 3 ? before - 3 : 0), "\r\n\r\n");
	if (!end)
		return n < room ? (ssize_t)n : -1;
	end[2] = '\0';
	c->head_len = 0;
	return judge(c) < 0 ? -1 : end + 4 - c->head - (ssize_t)before;
}

static enum after
take(struct connection *c, const char *data, size_t n)
{
	if (!c->in_body) {
		ssize_t used = take_head(c, data, n);

		if (used < 0)
			return END;
		data += used;
		n -= (size_t)used;
	}
	if (!c->in_body)
		return WAIT;
	if (n > c->body_left)
		return END;	/* nobody here pipelines */
	c->body_left -= n;
	if (c->body_left > 0)
		return WAIT;
	c->in_body = false;
	return answer(c);
}

static enum after
serve(struct connection *c)
{
	ssize_t n;

	if (c->answering)
		return write_answer(c);
	for (;;) {
		n = recv(c->fd, input, sizeof(input), 0);
		if (n < 0)
			return errno == EAGAIN ? WAIT : END;
		if (n == 0 || take(c, input, (size_t)n) == END)
			return END;
		if ((size_t)n < sizeof(input))
			return WAIT;
	}
}

static void
accept_all(int epoll, int listener)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	struct connection *c;
	int fd, on = 1;

	while ((fd = accept4(listener, NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		c = calloc(1, sizeof(*c));
		if (!c)
			abort();
		c->fd = fd;
		e.data.ptr = c;
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
			abort();
	}
}

static void
serve_all(int listener)
{
	static struct epoll_event events[EVENTS];
	struct epoll_event e = { .events = EPOLLIN };
	int i, n, epoll = epoll_create1(EPOLL_CLOEXEC);

	fcntl(listener, F_SETFL, O_NONBLOCK);
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) < 0)
		abort();
	for (;;) {
		n = epoll_wait(epoll, events, EVENTS, -1);
		for (i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;

			if (!c)
				accept_all(epoll, listener);
			else if (serve(c) == END) {
				close(c->fd);
				free(c);
			}
		}
	}
}

int
main(void)
{
	unsigned short port = 0;
	struct rlimit limit;
	int listener;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	memset(content, 'x', sizeof(content));
	listener = loopback_listen(&port);
	if (listener < 0) {
		perror("origin");
		return 1;
	}
	printf("%u\n", port);
	fflush(stdout);
	serve_all(listener);
}
