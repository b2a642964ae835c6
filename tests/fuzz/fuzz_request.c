/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads: the verdict must not depend on how the bytes were cut, and
 * what is accepted must not hold a bare CR, LF or NUL in a value. */
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "proxy/parse.h"
#include "tests/fuzz/fuzz.h"

static enum parse_result
feed(struct parse *p, const uint8_t *data, size_t size, size_t step,
     size_t *end)
{
	enum parse_result r = PARSE_MORE;
	size_t used;

	for (*end = 0; r == PARSE_MORE && *end < size; *end += used) {
		size_t n = size - *end < step ? size - *end : step;

		r = parse_head(p, (const char *)data + *end, n, &used);
	}
	return r;
}

static void
check_fields(const struct parse *p)
{
	unsigned i;

	for (i = 0; i < p->field_count; i++) {
		struct span v = p->fields[i].value;

		INVARIANT(p->fields[i].name.len > 0);
		INVARIANT(v.len == 0 || (!memchr(v.at, '\r', v.len) &&
					 !memchr(v.at, '\n', v.len) &&
					 !memchr(v.at, '\0', v.len)));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char blocks[2][8192];
	static const size_t steps[2] = { SIZE_MAX, 1 };
	struct arena arena[2];
	struct parse p[2];
	enum parse_result r[2];
	enum problem why[2] = { PROBLEM_NONE, PROBLEM_NONE };
	size_t end[2];
	int i;

	for (i = 0; i < 2; i++) {
		arena_init(&arena[i], blocks[i], sizeof(blocks[i]), 65536);
		parse_init_request(&p[i], &arena[i]);
		r[i] = feed(&p[i], data, size, steps[i], &end[i]);
		if (r[i] != PARSE_HEAD)
			continue;
		if (parse_check_request(&p[i], &why[i]) == 0)
			check_fields(&p[i]);
	}
	INVARIANT(r[0] == r[1] && why[0] == why[1]);
	INVARIANT(r[0] != PARSE_HEAD || end[0] == end[1]);
	arena_fini(&arena[0]);
	arena_fini(&arena[1]);
	return 0;
}
