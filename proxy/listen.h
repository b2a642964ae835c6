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
#include "proxy/inherit.h"

#define LISTEN_TEXT_MAX 256
#define LISTEN_SOCKETS_MAX 64

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
	char name[INHERIT_NAME_MAX];	/* for the next process */
	bool inherited;			/* its file is not ours to remove */
	bool handed_over;		/* nor is it before we have served */
	int fds[LISTEN_SOCKETS_MAX];
	unsigned fd_count;
	struct listen_facts facts;
};

/* proxy_listen takes the sockets of that address that were inherited, else it
 * binds `sockets` of them (one for a Unix path). The fds are the caller's.
 * 0 or -1 with err. */
MUST_CHECK int proxy_listen(const char *text, unsigned sockets,
			    struct inherit *in, struct listen_address *out,
			    struct error *err);
/* proxy_listen_inherited takes the next inherited socket that belongs to no
 * address; its name may hold the options. False when there is none. */
bool proxy_listen_inherited(struct inherit *in, struct listen_address *out);
void listen_close_all(struct listen_address *list, unsigned count);

#endif
