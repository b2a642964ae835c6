/* SPDX-License-Identifier: Apache-2.0 */
/* Request out, answer in; the cheapest that still notices a wrong answer. */
#include "bench/caller.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define AGAIN (-2)

static char input[1 << 18];	/* one thread: shared by all callers */

SSL_CTX *
caller_tls(void)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

	if (!tls)
		abort();
	SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
			 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			 SSL_MODE_RELEASE_BUFFERS);
	return tls;
}

/* ---- bytes, encrypted or not ---- */

static ssize_t
tls_result(struct caller *c, int n)
{
	if (n > 0)
		return n;
	switch (SSL_get_error(c->tls, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return -1;
	}
}

static ssize_t
plain_result(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? AGAIN : n;
}

static ssize_t
get(struct caller *c)
{
	if (c->tls)
		return tls_result(c, SSL_read(c->tls, input, sizeof(input)));
	return plain_result(recv(c->fd, input, sizeof(input), 0));
}

static ssize_t
put(struct caller *c, const char *data, size_t n)
{
	if (c->tls)
		return tls_result(c, SSL_write(c->tls, data, (int)n));
	return plain_result(send(c->fd, data, n, MSG_NOSIGNAL));
}

/* ---- connecting ---- */

static void
bind_source(int fd, const struct caller_world *w, unsigned number)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int on = 1;

	if (w->sources < 2)
		return;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK + number % w->sources);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		perror("load: bind");
}

static int
shake_hands(struct caller *c, struct caller_world *w)
{
	c->tls = SSL_new(w->tls);
	if (!c->tls)
		abort();
	SSL_set_fd(c->tls, c->fd);
	SSL_set_tlsext_host_name(c->tls, "bench.test");
	if (SSL_connect(c->tls) == 1)
		return 0;
	fputs("load: the TLS handshake failed\n", stderr);
	return -1;
}

int
caller_connect(struct caller *c, struct caller_world *w, unsigned number)
{
	struct timeval patience = { .tv_sec = 10 };
	int on = 1;

	memset(c, 0, offsetof(struct caller, head));
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		perror("load: socket");
		return -1;
	}
	bind_source(c->fd, w, number);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		   sizeof(patience));
	w->opened++;
	if (connect(c->fd, (struct sockaddr *)&w->to, sizeof(w->to)) < 0) {
		perror("load: connect");
		caller_close(c);
		return -1;
	}
	if (w->tls && shake_hands(c, w) < 0) {
		caller_close(c);
		return -1;
	}
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	return 0;
}

void
caller_close(struct caller *c)
{
	if (c->tls)
		SSL_free(c->tls);
	if (c->fd >= 0)
		close(c->fd);
	c->tls = NULL;
	c->fd = -1;
	c->busy = false;
}

/* ---- an answer ---- */

static const char *
field(const char *head, const char *name)
{
	size_t n = strlen(name);
	const char *line;

	for (line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, n) == 0)
			return line + n;
	}
	return NULL;
}

/* The head stands in c->head, terminated. */
static int
judge_head(struct caller *c, struct caller_world *w)
{
	const char *length = field(c->head, "content-length:");

	if (strncmp(c->head, "HTTP/1.1 200 ", 13) != 0) {
		if (w->refused++ == 0)
			fprintf(stderr, "load: %.300s\n", c->head);
	}
	if (!length) {
		fprintf(stderr, "load: no Content-Length in: %.300s\n",
			c->head);
		return -1;
	}
	c->body_left = strtoull(length, NULL, 10);
	c->in_body = true;
	return 0;
}

/* Adds to the head; the number of bytes that belong to it, -1: too long. */
static ssize_t
take_head(struct caller *c, const char *data, size_t n)
{
	size_t before = c->head_len, room = sizeof(c->head) - 1 - before;
	size_t more = n < room ? n : room;
	char *end;

	memcpy(c->head + before, data, more);
	c->head_len += more;
	c->head[c->head_len] = '\0';
	end = strstr(c->head + (before > 3 ? before - 3 : 0), "\r\n\r\n");
	if (!end)
		return more < n ? -1 : (ssize_t)n;
	end[2] = '\0';
	c->head_len = 0;
	return end + 4 - c->head - (ssize_t)before;
}

static enum caller_result
take(struct caller *c, struct caller_world *w, const char *data, size_t n)
{
	if (!c->in_body) {
		ssize_t used = take_head(c, data, n);

		if (used < 0)
			return CALLER_BROKEN;
		if (c->head_len > 0)
			return CALLER_WANTS_INPUT;
		if (judge_head(c, w) < 0)
			return CALLER_BROKEN;
		data += used;
		n -= (size_t)used;
	}
	if (n > c->body_left) {
		fputs("load: more than the announced answer\n", stderr);
		return CALLER_BROKEN;
	}
	c->body_left -= n;
	if (c->body_left > 0)
		return CALLER_WANTS_INPUT;
	c->in_body = c->busy = false;
	return CALLER_DONE;
}

static enum caller_result
receive(struct caller *c, struct caller_world *w)
{
	for (;;) {
		ssize_t n = get(c);
		enum caller_result result;

		if (n == AGAIN)
			return CALLER_WANTS_INPUT;
		if (n <= 0) {
			fprintf(stderr, "load: closed %s an answer: %s\n",
				c->in_body ? "within" : "before",
				n < 0 ? strerror(errno) : "end of file");
			return CALLER_BROKEN;
		}
		w->bytes_in += (uint64_t)n;
		result = take(c, w, input, (size_t)n);
		/* A short read has emptied the socket: no second look. */
		if (result != CALLER_WANTS_INPUT ||
		    (!c->tls && (size_t)n < sizeof(input)))
			return result;
	}
}

/* CALLER_WANTS_INPUT: all is sent. */
static enum caller_result
send_rest(struct caller *c, struct caller_world *w)
{
	while (c->sent < w->request_bytes) {
		ssize_t n = put(c, w->request + c->sent,
				w->request_bytes - c->sent);

		if (n == AGAIN)
			return CALLER_WANTS_OUTPUT;
		if (n <= 0)
			return CALLER_BROKEN;
		c->sent += (size_t)n;
		w->bytes_out += (uint64_t)n;
	}
	return CALLER_WANTS_INPUT;
}

/* An edge of input that came while there was still something to send is
 * gone: the answer is looked for as soon as all is sent. */
enum caller_result
caller_next(struct caller *c, struct caller_world *w)
{
	enum caller_result result;

	if (!c->busy)	/* closed, a session ticket, or an edge too many */
		return get(c) == AGAIN ? CALLER_WANTS_INPUT : CALLER_BROKEN;
	result = send_rest(c, w);
	return result == CALLER_WANTS_INPUT ? receive(c, w) : result;
}

enum caller_result
caller_begin(struct caller *c, struct caller_world *w)
{
	c->busy = true;
	c->sent = 0;
	return send_rest(c, w);
}
