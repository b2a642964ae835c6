/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers: the verdict does not change with the bytes that follow, and
 * it is reached within the bytes that are looked at. */
#include <string.h>

#include "base/invariant.h"
#include "proxy/proxy_protocol.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	enum proxy_header_result last = PROXY_HEADER_MORE, r;
	struct proxy_header first = { 0 }, h;
	size_t n;

	for (n = 0; n <= size && n <= PROXY_HEADER_PEEK_BYTES; n++) {
		r = proxy_header_read(text, n, &h);
		INVARIANT(last == PROXY_HEADER_MORE || r == last);
		if (r == PROXY_HEADER_READ && last == PROXY_HEADER_MORE)
			first = h;
		INVARIANT(r != PROXY_HEADER_READ ||
			  (h.length == first.length && h.length >= 8 &&
			   h.names_source == first.names_source &&
			   !memcmp(&h.source, &first.source,
				   sizeof(h.source))));
		last = r;
	}
	INVARIANT(n <= PROXY_HEADER_PEEK_BYTES || last != PROXY_HEADER_MORE);
	return 0;
}
