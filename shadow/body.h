/* SPDX-License-Identifier: Apache-2.0 */
/* A body as it is compared and shown: without its codings. */
#ifndef SHADOW_BODY_H
#define SHADOW_BODY_H

#include "base/message.h"
#include "payload/decode.h"
#include "payload/payload.h"

#define SHADOW_CODING "content-encoding"
/* The tree of a decoded text may take so much, or a hundred times the bytes
 * that came: who compresses 16 MiB of brackets gets no gigabyte for them. */
#define SHADOW_TREE_FLOOR ((size_t)16 * 1024 * 1024)

struct shadow_body {
	struct span bytes;	/* decoded, or as they came */
	enum payload_coding coding;
	bool too_dear;		/* for a tree */
	struct buf memory;
};

/* shadow_body_open: bytes are lent from `raw`, or decoded. An answer without
 * a body (to HEAD) has nothing to decode. shadow_body_fini in any case. */
void shadow_body_open(struct shadow_body *b, struct message_fields fields,
		      struct span raw);
/* shadow_body_trouble: NULL, or why nobody can look into it. */
const char *shadow_body_trouble(const struct shadow_body *b);
void shadow_body_fini(struct shadow_body *b);

#endif
