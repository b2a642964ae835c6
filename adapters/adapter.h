/* SPDX-License-Identifier: Apache-2.0 */
/* The contract between the host and an adapter: a folder, a table row. */
#ifndef ADAPTERS_ADAPTER_H
#define ADAPTERS_ADAPTER_H

#include <stddef.h>

#include "base/attr.h"
#include "base/error.h"
#include "bus/bus.h"

struct adapter_setting {
	const char *key, *value;
};
struct adapter_config {
	const char *name;		/* names the durable group too */
	const char *kind;		/* a row of adapters.def */
	const char *type_filter, *subject_filter;
	const struct adapter_setting *settings;
	size_t setting_count;
};

enum adapter_verdict {
	ADAPTER_OK,		/* handed over; final after flush */
	ADAPTER_RETRY,		/* not now: again after the backoff */
	ADAPTER_POISON		/* never: a dead letter */
};

/* All calls of one adapter come from one thread of its own and may block,
 * but for check, which may run anywhere and must not connect.
 * check: settings are usable (0), or -1 with err.
 * open: connect; NULL with err, the host tries again with backoff.
 * deliver: one event; on RETRY or POISON err says why.
 * flush: 0 once every OK event since the last flush is safe at the
 *   receiver; -1: the host delivers all of them again.
 * close: frees; accepts what open returned. */
struct adapter_ops {
	const char *kind, *help;
	int (*check)(const struct adapter_config *c, struct error *err);
	void *(*open)(const struct adapter_config *c, struct error *err);
	enum adapter_verdict (*deliver)(void *self, const struct bus_event *e,
					struct error *err);
	int (*flush)(void *self, struct error *err);
	void (*close)(void *self);
};

/* adapter_find returns the row of adapters.def, or NULL. */
const struct adapter_ops *adapter_find(const char *kind);
/* adapter_check: 0, or -1 with err when this could never run: ops is NULL,
 * an unknown kind, or it refuses its settings. Connects to nothing. */
MUST_CHECK int adapter_check(const struct adapter_ops *ops,
			     const struct adapter_config *c,
			     struct error *err);

#endif
