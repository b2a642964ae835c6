/* SPDX-License-Identifier: Apache-2.0 */
/* The bus protocol as the commands speak it: requests in, answers out. */
#ifndef CONSOLE_WIRE_H
#define CONSOLE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "bus/client.h"
#include "console/command.h"
#include "console/runfile.h"

struct cJSON;

/* Zero-initialise, wire_find_url, wire_connect; wire_close frees. One
 * thread. */
struct wire {
	struct bus_client *client;
	struct runfile run;
	const char *url;	/* lent from the call or from run */
	const char *token_file;	/* lent; NULL: no token */
	struct secure_files files;	/* lent; of tls+tcp:// */
	bool refused;		/* the last error was the bus's answer */
	struct buf request, answer;
};

/* wire_find_url takes --bus, or the address in run.json. */
MUST_CHECK int wire_find_url(struct wire *w, const struct command_call *call,
			     struct error *err);
/* wire_read_token puts the token of --token-file into text, read anew: tokens
 * change. Lends it; NULL when there is none to send. The caller wipes text
 * with wire_wipe. -1 with err when the file is of no use. */
MUST_CHECK int wire_read_token(const struct wire *w, struct buf *text,
			       const char **token, struct error *err);
void wire_wipe(struct buf *text);
/* wire_connect dials; a wire that is connected is left as it is. Blocks. */
MUST_CHECK int wire_connect(struct wire *w, struct error *err);
void wire_disconnect(struct wire *w);
void wire_close(struct wire *w);

/* wire_ask sends a request as it is. The answer is the caller's; its text
 * stays in w->answer until the next request. */
MUST_CHECK int wire_ask(struct wire *w, struct span request, unsigned wait_ms,
			struct cJSON **answer, struct error *err);

#endif
