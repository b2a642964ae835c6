/* SPDX-License-Identifier: Apache-2.0 */
/* Network addresses: text, normal form, ranges. */
#include "base/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static struct network_address
from_bytes(enum network_family family, const void *bytes)
{
	struct network_address a = { .family = (uint8_t)family };

	if (family == NETWORK_IPV6 && !memcmp(bytes, mapped, sizeof(mapped))) {
		a.family = NETWORK_IPV4;
		memcpy(a.bytes, (const char *)bytes + sizeof(mapped), 4);
	} else {
		memcpy(a.bytes, bytes, family == NETWORK_IPV4 ? 4 : 16);
	}
	return a;
}

struct network_address
network_of_socket(const struct sockaddr_storage *ss)
{
	const struct sockaddr_in *v4 = (const void *)ss;
	const struct sockaddr_in6 *v6 = (const void *)ss;

	if (ss->ss_family == AF_INET)
		return from_bytes(NETWORK_IPV4, &v4->sin_addr);
	if (ss->ss_family == AF_INET6)
		return from_bytes(NETWORK_IPV6, &v6->sin6_addr);
	return (struct network_address){ .family = ss->ss_family == AF_UNIX ?
						   NETWORK_UNIX :
						   NETWORK_NONE };
}

uint16_t
network_port_of_socket(const struct sockaddr_storage *ss)
{
	const struct sockaddr_in *v4 = (const void *)ss;
	const struct sockaddr_in6 *v6 = (const void *)ss;

	if (ss->ss_family == AF_INET)
		return ntohs(v4->sin_port);
	return ss->ss_family == AF_INET6 ? ntohs(v6->sin6_port) : 0;
}

bool
network_read_address(struct span text, struct network_address *out)
{
	char copy[NETWORK_TEXT_MAX];
	uint8_t bytes[16];

	if (text.len == 0 || text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	if (memchr(copy, '\0', text.len))
		return false;
	if (inet_pton(AF_INET, copy, bytes) == 1)
		*out = from_bytes(NETWORK_IPV4, bytes);
	else if (inet_pton(AF_INET6, copy, bytes) == 1)
		*out = from_bytes(NETWORK_IPV6, bytes);
	else
		return false;
	return true;
}

unsigned
network_text(const struct network_address *a, char out[NETWORK_TEXT_MAX])
{
	int family = a->family == NETWORK_IPV4 ? AF_INET : AF_INET6;

	if (a->family != NETWORK_IPV4 && a->family != NETWORK_IPV6)
		return 0;
	if (!inet_ntop(family, a->bytes, out, NETWORK_TEXT_MAX))
		return 0;
	return (unsigned)strlen(out);
}

/* Are the bits behind the prefix zero? "10.1.2.3/8" is a slip. */
static bool
host_bits_are_zero(const struct network *n, unsigned width)
{
	unsigned bit;

	for (bit = n->prefix_bits; bit < width; bit++)
		if (n->base.bytes[bit / 8] >> (7 - bit % 8) & 1)
			return false;
	return true;
}

static int
parse_prefix(struct span text, unsigned width, uint8_t *out)
{
	unsigned bits = 0;
	size_t i;

	for (i = 0; i < text.len && i < 4; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return -1;
		bits = bits * 10 + (unsigned)(text.at[i] - '0');
	}
	if (i == 0 || i < text.len || bits > width)
		return -1;
	*out = (uint8_t)bits;
	return 0;
}

int
network_parse(const char *text, struct network *out, struct error *err)
{
	struct span address = { text, strcspn(text, "/") };
	const char *slash = text[address.len] ? text + address.len : NULL;
	unsigned width;

	memset(out, 0, sizeof(*out));
	if (!strcmp(text, "unix:")) {
		out->base.family = NETWORK_UNIX;
		return 0;
	}
	if (!network_read_address(address, &out->base))
		return error_set(err,
				 "`%s' is not a network: write 10.0.0.0/8, "
				 "2001:db8::/32, a single address or unix:",
				 text);
	width = out->base.family == NETWORK_IPV4 ? 32 : 128;
	out->prefix_bits = (uint8_t)width;
	if (slash && parse_prefix(span_of(slash + 1), width, &out->prefix_bits))
		return error_set(err, "`%s' is not a network: the prefix is a "
				 "number from 0 to %u", text, width);
	if (!host_bits_are_zero(out, width))
		return error_set(err, "`%s' is not a network: the address has "
				 "bits behind its prefix of %u", text,
				 out->prefix_bits);
	return 0;
}

bool
network_contains(const struct network *n, const struct network_address *a)
{
	unsigned whole = n->prefix_bits / 8, rest = n->prefix_bits % 8;

	if (n->base.family != a->family || a->family == NETWORK_NONE)
		return false;
	if (memcmp(n->base.bytes, a->bytes, whole))
		return false;
	return rest == 0 ||
	       (n->base.bytes[whole] ^ a->bytes[whole]) >> (8 - rest) == 0;
}
