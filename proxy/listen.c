/* SPDX-License-Identifier: Apache-2.0 */
/* Bind and listen: TCP with SO_REUSEPORT, Unix sockets with a check for a
 * live predecessor. */
#include "proxy/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096

static int
unix_is_alive(const struct sockaddr_un *sun)
{
	int alive, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	alive = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0;
	close(fd);
	return alive;
}

/* A socket that nobody serves any more is removed, nothing else is. */
static int
remove_stale(const char *path, struct error *err)
{
	struct stat st;

	if (lstat(path, &st))
		return 0;	/* nothing there, or bind will say what */
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, "listen address unix:%s: there is "
				 "something else than a socket; remove it or "
				 "choose another path", path);
	return unlink(path) ? error_set(err, "listen address unix:%s: %s",
					path, strerror(errno)) : 0;
}

static bool
take_inherited(struct inherit *in, const struct sockaddr *address,
	       struct listen_address *out)
{
	out->fd_count = inherit_take(in, address, out->fds,
				     LISTEN_SOCKETS_MAX, out->name);
	out->inherited = strcmp(out->name, INHERIT_OF_ADDRESS) != 0;
	out->handed_over = out->fd_count > 0 && !out->inherited;
	return out->fd_count > 0;
}

static int
listen_unix(const char *path, int mode, struct inherit *in,
	    struct listen_address *out, struct error *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path))
		return error_set(err, "listen address unix:%s: the path is "
				 "longer than %zu bytes", path,
				 sizeof(sun.sun_path) - 1);
	strncpy(sun.sun_path, path, sizeof(sun.sun_path) - 1);
	snprintf(out->text, sizeof(out->text), "unix:%.200s", path);
	if (take_inherited(in, (const struct sockaddr *)&sun, out)) {
		snprintf(out->unix_path, sizeof(out->unix_path), "%s", path);
		return 0;
	}
	if (unix_is_alive(&sun))
		return error_set(err, "listen address unix:%s: another "
				 "process is listening there", path);
	if (remove_stale(path, err))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* Nobody can connect between bind and listen. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) ||
	    (mode >= 0 && chmod(path, (mode_t)mode)) || listen(fd, BACKLOG)) {
		error_set(err, "listen address unix:%s: %s", path,
			  strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	/* What is removed at the end is what was made here. */
	snprintf(out->unix_path, sizeof(out->unix_path), "%s", path);
	out->fds[out->fd_count++] = fd;
	return 0;
}

static int
split(const char *address, char *host, size_t host_size, const char **port)
{
	const char *colon = strrchr(address, ':');
	size_t n;

	if (!colon || colon == address)
		return -1;
	n = (size_t)(colon - address);
	if (address[0] == '[') {
		if (address[n - 1] != ']' || n < 3)
			return -1;
		address++;
		n -= 2;
	}
	if (n >= host_size)
		return -1;
	memcpy(host, address, n);
	host[n] = '\0';
	*port = colon + 1;
	return 0;
}

/* SO_REUSEPORT would let a second process share the port in silence: a bind
 * without it is refused while anybody listens there. */
static int
port_is_free(const struct addrinfo *ai)
{
	int one = 1, e, fd = socket(ai->ai_family,
				    SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	e = bind(fd, ai->ai_addr, ai->ai_addrlen) ? errno : 0;
	close(fd);
	errno = e;
	return e ? -1 : 0;
}

static int
bind_tcp(const struct addrinfo *ai)
{
	int one = 1, fd, e;

	fd = socket(ai->ai_family,
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, BACKLOG)) {
		e = errno;
		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

/* With port 0 the first socket gets one from the kernel and the others
 * take the same. */
static void
resolve_port(int fd, struct sockaddr *address, socklen_t size,
	     struct listen_address *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char host[64], port[16];

	if (getsockname(fd, (struct sockaddr *)&ss, &len) ||
	    getnameinfo((struct sockaddr *)&ss, len, host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) ||
	    ss.ss_family == AF_UNIX)
		return;
	if (address)
		memcpy(address, &ss, size);
	out->facts.port = (uint16_t)strtoul(port, NULL, 10);
	snprintf(out->text, sizeof(out->text),
		 strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static int
listen_tcp(const char *address, struct addrinfo *ai, unsigned sockets,
	   struct inherit *in, struct listen_address *out, struct error *err)
{
	if (take_inherited(in, ai->ai_addr, out)) {
		resolve_port(out->fds[0], NULL, 0, out);
		return 0;
	}
	if (port_is_free(ai))
		return error_set(err, "listen address %s: %s", address,
				 strerror(errno));
	while (out->fd_count < sockets) {
		int fd = bind_tcp(ai);

		if (fd < 0)
			return error_set(err, "listen address %s: %s",
					 address, strerror(errno));
		out->fds[out->fd_count++] = fd;
		if (out->fd_count == 1)
			resolve_port(fd, ai->ai_addr, ai->ai_addrlen, out);
	}
	return 0;
}

static int
resolve_and_listen(const char *address, unsigned sockets, struct inherit *in,
		   struct listen_address *out, struct error *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *ai;
	const char *port;
	char host[128];
	int e;

	if (split(address, host, sizeof(host), &port))
		return error_set(err, "listen address %s: expected ADDR:PORT, "
				 "[V6]:PORT or unix:PATH", address);
	e = getaddrinfo(host, port, &hints, &ai);
	if (e)
		return error_set(err, "listen address %s: %s", address,
				 gai_strerror(e));
	e = listen_tcp(address, ai, sockets, in, out, err);
	freeaddrinfo(ai);
	return e;
}

int
proxy_listen(const char *text, unsigned sockets, struct inherit *in,
	     struct listen_address *out, struct error *err)
{
	struct value_listen l;

	memset(out, 0, sizeof(*out));
	if (value_listen(text, &l, err))
		return -1;
	snprintf(out->name, sizeof(out->name), "%s", INHERIT_OF_ADDRESS);
	out->facts.flags = l.flags;
	if (!strncmp(l.address, "unix:", 5))
		return listen_unix(l.address + 5, l.mode, in, out, err);
	return resolve_and_listen(l.address, sockets, in, out, err);
}

/* "tls", "proxy" or both as its name are its options. */
static unsigned
flags_of_name(const char *name)
{
	struct span list = span_of(name), word;
	unsigned flags = 0;

	while (span_next_token(&list, &word)) {
		if (span_is(word, "tls"))
			flags |= LISTEN_TLS;
		if (span_is(word, "proxy"))
			flags |= LISTEN_PROXY;
	}
	return flags;
}

bool
proxy_listen_inherited(struct inherit *in, struct listen_address *out)
{
	int fd;

	memset(out, 0, sizeof(*out));
	fd = inherit_take_named(in, out->name);
	if (fd < 0)
		return false;
	out->inherited = true;
	out->fds[out->fd_count++] = fd;
	out->facts.flags = flags_of_name(out->name);
	snprintf(out->text, sizeof(out->text), "inherited:%s", out->name);
	resolve_port(fd, NULL, 0, out);
	return true;
}

void
listen_close_all(struct listen_address *list, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++)
		while (list[i].fd_count)
			close(list[i].fds[--list[i].fd_count]);
}
