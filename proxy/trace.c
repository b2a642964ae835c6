/* SPDX-License-Identifier: Apache-2.0 */
/* Which trace an exchange belongs to (W3C Trace Context). */
#include "proxy/trace.h"

#include "base/counter.h"
#include "proxy/exchange.h"
#include "proxy/worker.h"
#include "proxy/writer.h"

enum trace_start
trace_setting(const char *text)
{
	if (strcmp(text, "sampled") == 0)
		return TRACE_START_SAMPLED;
	return strcmp(text, "unsampled") == 0 ? TRACE_START_UNSAMPLED
					      : TRACE_START_OFF;
}

/* Two of them are as good as none (3.2). */
static bool
read_parent(struct exchange *ex)
{
	const struct parse *p = &ex->request;

	if (!(p->seen & FIELD_BIT(FIELD_TRACEPARENT)))
		return false;
	if (!(p->repeated & FIELD_BIT(FIELD_TRACEPARENT)) &&
	    trace_parent_read(parse_find(p, FIELD_TRACEPARENT)->value,
			      ex->traceparent))
		return true;
	counter_inc(COUNTER_TRACES_INVALID);
	return false;
}

void
trace_settle(struct exchange *ex)
{
	enum trace_start start = ex->worker->proxy->trace;

	if (ex->trace.of != TRACE_UNSETTLED)
		return;
	ex->trace.of = TRACE_NONE;
	if (read_parent(ex)) {
		ex->trace.of = TRACE_THEIRS;
	} else if (start != TRACE_START_OFF) {
		trace_parent_make(start, ex->traceparent);
		ex->trace.of = TRACE_OURS;
		counter_inc(COUNTER_TRACES_STARTED);
	}
}

bool
trace_is_ours(const struct exchange *ex)
{
	return ex->trace.of == TRACE_OURS;
}

void
trace_put(const struct exchange *ex, struct writer *w)
{
	if (!trace_is_ours(ex))
		return;
	put_str(w, "traceparent: ");
	put_str(w, ex->traceparent);
	put_str(w, "\r\n");
}

struct span
trace_parent(const struct exchange *ex)
{
	if (ex->trace.of == TRACE_THEIRS || ex->trace.of == TRACE_OURS)
		return span_of(ex->traceparent);
	return (struct span){ "", 0 };
}

size_t
trace_state(const struct exchange *ex, char out[TRACE_STATE_MAX])
{
	const struct parse *p = &ex->request;
	struct trace_state t = { .count = 0 };

	if (ex->trace.of != TRACE_THEIRS ||
	    !(p->seen & FIELD_BIT(FIELD_TRACESTATE)))
		return 0;
	for (unsigned i = 0; i < p->field_count; i++)
		if (p->known[i] == FIELD_TRACESTATE)
			trace_state_add(&t, p->fields[i].value);
	return trace_state_write(&t, out);
}
