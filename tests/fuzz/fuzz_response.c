/* SPDX-License-Identifier: Apache-2.0 */
/* Response heads: no crash, and a framing for whatever is accepted. */
#include "base/invariant.h"
#include "proxy/parse.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char block[8192];
	struct arena arena;
	struct parse p;
	size_t used;

	arena_init(&arena, block, sizeof(block), 65536);
	parse_init_response(&p, &arena);
	if (parse_head(&p, (const char *)data, size, &used) == PARSE_HEAD &&
	    parse_check_response(&p) == 0) {
		INVARIANT(used <= size);
		INVARIANT(parse_response_framing(&p) <= PARSE_UNTIL_CLOSE);
	}
	arena_fini(&arena);
	return 0;
}
