/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol's header, versions 1 and 2 (its specification by
 * HAProxy): who really connected. Read and written. Pure. */
#ifndef PROXY_PROXY_PROTOCOL_H
#define PROXY_PROXY_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/network.h"

/* So many bytes are enough to read any header but for what is skipped. */
#define PROXY_HEADER_PEEK_BYTES 108u

enum proxy_header_result { PROXY_HEADER_MORE, PROXY_HEADER_READ,
			   PROXY_HEADER_BAD };

struct proxy_header {
	size_t length;		/* of the header; may be beyond the bytes */
	bool names_source;	/* false: LOCAL, UNKNOWN; ours stand */
	struct network_address source, destination;
	uint16_t source_port, port;	/* port: that the client went to */
};

/* What any header that is written has room in. */
#define PROXY_HEADER_WRITE_BYTES 108u

enum proxy_header_result proxy_header_read(const char *data, size_t size,
					   struct proxy_header *out);
/* proxy_header_v1 and proxy_header_v2 write the header of a connection that
 * is made for a client; they return its length. A source that is no IP
 * address is written as unknown; a destination that is none, as zeros. */
size_t proxy_header_v1(const struct proxy_header *h,
		       char out[PROXY_HEADER_WRITE_BYTES]);
size_t proxy_header_v2(const struct proxy_header *h,
		       char out[PROXY_HEADER_WRITE_BYTES]);

#endif
