/* SPDX-License-Identifier: Apache-2.0 */
/* The counter registry: every counter is a row of counters.def. */
#ifndef BASE_COUNTER_H
#define BASE_COUNTER_H

#include <stdint.h>

#include "base/buf.h"

enum counter {
#define COUNTER(sym, name, labels, kind, help) COUNTER_##sym,
#include "base/counters.def"
#undef COUNTER
	COUNTER_COUNT
};

/* A thread counts in a block of its own (created on first use, kept after
 * the thread ends); readers sum the blocks. Counting is one plain add. */
void counter_add(enum counter c, int64_t n);
static inline void
counter_inc(enum counter c)
{
	counter_add(c, 1);
}
/* counter_get sums over all threads. Any thread. Gauges use counter_add
 * with positive and negative numbers. */
int64_t counter_get(enum counter c);
/* counter_name is the Prometheus name, for example
 * "matapalo_exchanges_dropped_total"; counter_labels its labels without
 * braces (reason="ring_full") or "". */
const char *counter_name(enum counter c);
const char *counter_labels(enum counter c);
/* counter_write_prometheus appends the text format (0.0.4), # HELP and
 * # TYPE once per name. */
void counter_write_prometheus(struct buf *out);

#endif
