/* SPDX-License-Identifier: Apache-2.0 */
/* What the loop of `consume` and the handling of one event share. */
#ifndef CONSOLE_CONSUME_H
#define CONSOLE_CONSUME_H

#include <stdbool.h>
#include <stdint.h>

#include "console/handler.h"
#include "console/wire.h"

struct consume {
	struct wire wire;
	struct handler_stop stop;
	const char *command;
	bool always_reply;
	unsigned batch, limit, timeout_ms, idle_exit_ms;
	unsigned handled;
	unsigned retry_ms;		/* 0: connected */
	uint64_t idle_since_ms;		/* 0: not idle */
};

/* consume_event runs the handler for one event and leaves the verdict with
 * the wire. Blocks as long as the handler runs. */
void consume_event(struct consume *c, const struct wire_event *e);

#endif
