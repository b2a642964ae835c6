/* SPDX-License-Identifier: Apache-2.0 */
/* One side of an exchange as events hold it: fields and body. */
#ifndef SHADOW_SIDE_H
#define SHADOW_SIDE_H

#include "base/attr.h"
#include "base/message.h"
#include "payload/payload.h"

struct shadow_side {
	struct message_field *fields;	/* spans into the event's tree */
	size_t field_count;
	struct span body;
	char *decoded;		/* of base64 or inline JSON, or NULL */
	bool complete;		/* false: truncated or withheld */
};

/* shadow_side_decode reads {"headers", "body" | "body_base64" | "json",
 * "truncated"?, "withheld"?}; the tree must outlive the side. 0, or -1 with
 * err. shadow_side_fini either way. */
MUST_CHECK int shadow_side_decode(const struct cJSON *object,
				  struct shadow_side *side,
				  struct error *err);
void shadow_side_fini(struct shadow_side *side);

static inline struct message_fields
shadow_side_fields(const struct shadow_side *side)
{
	return (struct message_fields){ side->fields, side->field_count };
}

#endif
