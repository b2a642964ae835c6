/* SPDX-License-Identifier: Apache-2.0 */
/* The trace of an exchange: the client's, ours, or none. One worker. */
#ifndef PROXY_TRACE_H
#define PROXY_TRACE_H

#include <stdbool.h>

#include "base/trace.h"

struct exchange;
struct writer;

/* "traceparent: ", the value, CRLF */
#define TRACE_LINE_SIZE (TRACE_PARENT_SIZE + 16)

/* Kept in an exchange; with THEIRS and OURS, its traceparent is set. */
struct trace {
	enum { TRACE_UNSETTLED, TRACE_NONE, TRACE_THEIRS, TRACE_OURS } of;
};

/* trace_setting reads the setting of that name, which has been checked. */
enum trace_start trace_setting(const char *text);
/* trace_settle looks at the request, and starts a trace where one is wanted;
 * the first time only, so that all attempts and events say the same. */
void trace_settle(struct exchange *ex);
/* trace_is_ours: what the client sent of a trace ends here. */
bool trace_is_ours(const struct exchange *ex);
/* trace_put writes the line of a trace of ours, at most TRACE_LINE_SIZE. */
void trace_put(const struct exchange *ex, struct writer *w);
/* trace_parent and trace_state are for events: empty and 0 when there is
 * none that is valid. */
struct span trace_parent(const struct exchange *ex);
size_t trace_state(const struct exchange *ex, char out[TRACE_STATE_MAX]);

#endif
