/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets from addresses in text. */
#ifndef PROXY_LISTEN_H
#define PROXY_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "console/value.h"

#define LISTEN_TEXT_MAX 256

/* What a client's connection keeps of the address it came to. */
struct listen_facts {
	unsigned flags;			/* of enum listen_flag */
	uint16_t port;			/* 0: a Unix socket */
};

/* One --listen address: `ADDR:PORT`, `[V6]:PORT` or `unix:PATH`, with its
 * options. A TCP address has one socket a worker (SO_REUSEPORT), a Unix path
 * one that all workers share. */
struct listen_address {
	char text[LISTEN_TEXT_MAX];	/* as bound: a port of 0 resolved */
	char unix_path[LISTEN_TEXT_MAX];	/* "" for TCP */
	int fds[64];
	unsigned fd_count;
	struct listen_facts facts;
};

/* proxy_listen binds `sockets` sockets (one for a Unix path). The fds are the
 * caller's. 0 or -1 with err. */
MUST_CHECK int proxy_listen(const char *address, unsigned sockets,
			   struct listen_address *out, struct error *err);

#endif
