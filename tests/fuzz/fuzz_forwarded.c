/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of a trusted peer: one value of Forwarded and of X-Forwarded-For.
 * What is told the upstream is read back as the same client, cannot hold more
 * than was measured, and no stranger's address passes for a trusted one. */
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "proxy/forwarded.h"
#include "tests/fuzz/fuzz.h"

static const struct forwarded_trust *
trust(enum forwarded_field field)
{
	static struct forwarded_trust t;

	t.field = field;
	if (t.count == 0 && network_parse("10.0.0.0/8", &t.networks[0], NULL))
		abort();
	t.count = 1;
	return &t;
}

/* The value of the line that begins with name. */
static struct span
line_of(const char *text, const char *end, const char *name)
{
	size_t n = strlen(name);
	const char *stop;

	for (; text < end; text = stop + 2) {
		stop = memchr(text, '\r', (size_t)(end - text));
		INVARIANT(stop && stop + 1 < end && stop[1] == '\n');
		if ((size_t)(stop - text) >= n && !memcmp(text, name, n))
			return (struct span){ text + n,
					      (size_t)(stop - text) - n };
	}
	return (struct span){ NULL, 0 };
}

static void
read_back(enum forwarded_field field, struct span value, struct arena *a)
{
	const char *name = field == FORWARDED_X ? "X-Forwarded-For" :
						  "Forwarded";
	struct message_field line = { span_of(name), value };
	struct forwarded f = { .fields = { &line, 1 }, .field = field,
			       .peer = SPAN_LITERAL("10.0.0.9"),
			       .proto = SPAN_LITERAL("http") };
	struct forwarded_chain *again;
	struct span client;
	struct writer w;
	char *block;

	f.chain = forwarded_read(trust(field), f.fields, a);
	INVARIANT(f.chain && f.chain->count <= FORWARDED_CHAIN_MAX);
	block = malloc(forwarded_size(&f));
	INVARIANT(block);
	w = (struct writer){ block, block + forwarded_size(&f) };
	forwarded_put(&f, &w);
	client = forwarded_client(f.chain, f.peer);
	line.name = SPAN_LITERAL("X-Forwarded-For");
	line.value = line_of(block, w.at, "X-Forwarded-For: ");
	again = forwarded_read(trust(FORWARDED_X), f.fields, a);
	INVARIANT(again && span_equal(forwarded_client(again, f.peer), client));
	line.name = SPAN_LITERAL("Forwarded");
	line.value = line_of(block, w.at, "Forwarded: ");
	again = forwarded_read(trust(FORWARDED_RFC7239), f.fields, a);
	INVARIANT(again && span_equal(forwarded_client(again, f.peer), client));
	free(block);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char first[8192];
	struct arena arena;
	struct span value = { (const char *)data, size };

	/* What no parsed field holds. */
	if (memchr(data, '\r', size) || memchr(data, '\n', size) ||
	    memchr(data, '\0', size))
		return 0;
	arena_init(&arena, first, sizeof(first), 1 << 20);
	read_back(FORWARDED_X, value, &arena);
	read_back(FORWARDED_RFC7239, value, &arena);
	arena_fini(&arena);
	return 0;
}
