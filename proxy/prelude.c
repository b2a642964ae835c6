/* SPDX-License-Identifier: Apache-2.0 */
/* What a client connection begins with before HTTP: the PROXY header. It is
 * looked at without being taken, so that not one byte behind it is read:
 * those belong to TLS or HTTP. */
#include "proxy/prelude.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/counter.h"
#include "base/log.h"
#include "proxy/client.h"
#include "proxy/proxy_protocol.h"
#include "proxy/worker.h"

#define SKIP_BYTES 4096u

static enum io_result
refuse(const struct client *c, const char *why)
{
	counter_inc(COUNTER_PROXY_HEADERS_REFUSED);
	if (worker_may_log(c->worker))
		log_warn("client.proxy-header",
			 "refused a connection of %s: %s", c->address, why);
	return IO_BROKEN;
}

/* Addresses that the operator trusts are the ones that may say who the
 * client is; without any, the listener's place in the network decides. */
static bool
may_send(const struct client *c)
{
	return c->worker->proxy->trust.count == 0 || c->trusted;
}

static enum io_result
receive(struct client *c, char *to, size_t size, int flags, size_t *got)
{
	ssize_t n;

	do {
		n = recv(c->io.fd, to, size, flags);
	} while (n < 0 && errno == EINTR);
	*got = n > 0 ? (size_t)n : 0;
	if (n > 0)
		return IO_OK;
	if (n == 0)
		return IO_EOF;
	c->io.readable = false;
	return errno == EAGAIN || errno == EWOULDBLOCK ? IO_WAIT : IO_BROKEN;
}

static enum io_result
skip(struct client *c)
{
	char sink[SKIP_BYTES];
	size_t got;

	while (c->header_left) {
		size_t most = c->header_left < sizeof(sink) ? c->header_left :
							      sizeof(sink);
		enum io_result r = receive(c, sink, most, 0, &got);

		if (r != IO_OK)
			return r;
		c->header_left -= (uint32_t)got;
	}
	return IO_OK;
}

static enum io_result
take(struct client *c, const struct proxy_header *h)
{
	if (h->names_source) {
		client_set_peer(c, &h->source);
		c->peer_port = h->source_port;
		c->came_to = h->destination;
		c->local_port = h->port;
	}
	if (!shed_admit(c))
		return IO_BROKEN;
	c->header_left = (uint32_t)h->length;
	return skip(c);
}

enum io_result
prelude_proxy_header(struct client *c)
{
	char data[PROXY_HEADER_PEEK_BYTES];
	struct proxy_header h;
	enum io_result r;
	size_t got;

	if (!c->io.readable)
		return IO_WAIT;
	if (c->header_left)
		return skip(c);
	if (!may_send(c))
		return refuse(c, "its address is no trusted proxy's");
	r = receive(c, data, sizeof(data), MSG_PEEK, &got);
	if (r != IO_OK)
		return r;
	switch (proxy_header_read(data, got, &h)) {
	case PROXY_HEADER_READ:
		return take(c, &h);
	case PROXY_HEADER_BAD:
		return refuse(c, "it does not begin with a PROXY header");
	case PROXY_HEADER_MORE:
		break;
	}
	if (c->io.peer_done)
		return IO_EOF;
	c->io.readable = false;	/* until more has come */
	return IO_WAIT;
}
