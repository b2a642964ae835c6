/* SPDX-License-Identifier: Apache-2.0 */
/* What a client prefers (RFC 7240), as far as it concerns commands. */
#ifndef BASE_PREFER_H
#define BASE_PREFER_H

#include <stdbool.h>

#include "base/message.h"

#define PREFER_WAIT_MAX_S 86400u

struct prefer {
	bool respond_async;
	bool has_wait;
	unsigned wait_s;	/* at most PREFER_WAIT_MAX_S */
};

/* prefer_read reads all Prefer fields as one list. Of a preference that is
 * named twice the first counts; what is unknown or malformed is ignored, as
 * section 2 asks. Any thread. */
void prefer_read(struct message_fields fields, struct prefer *out);

#endif
