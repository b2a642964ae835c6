/* SPDX-License-Identifier: Apache-2.0 */
/* TLS on one connection: handshake, reading, writing, the end. */
#include "proxy/tls.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/counter.h"
#include "proxy/tls_stage.h"
#include "proxy/worker.h"

#define HANDSHAKE_BYTES 8192u		/* first recv of a flight */

/* ---- failures ---- */

/* A certificate that did not verify says more than the alert about it. */
static const char *
failure_words(struct tls *t)
{
	long verify = SSL_get_verify_result(t->ssl);
	const char *words;

	if (verify != X509_V_OK)
		return X509_verify_cert_error_string(verify);
	t->plain_http = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
	words = ERR_reason_error_string(ERR_peek_error());
	if (words)
		return words;
	return t->eof ? "the peer closed the connection" :
			"the connection was reset";
}

/* What a call of OpenSSL that brought nothing means. The error queue is left
 * empty, so that no call needs to clear it beforehand. */
static enum io_result
failure(struct tls *t, int ret)
{
	switch (SSL_get_error(t->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return IO_WAIT;
	case SSL_ERROR_ZERO_RETURN:
		t->io->peer_done = true;
		t->end = IO_EOF;
		break;
	default:
		if (!t->reason)
			t->reason = failure_words(t);
		t->end = IO_BROKEN;	/* tls_leave still sends the alert */
		break;
	}
	ERR_clear_error();
	return t->end;
}

const char *
tls_reason(const struct io *io)
{
	return io->tls && io->tls->reason ? io->tls->reason :
					    "the connection was lost";
}

/* ---- lifecycle ---- */

int
tls_attach(struct worker *w, struct io *io, SSL *ssl)
{
	struct tls *t = ssl ? calloc(1, sizeof(*t)) : NULL;
	BIO *bio;

	if (t && !w->tls)
		w->tls = tls_buffers_new();
	bio = t && w->tls ? BIO_new(w->tls->method) : NULL;
	if (!bio) {
		free(t);
		SSL_free(ssl);
		ERR_clear_error();
		return -1;
	}
	BIO_set_data(bio, t);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_app_data(ssl, t);
	t->ssl = ssl;
	t->io = io;
	t->shared = w->tls;
	t->readable = io->readable;
	t->writable = io->writable;
	io->tls = t;
	return 0;
}

void
tls_detach(struct io *io)
{
	struct tls *t = io->tls;

	tls_end(io);
	/* Without this OpenSSL would forget the session as a bad one. */
	if (t->open)
		SSL_set_shutdown(t->ssl,
				 SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(t->ssl);
	tls_rest_drop(&t->unread);
	tls_rest_drop(&t->unsent);
	if (t->release)
		t->release(t->held);
	free(t->peer);
	free(t);
	io->tls = NULL;
}

struct ssl_st *
tls_ssl(const struct io *io)
{
	return io->tls->ssl;
}

void
tls_hold(struct io *io, void *what, void (*release)(void *what))
{
	io->tls->held = what;
	io->tls->release = release;
}

void
tls_set_peer(struct io *io, char *text)
{
	free(io->tls->peer);
	io->tls->peer = text;
}

const char *
tls_peer(const struct io *io)
{
	return io->tls ? io->tls->peer : NULL;
}

bool
tls_met_plain_http(const struct io *io)
{
	return io->tls && io->tls->plain_http;
}

void
tls_keep_session(struct io *io, struct ssl_session_st **slot)
{
	io->tls->session = slot;
}

int
tls_on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *t = SSL_get_app_data(ssl);

	if (!t || !t->session)
		return 0;
	SSL_SESSION_free(*t->session);
	*t->session = session;
	return 1;
}

/* ---- the seam ---- */

/* What our BIO is given it always takes: reading never waits for writing,
 * nor writing for reading. */
void
tls_event(struct io *io, uint32_t events)
{
	struct tls *t = io->tls;

	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		t->readable = true;
	if (events & (EPOLLOUT | EPOLLERR))
		t->writable = true;
}

static void
count_handshake(SSL *ssl)
{
	if (SSL_is_server(ssl))
		counter_inc(SSL_session_reused(ssl) ?
			    COUNTER_TLS_CLIENT_RESUMED :
			    COUNTER_TLS_CLIENT_FULL);
	else
		counter_inc(SSL_session_reused(ssl) ?
			    COUNTER_TLS_UPSTREAM_RESUMED :
			    COUNTER_TLS_UPSTREAM_FULL);
}

enum io_result
tls_handshake(struct io *io)
{
	struct tls *t = io->tls;
	enum io_result r = IO_OK;
	int ret;

	if (t->open)
		return IO_OK;
	tls_enter(t, HANDSHAKE_BYTES);
	ret = SSL_do_handshake(t->ssl);
	if (ret != 1)
		r = failure(t, ret);
	tls_leave(t);
	if (r != IO_OK)
		return r == IO_EOF ? IO_BROKEN : r;
	t->open = true;
	t->silent = 0;
	io->readable = io->writable = true;
	count_handshake(t->ssl);
	return IO_OK;
}

static void
pay_for_silence(struct tls *t, size_t n)
{
	size_t paid = n * TLS_SILENT_PER_BYTE;

	t->silent = t->silent > paid ? t->silent - paid : 0;
}

/* Nothing decrypted, nothing staged, nothing at the socket. */
static bool
is_empty(const struct tls *t)
{
	return !t->readable && t->shared->in_at == t->shared->in_end &&
	       !SSL_pending(t->ssl);
}

enum io_result
tls_recv(struct io *io, struct chunk *c, size_t most)
{
	struct tls *t = io->tls;
	size_t room = chunk_room(c), got = 0, n;
	enum io_result r = t->end;

	if (most && most < room)
		room = most;
	if (!io->readable || room == 0)
		return IO_WAIT;
	tls_enter(t, room);
	while (r == IO_OK && got < room &&
	       (got == 0 || t->shared->staged < TLS_PIECE_BYTES + room)) {
		if (!SSL_read_ex(t->ssl, c->data + c->end, room - got, &n)) {
			r = failure(t, 0);
			break;
		}
		c->end += n;
		got += n;
		pay_for_silence(t, n);
		if (is_empty(t))
			r = IO_WAIT;
	}
	tls_leave(t);
	/* The end itself is for the next call. */
	io->readable = r == IO_OK || (got && r != IO_WAIT);
	return got ? IO_OK : r;
}

/* The next plain bytes to encrypt: a long run as it lies, short ones
 * gathered into one record. */
static size_t
next_piece(struct tls_buffers *b, const struct out *o, const void **data)
{
	const struct iovec *v = &o->iov[o->at];
	size_t n = 0, part;
	int i;

	*data = v->iov_base;
	if (v->iov_len >= TLS_PIECE_BYTES)
		return TLS_PIECE_BYTES;
	if (o->at + 1 == o->count)
		return v->iov_len;
	if (v->iov_len >= TLS_RECORD_BYTES)
		return v->iov_len - v->iov_len % TLS_RECORD_BYTES;
	for (i = o->at; i < o->count && n < TLS_RECORD_BYTES; i++) {
		part = o->iov[i].iov_len;
		if (part > TLS_RECORD_BYTES - n)
			part = TLS_RECORD_BYTES - n;
		memcpy(b->gather + n, o->iov[i].iov_base, part);
		n += part;
	}
	*data = b->gather;
	return n;
}

/* Encrypts up to a send's worth. */
static void
encrypt(struct tls *t, struct out *o)
{
	struct tls_buffers *b = t->shared;
	const void *data;
	size_t n, done;

	while (out_pending(o) && b->out_end < TLS_PIECE_BYTES &&
	       t->end != IO_BROKEN) {
		n = next_piece(b, o, &data);
		if (n > TLS_STAGED_MOST - b->out_end)
			n = TLS_STAGED_MOST - b->out_end;
		if (SSL_write_ex(t->ssl, data, n, &done)) {
			out_advance(o, done);
		} else {
			(void)failure(t, 0);
			t->end = IO_BROKEN;
		}
	}
}

enum io_result
tls_flush(struct io *io, struct out *o)
{
	struct tls *t = io->tls;

	do {
		if (io->broken)
			return IO_BROKEN;
		tls_enter(t, 0);
		if (!t->unsent.data)
			encrypt(t, o);
		tls_leave(t);
		if (io->broken)
			return IO_BROKEN;
		if (t->unsent.data) {
			io->writable = false;
			return IO_WAIT;
		}
	} while (out_pending(o));
	out_reset(o);
	return IO_OK;
}

void
tls_end(struct io *io)
{
	struct tls *t = io->tls;
	int ret;

	if (!t->open || io->broken ||
	    SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN)
		return;
	tls_enter(t, 0);
	ret = SSL_shutdown(t->ssl);
	if (ret < 0)
		(void)failure(t, ret);
	tls_leave(t);
}

/* A session ticket is no word of the peer's; anything else is. */
bool
tls_is_silent(struct io *io)
{
	struct tls *t = io->tls;
	bool silent = false;
	size_t n;
	char c;

	if (t->end != IO_OK)
		return false;
	t->readable = true;	/* whatever the last read found */
	tls_enter(t, 1);
	if (!SSL_peek_ex(t->ssl, &c, 1, &n))
		silent = failure(t, 0) == IO_WAIT;
	tls_leave(t);
	io->readable = !silent;
	return silent;
}

bool
tls_is_drained(const struct io *io)
{
	return !io->tls->unsent.data;
}
