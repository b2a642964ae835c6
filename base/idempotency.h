/* SPDX-License-Identifier: Apache-2.0 */
/* The Idempotency-Key field (draft-ietf-httpapi-idempotency-key-header). */
#ifndef BASE_IDEMPOTENCY_H
#define BASE_IDEMPOTENCY_H

#include <stddef.h>

#include "base/message.h"

#define IDEMPOTENCY_KEY_MAX 255

enum idempotency_field { IDEMPOTENCY_ABSENT, IDEMPOTENCY_MALFORMED,
			 IDEMPOTENCY_GIVEN };

struct idempotency_key {
	size_t len;		/* 1 to IDEMPOTENCY_KEY_MAX */
	char text[IDEMPOTENCY_KEY_MAX];
};

/* idempotency_read finds the key: a structured field's String (RFC 8941
 * 3.3.3), or the same without quotes as many clients send it. More than one
 * field is malformed. Any thread. */
enum idempotency_field idempotency_read(struct message_fields fields,
					struct idempotency_key *out);

#endif
