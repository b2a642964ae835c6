/* SPDX-License-Identifier: Apache-2.0 */
/* Undoing the codings of a body.
 *
 * Who sends a body chooses how much text a byte of it becomes: a limit
 * stands on what comes out of each coding, and memory is taken as it fills. */
#define ZLIB_CONST	/* what is read is not written */
#include "payload/decode.h"

#include <brotli/decode.h>
#include <limits.h>
#include <zlib.h>

/* Nobody means more than one; each is another pass. */
#define CODINGS_MOST 4
#define ROOM_LEAST ((size_t)4 * 1024)

#define WINDOW_BITS 15
#define WINDOW_GZIP (WINDOW_BITS + 16)
#define WINDOW_RAW (-WINDOW_BITS)

typedef enum payload_coding decoder(struct span in, size_t limit,
				    struct buf *out);

/* Room for what comes next: at most one byte beyond the limit, which then
 * tells that there was more. NULL: no memory. */
static unsigned char *
more_room(struct buf *out, size_t limit, size_t *room)
{
	size_t most = limit + 1 - out->len;

	*room = out->cap > out->len + ROOM_LEAST ? out->cap - out->len - 1
						 : out->len + ROOM_LEAST;
	if (*room > most)
		*room = most;
	return (unsigned char *)buf_reserve(out, *room);
}

/* ---- gzip and deflate (RFC 1950 to 1952) ---- */

/* One step; NONE: there is more to do. */
static enum payload_coding
inflate_some(z_stream *z, size_t limit, struct buf *out)
{
	size_t room;
	unsigned char *to = more_room(out, limit, &room);
	int rc;

	if (!to)
		return PAYLOAD_CODING_NO_MEMORY;
	z->next_out = to;
	z->avail_out = (uInt)room;
	rc = inflate(z, Z_NO_FLUSH);
	out->len += room - z->avail_out;
	if (out->len > limit)
		return PAYLOAD_CODING_TOO_LARGE;
	if (rc == Z_STREAM_END)
		return PAYLOAD_CODING_UNDONE;
	if (rc == Z_MEM_ERROR)
		return PAYLOAD_CODING_NO_MEMORY;
	if (rc != Z_OK && rc != Z_BUF_ERROR)
		return PAYLOAD_CODING_DAMAGED;
	return z->avail_in == 0 && z->avail_out > 0 ? PAYLOAD_CODING_CUT
						    : PAYLOAD_CODING_NONE;
}

/* A file of gzip may have several members (RFC 1952 2.2). */
static bool
has_another(z_stream *z, int window)
{
	return z->avail_in > 0 && window == WINDOW_GZIP &&
	       inflateReset(z) == Z_OK;
}

static enum payload_coding
inflate_all(struct span in, int window, size_t limit, struct buf *out)
{
	z_stream z = { .next_in = (const Bytef *)in.at,
		       .avail_in = (uInt)in.len };
	enum payload_coding c;

	if (in.len > UINT_MAX)
		return PAYLOAD_CODING_TOO_LARGE;
	if (inflateInit2(&z, window) != Z_OK)
		return PAYLOAD_CODING_NO_MEMORY;
	do {
		c = inflate_some(&z, limit, out);
		if (c == PAYLOAD_CODING_UNDONE && has_another(&z, window))
			c = PAYLOAD_CODING_NONE;
	} while (c == PAYLOAD_CODING_NONE);
	if (c == PAYLOAD_CODING_UNDONE && z.avail_in > 0)
		c = PAYLOAD_CODING_DAMAGED;
	inflateEnd(&z);
	return c;
}

static enum payload_coding
decode_gzip(struct span in, size_t limit, struct buf *out)
{
	return inflate_all(in, WINDOW_GZIP, limit, out);
}

/* RFC 1950 2.2: the method, and a multiple of 31. */
static bool
has_zlib_frame(struct span in)
{
	const unsigned char *p = (const unsigned char *)in.at;

	return in.len >= 2 && (p[0] & 15) == Z_DEFLATED &&
	       (p[0] * 256u + p[1]) % 31 == 0;
}

/* RFC 9110 8.4.1.2: some send it without the frame. */
static enum payload_coding
decode_deflate(struct span in, size_t limit, struct buf *out)
{
	return inflate_all(in, has_zlib_frame(in) ? WINDOW_BITS : WINDOW_RAW,
			   limit, out);
}

/* ---- br (RFC 7932) ---- */

