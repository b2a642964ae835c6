/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of `backtest` share: recorded requests on their way to a
 * candidate, and what came of them. */
#ifndef CONSOLE_BACKTEST_H
#define CONSOLE_BACKTEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/digest.h"
#include "base/error.h"
#include "console/recorded.h"
#include "outbound/outbound.h"
#include "shadow/noise.h"
#include "shadow/shadow.h"
#include "shadow/tally.h"

struct rules;

#define BACKTEST_PARALLEL_MAX 256
#define BACKTEST_WINDOW 1024	/* exchanges in memory */

struct backtest;

struct backtest_call {
	struct backtest_call *next;	/* in recorded order */
	struct backtest *b;
	struct shadow_exchange *x;
	bool is_under_way;
};

struct backtest {
	struct recorded recorded;
	struct outbound *outbound;
	struct rules *rules;		/* or NULL */
	struct shadow_plan plan;	/* of no rules: how to redact */
	struct digest_key key;
	struct shadow_tally *tally;
	struct shadow_noise *noise;	/* that the live shadow learned */
	const char *target, *only_rule;
	bool takes_unsafe;
	unsigned parallel, rate, timeout_ms;
	struct backtest_call *first, **end;
	size_t waiting, under_way;
	uint64_t begun_us, sent;	/* for the rate */
	uint64_t skipped_unsafe, skipped_incomplete, skipped_unanswered;
	uint64_t skipped_rule, judged;
	bool no_memory;
};

/* backtest_run sends all there is and waits for the answers. */
MUST_CHECK int backtest_run(struct backtest *b, struct error *err);
void backtest_calls_free(struct backtest *b);

#endif
