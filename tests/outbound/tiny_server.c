/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP/1.1 server inside a test: a thread per connection. */
#include "tests/outbound/tiny_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/invariant.h"

#define CONNECTIONS_MAX 512

struct connection {
	struct tiny_server *server;
	int fd;
	pthread_t thread;
};

struct tiny_server {
	int fd;
	int stop[2];		/* readable once the server stops */
	char url[64];
	char unix_path[108];
	tiny_answer *answer;
	void *arg;
	pthread_t thread;
	pthread_mutex_t lock;
	unsigned count;
	struct connection connections[CONNECTIONS_MAX];
};

void
tiny_write(int fd, const void *data, size_t n)
{
	const char *at = data;

	while (n > 0) {
		ssize_t w = send(fd, at, n, MSG_NOSIGNAL);

		if (w <= 0)
			return;
		at += w;
		n -= (size_t)w;
	}
}

void
tiny_reply(int fd, int status, const char *fields, const char *body)
{
	struct buf b = { 0 };

	buf_printf(&b, "HTTP/1.1 %d Tiny\r\nContent-Length: %zu\r\n%s\r\n%s",
		   status, strlen(body), fields, body);
	tiny_write(fd, b.data, b.len);
	buf_fini(&b);
}

/* False once the server stops. */
static bool
wait_readable(struct tiny_server *s, int fd)
{
	struct pollfd p[2] = { { .fd = s->stop[0], .events = POLLIN },
			       { .fd = fd, .events = POLLIN } };

	poll(p, 2, -1);
	return p[0].revents == 0;
}

void
tiny_hang(struct tiny_server *s, int fd)
{
	char c;

	while (wait_readable(s, fd) && recv(fd, &c, 1, 0) > 0)
		;
}

static bool
receive(struct tiny_server *s, int fd, struct buf *in)
{
	char *room = buf_reserve(in, 65536);
	ssize_t n;

	if (!room || !wait_readable(s, fd))
		return false;
	n = recv(fd, room, 65536, 0);
	if (n <= 0)
		return false;
	in->len += (size_t)n;
	return true;
}

static size_t
content_length(const char *head)
{
	const char *at = strcasestr(head, "\r\nContent-Length:");

	return at ? strtoul(at + 17, NULL, 10) : 0;
}

static bool
read_request(struct tiny_server *s, int fd, struct buf *in, size_t *head_len)
{
	char *end;

	while (!(end = strstr(buf_str(in), "\r\n\r\n")))
		if (!receive(s, fd, in))
			return false;
	*head_len = (size_t)(end - in->data) + 4;
	while (in->len < *head_len + content_length(in->data))
		if (!receive(s, fd, in))
			return false;
	return true;
}

static bool
serve_one(struct connection *c, struct buf *in)
{
	size_t head_len;
	char method[32] = "", target[8192] = "";
	struct tiny_request r = { .method = method, .target = target };
	char *head;
	bool on;

	if (!read_request(c->server, c->fd, in, &head_len))
		return false;
	head = strndup(in->data, head_len);
	INVARIANT(head);
	sscanf(head, "%31s %8191s", method, target);
	r.head = head;
	r.body = in->data + head_len;
	r.body_len = content_length(head);
	on = c->server->answer(c->server->arg, c->server, c->fd, &r);
	memmove(in->data, in->data + head_len + r.body_len,
		in->len - head_len - r.body_len);
	in->len -= head_len + r.body_len;
	free(head);
	return on;
}

static void *
connection_main(void *arg)
{
	struct connection *c = arg;
	struct buf in = { 0 };

	while (serve_one(c, &in))
		;
	buf_fini(&in);
	shutdown(c->fd, SHUT_RDWR);
	return NULL;
}

static void *
server_main(void *arg)
{
	struct tiny_server *s = arg;

	while (wait_readable(s, s->fd)) {
		int fd = accept(s->fd, NULL, NULL);
		struct connection *c;

		if (fd < 0)
			continue;
		pthread_mutex_lock(&s->lock);
		INVARIANT(s->count < CONNECTIONS_MAX);
		c = &s->connections[s->count++];
		pthread_mutex_unlock(&s->lock);
		c->server = s;
		c->fd = fd;
		INVARIANT(pthread_create(&c->thread, NULL, connection_main,
					 c) == 0);
	}
	return NULL;
}

static void
listen_tcp(struct tiny_server *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	INVARIANT(bind(s->fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	INVARIANT(getsockname(s->fd, (struct sockaddr *)&a, &len) == 0);
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u",
		 (unsigned)ntohs(a.sin_port));
}

static void
listen_unix(struct tiny_server *s, const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	snprintf(s->unix_path, sizeof(s->unix_path), "%s", path);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	INVARIANT(bind(s->fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	snprintf(s->url, sizeof(s->url), "http://unix");
}

struct tiny_server *
tiny_start(const char *unix_path, tiny_answer *answer, void *arg)
{
	struct tiny_server *s = calloc(1, sizeof(*s));

	INVARIANT(s && pipe(s->stop) == 0);
	pthread_mutex_init(&s->lock, NULL);
	s->answer = answer;
	s->arg = arg;
	if (unix_path)
		listen_unix(s, unix_path);
	else
		listen_tcp(s);
	INVARIANT(listen(s->fd, 256) == 0);
	INVARIANT(pthread_create(&s->thread, NULL, server_main, s) == 0);
	return s;
}

const char *
tiny_url(const struct tiny_server *s)
{
	return s->url;
}

unsigned
tiny_connections(struct tiny_server *s)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = s->count;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void
tiny_stop(struct tiny_server **sp)
{
	struct tiny_server *s = *sp;

	*sp = NULL;
	INVARIANT(write(s->stop[1], "x", 1) == 1);
	pthread_join(s->thread, NULL);
	for (unsigned i = 0; i < s->count; i++) {
		/* A thread may be stuck sending to a peer. */
		shutdown(s->connections[i].fd, SHUT_RDWR);
		pthread_join(s->connections[i].thread, NULL);
		close(s->connections[i].fd);
	}
	close(s->fd);
	close(s->stop[0]);
	close(s->stop[1]);
	if (s->unix_path[0])
		unlink(s->unix_path);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
