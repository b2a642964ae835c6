/* SPDX-License-Identifier: Apache-2.0 */
/* What an exchange that ended says about its rule. */
#include "proxy/evidence.h"

#include <string.h>

#include "proxy/client.h"
#include "proxy/exchange.h"
#include "proxy/lease.h"
#include "router/ramp.h"

static enum rule_stat
who_answered(const struct exchange *ex)
{
	if (ex->answered_here)
		return RULE_BY_PROXY;
	return ex->target == ex->lease->rules->legacy ? RULE_BY_LEGACY :
							RULE_BY_TARGET;
}

/* Callers who leave, requests that are none and our own troubles are nobody's
 * failure. */
static bool
blames_upstream(enum problem p)
{
	const char *code = problem_row(p)->code;

	return !strncmp(code, "upstream.", strlen("upstream.")) ||
	       !strncmp(code, "command.", strlen("command."));
}

enum how { WELL, BADLY, UNKNOWN };

/* How the side did that was to answer. */
static enum how
how_it_went(const struct exchange *ex)
{
	if (ex->fell_back)
		return BADLY;
	if (ex->answered_here)
		return ex->problem != PROBLEM_NONE &&
				       blames_upstream(ex->problem) ?
			       BADLY : UNKNOWN;
	if (ex->aborted && ex->client->io.broken)
		return UNKNOWN;
	return ex->aborted || ex->status >= 500 ? BADLY : WELL;
}

/* A command has no head of its own: its reply is the answer. */
static uint32_t
latency_us(const struct exchange *ex)
{
	return ex->first_byte_us ? ex->first_byte_us :
				   exchange_elapsed_us(ex);
}

static void
count_canary(const struct exchange *ex, struct rule_stats *s)
{
	bool legacy = ex->decision.target == ex->lease->rules->legacy;
	unsigned side = legacy ? RULE_CANARY_LEGACY : RULE_CANARY_TARGET;
	enum how how = how_it_went(ex);
	uint64_t log;

	if (how == UNKNOWN)
		return;
	rule_stats_inc(s, side);
	if (how == BADLY) {
		rule_stats_inc(s, side + 1);
		return;
	}
	log = ramp_log(latency_us(ex));
	rule_stats_add(s, side + 2, log);
	rule_stats_add(s, side + 3, log * log);
}

void
evidence_count(const struct exchange *ex)
{
	struct rule_stats *s = ex->lease->stats[ex->decision.rule->index];

	rule_stats_inc(s, who_answered(ex));
	if (ex->aborted || ex->status >= 500)
		rule_stats_inc(s, RULE_ERRORS);
	if (ex->decision.place.stage == RULES_STAGE_CANARY &&
	    ex->decision.target)
		count_canary(ex, s);
}
