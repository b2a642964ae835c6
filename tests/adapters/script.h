/* SPDX-License-Identifier: Apache-2.0 */
/* An adapter that does what the test says, and remembers what it was told. */
#ifndef TESTS_ADAPTERS_SCRIPT_H
#define TESTS_ADAPTERS_SCRIPT_H

#include "adapters/adapter.h"

enum script_step { SCRIPT_OPEN, SCRIPT_DELIVER, SCRIPT_FLUSH, SCRIPT_CLOSE };

/* What to answer; each counts down to good behaviour. */
struct script_orders {
	int fail_opens, fail_flushes;
	int retries;			/* of each event whose data says so */
};

/* An adapter of kind "script". An event whose data is "poison" is poison,
 * one whose data is "retry" is retried orders.retries times. */
const struct adapter_ops *script_find(const char *kind);
void script_reset(const struct script_orders *orders);
/* script_taken is the subjects that were flushed, "a b c". */
const char *script_taken(void);
/* script_await waits until script_taken is that; fails after 20 s. */
void script_await(const char *taken);
/* script_count: how often a step was taken. */
unsigned script_count(enum script_step step);
void script_await_count(enum script_step step, unsigned at_least);

#endif
