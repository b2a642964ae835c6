/* SPDX-License-Identifier: Apache-2.0 */
/* A client connection: one exchange at a time, in the order of requests. */
#ifndef PROXY_CLIENT_H
#define PROXY_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/network.h"
#include "proxy/io.h"
#include "proxy/timer.h"

struct exchange;
struct forwarded_kept;
struct listen_facts;
struct worker;

/* What a connection is waiting for; the phases before HTTP share one
 * deadline, that of the first head. */
enum client_phase {
	CLIENT_PROXY_HEADER,	/* listeners with the option proxy */
	CLIENT_TLS_HANDSHAKE,	/* listeners with the option tls */
	CLIENT_HTTP
};

/* Idle connections own no buffer: that is what keeps them small. */
struct client {
	struct io io;
	struct timer timer;
	struct worker *worker;
	struct exchange *exchange;	/* NULL: idle */
	struct chunk *rest;		/* pipelined bytes, next request */
	struct client *next, **prev;	/* the worker's list */
	struct client *resume_next;
	struct forwarded_kept *told;	/* to upstreams; from 2nd request on */
	bool resuming, closing, lingering;
	bool limited;			/* counted at its address */
	uint8_t phase;			/* enum client_phase */
	uint8_t listen_flags;		/* enum listen_flag of its address */
	uint32_t served;
	uint32_t header_left;		/* of the PROXY header, to skip */
	bool trusted;			/* its word on forwarding counts */
	uint8_t address_len;
	uint16_t local_port;		/* that it came to; 0: Unix socket */
	uint16_t peer_port;		/* 0: not known */
	struct network_address peer;
	struct network_address came_to;	/* as its PROXY header says, or none */
	char address[NETWORK_TEXT_MAX];	/* text of the peer, no port */
};

/* client_accept adopts a socket that was accepted at that address. */
void client_accept(struct worker *w, int fd,
		   const struct sockaddr_storage *peer,
		   const struct listen_facts *at);
/* client_set_peer: who the peer is, and whether it is trusted. */
void client_set_peer(struct client *c, const struct network_address *peer);
/* client_close ends the connection and a running exchange with it. */
void client_close(struct client *c);
/* client_exchange_ended: after the answer; keep says whether another request
 * may follow. Takes over the pipelined rest. */
void client_exchange_ended(struct client *c, bool keep, struct chunk *rest);
/* client_resume_later runs the client again after the others had a turn. */
void client_resume_later(struct client *c);
/* client_run reads and runs until the socket is empty. */
void client_run(struct client *c);
/* client_drain closes an idle client; called for each when draining. */
void client_drain(struct client *c);

#endif
