/* SPDX-License-Identifier: Apache-2.0 */
/* How much one candidate may be asked at once, and whether it answers. */
#include "shadow/lane.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/invariant.h"

#define LANES_MAX 256

struct shadow_lanes {
	struct shadow_lane at[LANES_MAX];
	size_t count;
};

struct shadow_lanes *
shadow_lanes_new(void)
{
	return calloc(1, sizeof(struct shadow_lanes));
}

void
shadow_lanes_free(struct shadow_lanes **l)
{
	free(*l);
	*l = NULL;
}

/* One that nobody uses, of a candidate that has gone with a reload, say. */
static struct shadow_lane *
free_lane(struct shadow_lanes *l)
{
	if (l->count < LANES_MAX)
		return &l->at[l->count++];
	for (size_t i = 0; i < l->count; i++)
		if (l->at[i].active == 0)
			return &l->at[i];
	return NULL;
}

struct shadow_lane *
shadow_lane_of(struct shadow_lanes *l, const char *candidate)
{
	struct shadow_lane *lane;

	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->at[i].candidate, candidate) == 0)
			return &l->at[i];
	lane = free_lane(l);
	if (!lane)
		return NULL;
	*lane = (struct shadow_lane){ 0 };
	snprintf(lane->candidate, sizeof(lane->candidate), "%s", candidate);
	return lane;
}

enum shadow_pass
shadow_full_pass(uint64_t oldest_ms, uint64_t now_ms)
{
	/* A clock that was set back would make everybody wait for that long:
	 * pairs remember the time on the wall. */
	bool moment = now_ms >= oldest_ms &&
		      now_ms - oldest_ms <= SHADOW_LANE_SLOW_MS;

	return moment ? SHADOW_PASS_WAIT : SHADOW_PASS_BUSY;
}

static uint64_t
oldest(const struct shadow_lane *lane)
{
	uint64_t ms = UINT64_MAX;

	for (size_t i = 0; i < SHADOW_LANE_FLIGHTS; i++)
		if (lane->started_ms[i] && lane->started_ms[i] < ms)
			ms = lane->started_ms[i];
	return ms;
}

enum shadow_pass
shadow_lane_pass(const struct shadow_lane *lane, uint64_t now_ms)
{
	if (!lane)
		return SHADOW_PASS_GO;
	if (lane->rest_ms && (now_ms < lane->rest_until_ms || lane->active))
		return SHADOW_PASS_DOWN;
	if (lane->active < SHADOW_LANE_FLIGHTS)
		return SHADOW_PASS_GO;
	return shadow_full_pass(oldest(lane), now_ms);
}

size_t
shadow_lane_enter(struct shadow_lane *lane, uint64_t now_ms)
{
	size_t place = 0;

	while (place < SHADOW_LANE_FLIGHTS && lane->started_ms[place])
		place++;
	INVARIANT(place < SHADOW_LANE_FLIGHTS);
	lane->started_ms[place] = now_ms ? now_ms : 1;
	lane->active++;
	return place;
}

static void
count_failure(struct shadow_lane *lane, uint64_t now_ms)
{
	if (++lane->failures < SHADOW_LANE_FAILURES)
		return;
	/* Copies that were under way when it was given up are no new try. */
	if (lane->rest_ms && now_ms < lane->rest_until_ms)
		return;
	lane->rest_ms = lane->rest_ms ? 2 * lane->rest_ms
				      : SHADOW_LANE_REST_MS;
	if (lane->rest_ms > SHADOW_LANE_REST_MAX_MS)
		lane->rest_ms = SHADOW_LANE_REST_MAX_MS;
	lane->rest_until_ms = now_ms + lane->rest_ms;
}

void
shadow_lane_leave(struct shadow_lane *lane, size_t place,
		  enum shadow_landing how, uint64_t now_ms)
{
	lane->started_ms[place] = 0;
	lane->active--;
	switch (how) {
	case SHADOW_LANDED:
		lane->failures = 0;
		lane->rest_ms = lane->rest_until_ms = 0;
		break;
	case SHADOW_CRASHED:
		count_failure(lane, now_ms);
		break;
	case SHADOW_CALLED_OFF:
		break;
	}
}

void
shadow_lanes_status(const struct shadow_lanes *l, uint64_t now_ms,
		    struct json *out)
{
	json_array_begin(out);
	for (size_t i = 0; i < l->count; i++) {
		const struct shadow_lane *lane = &l->at[i];
		uint64_t left = lane->rest_until_ms > now_ms
					? lane->rest_until_ms - now_ms : 0;

		json_object_begin(out);
		json_key(out, "candidate");
		json_str(out, lane->candidate);
		json_key(out, "in_flight");
		json_u64(out, lane->active);
		json_key(out, "failures_in_a_row");
		json_u64(out, lane->failures);
		json_key(out, "rests_ms");
		json_u64(out, left);
		json_object_end(out);
	}
	json_array_end(out);
}
