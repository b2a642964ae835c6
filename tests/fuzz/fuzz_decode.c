/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies in codings: whatever comes out is bounded, and is all or nothing. */
#include "base/invariant.h"
#include "payload/decode.h"
#include "tests/fuzz/fuzz.h"

/* The first byte says which. */
static const char *const codings[] = {
	"gzip", "deflate", "br", "x-gzip, identity", "gzip, br",
	"deflate,,gzip", "br, br, br, br, br", "zstd",
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = { 0 };
	enum payload_coding c;
	struct span body;

	if (size == 0)
		return 0;
	body = (struct span){ (const char *)data + 1, size - 1 };
	c = payload_decode(span_of(codings[data[0] % ARRAY_SIZE(codings)]),
			   body, &out);
	INVARIANT(c != PAYLOAD_CODING_NONE);
	INVARIANT(c == PAYLOAD_CODING_UNDONE || out.len == 0);
	INVARIANT(out.len <= PAYLOAD_DECODED_FLOOR +
				     PAYLOAD_DECODED_FACTOR * body.len);
	buf_fini(&out);
	return 0;
}
