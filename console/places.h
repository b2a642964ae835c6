/* SPDX-License-Identifier: Apache-2.0 */
/* Where the rules of a running process are, put on a set of its file. */
#ifndef CONSOLE_PLACES_H
#define CONSOLE_PLACES_H

#include "base/attr.h"
#include "base/error.h"
#include "console/command.h"
#include "rules/rules.h"

/* places_apply moves the rules as the process has them; -1 with err when it
 * cannot be asked: they stay as the file says. Blocks. */
MUST_CHECK int places_apply(const struct command_call *call,
			    struct rules *rules, struct error *err);

#endif
