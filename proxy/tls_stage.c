/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's way to the socket.
 *
 * The BIO is ours. What it writes is gathered and leaves by one send a call,
 * so that OpenSSL never has to repeat a write; what it reads comes from one
 * recv, not two a record. A short recv has emptied the socket, as in io.c. */
#include "proxy/tls_stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/invariant.h"

#define RECORD_EXTRA_BYTES 256u		/* header, nonce, tag, padding */

/* ---- staging ---- */

static bool
rest_save(struct tls_rest *r, const char *data, size_t n)
{
	size_t have = r->end - r->at;
	char *grown = have + n <= TLS_REST_MOST ? malloc(have + n) : NULL;

	if (!grown)
		return false;
	if (have)
		memcpy(grown, r->data + r->at, have);
	memcpy(grown + have, data, n);
	free(r->data);
	*r = (struct tls_rest){ grown, 0, have + n };
	return true;
}

void
tls_rest_drop(struct tls_rest *r)
{
	free(r->data);
	*r = (struct tls_rest){ NULL, 0, 0 };
}

static size_t
send_some(struct tls *t, const char *data, size_t n)
{
	size_t sent = 0;

	while (sent < n && t->writable && !t->io->broken) {
		ssize_t r = send(t->io->fd, data + sent, n - sent,
				 MSG_NOSIGNAL);

		if (r >= 0)
			sent += (size_t)r;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			t->writable = false;
		else if (errno != EINTR)
			t->io->broken = true;
	}
	return sent;
}

/* Old ciphertext first, then what was staged; the rest is kept. */
static void
push(struct tls *t)
{
	struct tls_buffers *b = t->shared;
	size_t sent = 0;

	if (t->unsent.data) {
		t->unsent.at += send_some(t, t->unsent.data + t->unsent.at,
					  t->unsent.end - t->unsent.at);
		if (t->unsent.at == t->unsent.end)
			tls_rest_drop(&t->unsent);
	}
	if (!t->unsent.data)
		sent = send_some(t, b->out, b->out_end);
	if (sent < b->out_end && !t->io->broken &&
	    !rest_save(&t->unsent, b->out + sent, b->out_end - sent))
		t->io->broken = true;
	b->out_end = 0;
}

static bool
stage(struct tls *t)
{
	struct tls_buffers *b = t->shared;
	ssize_t n;

	if (!t->readable)
		return false;
	if (t->silent > TLS_SILENT_MOST && t->open) {
		t->reason = "too many records without data";
		t->io->broken = true;
		return false;
	}
	do {
		n = recv(t->io->fd, b->in, b->in_want, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		b->in_at = 0;
		b->in_end = (size_t)n;
		b->staged += (size_t)n;
		t->silent += (size_t)n;
		if ((size_t)n < b->in_want && !t->io->peer_done)
			t->readable = false;
		return true;
	}
	t->readable = false;
	if (n == 0)
		t->eof = t->io->peer_done = true;
	else if (errno != EAGAIN && errno != EWOULDBLOCK)
		t->io->broken = true;
	return false;
}

void
tls_enter(struct tls *t, size_t room)
{
	struct tls_buffers *b = t->shared;
	size_t kept = t->unread.end - t->unread.at;

	INVARIANT(!b->owner);
	b->owner = t;
	b->in_at = b->in_end = b->out_end = b->staged = 0;
	b->in_want = room < TLS_PIECE_BYTES ? room + RECORD_EXTRA_BYTES :
					  TLS_PIECE_BYTES + RECORD_EXTRA_BYTES;
	if (!kept)
		return;
	memcpy(b->in, t->unread.data + t->unread.at, kept);
	b->in_end = kept;
	tls_rest_drop(&t->unread);
}

void
tls_leave(struct tls *t)
{
	struct tls_buffers *b = t->shared;

	if (b->in_at < b->in_end &&
	    !rest_save(&t->unread, b->in + b->in_at, b->in_end - b->in_at))
		t->io->broken = true;
	if (b->out_end || t->unsent.data)
		push(t);
	if (t->end == IO_BROKEN)
		t->io->broken = true;
	b->owner = NULL;
}

/* ---- the BIO ---- */

static int
bio_read(BIO *bio, char *to, int n)
{
	struct tls *t = BIO_get_data(bio);
	struct tls_buffers *b = t->shared;
	size_t have;

	BIO_clear_retry_flags(bio);
	if (b->in_at == b->in_end && !stage(t)) {
		if (t->eof)
			return 0;
		if (!t->io->broken)
			BIO_set_retry_read(bio);
		return -1;
	}
	have = b->in_end - b->in_at;
	if ((size_t)n > have)
		n = (int)have;
	memcpy(to, b->in + b->in_at, (size_t)n);
	b->in_at += (size_t)n;
	return n;
}

static int
bio_write(BIO *bio, const char *data, int n)
{
	struct tls *t = BIO_get_data(bio);
	struct tls_buffers *b = t->shared;

	BIO_clear_retry_flags(bio);
	if ((size_t)n > sizeof(b->out))
		return -1;
	if (b->out_end + (size_t)n > sizeof(b->out))
		push(t);
	if (t->io->broken)
		return -1;
	memcpy(b->out + b->out_end, data, (size_t)n);
	b->out_end += (size_t)n;
	return n;
}

static long
bio_ctrl(BIO *bio, int what, long number, void *arg)
{
	const struct tls *t = BIO_get_data(bio);

	(void)number;
	(void)arg;
	if (what == BIO_CTRL_EOF)
		return t->eof;
	return what == BIO_CTRL_FLUSH || what == BIO_CTRL_DUP;
}

static int
bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

struct tls_buffers *
tls_buffers_new(void)
{
	struct tls_buffers *b = malloc(sizeof(*b));

	if (!b)
		return NULL;
	memset(b, 0, offsetof(struct tls_buffers, in));
	b->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "matapalo");
	if (!b->method || !BIO_meth_set_read(b->method, bio_read) ||
	    !BIO_meth_set_write(b->method, bio_write) ||
	    !BIO_meth_set_ctrl(b->method, bio_ctrl) ||
	    !BIO_meth_set_create(b->method, bio_create))
		tls_buffers_free(&b);
	return b;
}

void
tls_buffers_free(struct tls_buffers **bp)
{
	struct tls_buffers *b = *bp;

	*bp = NULL;
	if (!b)
		return;
	BIO_meth_free(b->method);
	free(b);
}
