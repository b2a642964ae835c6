/* SPDX-License-Identifier: Apache-2.0 */
/* Reads PROXY protocol headers, strictly: what is not exactly one is
 * refused, because the bytes behind it would be taken for a request. Writes
 * them for upstreams. */
#include "proxy/proxy_protocol.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define V1_MAX 107u		/* with its CR LF */
#define V2_FIXED 16u

static const char v1_start[6] = { 'P', 'R', 'O', 'X', 'Y', ' ' };
static const char v2_start[12] = { '\r', '\n', '\r', '\n', '\0', '\r', '\n',
				   'Q', 'U', 'I', 'T', '\n' };

/* ---- version 1: a line of text ---- */

/* Cuts off up to the next space; single spaces only. */
static struct span
take_word(struct span *line)
{
	const char *space = memchr(line->at, ' ', line->len);
	struct span word = { line->at,
			     space ? (size_t)(space - line->at) : line->len };
	size_t eaten = space ? word.len + 1 : word.len;

	line->at += eaten;
	line->len -= eaten;
	return word;
}

static bool
read_port(struct span s, uint16_t *port)
{
	unsigned n = 0;
	size_t i;

	if (s.len == 0 || s.len > 5 || (s.len > 1 && s.at[0] == '0'))
		return false;
	for (i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
		n = n * 10 + (unsigned)(s.at[i] - '0');
	}
	*port = (uint16_t)n;
	return n <= UINT16_MAX;
}

static bool
read_address(struct span s, bool v6, struct network_address *out)
{
	return (memchr(s.at, ':', s.len) != NULL) == v6 &&
	       network_read_address(s, out);
}

static bool
read_line(struct span line, struct proxy_header *h)
{
	struct span protocol = take_word(&line);
	bool v6 = span_is(protocol, "TCP6");

	if (span_is(protocol, "UNKNOWN"))
		return true;	/* whatever follows is ignored */
	if (!v6 && !span_is(protocol, "TCP4"))
		return false;
	h->names_source = true;
	return read_address(take_word(&line), v6, &h->source) &&
	       read_address(take_word(&line), v6, &h->destination) &&
	       read_port(take_word(&line), &h->source_port) &&
	       read_port(line, &h->port);
}

static enum proxy_header_result
read_v1(const char *data, size_t size, struct proxy_header *h)
{
	size_t most = size < V1_MAX ? size : V1_MAX;
	const char *cr = memchr(data, '\r', most);
	struct span line;

	if (!cr || (size_t)(cr - data) + 1 == size)
		return size < V1_MAX ? PROXY_HEADER_MORE : PROXY_HEADER_BAD;
	if (cr[1] != '\n')
		return PROXY_HEADER_BAD;
	h->length = (size_t)(cr - data) + 2;
	if (h->length > V1_MAX)
		return PROXY_HEADER_BAD;
	line = (struct span){ data + sizeof(v1_start),
			      h->length - 2 - sizeof(v1_start) };
	return read_line(line, h) ? PROXY_HEADER_READ : PROXY_HEADER_BAD;
}

/* ---- version 2: binary ---- */

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };
enum { FAMILY_UNSPEC = 0x00, FAMILY_TCP4 = 0x11, FAMILY_TCP6 = 0x21,
       FAMILY_UNIX_STREAM = 0x31 };

static unsigned
read_u16(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static struct network_address
address_of(const unsigned char *p, unsigned width)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in *v4 = (void *)&ss;
	struct sockaddr_in6 *v6 = (void *)&ss;

	ss.ss_family = width == 4 ? AF_INET : AF_INET6;
	memcpy(width == 4 ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr, p,
	       width);
	return network_of_socket(&ss);
}

/* Addresses of `width` bytes each, then the ports. */
static void
read_block(const unsigned char *p, unsigned width, struct proxy_header *h)
{
	h->source = address_of(p, width);
	h->destination = address_of(p + width, width);
	h->source_port = (uint16_t)read_u16(p + (size_t)2 * width);
	h->port = (uint16_t)read_u16(p + (size_t)2 * width + 2);
	h->names_source = true;
}

