/* SPDX-License-Identifier: Apache-2.0 */
/* The bus protocol as the commands speak it: requests in, answers out. */
#ifndef CONSOLE_WIRE_H
#define CONSOLE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "bus/client.h"
#include "console/command.h"
#include "console/runfile.h"

#define WIRE_REASON_SIZE 256

struct cJSON;

/* Zero-initialise, wire_find_url, wire_connect; wire_close frees. Verdicts
 * on events are collected and carried by the next fetch. One thread. */
struct wire {
	struct bus_client *client;
	struct runfile run;
	const char *url;	/* lent from the call or from run */
	const char *token_file;	/* lent; NULL: no token */
	const char *group;
	const char *type, *subject;	/* filter; NULL: all */
	int64_t start;	/* of a new group, as value_position has it */
	unsigned max_attempts;	/* 0: the group's own */
	char consumer[80];	/* who we are, through reconnects */
	uint64_t serial;	/* of fetches: a repeated one is known by it */
	struct buf acks, naks;	/* items of two JSON lists */
	bool refused;		/* the last error was the bus's answer */
	bool told;		/* that the group has other settings */
	struct buf request, answer;
};

/* wire_find_url takes --bus, or the address in run.json. */
MUST_CHECK int wire_find_url(struct wire *w, const struct command_call *call,
			     struct error *err);
/* wire_connect dials; a wire that is connected is left as it is. Blocks. */
MUST_CHECK int wire_connect(struct wire *w, struct error *err);
void wire_disconnect(struct wire *w);
void wire_close(struct wire *w);

/* wire_fetch sends the verdicts and waits for up to max events. The answer
 * is the caller's (payload_free); wire_first and wire_next walk it. -1 with
 * err: the verdicts are kept, and the same call again gets the events that a
 * lost answer held. */
MUST_CHECK int wire_fetch(struct wire *w, unsigned max, unsigned wait_ms,
			  struct cJSON **answer, struct error *err);
struct wire_event {
	const struct cJSON *item;	/* NULL: the end */
	const struct cJSON *event;	/* CloudEvent */
	int64_t sequence;
	int attempt;
	bool redelivered;
};
void wire_first(const struct cJSON *answer, struct wire_event *e);
void wire_next(struct wire_event *e);

void wire_ack(struct wire *w, int64_t sequence);
void wire_nak(struct wire *w, int64_t sequence, const char *reason);
bool wire_has_verdicts(const struct wire *w);
/* wire_flush sends the verdicts without fetching. */
MUST_CHECK int wire_flush(struct wire *w, struct error *err);
/* wire_touch extends the leases of the events from e to the batch's end. */
MUST_CHECK int wire_touch(struct wire *w, const struct wire_event *e,
			  struct error *err);
/* wire_reply answers the command e; reply is an object with the members
 * status, headers and one of body, body_base64 and json. */
MUST_CHECK int wire_reply(struct wire *w, const struct wire_event *e,
			  const struct cJSON *reply, struct error *err);
/* wire_term makes the event a dead letter at once. */
MUST_CHECK int wire_term(struct wire *w, int64_t sequence, const char *reason,
			 struct error *err);
/* wire_ask sends a request as it is. The answer is the caller's; its text
 * stays in w->answer until the next request. */
MUST_CHECK int wire_ask(struct wire *w, struct span request, unsigned wait_ms,
			struct cJSON **answer, struct error *err);

#endif
