/* SPDX-License-Identifier: Apache-2.0 */
/* Where the bus listens. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bus/server.h"

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

	if (strncmp(url, "tcp", 3) != 0 ||
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
prepare(nng_listener l, const char *url, struct error *err)
{
	int rc;

	if (strncmp(url, "ipc://", 6) != 0)
		return 0;
	rc = nng_listener_set_int(l, NNG_OPT_IPC_PERMISSIONS, 0600);
	if (rc != 0)
		return server_failed(err, url, "close the socket file to "
				     "others", rc);
	return check_place(url + 6, err);
}

int
server_listen(struct server *s, const char *url, struct error *err)
{
	nng_listener l;
	int rc = nng_listener_create(&l, s->socket, url);

	if (rc != 0)
		return server_failed(err, url, "use this address", rc);
	if (prepare(l, url, err) < 0)
		return -1;
	rc = nng_listener_start(l, 0);
	if (rc != 0)
		return server_failed(err, url, "listen", rc);
	s->urls[s->url_count] = bound_url(l, url);
	if (!s->urls[s->url_count])
		return error_set(err, "bus %s: no memory", url);
	s->url_count++;
	return 0;
}
