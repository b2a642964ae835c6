/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP/1.1 server inside a test: a thread per connection. */
#ifndef TESTS_OUTBOUND_TINY_SERVER_H
#define TESTS_OUTBOUND_TINY_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct tiny_server;

struct tiny_request {
	const char *head;	/* request line and fields, NUL-terminated */
	const char *method, *target;
	const char *body;
	size_t body_len;
};

/* answer runs on the connection's thread and writes with tiny_write; false
 * closes the connection. */
typedef bool tiny_answer(void *arg, struct tiny_server *s, int fd,
			 const struct tiny_request *r);

/* unix_path NULL: a TCP port of the kernel's choice on 127.0.0.1. */
struct tiny_server *tiny_start(const char *unix_path, tiny_answer *answer,
			       void *arg);
/* tiny_url is "http://127.0.0.1:PORT" (also with a Unix path). */
const char *tiny_url(const struct tiny_server *s);
/* tiny_hang blocks the calling answer until tiny_stop or the peer leaves. */
void tiny_hang(struct tiny_server *s, int fd);
void tiny_write(int fd, const void *data, size_t n);
/* tiny_reply writes a whole answer with its Content-Length; fields are full
 * lines or "". */
void tiny_reply(int fd, int status, const char *fields, const char *body);
unsigned tiny_connections(struct tiny_server *s);
void tiny_stop(struct tiny_server **s);

#endif
