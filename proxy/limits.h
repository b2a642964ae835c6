/* SPDX-License-Identifier: Apache-2.0 */
/* What one client address may have: connections at once, requests a second.
 * One table of bounded size for the process; not there when nothing is
 * limited. */
#ifndef PROXY_LIMITS_H
#define PROXY_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/network.h"

struct limits;

/* limits_new: 0 is no limit. NULL without memory. */
MUST_CHECK struct limits *limits_new(unsigned connections, unsigned rate);
void limits_free(struct limits **l);
/* All of these: any thread. An IPv6 client is its /64; whoever has no address
 * has no limit. A full table lets pass what it cannot count. */

/* limits_connect: REFUSED when the address has its fill; limits_disconnect
 * follows what was COUNTED. UNCOUNTED: no limit holds, or no room. */
enum limits_verdict { LIMITS_REFUSED, LIMITS_COUNTED, LIMITS_UNCOUNTED };
enum limits_verdict
limits_connect(struct limits *l, const struct network_address *a,
	       uint64_t now_ms);
void limits_disconnect(struct limits *l, const struct network_address *a);
/* limits_request: may a request of this address be served now? A second's
 * worth may come in a burst. */
bool limits_request(struct limits *l, const struct network_address *a,
		    uint64_t now_ms);

/* limits_by_files: how many client connections the limit of open files
 * allows. Each may need one to an upstream; journal and console keep theirs. */
unsigned limits_by_files(uint64_t files);

#endif
