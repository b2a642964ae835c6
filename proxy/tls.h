/* SPDX-License-Identifier: Apache-2.0 */
/* TLS on one connection: what stands behind struct io when it is not plain.
 * proxy/ is the sole home of OpenSSL. */
#ifndef PROXY_TLS_H
#define PROXY_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "proxy/io.h"

struct ssl_session_st;
struct ssl_st;
struct tls_buffers;
struct worker;

/* A record layer between a socket and its reader. OpenSSL never touches the
 * socket: it reads and writes a worker's staging buffers, which are filled by
 * one recv and emptied by one send. Between two calls a connection keeps only
 * what the socket did not take and what was read beyond a record's end.
 * All calls are the worker's own. */
struct tls;

/* tls_buffers_new: the staging buffers of one worker. NULL without memory. */
struct tls_buffers *tls_buffers_new(void);
void tls_buffers_free(struct tls_buffers **b);

/* tls_attach puts TLS on a socket; takes ssl over, also when it fails
 * (-1, no memory). */
MUST_CHECK int tls_attach(struct worker *w, struct io *io,
			  struct ssl_st *ssl);
/* tls_handshake goes on with it; IO_OK once it is done, IO_BROKEN when it
 * failed (tls_reason says why). */
enum io_result tls_handshake(struct io *io);
/* tls_reason: why the connection failed, in words; never NULL. */
const char *tls_reason(const struct io *io);
/* tls_keep_session lets the newest session of this connection be kept in
 * *slot for the next one; the slot must outlive the connection. */
void tls_keep_session(struct io *io, struct ssl_session_st **slot);
/* tls_on_session is OpenSSL's callback for that. */
int tls_on_session(struct ssl_st *ssl, struct ssl_session_st *session);
/* tls_ssl lends OpenSSL's side of the connection. */
struct ssl_st *tls_ssl(const struct io *io);
/* tls_hold keeps `what` until the connection is freed. */
void tls_hold(struct io *io, void *what, void (*release)(void *what));
/* tls_set_peer says who the peer proved to be; takes the malloc'd text, which
 * tls_peer lends. NULL: nobody in particular. */
void tls_set_peer(struct io *io, char *text);
const char *tls_peer(const struct io *io);
/* tls_met_plain_http: what came instead of a handshake was a request. */
bool tls_met_plain_http(const struct io *io);

/* ---- for io.c ---- */

void tls_event(struct io *io, uint32_t events);
enum io_result tls_recv(struct io *io, struct chunk *c, size_t most);
enum io_result tls_flush(struct io *io, struct out *o);
/* tls_end says that nothing more will be sent (close_notify). */
void tls_end(struct io *io);
bool tls_is_silent(struct io *io);
/* tls_is_drained: all that was written is with the socket. */
bool tls_is_drained(const struct io *io);
/* tls_detach ends and frees it; before the socket is closed. */
void tls_detach(struct io *io);

#endif
