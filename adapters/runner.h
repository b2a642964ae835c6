/* SPDX-License-Identifier: Apache-2.0 */
/* One running adapter: its thread, its durable group, its numbers. */
#ifndef ADAPTERS_RUNNER_H
#define ADAPTERS_RUNNER_H

#include <stdbool.h>

#include "adapters/adapter.h"
#include "base/json.h"

struct runner;

/* runner_start copies config and begins. An adapter that cannot run (unknown
 * kind, bad settings) is a runner too: it says so in its status. NULL only
 * without memory. */
MUST_CHECK struct runner *runner_start(struct bus *bus,
				       const struct adapter_ops *ops,
				       const struct adapter_config *config);
/* runner_is: is this what runs already? */
bool runner_is(const struct runner *r, const struct adapter_config *config);
/* runner_stop_begin asks, runner_stop waits and frees. */
void runner_stop_begin(struct runner *r);
void runner_stop(struct runner **r);
/* Any thread. */
void runner_status(struct runner *r, struct json *out);

#endif
