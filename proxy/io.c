/* SPDX-License-Identifier: Apache-2.0 */
/* Socket calls of the data plane: one recv or sendmsg a step. */
#include "proxy/io.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proxy/tls.h"
#include "proxy/worker.h"

/* send() and recv() are cancellation points: with threads about each of them
 * costs two locked instructions on top, for what nobody does here. */
static ssize_t
socket_send(int fd, const void *data, size_t n)
{
	return syscall(SYS_sendto, fd, data, n, MSG_NOSIGNAL, NULL, 0);
}

static ssize_t
socket_recv(int fd, void *to, size_t n)
{
	return syscall(SYS_recvfrom, fd, to, n, 0, NULL, NULL);
}

int
io_add(struct worker *w, struct io *io)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = io,
	};

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, io->fd, &ev);
}

void
io_event(struct io *io, uint32_t events)
{
	if (io->tls)
		tls_event(io, events);
	if (events & EPOLLIN)
		io->readable = true;
	if (events & EPOLLOUT)
		io->writable = true;
	if (events & (EPOLLRDHUP | EPOLLHUP)) {
		io->peer_done = true;
		io->readable = true;	/* read up to the end */
	}
	if (events & EPOLLERR) {
		io->broken = true;
		io->readable = io->writable = true;
	}
}

void
io_close(struct worker *w, struct io *io)
{
	if (io->fd < 0)
		return;
	if (io->tls)
		tls_detach(io);
	/* A close is not enough: while a process is being started it holds a
	 * copy of each descriptor, and so does one that took a listening
	 * socket over. epoll would go on to report what is freed by then. */
	(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
	close(io->fd);
	io->fd = -1;
	io->dead_next = w->dead;
	w->dead = io;
}

void
io_end(struct io *io)
{
	if (io->tls)
		tls_end(io);
	(void)shutdown(io->fd, SHUT_WR);
}

void
io_reset(struct io *io)
{
	static const struct linger at_once = { .l_onoff = 1 };

	(void)setsockopt(io->fd, SOL_SOCKET, SO_LINGER, &at_once,
			 sizeof(at_once));
	io->broken = true;
}

bool
io_is_silent(struct io *io)
{
	char c;

	if (io->tls)
		return tls_is_silent(io);
	return recv(io->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK);
}

enum io_result
io_recv(struct io *io, struct chunk *c, size_t most)
{
	size_t room = chunk_room(c);
	ssize_t n;

	if (io->tls)
		return tls_recv(io, c, most);
	if (most && most < room)
		room = most;
	if (!io->readable || room == 0)
		return IO_WAIT;
	do {
		n = socket_recv(io->fd, c->data + c->end, room);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		c->end += (size_t)n;
		/* A short read has emptied the socket: the next byte brings
		 * a new edge. Not so after a FIN, which has had its edge. */
		if ((size_t)n < room && !io->peer_done)
			io->readable = false;
		return IO_OK;
	}
	if (n == 0) {
		io->readable = false;
		io->peer_done = true;
		return IO_EOF;
	}
	io->readable = false;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return IO_WAIT;
	io->broken = true;
	return IO_BROKEN;
}

void
out_advance(struct out *o, size_t n)
{
	o->sent_bytes += n;
	while (n > 0 && n >= o->iov[o->at].iov_len) {
		n -= o->iov[o->at].iov_len;
		o->at++;
	}
	if (n > 0) {
		o->iov[o->at].iov_base = (char *)o->iov[o->at].iov_base + n;
		o->iov[o->at].iov_len -= n;
	}
}

/* A short message, which is nearly every request and many an answer, is
 * copied together: send() of one run costs the kernel half a microsecond less
 * than sendmsg() of a list, more than the copy costs us. */
#define GATHER_BYTES 4096u

/* Returns how much that is; 0 when it is too long. */
static size_t
out_gather(const struct out *o, char to[GATHER_BYTES])
{
	size_t len = 0;
	int i;

	for (i = o->at; i < o->count; i++) {
		if (o->iov[i].iov_len > GATHER_BYTES - len)
			return 0;
		memcpy(to + len, o->iov[i].iov_base, o->iov[i].iov_len);
		len += o->iov[i].iov_len;
	}
	return len;
}

/* Sets *all to how much there was, 0 when that was not counted. */
static ssize_t
out_send(int fd, struct out *o, size_t *all)
{
	struct msghdr msg = {
		.msg_iov = o->iov + o->at,
		.msg_iovlen = (size_t)(o->count - o->at),
	};
	char gathered[GATHER_BYTES];

	if (msg.msg_iovlen == 1) {
		*all = msg.msg_iov->iov_len;
		return socket_send(fd, msg.msg_iov->iov_base, *all);
	}
	*all = out_gather(o, gathered);
	return *all ? socket_send(fd, gathered, *all) :
		      sendmsg(fd, &msg, MSG_NOSIGNAL);
}

uint64_t
out_queued(const struct out *o)
{
	uint64_t n = o->sent_bytes;
	int i;

	for (i = o->at; i < o->count; i++)
		n += o->iov[i].iov_len;
	return n;
}

void
out_cut(struct out *o, uint64_t keep)
{
	uint64_t at = o->sent_bytes;
	int i = o->at;

	while (i < o->count && at + o->iov[i].iov_len <= keep)
		at += o->iov[i++].iov_len;
	if (i < o->count && at < keep)
		o->iov[i++].iov_len = (size_t)(keep - at);
	o->count = i;
}

enum io_result
out_flush(struct io *io, struct out *o)
{
	size_t all;

	if (io->tls)
		return tls_flush(io, o);
	while (out_pending(o)) {
		ssize_t n;

		if (io->broken)
			return IO_BROKEN;
		if (!io->writable)
			return IO_WAIT;
		n = out_send(io->fd, o, &all);
		if (n >= 0 && (size_t)n == all) {
			o->sent_bytes += all;
			break;
		} else if (n >= 0) {
			out_advance(o, (size_t)n);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			io->writable = false;
			return IO_WAIT;
		} else if (errno != EINTR) {
			io->broken = true;
			return IO_BROKEN;
		}
	}
	out_reset(o);
	return IO_OK;
}
