/* SPDX-License-Identifier: Apache-2.0 */
/* Reads PROXY protocol headers, strictly: what is not exactly one is
 * refused, because the bytes behind it would be taken for a request. */
#include "proxy/proxy_protocol.h"

#include <netinet/in.h>
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
	struct network_address destination;
	bool v6 = span_is(protocol, "TCP6");

	if (span_is(protocol, "UNKNOWN"))
		return true;	/* whatever follows is ignored */
	if (!v6 && !span_is(protocol, "TCP4"))
		return false;
	h->names_source = true;
	return read_address(take_word(&line), v6, &h->source) &&
	       read_address(take_word(&line), v6, &destination) &&
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

/* Addresses of `width` bytes each, then the ports. */
static void
read_block(const unsigned char *p, unsigned width, struct proxy_header *h)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in *v4 = (void *)&ss;
	struct sockaddr_in6 *v6 = (void *)&ss;

	ss.ss_family = width == 4 ? AF_INET : AF_INET6;
	memcpy(width == 4 ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr, p,
	       width);
	h->source = network_of_socket(&ss);
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
