/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of the server (redrive, purge, replay) as the commands begin and follow
 * them. */
#ifndef CONSOLE_JOB_H
#define CONSOLE_JOB_H

#include "base/json.h"
#include "console/command.h"

/* job_begin starts a request that names the job, so that a lost answer does
 * not begin it twice; the caller adds members. */
void job_begin(struct json *j, struct buf *out, const char *op);
/* job_filter adds the member filter from --type, --subject, --reason, --since
 * and --until; false when none was given. -1 with err. */
MUST_CHECK int job_filter(struct json *j, const struct command_call *call,
			  struct error *err);
/* job_run sends the request (an object that is still open) and follows the job
 * to its end, or with --detach says its number. An interrupt cancels it. The
 * exit status. */
int job_run(const struct command_call *call, struct json *j, const char *what);
/* job_list prints all of them; job_cancel ends one. The exit status, or -1
 * with err for wrong usage. */
int job_list(const struct command_call *call);
MUST_CHECK int job_cancel(const struct command_call *call, const char *id,
			  struct error *err);

#endif
