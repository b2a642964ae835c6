/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of HTTP targets: "http://host:port/base", "unix:/path". */
#ifndef RULES_URL_H
#define RULES_URL_H

#include "rules/load.h"

enum url_scheme { URL_PLAIN, URL_TLS };

/* What one URL says, before names are looked up. */
struct url {
	char host[256], port[6];	/* host "" for a Unix socket */
	const char *socket_path;	/* lent from the text, or NULL */
	const char *base;		/* lent: "/base" or "" */
	size_t base_len;
	enum url_scheme scheme;
};

int url_parse(struct rules_load *l, const struct rules_node *at,
	      const char *text, struct url *out);
/* url_resolve appends the addresses to list (RULES_ADDRESSES_MAX long) and
 * counts them in t; a name goes to t->hosts, where its absence is noted.
 * Blocks in getaddrinfo. */
int url_resolve(struct rules_load *l, const struct rules_node *at,
		const struct url *url, struct rules_target *t,
		struct rules_address *list);

#endif
