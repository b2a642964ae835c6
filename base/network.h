/* SPDX-License-Identifier: Apache-2.0 */
/* Network addresses and ranges of them (CIDR), by value. */
#ifndef BASE_NETWORK_H
#define BASE_NETWORK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/span.h"

#define NETWORK_TEXT_MAX 46	/* of an address, with its NUL */

/* An IPv4 address within IPv6 (::ffff:192.0.2.1) is kept as IPv4. All are
 * pure and may run on any thread. */
enum network_family { NETWORK_NONE, NETWORK_IPV4, NETWORK_IPV6, NETWORK_UNIX };

struct network_address {
	uint8_t family;			/* enum network_family */
	uint8_t bytes[16];
};

struct network {
	struct network_address base;
	uint8_t prefix_bits;
};

struct network_address network_of_socket(const struct sockaddr_storage *ss);
/* network_port_of_socket: 0 for a Unix socket's. */
uint16_t network_port_of_socket(const struct sockaddr_storage *ss);
/* network_read_address: an IPv4 or IPv6 address in text, no brackets. */
bool network_read_address(struct span text, struct network_address *out);
/* network_text writes the normal form and returns its length; 0 for what is
 * no IP address. */
unsigned network_text(const struct network_address *a,
		      char out[NETWORK_TEXT_MAX]);
/* network_parse: "10.0.0.0/8", "2001:db8::/32", a single address, "unix:"
 * for every peer of a Unix socket. */
MUST_CHECK int network_parse(const char *text, struct network *out,
			     struct error *err);
bool network_contains(const struct network *n,
		      const struct network_address *a);

#endif
