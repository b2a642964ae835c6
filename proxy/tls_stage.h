/* SPDX-License-Identifier: Apache-2.0 */
/* Inside tls*.c: a connection's state, and OpenSSL's way to its socket. */
#ifndef PROXY_TLS_STAGE_H
#define PROXY_TLS_STAGE_H

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "proxy/tls.h"

#define TLS_RECORD_BYTES 16384u
#define TLS_PIECE_BYTES (4u * TLS_RECORD_BYTES)	/* encrypted before a send */
#define TLS_STAGED_MOST (TLS_PIECE_BYTES + TLS_RECORD_BYTES / 2)
#define TLS_STAGE_BYTES (TLS_PIECE_BYTES + TLS_RECORD_BYTES)
#define TLS_REST_MOST (2u * TLS_STAGE_BYTES)	/* kept between calls */

/* Records without data (key updates above all) cost us more than the peer,
 * and each may ask for an answer: so much of them in a row is too much, and a
 * byte of data makes up for so many. */
#define TLS_SILENT_MOST TLS_PIECE_BYTES
#define TLS_SILENT_PER_BYTE 64u

/* Ciphertext of the connection that is being worked on, and a record's worth
 * of plain runs that are to go together. */
struct tls_buffers {
	BIO_METHOD *method;
	const struct tls *owner;	/* NULL between calls */
	size_t in_at, in_end, in_want, out_end;
	size_t staged;			/* received in this call */
	char in[TLS_STAGE_BYTES], out[TLS_STAGE_BYTES];
	char gather[TLS_RECORD_BYTES];
};

/* Ciphertext that waits between two calls. */
struct tls_rest {
	char *data;
	size_t at, end;
};

struct tls {
	SSL *ssl;
	struct io *io;
	struct tls_buffers *shared;
	struct tls_rest unread, unsent;
	SSL_SESSION **session;		/* where the next one is kept */
	char *peer;			/* who it proved to be, or NULL */
	void *held;
	void (*release)(void *held);
	const char *reason;		/* of the failure; static text */
	size_t silent;			/* received, not paid for by data */
	bool plain_http;		/* was the reason */
	enum io_result end;		/* IO_OK: not yet */
	bool readable, writable;	/* the socket, not the stream */
	bool eof;			/* FIN was read */
	bool open;			/* the handshake is done */
};

/* Every call into OpenSSL stands between enter and leave: enter makes the
 * connection the one whose bytes are staged (`room` is how many plain bytes
 * can be taken), leave sends and saves what is left. */
void tls_enter(struct tls *t, size_t room);
void tls_leave(struct tls *t);
void tls_rest_drop(struct tls_rest *r);

#endif
