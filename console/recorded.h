/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded exchanges of a part of the journal, in their order. */
#ifndef CONSOLE_RECORDED_H
#define CONSOLE_RECORDED_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/message.h"
#include "console/command.h"
#include "journal/journal.h"
#include "shadow/exchange.h"

/* Zero-initialise. One thread. */
struct recorded {
	struct journal_reader *reader;
	int64_t after, upto;
	int64_t since_us, until_us;	/* 0: any */
	uint64_t unreadable;		/* exchanges that are none */
};

/* recorded_open takes --data, --from and --to: from the oldest to the newest
 * when they are not given. */
MUST_CHECK int recorded_open(struct recorded *r,
			     const struct command_call *call,
			     struct error *err);
/* recorded_next calls fn with at most max exchanges, which are fn's from then
 * on. 1: there may be more; 0: that was all; -1 with err. */
MUST_CHECK int recorded_next(struct recorded *r, size_t max,
			     void (*fn)(void *arg, struct shadow_exchange *x),
			     void *arg, struct error *err);
void recorded_close(struct recorded *r);

/* recorded_request is the exchange's request as rules see it, lent. */
void recorded_request(const struct shadow_exchange *x,
		      struct message_request *req);

#endif
