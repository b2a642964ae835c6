/* SPDX-License-Identifier: Apache-2.0 */
/* What is settled between two neighbours only: TE, Upgrade, Max-Forwards,
 * and whether a request has been here before. One worker. */
#ifndef PROXY_HOP_H
#define PROXY_HOP_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/span.h"
#include "proxy/problem.h"

struct exchange;
struct writer;

/* Kept in an exchange. */
struct hop {
	bool wants_trailers;	/* TE: trailers, with its option */
	bool offers_upgrade;	/* to a protocol that may be tunnelled */
	bool limited;		/* OPTIONS with Max-Forwards: */
	unsigned forwards_left;
};

#define HOP_PSEUDONYM_SIZE 32

/* hop_pseudonym makes the name of this process in Via. */
void hop_pseudonym(char out[HOP_PSEUDONYM_SIZE]);
/* hop_read fills ex->hop from a head that has passed its checks. 0, or -1
 * with the problem. */
MUST_CHECK int hop_read(struct exchange *ex, enum problem *why);
/* hop_put_request writes the fields that this hop adds by itself;
 * hop_request_size is the most that they take. */
size_t hop_request_size(const struct exchange *ex);
void hop_put_request(const struct exchange *ex, struct writer *w);
/* hop_switches: is this 101 an answer to what was offered? */
bool hop_switches(const struct exchange *ex);
/* hop_put_upgrade writes the Upgrade of an answer (101, 426), if any;
 * hop_upgrade_size is the most that it takes. */
size_t hop_upgrade_size(const struct exchange *ex);
void hop_put_upgrade(const struct exchange *ex, struct writer *w);

#endif
