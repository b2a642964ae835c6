/* SPDX-License-Identifier: Apache-2.0 */
/* What the admin listener answers: routes, access, bodies; no I/O. */
#ifndef CONSOLE_ANSWER_H
#define CONSOLE_ANSWER_H

#include <stddef.h>

#include "base/buf.h"
#include "console/console.h"

#define ANSWER_NONCE_SIZE 33	/* 32 hex characters and NUL */

enum answer_access { ANSWER_OPEN, ANSWER_TOKEN };

enum answer_method { ANSWER_GET, ANSWER_POST };

struct answer;
struct answer_request;
struct answer_route {
	enum answer_method method;
	const char *path;
	enum answer_access access;
	void (*write)(struct answer *out, const struct answer_request *req,
		      const struct console_source *source);
	const char *help;
};
size_t answer_route_count(void);
const struct answer_route *answer_route(size_t i);

/* A request as the listener saw it; absent headers are NULL. */
struct answer_request {
	const char *method, *path;
	const char *host, *authorization;
	const char *content_type, *origin;
	struct span body;		/* of a POST */
};
#define ANSWER_BODY_MAX ((size_t)16 << 10)
/* Who serves: the token, and the name that the listener was bound to. */
struct answer_server {
	const char *token;
	const char *bound_host;
	const struct console_source *source;
};

/* Zero-initialise; answer_fini frees. */
struct answer {
	int status;
	const char *type;		/* Content-Type */
	const char *allow, *challenge;	/* header values, or NULL */
	char nonce[ANSWER_NONCE_SIZE];	/* "" unless the body has a script */
	struct buf body;
};

/* answer_make fills out. Calls the source's functions on this thread. */
void answer_make(struct answer *out, const struct answer_request *req,
		 const struct answer_server *server);
void answer_fini(struct answer *a);
/* answer_wants_body: would it be read? What is refused without it is refused
 * before it. Any thread. */
bool answer_wants_body(const struct answer_request *req,
		       const struct answer_server *server);
/* answer_problem makes it an RFC 9457 document. */
void answer_refuse(struct answer *out, int status, const char *title,
		    const char *detail);
/* answer_order has the source do what the body of the request asks for
 * (console/order.c). */
void answer_order(struct answer *out, const struct answer_request *req,
		  const struct console_source *source,
		  enum console_verb verb);

/* The page board.html, made into a string by the build. */
extern const char answer_board_html[];

#endif
