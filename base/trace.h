/* SPDX-License-Identifier: Apache-2.0 */
/* W3C Trace Context: what is valid, and the start of a trace. Any thread. */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stdbool.h>

#include "base/span.h"

#define TRACE_PARENT_SIZE 56	/* 55 characters and NUL */
#define TRACE_STATE_MAX 512	/* characters that are handed on */
#define TRACE_STATE_MEMBERS 32

enum trace_start { TRACE_START_OFF, TRACE_START_SAMPLED,
		   TRACE_START_UNSAMPLED };

/* trace_parent_read: false when it is not valid. out is the value as version
 * 00 has it; a higher version goes on as that one. */
bool trace_parent_read(struct span value, char out[TRACE_PARENT_SIZE]);
/* trace_parent_make starts a trace; start is not OFF. */
void trace_parent_make(enum trace_start start, char out[TRACE_PARENT_SIZE]);

/* The lines of tracestate, in order; zero-initialise. Lends from them. */
struct trace_state {
	struct span members[TRACE_STATE_MEMBERS];
	unsigned count;
	bool invalid;		/* sticky: then nothing of it goes on */
};
void trace_state_add(struct trace_state *t, struct span line);
/* trace_state_write returns the length, at most TRACE_STATE_MAX: whole members
 * are left out to get there, those above 128 characters first. 0: none. */
size_t trace_state_write(const struct trace_state *t,
			 char out[TRACE_STATE_MAX]);

#endif
