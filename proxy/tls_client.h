/* SPDX-License-Identifier: Apache-2.0 */
/* TLS towards upstreams: what the rules say, ready for connections. */
#ifndef PROXY_TLS_CLIENT_H
#define PROXY_TLS_CLIENT_H

#include <stddef.h>

#include "base/attr.h"
#include "base/error.h"
#include "proxy/io.h"
#include "proxy/tls_review.h"
#include "rules/rules.h"

struct ssl_session_st;
struct worker;

/* One target's settings, shared by all workers; equal settings are one
 * object, over reloads too, so that connections are told apart by it. */
struct tls_client;
/* Those of all targets of one rule set, by target index. Counted. */
struct tls_clients;

/* tls_clients_new makes them; those of `old` (or NULL) that are the same are
 * taken over. NULL with err, which names the target and the file. Blocks on
 * files: not on a worker. */
MUST_CHECK struct tls_clients *
tls_clients_new(const struct rules *rules, const struct tls_clients *old,
		struct error *err);
/* tls_clients_review tells what an operator should know of the files: each
 * sentence begins with the line that names one. */
void tls_clients_review(const struct rules *rules, const struct tls_review *r);
/* Any thread. */
struct tls_clients *tls_clients_ref(struct tls_clients *c);
void tls_clients_unref(struct tls_clients **c);
/* tls_clients_at lends the target's, NULL for a plain one. */
struct tls_client *tls_clients_at(const struct tls_clients *c, size_t target);

struct tls_client *tls_client_ref(struct tls_client *c);
void tls_client_unref(struct tls_client **c);
/* tls_client_attach begins TLS on a connected socket. `host` is the URL's,
 * unless the target names another. *session is offered for resumption and
 * replaced by newer ones; it outlives the connection. */
MUST_CHECK int tls_client_attach(struct tls_client *c, struct worker *w,
				 struct io *io, const char *host,
				 struct ssl_session_st **session);
void tls_client_session_free(struct ssl_session_st **session);

#endif
