/* SPDX-License-Identifier: Apache-2.0 */
/* Staged load shedding: what is given up first when connections or memory run
 * out, so that those who are being served do not notice. */
#ifndef PROXY_SHED_H
#define PROXY_SHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/problem.h"

struct client;
struct exchange;
struct limits;
struct worker;

/* From 90 and 95 % of connections or memory on. */
enum shed_level {
	SHED_NONE,
	SHED_IDLE,	/* no keep-alive; the longest idle are closed */
	SHED_REFUSE	/* and new exchanges get 503, slow heads are ended */
};

/* The process's; limits are set before the workers start. */
struct shed {
	atomic_uint open;		/* client connections */
	unsigned max;			/* of them */
	uint64_t max_memory_bytes;	/* 0: any */
	struct limits *limits;		/* per client, NULL: none */
};

/* shed_look sets the worker's level; before the events of a turn. */
void shed_look(struct worker *w);
/* shed_close makes room by closing; after them, so that whose request has
 * just come is not idle. */
void shed_close(struct worker *w);
/* shed_is_full: nothing more is accepted. */
bool shed_is_full(const struct worker *w);
/* shed_admit and shed_forget count a client's connection; false: its address
 * has its fill. */
bool shed_admit(struct client *c);
void shed_forget(struct client *c);
/* shed_request: PROBLEM_NONE, or why this request is not served. */
enum problem shed_request(const struct exchange *ex);

#endif
