/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the admin listener of a running process, for commands. */
#ifndef CONSOLE_ASK_H
#define CONSOLE_ASK_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "console/command.h"

/* body empty: GET. token_file NULL: that of the data directory. */
struct ask {
	const char *path;
	const char *token_file;
	struct span body;
};
struct ask_reply {
	int status;			/* below 500, and not 401 */
	struct buf body;
};
/* ask finds the process by --data or --admin, asks and waits. -1 with err
 * without an answer. ask_reply_fini frees either way. */
MUST_CHECK int ask(const struct command_call *call, const struct ask *what,
		   struct ask_reply *reply, struct error *err);
void ask_reply_fini(struct ask_reply *reply);

#endif
