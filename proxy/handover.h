/* SPDX-License-Identifier: Apache-2.0 */
/* SIGUSR2: a new process of the (possibly replaced) binary takes over the
 * listening sockets while both live.
 *
 * The new one prepares all that it can and says READY. The old one stops to
 * accept, so that connections wait in the kernel, lets its exchanges end for
 * a short time, closes the journal and its addresses and says GO. The new
 * one opens them, accepts and says SERVING. The old one ends what is left. */
#ifndef PROXY_HANDOVER_H
#define PROXY_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/error.h"

struct buf;
struct run;

enum handover_word { HANDOVER_READY = 'R', HANDOVER_GO = 'G',
		     HANDOVER_SERVING = 'S' };

/* The old process's side; main thread. */
struct handover {
	pid_t child;		/* 0: none is under way */
	int socket;		/* -1 */
	uint64_t deadline_ms;	/* to be READY */
};

enum handover_heard { HANDOVER_NOTHING, HANDOVER_WORD, HANDOVER_FAILED };

/* handover_start starts `program` (NULL: as this process was started) with
 * this process's arguments and the listening sockets. */
MUST_CHECK int handover_start(struct run *r, const char *program,
			      struct error *err);
/* handover_hear looks whether the child has said `word`; waits at most so
 * long. On HANDOVER_FAILED the child is dead and forgotten. */
enum handover_heard handover_hear(struct run *r, enum handover_word word,
				  int wait_ms);
/* handover_cancel ends a child that is not needed any more. */
void handover_cancel(struct run *r);
/* handover_finish is the old process's way out, after READY. Returns its
 * exit status; the caller stops what is left. HANDOVER_STOPPED: it was told to
 * stop while it still had all in hand; the new one is gone. */
#define HANDOVER_STOPPED (-1)
int handover_finish(struct run *r, int signals);

/* ---- the new process's side ---- */

/* handover_await says READY and waits for GO; nothing without a parent. */
MUST_CHECK int handover_await(struct run *r, struct error *err);
/* handover_done says SERVING; true when there was a parent. */
bool handover_done(struct run *r);

#endif
