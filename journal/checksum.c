/* SPDX-License-Identifier: Apache-2.0 */
/* The per-event checksum: bit rot is found, never delivered. */
#include "base/digest.h"
#include "journal/internal.h"

static void
add_u64(struct buf *b, uint64_t v)
{
	uint8_t le[8];
	int i;

	for (i = 0; i < 8; i++)
		le[i] = (uint8_t)(v >> (8 * i));
	buf_add(b, le, sizeof(le));
}

/* The length comes first, so that bytes cannot wander between columns. */
static void
add_span(struct buf *b, struct span s)
{
	add_u64(b, s.len);
	if (s.len)
		buf_add(b, s.at, s.len);
}

/* No secret: it guards against decay, not against an attacker who can write
 * the file. The body is hashed where it lies, only the rest is copied. */
uint64_t
journal_checksum(const struct journal_row *row, struct buf *scratch)
{
	static const uint8_t key[16];

	buf_clear(scratch);
	add_u64(scratch, (uint64_t)row->sequence);
	buf_add(scratch, row->id.bytes, sizeof(row->id.bytes));
	add_u64(scratch, (uint64_t)row->time_us);
	add_u64(scratch, row->shadow);
	add_span(scratch, row->type);
	add_span(scratch, row->source);
	add_span(scratch, row->subject);
	add_span(scratch, row->correlation);
	add_span(scratch, row->partition_key);
	add_span(scratch, row->extensions);
	add_u64(scratch, row->data.len);
	add_u64(scratch, digest_hash64(key, row->data.at, row->data.len));
	return digest_hash64(key, scratch->data, scratch->len);
}
