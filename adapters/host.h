/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the adapters that the rules name, each a group of its own. */
#ifndef ADAPTERS_HOST_H
#define ADAPTERS_HOST_H

#include "adapters/adapter.h"
#include "base/json.h"

struct adapter_host;

MUST_CHECK struct adapter_host *adapter_host_start(struct bus *bus,
						   struct error *err);
/* adapter_host_start_with takes its kinds from `find` instead of
 * adapters.def; for tests. */
MUST_CHECK struct adapter_host *
adapter_host_start_with(struct bus *bus,
			const struct adapter_ops *(*find)(const char *kind),
			struct error *err);
/* adapter_host_set makes the running adapters equal to the list: unchanged
 * ones go on, others are stopped or started. Copies the configs. One
 * thread (main). */
void adapter_host_set(struct adapter_host *h,
		      const struct adapter_config *configs, size_t count);
void adapter_host_stop(struct adapter_host **h);
void adapter_host_status(struct adapter_host *h, struct json *out);

#endif
