/* SPDX-License-Identifier: Apache-2.0 */
/* Commands whose answer is kept: who asks later, or again. A worker's. */
#ifndef PROXY_LATER_H
#define PROXY_LATER_H

#include "base/arena.h"
#include "base/prefer.h"
#include "bus/operations.h"
#include "bus/record.h"
#include "proxy/mail.h"
#include "proxy/problem.h"

struct exchange;
struct worker;

#define LATER_ROOM 3072
#define LATER_WAIT_MAX_MS 60000u	/* of one question */

/* In the exchange's arena. */
struct later {
	struct bus_operation operation;
	struct prefer prefer;
	bool async;		/* the caller is sent away with 202 */
	unsigned wait_ms;	/* after so long */
	/* For the 202, set aside before the command is sent: once it is, its
	 * caller must get the address. */
	struct arena arena;
	char room[LATER_ROOM];
};

/* later_prepare makes ex->later when the rule and the client want an answer
 * that is kept; else it stays NULL. A problem when the request cannot be
 * taken as it is. */
enum problem later_prepare(struct exchange *ex);
/* later_caller writes by what the caller is known: "header:NAME=DIGEST".
 * later_is_caller: would this request's caller have been written so? */
void later_caller(const struct exchange *ex,
		  char out[JOURNAL_OPERATION_CALLER_SIZE]);
bool later_is_caller(const struct exchange *ex, const char *written);
/* later_accept answers 202; the step goes on to STEP_ANSWER. */
void later_accept(struct exchange *ex);
/* later_retry_s: when it is worth asking again about what began then. */
unsigned later_retry_s(int64_t created_us);

#endif
