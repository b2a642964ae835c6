/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a rule's share goes a step up, a step back, or stays: from numbers
 * alone. Time is given, nothing is locked. */
#ifndef ROUTER_RAMP_H
#define ROUTER_RAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "router/place.h"
#include "rules/rules.h"

#define RAMP_SLICES 60u		/* seconds of the newest past */
#define RAMP_WORDS_SIZE 160
#define RAMP_LOG_ONE 1024	/* one octave of a latency */

/* Live requests of one side. The logs are ramp_log of the latencies of those
 * that did not fail: of their mean, the typical latency, no single slow
 * request can make much. */
struct ramp_side {
	uint64_t requests, failures;
	uint64_t logs, squares;
};
struct ramp_count {
	struct ramp_side target, legacy;
	uint64_t pairs, matches;	/* verdicts of the shadow */
};
/* All zeros at the start of a step. */
struct ramp_window {
	struct ramp_count step;		/* since then */
	struct ramp_count slices[RAMP_SLICES];	/* a second each */
	uint64_t newest;		/* number of the newest slice */
};

/* ramp_log: the logarithm to base 2 of microseconds, in 1/1024. */
unsigned ramp_log(uint32_t us);
void ramp_sum(struct ramp_count *to, const struct ramp_count *more);
/* ramp_add counts what came since the last call. */
void ramp_add(struct ramp_window *w, const struct ramp_count *more,
	      uint64_t now_ms);

enum ramp_move { RAMP_STAY, RAMP_UP, RAMP_BACK };
enum ramp_hold { RAMP_FREE, RAMP_HELD };
struct ramp_verdict {
	enum ramp_move move;
	struct rules_place to;		/* unless it stays */
	char words[RAMP_WORDS_SIZE];	/* why: "samples 412 of 1000" */
};
/* ramp_decide: where to from `now`. Back goes also what is held; up goes only
 * what has been in_step_ms long enough and meets all that is required. */
struct ramp_verdict ramp_decide(const struct rules_ramp *ramp,
				struct rules_place now,
				const struct ramp_window *w,
				uint64_t in_step_ms, enum ramp_hold hold);

/* ---- the numbers, for people ---- */

double ramp_error_rate(const struct ramp_side *s);	/* 0 without */
double ramp_typical_us(const struct ramp_side *s);	/* 0 without */
/* ramp_latency_ratio: target's to legacy's typical latency; 0 when one of
 * them has none. */
double ramp_latency_ratio(const struct ramp_count *c);

#endif
