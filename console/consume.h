/* SPDX-License-Identifier: Apache-2.0 */
/* What the loop of `consume` and the handling of one event share. */
#ifndef CONSOLE_CONSUME_H
#define CONSOLE_CONSUME_H

#include <stdbool.h>
#include <stdint.h>

#include "console/handler.h"
#include "console/wire.h"
#include "lib/matapalo.h"

struct consume {
	struct wire wire;		/* where the bus is; not connected */
	struct matapalo_consumer *consumer;
	struct handler_stop stop;
	const char *command;
	const char *group, *type, *subject;
	char start[24];			/* "": of no matter */
	bool always_reply, is_whole;
	bool told;			/* that the group has other settings */
	bool no_memory;			/* for a verdict: not to be gone on */
	unsigned batch, limit, timeout_ms, idle_exit_ms, max_attempts;
	unsigned handled;
	unsigned retry_ms;		/* 0: connected */
	uint64_t idle_since_ms;		/* 0: not idle */
};

/* consume_event runs the handler for one event and leaves the verdict with
 * the consumer. Blocks as long as the handler runs. */
void consume_event(struct consume *c, const struct matapalo_event *e);

#endif
