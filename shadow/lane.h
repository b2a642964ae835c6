/* SPDX-License-Identifier: Apache-2.0 */
/* How much one candidate may be asked at once, and whether it answers at all:
 * one that hangs must not hold up the comparisons of the others. */
#ifndef SHADOW_LANE_H
#define SHADOW_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/json.h"
#include "shadow/verdict.h"

/* Copies under way to one candidate. */
#define SHADOW_LANE_FLIGHTS 16u
/* A full lane is busy for a moment; when its oldest copy is older than this,
 * it is slow, and what comes is skipped. */
#define SHADOW_LANE_SLOW_MS 1000u
/* So many failures in a row, and the candidate is left alone for a while,
 * which doubles while the one copy after it fails, too. */
#define SHADOW_LANE_FAILURES 8u
#define SHADOW_LANE_REST_MS 2000u
#define SHADOW_LANE_REST_MAX_MS 60000u

enum shadow_pass {
	SHADOW_PASS_GO,
	SHADOW_PASS_WAIT,	/* in a moment */
	SHADOW_PASS_BUSY,	/* skip: it is slow */
	SHADOW_PASS_DOWN	/* skip: it fails */
};

struct shadow_lane {
	char candidate[SHADOW_NAME_MAX];
	uint64_t started_ms[SHADOW_LANE_FLIGHTS];	/* 0: free */
	size_t active;
	unsigned failures;			/* in a row */
	uint64_t rest_ms, rest_until_ms;	/* 0: it answers */
};

/* The caller locks. Lanes stay where they are. */
struct shadow_lanes;

MUST_CHECK struct shadow_lanes *shadow_lanes_new(void);
void shadow_lanes_free(struct shadow_lanes **l);
/* shadow_lane_of finds or makes it; NULL when there are very many in use. */
struct shadow_lane *shadow_lane_of(struct shadow_lanes *l,
				   const char *candidate);
/* shadow_full_pass: what a full lane means, by its oldest one. */
enum shadow_pass shadow_full_pass(uint64_t oldest_ms, uint64_t now_ms);
/* The lane may be NULL: GO. */
enum shadow_pass shadow_lane_pass(const struct shadow_lane *lane,
				  uint64_t now_ms);
/* shadow_lane_enter returns the place; after GO there is one. */
size_t shadow_lane_enter(struct shadow_lane *lane, uint64_t now_ms);
enum shadow_landing { SHADOW_LANDED, SHADOW_CRASHED, SHADOW_CALLED_OFF };
void shadow_lane_leave(struct shadow_lane *lane, size_t place,
		       enum shadow_landing how, uint64_t now_ms);
/* shadow_lanes_status writes an array of an object a candidate. */
void shadow_lanes_status(const struct shadow_lanes *l, uint64_t now_ms,
			 struct json *out);

#endif
