/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets that were open before this process began: by socket
 * activation (LISTEN_FDS) or handed over by the process before it. */
#ifndef PROXY_INHERIT_H
#define PROXY_INHERIT_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/buf.h"

#define INHERIT_MAX 4096	/* each of 64 addresses for 64 workers */
#define INHERIT_NAME_MAX 64
#define INHERIT_VARIABLE "MATAPALO_INHERITED_SOCKETS"
/* The name of a socket that matapalo itself has bound for a listen address.
 * Others, if no listen address takes them, are used as they are. */
#define INHERIT_OF_ADDRESS "matapalo-address"

struct inherited {
	int fd;			/* -1: taken */
	char name[INHERIT_NAME_MAX];
};

/* Main thread, before any other. */
struct inherit {
	struct inherited sockets[INHERIT_MAX];
	unsigned count;
	int parent;		/* socket to the process before us, or -1 */
};

/* inherit_open reads the environment and clears it of what it read. */
void inherit_open(struct inherit *in);
/* inherit_take moves the sockets that are bound to the address to fds and
 * returns how many; a port of 0 is any port. `name` becomes that of the last
 * one and stays without any. */
unsigned inherit_take(struct inherit *in, const struct sockaddr *address,
		      int *fds, unsigned most, char name[INHERIT_NAME_MAX]);
/* inherit_take_named moves the next one that is to be used as it is; -1 when
 * there is none. */
int inherit_take_named(struct inherit *in, char name[INHERIT_NAME_MAX]);
bool inherit_has_named(const struct inherit *in);
/* inherit_close closes what nobody took and returns how many that were. */
unsigned inherit_close(struct inherit *in);
/* inherit_begin and inherit_add write the variable for the next process. */
void inherit_begin(struct buf *variable, int parent);
void inherit_add(struct buf *variable, int fd, const char *name);

#endif
