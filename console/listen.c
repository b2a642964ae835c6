/* SPDX-License-Identifier: Apache-2.0 */
/* A listening socket of the admin side, from ADDR:PORT or unix:PATH. */
#include "console/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "console/value.h"

#define BACKLOG 64

static int
fail(const char *address, struct error *err)
{
	return error_set(err, "cannot listen on %s: %s", address,
			 strerror(errno));
}

/* ---- Unix ---- */

/* A socket file that nobody accepts on was left by a crash. */
static void
remove_stale(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) &&
	    errno == ECONNREFUSED)
		unlink(sun->sun_path);
	close(fd);
}

static int
open_unix(struct listen_socket *l, const char *address, struct error *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	/* value_address has checked the length. */
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", address + 5);
	remove_stale(&sun);
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Before bind, so that the file never exists with a wider mode. */
	if (l->fd < 0 || fchmod(l->fd, 0600) ||
	    bind(l->fd, (const struct sockaddr *)&sun, sizeof(sun)) ||
	    listen(l->fd, BACKLOG))
		return fail(address, err);
	l->loopback = true;
	snprintf(l->unix_path, sizeof(l->unix_path), "%s", sun.sun_path);
	snprintf(l->address, sizeof(l->address), "%s", address);
	return 0;
}

/* ---- TCP ---- */

static int
split(const char *address, char *host, size_t size, const char **port)
{
	const char *colon = strrchr(address, ':'), *end = colon;

	*port = colon + 1;
	if (*address == '[') {
		address++;
		end--;
		if (*end != ']')
			return -1;
	}
	return snprintf(host, size, "%.*s", (int)(end - address), address) <
			       (int)size
		       ? 0
		       : -1;
}

static bool
is_loopback(const struct sockaddr_storage *at)
{
	const struct sockaddr_in *in = (const void *)at;
	const struct sockaddr_in6 *in6 = (const void *)at;

	if (at->ss_family == AF_INET)
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static int
bind_one(const struct addrinfo *ai)
{
	const int on = 1;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!bind(fd, ai->ai_addr, ai->ai_addrlen) && !listen(fd, BACKLOG))
		return fd;
	close(fd);
	return -1;
}

static void
note_bound(struct listen_socket *l)
{
	struct sockaddr_storage at = { 0 };
	socklen_t len = sizeof(at);
	char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "0";

	getsockname(l->fd, (struct sockaddr *)&at, &len);
	getnameinfo((const struct sockaddr *)&at, len, host, sizeof(host), port,
		    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(l->address, sizeof(l->address),
		 at.ss_family == AF_INET6 ? "[%.255s]:%.31s" : "%.255s:%.31s",
		 host, port);
	l->loopback = is_loopback(&at);
}

static int
open_tcp(struct listen_socket *l, const char *address, struct error *err)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
	};
	struct addrinfo *list = NULL;
	const char *port;
	int failed;

	if (split(address, l->host, sizeof(l->host), &port))
		return error_set(err, "cannot listen on %s: not an address",
				 address);
	failed = getaddrinfo(l->host, port, &hints, &list);
	if (failed)
		return error_set(err, "cannot listen on %s: %s", address,
				 gai_strerror(failed));
	for (const struct addrinfo *ai = list; ai && l->fd < 0;
	     ai = ai->ai_next)
		l->fd = bind_one(ai);
	freeaddrinfo(list);
	if (l->fd < 0)
		return fail(address, err);
	note_bound(l);
	return 0;
}

int
listen_open(struct listen_socket *l, const char *address, struct error *err)
{
	int result;

	*l = (struct listen_socket){ .fd = -1 };
	if (value_address(address, err))
		return -1;
	result = strncmp(address, "unix:", 5) ? open_tcp(l, address, err)
					      : open_unix(l, address, err);
	if (result && l->fd >= 0) {
		close(l->fd);
		l->fd = -1;
	}
	return result;
}

void
listen_remove(struct listen_socket *l)
{
	if (*l->unix_path)
		unlink(l->unix_path);
	*l->unix_path = '\0';
}
