/* SPDX-License-Identifier: Apache-2.0 */
/* A listening socket of the admin side, from ADDR:PORT or unix:PATH. */
#ifndef CONSOLE_LISTEN_H
#define CONSOLE_LISTEN_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"

#define LISTEN_TEXT_SIZE 320

struct listen_socket {
	int fd;
	bool loopback;			/* also for a Unix socket */
	char host[LISTEN_TEXT_SIZE];	/* as given, "" for a Unix socket */
	char address[LISTEN_TEXT_SIZE];	/* as bound: a port of 0 resolved */
	char unix_path[LISTEN_TEXT_SIZE];	/* to unlink; "" for TCP */
};

/* listen_open binds and listens; a Unix socket gets mode 0600, and a file
 * that a dead process left there is replaced. -1 with err. May block (name
 * resolution). */
MUST_CHECK int listen_open(struct listen_socket *l, const char *address,
			   struct error *err);
/* listen_remove unlinks a Unix socket's file; the descriptor is the
 * caller's to close. */
void listen_remove(struct listen_socket *l);

#endif