static enum payload_coding
brotli_error(BrotliDecoderState *s)
{
	BrotliDecoderErrorCode e = BrotliDecoderGetErrorCode(s);

	return e <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
			       e >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES
		       ? PAYLOAD_CODING_NO_MEMORY
		       : PAYLOAD_CODING_DAMAGED;
}

static enum payload_coding
brotli_some(BrotliDecoderState *s, struct span *in, size_t limit,
	    struct buf *out)
{
	const uint8_t *from = (const uint8_t *)in->at;
	size_t room, left;
	uint8_t *to = more_room(out, limit, &room);
	BrotliDecoderResult r;

	if (!to)
		return PAYLOAD_CODING_NO_MEMORY;
	left = room;
	r = BrotliDecoderDecompressStream(s, &in->len, &from, &left, &to,
					  NULL);
	in->at = (const char *)from;
	out->len += room - left;
	if (out->len > limit)
		return PAYLOAD_CODING_TOO_LARGE;
	switch (r) {
	case BROTLI_DECODER_RESULT_ERROR:
		return brotli_error(s);
	case BROTLI_DECODER_RESULT_SUCCESS:
		return in->len ? PAYLOAD_CODING_DAMAGED
			       : PAYLOAD_CODING_UNDONE;
	case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT:
		return PAYLOAD_CODING_CUT;
	case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
		return PAYLOAD_CODING_NONE;
	}
	return PAYLOAD_CODING_DAMAGED;
}

static enum payload_coding
decode_br(struct span in, size_t limit, struct buf *out)
{
	BrotliDecoderState *s = BrotliDecoderCreateInstance(NULL, NULL, NULL);
	enum payload_coding c = PAYLOAD_CODING_NONE;

	if (!s)
		return PAYLOAD_CODING_NO_MEMORY;
	while (c == PAYLOAD_CODING_NONE)
		c = brotli_some(s, &in, limit, out);
	BrotliDecoderDestroyInstance(s);
	return c;
}

/* ---- the list ---- */

static const struct {
	const char *name;
	decoder *decode;
} known[] = {
	{ "gzip", decode_gzip },
	{ "x-gzip", decode_gzip },	/* RFC 9110 8.4.1.3 */
	{ "deflate", decode_deflate },
	{ "br", decode_br },
};

static decoder *
find(struct span name)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (span_is_nocase(name, known[i].name))
			return known[i].decode;
	return NULL;
}

/* Cuts the last element of the list. */
static struct span
cut_last(struct span *list)
{
	size_t from = list->len;
	struct span last;

	while (from > 0 && list->at[from - 1] != ',')
		from--;
	last = (struct span){ list->at + from, list->len - from };
	list->len = from > 0 ? from - 1 : 0;
	return span_trim(last);
}

static size_t
limit_of(struct span body)
{
	size_t n = body.len < PAYLOAD_DECODED_MAX ? body.len
						  : PAYLOAD_DECODED_MAX;

	n = PAYLOAD_DECODED_FLOOR + PAYLOAD_DECODED_FACTOR * n;
	return n < PAYLOAD_DECODED_MAX ? n : PAYLOAD_DECODED_MAX;
}

static enum payload_coding
undo(struct span name, struct span *body, size_t limit, struct buf *out)
{
	struct buf next = { 0 };
	decoder *decode = find(name);
	enum payload_coding c = decode ? decode(*body, limit, &next)
				       : PAYLOAD_CODING_UNKNOWN;

	buf_fini(out);
	*out = next;
	*body = buf_span(out);
	return c;
}

enum payload_coding
payload_decode(struct span codings, struct span body, struct buf *out)
{
	enum payload_coding c = PAYLOAD_CODING_NONE;
	size_t limit = limit_of(body), passes = 0;

	while (codings.len > 0 && c <= PAYLOAD_CODING_UNDONE) {
		struct span name = cut_last(&codings);

		if (name.len == 0 || span_is_nocase(name, "identity"))
			continue;
		c = passes++ < CODINGS_MOST ? undo(name, &body, limit, out)
					    : PAYLOAD_CODING_UNKNOWN;
	}
	if (c != PAYLOAD_CODING_UNDONE)
		buf_fini(out);
	return c;
}

const char *
payload_coding_words(enum payload_coding c)
{
	static const char *const words[] = {
#define X(symbol, text) [PAYLOAD_CODING_##symbol] = text,
		PAYLOAD_CODINGS(X)
#undef X
	};

	return words[c];
}
