/* SPDX-License-Identifier: Apache-2.0 */
/* A consumer's shell command as a process: input, output, deadline. */
#ifndef CONSOLE_HANDLER_H
#define CONSOLE_HANDLER_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

#define HANDLER_LINE_SIZE 256
#define HANDLER_POLLS 4
#define HANDLER_POLL_MS 100	/* how late a deadline may come */

enum { HANDLER_INPUT, HANDLER_OUTPUT, HANDLER_ERRORS, HANDLER_STREAMS };

/* Signals to end, as a descriptor (signalfd). The first lets handlers
 * finish, the second ends them. */
struct handler_stop {
	int fd;
	unsigned count;
};

enum handler_end {
	HANDLER_EXITED,		/* code: exit status */
	HANDLER_SIGNALLED,	/* code: the signal */
	HANDLER_TIMED_OUT,
	HANDLER_TOO_LOUD	/* more output than the limit */
};

/* ONCE: standard input ends after what was given, and children of the command
 * may outlive it. LASTING: neither. */
enum handler_kind { HANDLER_ONCE, HANDLER_LASTING };

/* Zero-initialise, handler_start; handler_fini frees. One thread. What is not
 * commented on is for reading only. */
struct handler {
	enum handler_kind kind;
	pid_t pid;		/* 0: not started */
	bool has_ended;
	enum handler_end end;
	int code;
	struct buf out;		/* standard output; the caller takes away */
	size_t output_limit_bytes;
	char line[HANDLER_LINE_SIZE];	/* last of standard error */
	size_t line_len;	/* of the one that is growing */
	int pidfd;
	int fds[HANDLER_STREAMS];	/* our ends; -1 once closed */
	struct buf input;
	size_t sent;
	uint64_t deadline_ms, kill_ms;	/* 0: none */
};

/* handler_start runs the command by /bin/sh -c, in a process group of its
 * own, so that Ctrl-C ends us and not it; whatever of the group still lives
 * after a deadline is killed. Standard error goes to ours, too. -1 with err. */
MUST_CHECK int handler_start(struct handler *h, const char *command,
			     char *const *env, struct error *err);
/* handler_give adds to standard input and does not wait; -1 without memory.
 * handler_unread: how much of it nobody has read yet. */
MUST_CHECK int handler_give(struct handler *h, struct span input);
size_t handler_unread(const struct handler *h);
/* handler_deadline begins anew; 0 is none. */
void handler_deadline(struct handler *h, unsigned timeout_ms);
/* handler_close_input: end of file, once all is sent. */
void handler_close_input(struct handler *h);
/* handler_terminate is SIGTERM to the group, and SIGKILL some seconds later;
 * handler_kill is SIGKILL. */
void handler_terminate(struct handler *h);
void handler_kill(struct handler *h);
/* handler_polls says what to wait for, HANDLER_POLL_MS at most; handler_step
 * does what can be done. Once has_ended, out is complete. */
void handler_polls(const struct handler *h, struct pollfd p[HANDLER_POLLS]);
void handler_step(struct handler *h, const struct pollfd p[HANDLER_POLLS]);
void handler_fini(struct handler *h);
/* handler_reason writes why the event is refused: the handler's last words on
 * standard error, or how it ended. Returns out. */
const char *handler_reason(const struct handler *h, char *out, size_t size);

/* handler_stop_open blocks SIGTERM and SIGINT, ignores SIGPIPE and makes the
 * descriptor; before any thread is started and any handler_start.
 * handler_stop_check counts what came. */
MUST_CHECK int handler_stop_open(struct handler_stop *s, struct error *err);
unsigned handler_stop_check(struct handler_stop *s);
void handler_stop_close(struct handler_stop *s);

#endif
