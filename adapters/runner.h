/* SPDX-License-Identifier: Apache-2.0 */
/* One running adapter: its thread, its durable group, its numbers. */
#ifndef ADAPTERS_RUNNER_H
#define ADAPTERS_RUNNER_H

#include <stdbool.h>

#include "adapters/adapter.h"
#include "base/json.h"

struct adapter_runner;

/* adapter_runner_start copies config and begins. An adapter that cannot run
 * (unknown kind, bad settings) is a runner too: it says so in its status.
 * NULL only without memory. */
MUST_CHECK struct adapter_runner *
adapter_runner_start(struct bus *bus, const struct adapter_ops *ops,
		     const struct adapter_config *config);
/* adapter_runner_is: is this what runs already? */
bool adapter_runner_is(const struct adapter_runner *r,
		       const struct adapter_config *config);
/* adapter_runner_stop_begin asks, adapter_runner_stop waits and frees. */
void adapter_runner_stop_begin(struct adapter_runner *r);
void adapter_runner_stop(struct adapter_runner **r);
/* Any thread. */
void adapter_runner_status(struct adapter_runner *r, struct json *out);

#endif
