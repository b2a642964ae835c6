/* SPDX-License-Identifier: Apache-2.0 */
/* DATA/run.json: how one command finds the running process. */
#ifndef CONSOLE_RUNFILE_H
#define CONSOLE_RUNFILE_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"

struct cJSON;

/* Zero-initialise. Strings live until runfile_fini; NULL or 0: unknown. */
struct runfile {
	struct cJSON *tree;
	int pid;
	const char *admin, *bus, *rules;
};

/* runfile_read: -1 with err when no process runs on that data directory, or
 * its file cannot be read. Blocks. */
MUST_CHECK int runfile_read(struct runfile *r, const char *data,
			    struct error *err);
void runfile_fini(struct runfile *r);

#endif
