/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol's header, versions 1 and 2 (its specification by
 * HAProxy): who really connected. */
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
	struct network_address source;
	uint16_t source_port, port;	/* port: that the client went to */
};

/* proxy_header_read is pure. */
enum proxy_header_result proxy_header_read(const char *data, size_t size,
					   struct proxy_header *out);

#endif
