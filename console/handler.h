/* SPDX-License-Identifier: Apache-2.0 */
/* One run of a consumer's shell command: input, output, deadline. */
#ifndef CONSOLE_HANDLER_H
#define CONSOLE_HANDLER_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

#define HANDLER_LINE_SIZE 256

/* Signals to end, as a descriptor (signalfd). The first lets the handler
 * finish, the second ends it. */
struct handler_stop {
	int fd;
	unsigned count;
};

struct handler_job {
	const char *command;	/* for /bin/sh -c */
	struct span input;	/* the handler's standard input */
	char *const *env;
	unsigned timeout_ms;	/* 0: none */
	size_t output_limit_bytes;
	struct handler_stop *stop;	/* NULL: nobody stops us */
};

enum handler_end {
	HANDLER_EXITED,		/* code: exit status */
	HANDLER_SIGNALLED,	/* code: the signal */
	HANDLER_TIMED_OUT,
	HANDLER_TOO_LOUD	/* more output than the limit */
};
/* Zero-initialise; handler_result_fini frees. */
struct handler_result {
	enum handler_end end;
	int code;
	struct buf out;		/* standard output */
	char last_line[HANDLER_LINE_SIZE];	/* of standard error */
};

/* handler_run blocks until the command has ended. It runs in a process group
 * of its own, so that Ctrl-C ends us and not it; whatever of the group still
 * lives after a deadline is killed. Standard error goes to ours, too. -1 with
 * err when it could not be started. One thread. */
MUST_CHECK int handler_run(const struct handler_job *job,
			   struct handler_result *result, struct error *err);
void handler_result_fini(struct handler_result *r);
/* handler_reason writes why the event is refused: the handler's last words on
 * standard error, or how it ended. Returns out. */
const char *handler_reason(const struct handler_result *r, char *out,
			   size_t size);

/* handler_stop_open blocks SIGTERM and SIGINT, ignores SIGPIPE and makes the
 * descriptor; before any thread is started and any handler_run.
 * handler_stop_check counts what came. */
MUST_CHECK int handler_stop_open(struct handler_stop *s, struct error *err);
unsigned handler_stop_check(struct handler_stop *s);
void handler_stop_close(struct handler_stop *s);

#endif
