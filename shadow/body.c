/* SPDX-License-Identifier: Apache-2.0 */
/* A body as it is compared and shown: without its codings. */
#include "shadow/body.h"

/* A field that comes several times is one list (RFC 9110 5.3). */
static void
join_codings(struct message_fields fields, struct buf *out)
{
	for (size_t i = 0; i < fields.count; i++) {
		const struct message_field *f = &fields.at[i];

		if (!span_is_nocase(f->name, SHADOW_CODING))
			continue;
		if (out->len)
			buf_addc(out, ',');
		buf_add(out, f->value.at, f->value.len);
	}
}

static bool
is_too_dear(struct span text, size_t raw)
{
	size_t cost = payload_tree_cost(text);

	return cost > SHADOW_TREE_FLOOR &&
	       cost / PAYLOAD_DECODED_FACTOR > raw;
}

void
shadow_body_open(struct shadow_body *b, struct message_fields fields,
		 struct span raw)
{
	struct buf codings = { 0 };

	memset(b, 0, sizeof(*b));
	b->bytes = raw;
	if (raw.len == 0)
		return;
	join_codings(fields, &codings);
	b->coding = codings.failed ? PAYLOAD_CODING_NO_MEMORY
				   : payload_decode(buf_span(&codings), raw,
						    &b->memory);
	if (b->coding == PAYLOAD_CODING_UNDONE) {
		b->bytes = b->memory.len ? buf_span(&b->memory)
					 : SPAN_LITERAL("");
		b->too_dear = is_too_dear(b->bytes, raw.len);
	}
	buf_fini(&codings);
}

const char *
shadow_body_trouble(const struct shadow_body *b)
{
	if (b->too_dear)
		return "a text that takes too much memory to take apart";
	return b->coding > PAYLOAD_CODING_UNDONE
		       ? payload_coding_words(b->coding)
		       : NULL;
}

void
shadow_body_fini(struct shadow_body *b)
{
	buf_fini(&b->memory);
	memset(b, 0, sizeof(*b));
}
