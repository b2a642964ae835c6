/* SPDX-License-Identifier: Apache-2.0 */
/* Answers as they are kept: whole, and sealed, for they may hold secrets. */
#ifndef BUS_KEPT_H
#define BUS_KEPT_H

#include "bus/bus.h"

/* kept_seal appends what is stored of the operation's answer. -1 without
 * memory. */
MUST_CHECK int kept_seal(const struct digest_key *key,
			 const struct id *operation,
			 const struct bus_reply *r, struct buf *out);
/* kept_open makes the reply again; NULL when it was sealed with another key,
 * for another operation, was changed, or without memory. */
struct bus_reply *kept_open(const struct digest_key *key,
			    const struct id *operation, struct span sealed);

#endif
