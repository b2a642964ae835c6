/* SPDX-License-Identifier: Apache-2.0 */
/* Prefer and Idempotency-Key: two lines, each the value of a field. One list
 * in two fields says what it says in one, and a key that was read is read
 * again when it is written as it should be. */
#include <string.h>

#include "base/buf.h"
#include "base/idempotency.h"
#include "base/invariant.h"
#include "base/prefer.h"
#include "tests/fuzz/fuzz.h"

static struct prefer
read_prefer(struct span one, const struct span *two)
{
	const struct message_field f[] = {
		{ SPAN_LITERAL("Prefer"), one },
		{ SPAN_LITERAL("Prefer"), two ? *two : one },
	};
	struct prefer p;

	prefer_read((struct message_fields){ f, two ? 2 : 1 }, &p);
	INVARIANT(p.wait_s <= PREFER_WAIT_MAX_S);
	INVARIANT(p.has_wait || p.wait_s == 0);
	return p;
}

static void
check_prefer(struct span one, struct span two)
{
	CLEANUP(buf_fini) struct buf both = { 0 };
	struct prefer a = read_prefer(one, &two), b;

	if (one.len > 0 && memchr(one.at, '"', one.len))
		return;		/* an open quote swallows what follows */
	buf_add(&both, one.at, one.len);
	buf_addc(&both, ',');
	buf_add(&both, two.at, two.len);
	b = read_prefer(buf_span(&both), NULL);
	INVARIANT(a.respond_async == b.respond_async &&
		  a.has_wait == b.has_wait && a.wait_s == b.wait_s);
}

static enum idempotency_field
read_key(struct span value, struct idempotency_key *key)
{
	const struct message_field f = { SPAN_LITERAL("Idempotency-Key"),
					 value };

	return idempotency_read((struct message_fields){ &f, 1 }, key);
}

static void
check_key(struct span value)
{
	CLEANUP(buf_fini) struct buf again = { 0 };
	struct idempotency_key key, same;

	if (read_key(value, &key) != IDEMPOTENCY_GIVEN)
		return;
	INVARIANT(key.len > 0 && key.len <= IDEMPOTENCY_KEY_MAX);
	buf_addc(&again, '"');
	for (size_t i = 0; i < key.len; i++) {
		INVARIANT(key.text[i] >= ' ' && key.text[i] <= '~');
		if (key.text[i] == '"' || key.text[i] == '\\')
			buf_addc(&again, '\\');
		buf_addc(&again, key.text[i]);
	}
	buf_addc(&again, '"');
	INVARIANT(read_key(buf_span(&again), &same) == IDEMPOTENCY_GIVEN);
	INVARIANT(same.len == key.len &&
		  memcmp(same.text, key.text, key.len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *end = size ? memchr(text, '\n', size) : NULL;
	struct span one = { text, size }, two = { "", 0 };

	if (end) {
		one.len = (size_t)(end - text);
		two = (struct span){ end + 1, size - one.len - 1 };
	}
	check_prefer(one, two);
	check_prefer(two, one);
	check_key(one);
	check_key(two);
	return 0;
}
