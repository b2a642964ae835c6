/* SPDX-License-Identifier: Apache-2.0 */
/* A recorded exchange, read back from its event. */
#ifndef SHADOW_EXCHANGE_H
#define SHADOW_EXCHANGE_H

#include "bus/bus.h"
#include "shadow/side.h"

/* Owns everything it points to. */
struct shadow_exchange {
	int64_t sequence;
	struct id event_id;
	char correlation[ID_TEXT_SIZE];	/* the exchange's id */
	char *source, *subject, *partition_key;
	char *traceparent, *tracestate;	/* or NULL */
	struct cJSON *tree;		/* the event's data */
	const char *method, *target, *host, *rule, *path;
	const char *candidate;	/* who was to get a copy, or "" */
	const char *client, *proto;
	struct shadow_side request, response;
	int status;
	bool answered;		/* by the system that is compared with */
	uint32_t total_us;
	unsigned holds;		/* besides the first; one thread's */
};

/* shadow_exchange_decode: NULL with err when the event is not an exchange
 * that can be read (it never will be, unless err says that there was no
 * memory). Any thread. */
MUST_CHECK struct shadow_exchange *
shadow_exchange_decode(const struct journal_row *row, struct error *err);
/* shadow_exchange_hold: it takes one more shadow_exchange_free, on the same
 * thread, until it is gone. */
struct shadow_exchange *shadow_exchange_hold(struct shadow_exchange *x);
void shadow_exchange_free(struct shadow_exchange **x);
/* Both bodies are there as they were. */
bool shadow_exchange_is_complete(const struct shadow_exchange *x);
/* Safe methods (RFC 9110 9.2.1); an unknown one is not safe. */
bool shadow_exchange_is_safe(const struct shadow_exchange *x);

#endif
