/* SPDX-License-Identifier: Apache-2.0 */
/* Undoing the codings of a body (RFC 9110 8.4). Sole home of zlib and of the
 * decoder of brotli. */
#ifndef PAYLOAD_DECODE_H
#define PAYLOAD_DECODE_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/span.h"

/* More text than this is not made of so many bytes. */
#define PAYLOAD_DECODED_FLOOR ((size_t)64 * 1024)
#define PAYLOAD_DECODED_FACTOR 100u
#define PAYLOAD_DECODED_MAX ((size_t)16 * 1024 * 1024)

/* CODING(symbol, words): what became of it */
#define PAYLOAD_CODINGS(X) \
	X(NONE, "not coded") \
	X(UNDONE, "decoded") \
	X(UNKNOWN, "in a coding that is not known here") \
	X(CUT, "ends before its coding does") \
	X(DAMAGED, "not what its coding says") \
	X(TOO_LARGE, "more than a hundred times its size, or than 16 MiB") \
	X(NO_MEMORY, "no memory to decode it")

enum payload_coding {
#define X(symbol, words) PAYLOAD_CODING_##symbol,
	PAYLOAD_CODINGS(X)
#undef X
};

/* payload_decode undoes the codings that Content-Encoding names, the last
 * one first: gzip, x-gzip, deflate (with the frame of zlib, or without),
 * br, identity. UNDONE: `out` (empty before) has the text; else it is empty.
 * Any thread; it may take 0.1 s. */
MUST_CHECK enum payload_coding
payload_decode(struct span codings, struct span body, struct buf *out);
const char *payload_coding_words(enum payload_coding c);

#endif
