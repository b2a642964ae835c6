/* SPDX-License-Identifier: Apache-2.0 */
/* Where the bus listens. */
#include "bus/server.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

int
server_failed(struct error *err, const char *url, const char *what, int rc)
{
	return error_set(err, "bus %s: cannot %s: %s", url, what,
			 nng_strerror(rc));
}

static char *
bound_url(nng_listener l, const char *url)
{
	int port = 0;
	size_t size = strlen(url) + 8;
	char *out;

	if ((strncmp(url, "tcp", 3) != 0 && !secure_url(url)) ||
	    nng_listener_get_int(l, NNG_OPT_TCP_BOUND_PORT, &port) != 0)
		return strdup(url);
	out = malloc(size);
	if (out)
		snprintf(out, size, "%.*s:%d",
			 (int)(strrchr(url, ':') - url), url, port);
	return out;
}

/* Who can write there could put a socket of his own in our place; and nng
 * takes any file for a socket that somebody has left. */
static int
check_place(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	char dir[PATH_MAX] = ".";
	struct stat st;

	if (slash && len < sizeof(dir))
		snprintf(dir, sizeof(dir), "%.*s", len ? (int)len : 1, path);
	if (stat(dir, &st) < 0)
		return error_set(err, "bus ipc://%s: %s: %s", path, dir,
				 strerror(errno));
	if (st.st_mode & S_IWOTH)
		return error_set(err, "bus ipc://%s: others may write to %s "
				 "and could put a socket of their own there; "
				 "use a directory of your own", path, dir);
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return error_set(err, "bus ipc://%s: there is something that "
				 "is no socket; remove it, or use another "
				 "path", path);
	return 0;
}

/* nng sets the mode between bind and listen: before it, nobody can
 * connect. */
static int
prepare_ipc(nng_listener l, const char *url, struct error *err)
{
	int rc = nng_listener_set_int(l, NNG_OPT_IPC_PERMISSIONS, 0600);

	if (rc != 0)
		return server_failed(err, url, "close the socket file to "
				     "others", rc);
	return check_place(url + 6, err);
}

static int
prepare_tls(struct server *s, nng_listener l, const char *url,
	    struct error *err)
{
	int rc;

	if (!s->tls)
		s->tls = secure_server(&s->files, err);
	if (!s->tls)
		return error_context(err, "bus %s", url);
	rc = nng_listener_set_ptr(l, NNG_OPT_TLS_CONFIG, s->tls);
	return rc ? server_failed(err, url, "use TLS", rc) : 0;
}

static int
prepare(struct server *s, nng_listener l, const char *url, struct error *err)
{
	if (strncmp(url, "ipc://", 6) == 0)
		return prepare_ipc(l, url, err);
	return secure_url(url) ? prepare_tls(s, l, url, err) : 0;
}

static socklen_t
plain_address(const nng_sockaddr *a, struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (a->s_family == NNG_AF_INET) {
		in->sin_family = AF_INET;
		in->sin_port = a->s_in.sa_port;
		in->sin_addr.s_addr = a->s_in.sa_addr;
		return sizeof(*in);
	}
	if (a->s_family != NNG_AF_INET6)
		return 0;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = a->s_in6.sa_port;
	memcpy(&in6->sin6_addr, a->s_in6.sa_addr, sizeof(in6->sin6_addr));
	return sizeof(*in6);
}

/* Whether it stays within this machine is decided by what was bound. */
static void
warn_if_open(nng_listener l, const char *url)
{
	struct sockaddr_storage a;
	nng_sockaddr bound;
	const uint8_t *b;

	if (secure_url(url) ||
	    nng_listener_get_addr(l, NNG_OPT_LOCADDR, &bound) != 0 ||
	    plain_address(&bound, &a) == 0)
		return;
	b = (const uint8_t *)&bound.s_in.sa_addr;
	if (bound.s_family == NNG_AF_INET ? *b == 127 :
	    IN6_IS_ADDR_LOOPBACK((struct in6_addr *)bound.s_in6.sa_addr))
		return;
	log_warn("bus.plain-tcp", "%s: tokens and events cross the network as "
		 "they are; tls+tcp:// encrypts them", url);
}

int
server_listen(struct server *s, const char *url, struct error *err)
{
	nng_listener l;
	int rc = nng_listener_create(&l, s->socket, url);

	if (rc == NNG_ENOTSUP && secure_url(url))
		return error_set(err, "bus %s: the nng on this machine has no "
				 "TLS: install one that has, or use ipc://",
				 url);
	if (rc != 0)
		return server_failed(err, url, "use this address", rc);
	if (prepare(s, l, url, err) < 0)
		return -1;
	rc = nng_listener_start(l, 0);
	if (rc != 0)
		return server_failed(err, url, "listen", rc);
	warn_if_open(l, url);
	s->listeners[s->url_count] = l;
	s->urls[s->url_count] = bound_url(l, url);
	if (!s->urls[s->url_count])
		return error_set(err, "bus %s: no memory", url);
	s->url_count++;
	return 0;
}

/* ---- new certificates ---- */

/* nng has made ready for one more connection with what was valid then: a
 * connection of our own uses that up. */
static void
use_up(nng_listener l)
{
	const struct timeval patience = { .tv_sec = 1 };
	struct sockaddr_storage to;
	nng_sockaddr bound;
	socklen_t len = 0;
	int fd;

	if (nng_listener_get_addr(l, NNG_OPT_LOCADDR, &bound) == 0)
		len = plain_address(&bound, &to);
	fd = len ? socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
	if (fd < 0)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
			 sizeof(patience));
	(void)connect(fd, (struct sockaddr *)&to, len);
	close(fd);
}

int
server_reload_tls(struct server *s, struct error *err)
{
	struct nng_tls_config *fresh;
	int rc;

	if (!s->tls)
		return 0;
	fresh = secure_server(&s->files, err);
	if (!fresh)
		return -1;
	secure_free(&s->tls_before);
	s->tls_before = s->tls;
	s->tls = fresh;
	for (size_t i = 0; i < s->url_count; i++) {
		if (!secure_url(s->urls[i]))
			continue;
		rc = nng_listener_set_ptr(s->listeners[i], NNG_OPT_TLS_CONFIG,
					  s->tls);
		if (rc != 0)
			return server_failed(err, s->urls[i],
					     "use the new certificate", rc);
		use_up(s->listeners[i]);
	}
	log_info("bus.tls", "new connections to the bus meet what is in %s "
		 "now", s->files.certificate);
	return 0;
}
