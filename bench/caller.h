/* SPDX-License-Identifier: Apache-2.0 */
/* One keep-alive client connection of the load driver, with or without TLS:
 * it sends the same request again and again. One thread. */
#ifndef BENCH_CALLER_H
#define BENCH_CALLER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CALLER_HEAD_BYTES 2048

struct ssl_st;
struct ssl_ctx_st;

/* What all callers share. */
struct caller_world {
	struct sockaddr_in to;
	unsigned sources;	/* 127.0.0.1 and up; ports run out at 28,000 */
	struct ssl_ctx_st *tls;	/* NULL: without */
	const char *request;
	size_t request_bytes;
	uint64_t bytes_in, bytes_out, opened, refused;
};

enum caller_result {
	CALLER_DONE,		/* the whole answer was read */
	CALLER_WANTS_INPUT,
	CALLER_WANTS_OUTPUT,
	CALLER_BROKEN		/* closed, or no answer that we can read */
};

struct caller {
	int fd;
	bool busy;
	struct ssl_st *tls;
	size_t sent, head_len;
	uint64_t body_left;
	bool in_body;
	uint64_t start_us;
	char head[CALLER_HEAD_BYTES];
};

/* Connects, blocking, and makes the handshake; 0, or -1 with a line on
 * stderr. The descriptor does not block afterwards. */
int caller_connect(struct caller *c, struct caller_world *w, unsigned number);
void caller_close(struct caller *c);

/* Sends a new request as far as the socket takes it. */
enum caller_result caller_begin(struct caller *c, struct caller_world *w);

/* Goes on after the socket became ready. */
enum caller_result caller_next(struct caller *c, struct caller_world *w);

/* A context that trusts anybody: the peer is on this machine. */
struct ssl_ctx_st *caller_tls(void);

#endif
