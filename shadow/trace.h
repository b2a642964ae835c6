/* SPDX-License-Identifier: Apache-2.0 */
/* W3C Trace Context for copies: same trace, a parent of their own. */
#ifndef SHADOW_TRACE_H
#define SHADOW_TRACE_H

#include <stdbool.h>

#define SHADOW_TRACEPARENT_SIZE 56	/* 55 characters and NUL */

/* shadow_trace_child writes the traceparent of a copy: the trace of `parent`
 * when that is valid (NULL is not), else a new one. True when the trace went
 * on, so that tracestate may be sent too. Any thread. */
bool shadow_trace_child(const char *parent, char *out);

#endif
