/* SPDX-License-Identifier: Apache-2.0 */
/* Checks uri-host [":" port] (RFC 9110 7.2, RFC 3986 3.2.2), narrower than
 * the grammar: no percent escapes, no IPvFuture, no zone, and never empty.
 * Servers differ on those, and nobody's host needs them. */
#include "proxy/authority.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#define AUTHORITY_MAX 255
#define PORT_MAX 65535

/* Letters, digits and dots almost always: the list is the slow path. */
static bool
is_name_char(unsigned char c)
{
	return (c | 0x20u) - 'a' < 26u || c - (unsigned)'0' < 10u ||
	       c == '.' || (c && strchr("-_~!$&'()*+,;=", c));
}

static bool
name_is_valid(struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!is_name_char((unsigned char)s.at[i]))
			return false;
	return s.len > 0;
}

/* What stands between the brackets. */
static bool
ipv6_is_valid(struct span s)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (s.len >= sizeof(text))
		return false;
	memcpy(text, s.at, s.len);
	text[s.len] = '\0';
	return strlen(text) == s.len &&
	       inet_pton(AF_INET6, text, &address) == 1;
}

static bool
port_is_valid(struct span s)
{
	unsigned long n = 0;
	size_t i;

	if (s.len > 5)
		return false;
	for (i = 0; i < s.len; i++) {
		if (!isdigit((unsigned char)s.at[i]))
			return false;
		n = n * 10 + (unsigned long)(s.at[i] - '0');
	}
	return n <= PORT_MAX;
}

bool
authority_is_valid(struct span a)
{
	const char *end = a.at + a.len, *host_end;
	bool valid;

	if (a.len == 0 || a.len > AUTHORITY_MAX)
		return false;
	if (a.at[0] == '[') {
		host_end = memchr(a.at, ']', a.len);
		valid = host_end && ipv6_is_valid((struct span){
			a.at + 1, (size_t)(host_end - a.at - 1) });
		host_end = valid ? host_end + 1 : end;
	} else {
		host_end = memchr(a.at, ':', a.len);
		if (!host_end)
			host_end = end;
		valid = name_is_valid((struct span){
			a.at, (size_t)(host_end - a.at) });
	}
	if (!valid || host_end == end)
		return valid;
	return *host_end == ':' && port_is_valid((struct span){
		host_end + 1, (size_t)(end - host_end - 1) });
}

struct span
authority_of(struct span rest)
{
	size_t n = 0;

	while (n < rest.len && rest.at[n] != '/' && rest.at[n] != '?')
		n++;
	return (struct span){ rest.at, n };
}
