/* SPDX-License-Identifier: Apache-2.0 */
/* Names the client to an upstream: the PROXY header of a new connection,
 * which from then on is that client's and no other's. */
#include "proxy/proxy_out.h"

#include <ctype.h>
#include <errno.h>
#include <sys/socket.h>

#include "proxy/client.h"
#include "proxy/exchange.h"
#include "proxy/forwarded.h"
#include "proxy/proxy_protocol.h"
#include "proxy/upstream.h"

/* RFC 7239 6.2: a port may be obfuscated too. */
static uint16_t
port_of_text(struct span s)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < s.len && i < 5; i++) {
		if (!isdigit((unsigned char)s.at[i]))
			return 0;
		n = n * 10 + (unsigned)(s.at[i] - '0');
	}
	return n <= UINT16_MAX ? (uint16_t)n : 0;
}

/* The same client as in X-Forwarded-For and in the event. */
static void
set_source(const struct exchange *ex, struct proxy_header *h)
{
	const struct forwarded_chain *chain = ex->chain;

	if (chain && chain->count) {
		h->source = chain->nodes[0].address;
		h->source_port = port_of_text(chain->nodes[0].port);
	} else {
		h->source = ex->client->peer;
		h->source_port = ex->client->peer_port;
	}
}

static bool
is_ip(const struct network_address *a)
{
	return a->family == NETWORK_IPV4 || a->family == NETWORK_IPV6;
}

/* What the client came to: as a PROXY header said, else our end of its
 * connection. A Unix socket has none: then it is where we go to. */
static void
set_destination(const struct exchange *ex, struct proxy_header *h)
{
	const struct client *c = ex->client;
	const struct sockaddr_storage *upstream =
		&ex->pool->endpoint->address.addr;
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	h->port = c->local_port;
	h->destination = c->came_to;
	if (is_ip(&h->destination))
		return;
	if (getsockname(c->io.fd, (struct sockaddr *)&ss, &len) == 0)
		h->destination = network_of_socket(&ss);
	if (is_ip(&h->destination))
		return;
	h->destination = network_of_socket(upstream);
	h->port = network_port_of_socket(upstream);
}

static size_t
write_header(const struct exchange *ex, char out[PROXY_HEADER_WRITE_BYTES])
{
	struct proxy_header h = { 0 };

	set_source(ex, &h);
	set_destination(ex, &h);
	switch (ex->pool->proxy_protocol) {
	case RULES_PROXY_NONE:
		break;
	case RULES_PROXY_V1:
		return proxy_header_v1(&h, out);
	case RULES_PROXY_V2:
		return proxy_header_v2(&h, out);
	}
	return 0;
}

/* A new socket has room for these few bytes; one that has not is of no use
 * anyway. */
enum io_result
proxy_out_send(struct exchange *ex)
{
	char header[PROXY_HEADER_WRITE_BYTES];
	size_t len;
	ssize_t n;

	if (ex->pool->proxy_protocol == RULES_PROXY_NONE)
		return IO_OK;
	len = write_header(ex, header);
	do {
		n = send(ex->upstream->io.fd, header, len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)len ? IO_OK : IO_BROKEN;
}
