/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that move a rule: what another command needs of them. */
#ifndef CONSOLE_PROMOTION_H
#define CONSOLE_PROMOTION_H

#include "console/command.h"

/* promotion_hold is `hold RULE`. */
int promotion_hold(const struct command_call *call);

#endif
