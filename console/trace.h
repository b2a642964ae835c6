/* SPDX-License-Identifier: Apache-2.0 */
/* All that is known of one correlation id, as a tree. */
#ifndef CONSOLE_TRACE_H
#define CONSOLE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/id.h"
#include "journal/find.h"

struct cJSON;

/* KIND(symbol, word) */
#define TRACE_KINDS(X) \
	X(REQUEST, "request") \
	X(COMMAND, "command") \
	X(EXCHANGE, "exchange") \
	X(REPLY, "reply") \
	X(VERDICT, "verdict") \
	X(EVENT, "event")

enum trace_kind {
#define X(symbol, word) TRACE_##symbol,
	TRACE_KINDS(X)
#undef X
};
const char *trace_kind_name(enum trace_kind k);

#define TRACE_NONE SIZE_MAX
/* FOREIGN: it named a command that was not its own. */
enum trace_lateness { TRACE_IN_TIME, TRACE_LATE, TRACE_DUPLICATE,
		      TRACE_FOREIGN };

/* One attempt at one group; text lives in the trace's memory. */
struct trace_attempt {
	struct trace_attempt *next;
	unsigned attempt;	/* 0: an operator gave it back */
	int64_t time_us;
	const char *consumer, *reason;
};
/* A group that has not settled the event by itself. */
struct trace_fate {
	struct trace_fate *next;
	int64_t letter;		/* of the dead letter; 0: it is tried again */
	const char *group, *reason, *consumer;
	unsigned attempts;
	int64_t first_us, last_us, not_before_us;
	struct trace_attempt *history;	/* oldest first */
};

struct trace_event {
	int64_t sequence, time_us;
	struct id id, cause;
	bool has_cause, is_shadow;
	enum trace_kind kind;
	enum trace_lateness lateness;	/* REPLY */
	const char *type, *source, *subject, *traceparent;
	struct cJSON *data;	/* of matapalo's own; NULL: not needed */
	struct trace_fate *fates;
	size_t parent;		/* index, or TRACE_NONE */
	bool is_orphan;		/* its cause is not here */
	bool is_answered;	/* COMMAND: a reply is here */
	unsigned depth;
};

struct trace {
	char correlation[ID_TEXT_SIZE];	/* or "" */
	struct trace_event *at;		/* as they are to be shown */
	size_t count, room;
	bool is_cut;			/* there are more than were read */
	bool is_open;			/* the exchange has not ended */
	int64_t first_us, last_us;
	/* The oldest event that is kept, when it is younger than the id. */
	int64_t oldest_us, oldest_sequence;
	size_t orphans;
	bool no_memory;
	struct arena memory;
};

/* trace_read finds what `text` (an id or its beginning) means and reads it.
 * 1; 0 when there is nothing, with err saying why; -1 with err. */
MUST_CHECK int trace_read(struct trace *t, struct journal_reader *r,
			  const char *text, size_t limit, struct error *err);
void trace_fini(struct trace *t);

/* ---- as output ---- */

void trace_write_text(const struct trace *t, struct buf *out);
void trace_write_json(const struct trace *t, struct buf *out);
/* trace_write_otlp: a TracesData message of OTLP in JSON. */
void trace_write_otlp(const struct trace *t, struct buf *out);

/* trace_word is a string of an event's data at a pointer, or "". */
const char *trace_word(const struct trace_event *e, const char *pointer);
int64_t trace_number(const struct trace_event *e, const char *pointer,
		     int64_t fallback);

#endif
