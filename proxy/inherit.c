/* SPDX-License-Identifier: Apache-2.0 */
/* Finds inherited listening sockets and matches them by what they are bound
 * to. */
#include "proxy/inherit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

#define ACTIVATION_FIRST 3	/* sd_listen_fds(3) */

/* Only a listening stream socket is of use. */
static bool
is_listening(int fd)
{
	int type = 0, listens = 0;
	socklen_t a = sizeof(type), b = sizeof(listens);

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &a) &&
	       type == SOCK_STREAM &&
	       !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &b) &&
	       listens;
}

static void
add(struct inherit *in, int fd, struct span name)
{
	struct inherited *s = &in->sockets[in->count];

	if (!is_listening(fd)) {
		log_warn("run.inherited", "descriptor %d is no listening "
			 "stream socket: not used", fd);
		return;
	}
	if (in->count == INHERIT_MAX || name.len >= sizeof(s->name)) {
		log_warn("run.inherited", "descriptor %d is one too many, or "
			 "its name is longer than %zu bytes: not used", fd,
			 sizeof(s->name) - 1);
		return;
	}
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	s->fd = fd;
	memcpy(s->name, name.at, name.len);
	s->name[name.len] = '\0';
	in->count++;
}

static struct span
next_part(const char **text)
{
	struct span part = { *text, strcspn(*text, ":") };

	*text += part.len;
	if (**text)
		(*text)++;
	return part;
}

static void
open_activation(struct inherit *in)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");
	long i, n = count ? strtol(count, NULL, 10) : 0;

	if (pid && strtol(pid, NULL, 10) == (long)getpid())
		for (i = 0; i < n && i < INHERIT_MAX; i++)
			add(in, ACTIVATION_FIRST + (int)i,
			    names ? next_part(&names) : span_of(""));
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
}

/* PARENT:FD=NAME:FD=NAME... */
static void
open_handover(struct inherit *in, const char *text)
{
	in->parent = (int)strtol(next_part(&text).at, NULL, 10);
	(void)fcntl(in->parent, F_SETFD, FD_CLOEXEC);
	while (*text) {
		struct span part = next_part(&text);
		size_t n = strcspn(part.at, "=") + 1;

		if (n <= part.len)
			add(in, (int)strtol(part.at, NULL, 10),
			    (struct span){ part.at + n, part.len - n });
	}
	(void)unsetenv(INHERIT_VARIABLE);
}

void
inherit_open(struct inherit *in)
{
	const char *text = getenv(INHERIT_VARIABLE);

	in->count = 0;
	in->parent = -1;
	if (text)
		open_handover(in, text);
	else
		open_activation(in);
}

static bool
same_inet(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
	return a->sin_addr.s_addr == b->sin_addr.s_addr &&
	       (a->sin_port == b->sin_port || a->sin_port == 0);
}

static bool
same_inet6(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
	return !memcmp(&a->sin6_addr, &b->sin6_addr, sizeof(a->sin6_addr)) &&
	       (a->sin6_port == b->sin6_port || a->sin6_port == 0);
}

static bool
is_bound_to(int fd, const struct sockaddr *wanted)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss) - 1;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) ||
	    ss.ss_family != wanted->sa_family)
		return false;
	if (ss.ss_family == AF_INET)
		return same_inet((const void *)wanted, (const void *)&ss);
	if (ss.ss_family == AF_INET6)
		return same_inet6((const void *)wanted, (const void *)&ss);
	return ss.ss_family == AF_UNIX &&
	       !strcmp(((const struct sockaddr_un *)(const void *)wanted)
			       ->sun_path,
		       ((const struct sockaddr_un *)(const void *)&ss)
			       ->sun_path);
}

/* With a port of 0 the first match decides the port. */
unsigned
inherit_take(struct inherit *in, const struct sockaddr *address, int *fds,
	     unsigned most, char name[INHERIT_NAME_MAX])
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	unsigned i, n = 0;

	for (i = 0; i < in->count && n < most; i++) {
		int fd = in->sockets[i].fd;

		if (fd < 0 || !is_bound_to(fd, address))
			continue;
		if (n == 0 && !getsockname(fd, (struct sockaddr *)&ss, &len))
			address = (const struct sockaddr *)&ss;
		fds[n++] = fd;
		memcpy(name, in->sockets[i].name, INHERIT_NAME_MAX);
		in->sockets[i].fd = -1;
	}
	return n;
}

static bool
is_named(const struct inherited *s)
{
	return s->fd >= 0 && strcmp(s->name, INHERIT_OF_ADDRESS) != 0;
}

bool
inherit_has_named(const struct inherit *in)
{
	unsigned i;

	for (i = 0; i < in->count; i++)
		if (is_named(&in->sockets[i]))
			return true;
	return false;
}

int
inherit_take_named(struct inherit *in, char name[INHERIT_NAME_MAX])
{
	unsigned i;

	for (i = 0; i < in->count; i++) {
		struct inherited *s = &in->sockets[i];
		int fd = s->fd;

		if (!is_named(s))
			continue;
		memcpy(name, s->name, INHERIT_NAME_MAX);
		s->fd = -1;
		return fd;
	}
	return -1;
}

unsigned
inherit_close(struct inherit *in)
{
	unsigned i, n = 0;

	for (i = 0; i < in->count; i++) {
		if (in->sockets[i].fd < 0)
			continue;
		close(in->sockets[i].fd);
		in->sockets[i].fd = -1;
		n++;
	}
	return n;
}

void
inherit_begin(struct buf *variable, int parent)
{
	buf_printf(variable, INHERIT_VARIABLE "=%d", parent);
}

void
inherit_add(struct buf *variable, int fd, const char *name)
{
	buf_printf(variable, ":%d=%s", fd, name);
}
