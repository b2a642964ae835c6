/* SPDX-License-Identifier: Apache-2.0 */
/* Host names to addresses, by the system's resolver. */
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "rules/rules.h"

static bool
is_loopback6(const struct addrinfo *ai)
{
	const struct sockaddr_in6 *in6 = (const void *)ai->ai_addr;

	return ai->ai_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static bool
has_family(const struct addrinfo *ai, int family)
{
	for (; ai; ai = ai->ai_next)
		if (ai->ai_family == family)
			return true;
	return false;
}

static int
add_found(const struct addrinfo *ai, struct rules_found *out)
{
	char host[INET6_ADDRSTRLEN + 16], port[8];

	if (ai->ai_addrlen > sizeof(out->addr) ||
	    getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return -1;
	memset(&out->addr, 0, sizeof(out->addr));
	memcpy(&out->addr, ai->ai_addr, ai->ai_addrlen);
	out->addr_len = ai->ai_addrlen;
	snprintf(out->text, sizeof(out->text),
		 ai->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	return 0;
}

/* "localhost" has two addresses, and most services listen on its IPv4 one:
 * the other would be one that always fails. */
static int
take_found(const struct addrinfo *found, struct rules_found *list, size_t max)
{
	bool v4 = has_family(found, AF_INET);
	size_t n = 0;

	for (const struct addrinfo *ai = found; ai && n < max;
	     ai = ai->ai_next)
		if (!(v4 && is_loopback6(ai)) && add_found(ai, &list[n]) == 0)
			n++;
	return (int)n;
}

/* ADDRCONFIG: no IPv6 addresses for a machine that has no IPv6; what is
 * written as a number is taken as it is. */
static int
look_up(const char *name, const char *port, struct addrinfo **found)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICSERV |
					      AI_NUMERICHOST };

	if (getaddrinfo(name, port, &hints, found) == 0)
		return 0;
	hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
	return getaddrinfo(name, port, &hints, found);
}

int
rules_lookup(const char *name, const char *port, struct rules_found *list,
	     size_t max, struct error *err)
{
	struct addrinfo *found = NULL;
	int failed = look_up(name, port, &found), n;

	if (failed)
		return error_set(err, "%s", gai_strerror(failed));
	n = take_found(found, list, max);
	freeaddrinfo(found);
	return n > 0 ? n : error_set(err, "it has no address");
}
