/* SPDX-License-Identifier: Apache-2.0 */
/* From a record to the parts of an event; nothing secret comes out. */
#ifndef BUS_ENCODE_H
#define BUS_ENCODE_H

#include "base/attr.h"
#include "base/json.h"
#include "bus/record.h"

#define ENCODE_TYPE_REQUEST "matapalo.request.v1"
#define ENCODE_TYPE_EXCHANGE "matapalo.exchange.v1"
#define ENCODE_TYPE_REPLY "matapalo.reply.v1"
#define ENCODE_TYPE_OPERATION "matapalo.operation.v1"
#define ENCODE_SCHEMA "urn:matapalo:schema:"
/* Attributes alone must fit an event of BUS_EVENT_BYTES, whatever a caller
 * asks for: as JSON a byte may take six. */
#define ENCODE_SUBJECT_MAX 2048

/* Reused from event to event: warm, encoding allocates nothing. */
struct encode_scratch {
	struct buf data, extensions, subject, work;
};

/* encode_scratch lends the calling thread's own; freed when the thread ends.
 * NULL without memory. */
struct encode_scratch *encode_scratch(void);
void encode_scratch_fini(struct encode_scratch *s);

/* What a header list and a body need to be written without secrets. */
struct encode_secrets {
	const struct redact *redact;
	const struct digest_key *key;
	struct buf *work;
};

/* encode_record fills e; its spans live until the next use of s. -1 without
 * memory. */
MUST_CHECK int encode_record(struct encode_scratch *s,
			     const struct bus_record *r,
			     struct journal_event *e);

/* encode_headers writes {"name": "value" or ["value", ...]}. */
void encode_headers(struct json *j, const struct encode_secrets *how,
		    struct message_fields fields);

enum encode_inline {
	ENCODE_BODY_ONLY,
	ENCODE_BODY_AND_JSON	/* a JSON body also as the member "json" */
};
/* encode_body writes the members body or body_base64, body_bytes, and
 * truncated, digest, withheld, json where they apply. */
void encode_body(struct json *j, const struct encode_secrets *how,
		 struct message_fields fields, const struct bus_body *body,
		 enum encode_inline in);

/* encode_members makes extension members of the object in `out`: the text
 * between its braces. */
struct span encode_members(const struct buf *out);

#endif
