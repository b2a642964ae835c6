/* SPDX-License-Identifier: Apache-2.0 */
/* Chunked bodies: decoded in place, never longer than what was read, the
 * same however the bytes were cut; and so the trailers that go on. */
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "proxy/parse.h"
#include "tests/fuzz/fuzz.h"

static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\n"
			   "Transfer-Encoding: chunked\r\n\r\n";

struct decoded {
	enum parse_result result;
	char *bytes;
	size_t len;
	char trailers[PARSE_TRAILER_BYTES_MAX * 2];
	size_t trailers_len;
};

static void
keep_trailers(struct decoded *d, struct span kept)
{
	INVARIANT(kept.len <= sizeof(d->trailers));
	INVARIANT(kept.len == 0 ||
		  memcmp(kept.at + kept.len - 2, "\r\n", 2) == 0);
	if (kept.len)
		memcpy(d->trailers, kept.at, kept.len);
	d->trailers_len = kept.len;
}

static struct decoded
decode(const uint8_t *data, size_t size, size_t step)
{
	static char block[8192];
	struct decoded d = { .result = PARSE_MORE, .bytes = malloc(size + 1) };
	char *piece = malloc(size + 1);
	struct arena arena;
	struct parse p;
	size_t at, used, len;

	INVARIANT(d.bytes && piece);
	arena_init(&arena, block, sizeof(block), 65536);
	parse_init_request(&p, &arena);
	(void)parse_head(&p, head, sizeof(head) - 1, &used);
	for (at = 0; d.result == PARSE_MORE && at < size; at += used) {
		size_t n = size - at < step ? size - at : step;

		memcpy(piece, data + at, n);
		d.result = parse_chunked(&p, piece, n, &used, &len);
		INVARIANT(used <= n && len <= n);
		memcpy(d.bytes + d.len, piece, len);
		d.len += len;
	}
	if (d.result == PARSE_DONE)
		keep_trailers(&d, parse_trailers(&p));
	arena_fini(&arena);
	free(piece);
	return d;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct decoded whole = decode(data, size, SIZE_MAX);
	struct decoded cut = decode(data, size, 1);

	INVARIANT(whole.result == cut.result);
	INVARIANT(whole.result != PARSE_DONE ||
		  (whole.len == cut.len &&
		   !memcmp(whole.bytes, cut.bytes, whole.len)));
	INVARIANT(whole.trailers_len == cut.trailers_len &&
		  !memcmp(whole.trailers, cut.trailers, cut.trailers_len));
	free(whole.bytes);
	free(cut.bytes);
	return 0;
}
