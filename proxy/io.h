/* SPDX-License-Identifier: Apache-2.0 */
/* One non-blocking socket in a worker's epoll set, and gathered output. */
#ifndef PROXY_IO_H
#define PROXY_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/attr.h"
#include "base/span.h"
#include "proxy/chunk.h"

struct worker;

struct tls;

/* Edge-triggered: `readable` and `writable` are set by an event and cleared
 * by the call that found the socket empty or full. With TLS they are about
 * the stream: bytes may be at hand while the socket is silent. */
struct io {
	int fd;
	bool readable, writable;
	bool peer_done;		/* the peer sends no more (FIN) */
	bool broken;		/* reset: nothing can be sent any more */
	struct tls *tls;	/* NULL: plain */
	void (*ready)(struct io *io);	/* after the flags were set */
	struct io *dead_next;
	void (*free_fn)(struct io *io);
};

enum io_result { IO_OK, IO_WAIT, IO_EOF, IO_BROKEN };

/* io_add registers the socket for both directions. 0 or -1. */
MUST_CHECK int io_add(struct worker *w, struct io *io);
/* io_event sets the flags from epoll's bits. */
void io_event(struct io *io, uint32_t events);
/* io_close closes now; memory is freed (free_fn) after the current batch of
 * events, so that a stale event can do no harm. */
void io_close(struct worker *w, struct io *io);

/* io_end: nothing more will be sent (FIN, after a close_notify). */
void io_end(struct io *io);
/* io_reset: closing will tell the peer that not all was sent (RST). */
void io_reset(struct io *io);
/* io_is_silent looks at the socket: the peer has said nothing that was not
 * read, and has not closed. */
bool io_is_silent(struct io *io);

static inline bool
io_is_tls(const struct io *io)
{
	return io->tls != NULL;
}

/* io_recv appends to the chunk, at most `most` bytes (0: as many as fit). */
enum io_result io_recv(struct io *io, struct chunk *c, size_t most);

#define OUT_MAX 48

/* Bytes to send, in order, borrowed until flushed. */
struct out {
	int at, count;
	uint64_t sent_bytes;
	struct iovec iov[OUT_MAX];
};

static inline void
out_init(struct out *o)
{
	o->at = o->count = 0;
	o->sent_bytes = 0;
}

static inline bool
out_pending(const struct out *o)
{
	return o->at < o->count;
}

static inline void
out_reset(struct out *o)
{
	o->at = o->count = 0;
}

/* out_add appends a run; false when the list is full. Empty runs vanish. */
static inline bool
out_add(struct out *o, const void *data, size_t n)
{
	if (n == 0)
		return true;
	if (o->count == OUT_MAX)
		return false;
	o->iov[o->count].iov_base = (void *)data;
	o->iov[o->count].iov_len = n;
	o->count++;
	return true;
}

/* out_advance takes n sent bytes off the front. */
void out_advance(struct out *o, size_t n);
/* out_queued: how many bytes were ever put in, sent or not. */
uint64_t out_queued(const struct out *o);
/* out_cut forgets what was put in behind the first `keep` bytes; what has
 * been sent stays sent. */
void out_cut(struct out *o, uint64_t keep);
/* out_flush sends all that the socket takes; IO_OK when nothing is left. */
enum io_result out_flush(struct io *io, struct out *o);

#endif
