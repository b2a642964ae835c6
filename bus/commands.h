/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and who waits for their replies. Any thread; one mutex. */
#ifndef BUS_COMMANDS_H
#define BUS_COMMANDS_H

#include "bus/bus.h"

struct commands;

MUST_CHECK struct commands *commands_new(void);
void commands_free(struct commands **c);

typedef void commands_deliver_fn(void *arg, struct bus_reply *reply);
MUST_CHECK int commands_expect(struct commands *c, const struct id *id,
			       commands_deliver_fn *deliver, void *arg);
bool commands_forget(struct commands *c, const struct id *id);
bool commands_was_given(struct commands *c, const struct id *id);
/* commands_take_back: false when it was given; else it never will be. */
bool commands_take_back(struct commands *c, const struct id *id);
/* commands_cancel: the same for a command that nobody may wait for; false as
 * well when it was perhaps given and that is forgotten. */
bool commands_cancel(struct commands *c, const struct id *id);
/* commands_release: the command is out of the log, it need not be kept from
 * anybody any more. */
void commands_release(struct commands *c, const struct id *id);
/* commands_hand_out: may this event go to a consumer? Notes that it did. */
bool commands_hand_out(struct commands *c, const struct journal_row *row);
/* commands_cause: the id of the event that a reply without one answers; false
 * when none or several of that exchange were given out. */
bool commands_cause(struct commands *c, const struct id *id,
		    struct id *cause);
/* commands_claim ends the wait. DELIVER: once, with where the reply goes.
 * SHADOW: a candidate's command, for which nobody ever waited. LATE: nobody
 * waits any more. DUPLICATE: it has had its reply. FOREIGN: there is no such
 * command, or `cause` is not its event; nothing has changed then. (KEPT is
 * the caller's: its answer is waited for on disk.) cause may be NULL. */
enum commands_claim { CLAIM_DELIVER, CLAIM_SHADOW, CLAIM_KEPT, CLAIM_LATE,
		      CLAIM_DUPLICATE, CLAIM_FOREIGN };
enum commands_claim commands_claim(struct commands *c, const struct id *id,
				   const struct id *cause,
				   commands_deliver_fn **deliver, void **arg);
/* commands_answered: what comes from now on are duplicates. */
void commands_answered(struct commands *c, const struct id *id);
size_t commands_waiting(struct commands *c);

#endif