static enum proxy_header_result
read_v2(const unsigned char *p, size_t size, struct proxy_header *h)
{
	unsigned rest, width;

	if (size < V2_FIXED)
		return PROXY_HEADER_MORE;
	rest = read_u16(p + 14);
	h->length = V2_FIXED + rest;
	if (p[12] == COMMAND_LOCAL)
		return PROXY_HEADER_READ;
	if (p[12] != COMMAND_PROXY)
		return PROXY_HEADER_BAD;
	if (p[13] == FAMILY_UNSPEC)
		return PROXY_HEADER_READ;
	if (p[13] == FAMILY_UNIX_STREAM)
		return rest >= 216 ? PROXY_HEADER_READ : PROXY_HEADER_BAD;
	if (p[13] != FAMILY_TCP4 && p[13] != FAMILY_TCP6)
		return PROXY_HEADER_BAD;
	width = p[13] == FAMILY_TCP4 ? 4 : 16;
	if (rest < 2 * width + 4)
		return PROXY_HEADER_BAD;
	if (size < V2_FIXED + 2 * width + 4)
		return PROXY_HEADER_MORE;
	read_block(p + V2_FIXED, width, h);
	return PROXY_HEADER_READ;
}

/* ---- either ---- */

static bool
begins(const char *data, size_t size, const char *start, size_t start_size)
{
	return !memcmp(data, start, size < start_size ? size : start_size);
}

enum proxy_header_result
proxy_header_read(const char *data, size_t size, struct proxy_header *out)
{
	memset(out, 0, sizeof(*out));
	if (size == 0)
		return PROXY_HEADER_MORE;
	if (begins(data, size, v1_start, sizeof(v1_start)))
		return size < sizeof(v1_start) ? PROXY_HEADER_MORE :
						 read_v1(data, size, out);
	if (begins(data, size, v2_start, sizeof(v2_start)))
		return read_v2((const unsigned char *)data, size, out);
	return PROXY_HEADER_BAD;
}

/* ---- writing ---- */

struct pair {
	unsigned width;			/* of an address; 0: unknown */
	uint8_t source[16], destination[16];
};

static void
widen(const struct network_address *a, uint8_t to[16])
{
	bool v4 = a->family == NETWORK_IPV4;

	if (v4)
		memset(to + 10, 0xff, 2);
	if (v4)
		memcpy(to + 12, a->bytes, 4);
	else
		memcpy(to, a->bytes, 16);
}

/* A header has one family. Where the two ends differ, IPv4 is written as
 * IPv6 (RFC 4291 2.5.5.2): to call the client unknown would make receivers
 * take us for it, and we may be somebody whom they trust. */
static struct pair
pair_of(const struct proxy_header *h)
{
	const struct network_address *from = &h->source;
	const struct network_address *to = &h->destination;
	struct pair p = { 0 };

	if (from->family != NETWORK_IPV4 && from->family != NETWORK_IPV6)
		return p;
	if (from->family == NETWORK_IPV4 && to->family != NETWORK_IPV6) {
		p.width = 4;
		memcpy(p.source, from->bytes, 4);
		if (to->family == NETWORK_IPV4)
			memcpy(p.destination, to->bytes, 4);
		return p;
	}
	p.width = 16;
	widen(from, p.source);
	if (to->family == NETWORK_IPV4 || to->family == NETWORK_IPV6)
		widen(to, p.destination);
	return p;
}

size_t
proxy_header_v1(const struct proxy_header *h,
		char out[PROXY_HEADER_WRITE_BYTES])
{
	struct pair p = pair_of(h);
	int family = p.width == 4 ? AF_INET : AF_INET6, n;
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];

	if (!p.width) {
		n = snprintf(out, PROXY_HEADER_WRITE_BYTES,
			     "PROXY UNKNOWN\r\n");
		return (size_t)n;
	}
	inet_ntop(family, p.source, from, sizeof(from));
	inet_ntop(family, p.destination, to, sizeof(to));
	n = snprintf(out, PROXY_HEADER_WRITE_BYTES,
		     "PROXY TCP%c %s %s %u %u\r\n", p.width == 4 ? '4' : '6',
		     from, to, h->source_port, h->port);
	return (size_t)n;
}

static char *
put_u16(char *at, unsigned n)
{
	at[0] = (char)(n >> 8);
	at[1] = (char)(n & 0xff);
	return at + 2;
}

/* An unknown client is relayed all the same: LOCAL is for connections of our
 * own. */
size_t
proxy_header_v2(const struct proxy_header *h,
		char out[PROXY_HEADER_WRITE_BYTES])
{
	struct pair p = pair_of(h);
	char *at = out + sizeof(v2_start);

	memcpy(out, v2_start, sizeof(v2_start));
	*at++ = COMMAND_PROXY;
	*at++ = !p.width ? FAMILY_UNSPEC :
		p.width == 4 ? FAMILY_TCP4 : FAMILY_TCP6;
	at = put_u16(at, p.width ? 2 * p.width + 4 : 0);
	if (!p.width)
		return V2_FIXED;
	memcpy(at, p.source, p.width);
	memcpy(at + p.width, p.destination, p.width);
	at = put_u16(at + (size_t)2 * p.width, h->source_port);
	at = put_u16(at, h->port);
	return (size_t)(at - out);
}
