/* SPDX-License-Identifier: Apache-2.0 */
/* Who the client is, and how the upstream is told: Forwarded (RFC 7239) and
 * the X-Forwarded fields, read from trusted peers only and always written by
 * us. */
#ifndef PROXY_FORWARDED_H
#define PROXY_FORWARDED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/message.h"
#include "base/network.h"
#include "proxy/writer.h"

#define FORWARDED_TRUSTED_MAX 64
#define FORWARDED_CHAIN_MAX 32u

/* Which field trusted peers write. One only: a peer that writes the one
 * hands the other on as its own client sent it. */
enum forwarded_field { FORWARDED_X, FORWARDED_RFC7239 };

/* Read-only once the workers run. */
struct forwarded_trust {
	struct network networks[FORWARDED_TRUSTED_MAX];
	unsigned count;
	enum forwarded_field field;
};

/* One hop of a chain; spans are borrowed from the request's head. */
struct forwarded_node {
	struct span element;	/* RFC7239: the whole of it */
	struct span name;	/* no brackets, no port: address, _x, unknown */
	struct span port;
	struct span host, proto;
	struct network_address address;
};

/* From the client, which is the right-most that is not trusted, to the hop
 * before the peer. In the exchange's arena. */
struct forwarded_chain {
	unsigned count;
	struct forwarded_node nodes[];
};

/* What the upstream is told of one request. */
struct forwarded {
	struct message_fields fields;
	const struct forwarded_chain *chain;	/* NULL: untrusted peer */
	enum forwarded_field field;
	struct span peer, host;		/* empty host: there is none */
	struct span proto;
	uint16_t port;			/* 0: a Unix socket's */
};

/* The lines that a connection's last request was given, and its host. */
struct forwarded_kept {
	size_t host_len, len;
	char text[];		/* the host, the lines */
};

bool forwarded_trusts(const struct forwarded_trust *t,
		      const struct network_address *a);
/* forwarded_read is for requests of a trusted peer; NULL when the arena is
 * full. What is malformed ends the chain at its right. */
MUST_CHECK struct forwarded_chain *
forwarded_read(const struct forwarded_trust *t, struct message_fields fields,
	       struct arena *arena);
/* forwarded_client lends the address of the client, `peer` without a chain. */
struct span forwarded_client(const struct forwarded_chain *chain,
			     struct span peer);
/* forwarded_proto lends the scheme of the client's own hop. */
struct span forwarded_proto(const struct forwarded *f);
/* forwarded_size: how much forwarded_put writes at most. */
size_t forwarded_size(const struct forwarded *f);
void forwarded_put(const struct forwarded *f, struct writer *w);
/* forwarded_put_kept writes the same; what it wrote for a connection's last
 * request is kept, for most of them name the same host. Freed by free(). */
void forwarded_put_kept(const struct forwarded *f,
			struct forwarded_kept **kept, struct writer *w);
/* forwarded_is_ours: fields that never go on as they came; an underscore
 * counts as a hyphen, as it does behind CGI. */
bool forwarded_is_ours(struct span name, const struct forwarded_chain *chain);

#endif
