/* SPDX-License-Identifier: Apache-2.0 */
/* What the step functions share among themselves. */
#ifndef PROXY_STEPS_H
#define PROXY_STEPS_H

#include "proxy/exchange.h"

/* step_run calls the present step's function. */
enum flow step_run(struct exchange *ex);

/* Ways to leave a step, all FLOW_NEXT: to another step, with an answer of
 * our own, or with a broken exchange (client or upstream lost). */
enum flow step_go(struct exchange *ex, enum step to);
enum flow step_problem(struct exchange *ex, enum problem p);
enum flow step_abort(struct exchange *ex);

/* view.c: fills ex->view from a whole head; -1: no room for it. */
int view_read(struct exchange *ex);

/* forward.c */
enum flow forward_step(struct exchange *ex);
/* forward_failed: no answer came, for this reason. (attempt.c) */
enum flow forward_failed(struct exchange *ex, enum problem p);
/* forward_awaits_client: interim answers are not taken; nothing more is read
 * until they are. */
bool forward_awaits_client(struct exchange *ex);
/* forward_expired: the deadline has passed; who was it? */
enum flow forward_expired(struct exchange *ex);

/* command.c: the worker's table of exchanges that wait for the bus. */
void waiting_add(struct exchange *ex);
void waiting_remove(struct exchange *ex);
struct exchange *waiting_find(struct worker *w, const struct id *id);

/* operation.c */
/* operation_owns: is the path that of a status resource? */
bool operation_owns(struct exchange *ex);
enum flow operation_begin(struct exchange *ex);
/* operation_repeat: the key came before and its answer is there. */
enum flow operation_repeat(struct exchange *ex);
enum flow operation_step(struct exchange *ex);
/* operation_forget: it does not wait any more. */
void operation_forget(struct exchange *ex);

/* tunnel.c */
/* tunnel_begin: the upstream said 101. */
enum flow tunnel_begin(struct exchange *ex);
enum flow tunnel_step(struct exchange *ex);

/* attempt.c: the same step's other half. attempt_begin takes a connection
 * (ex->upstream) or waits for one; attempt_answered: a final head came. */
enum flow attempt_begin(struct exchange *ex);
void attempt_answered(struct exchange *ex);

#endif
