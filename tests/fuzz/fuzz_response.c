/* SPDX-License-Identifier: Apache-2.0 */
/* Response heads: no crash, and a framing for whatever is accepted, also
 * once space before a colon was taken out. */
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "proxy/chunk.h"
#include "proxy/parse.h"
#include "tests/fuzz/fuzz.h"

static void
check_answer(const struct parse *p, size_t used, size_t size)
{
	if (parse_check_response(p))
		return;
	INVARIANT(used <= size);
	INVARIANT(parse_response_framing(p) <= PARSE_UNTIL_CLOSE);
}

/* Each mending takes something out: it comes to an end. */
static void
read_mended(struct parse *p, struct chunk *c)
{
	size_t used, end;

	do {
		switch (parse_head(p, c->data + c->at, c->end - c->at,
				   &used)) {
		case PARSE_HEAD:
			check_answer(p, used, c->end - c->at);
			return;
		case PARSE_MORE:
		case PARSE_DONE:
			return;
		case PARSE_BAD:
			break;
		}
		end = c->end;
	} while (parse_mend_response(p, c) == PARSE_MEND_DONE &&
		 c->end < end);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char block[8192];
	struct chunk *c = calloc(1, sizeof(*c) + size);
	struct arena arena;
	struct parse p;

	if (!c)
		return 0;
	memcpy(c->data, data, size);
	c->size = c->end = size;
	arena_init(&arena, block, sizeof(block), 65536);
	parse_init_response(&p, &arena);
	read_mended(&p, c);
	arena_fini(&arena);
	free(c);
	return 0;
}
