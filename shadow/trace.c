/* SPDX-License-Identifier: Apache-2.0 */
/* W3C Trace Context for copies: same trace, a parent of their own. */
#include "shadow/trace.h"

#include <stdio.h>

#include "base/id.h"
#include "base/trace.h"

/* "00-" 32 hex "-" 16 hex "-" 2 hex */
#define FLAGS_AT 53
#define BEFORE_PARENT 36

_Static_assert(SHADOW_TRACEPARENT_SIZE == TRACE_PARENT_SIZE,
	       "a copy's traceparent is one");

bool
shadow_trace_child(const char *parent, char *out)
{
	char own[TRACE_PARENT_SIZE];
	bool goes_on = trace_parent_read(span_of(parent), out);
	unsigned flags = 0;

	/* The parent of a new trace, unsampled, will do for a trace that goes
	 * on, too: it is random and not zero. */
	trace_parent_make(TRACE_START_UNSAMPLED, own);
	if (!goes_on) {
		memcpy(out, own, sizeof(own));
		return false;
	}
	/* Bits other than sampled and random-trace-id go out as zero. */
	sscanf(out + FLAGS_AT, "%2x", &flags);
	snprintf(own + FLAGS_AT, sizeof(own) - FLAGS_AT, "%02x", flags & 3u);
	memcpy(out + BEFORE_PARENT, own + BEFORE_PARENT,
	       sizeof(own) - BEFORE_PARENT);
	return true;
}
