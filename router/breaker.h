/* SPDX-License-Identifier: Apache-2.0 */
/* A circuit breaker: closed, open, half-open. Time is given, nothing is
 * locked: whoever shares one between threads guards it. */
#ifndef ROUTER_BREAKER_H
#define ROUTER_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "rules/rules.h"

#define BREAKER_SLICES 10u	/* of the window; the oldest falls out */

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };
/* UNKNOWN: the client left, so that nobody knows how it would have ended. */
enum breaker_outcome { BREAKER_SUCCESS, BREAKER_FAILURE, BREAKER_UNKNOWN };

struct breaker_slice {
	uint32_t requests, failures;
};

/* All zeros is a closed one. */
struct breaker {
	enum breaker_state state;
	uint32_t epoch;			/* grows with each change of state */
	uint64_t opened_ms;
	uint32_t trials, passed;	/* half-open: under way, went well */
	uint64_t newest;		/* number of the newest slice */
	struct breaker_slice slices[BREAKER_SLICES];
};

/* breaker_admit: may a request pass? Its ticket, never 0, goes to
 * breaker_report exactly once; 0 when it may not. */
uint32_t breaker_admit(struct breaker *b, const struct rules_breaker *limits,
		       uint64_t now_ms);
/* breaker_report: how it ended. What was admitted before the last change of
 * state changes nothing any more. */
void breaker_report(struct breaker *b, const struct rules_breaker *limits,
		    uint64_t now_ms, uint32_t ticket,
		    enum breaker_outcome how);
/* breaker_open_ms: how much longer it stays open; 0 when it is not. */
uint64_t breaker_open_ms(const struct breaker *b,
			 const struct rules_breaker *limits, uint64_t now_ms);
/* breaker_state_name: "closed", "open" or "half-open". */
const char *breaker_state_name(enum breaker_state s);

#endif
