/* SPDX-License-Identifier: Apache-2.0 */
/* `check --against recorded`: what a rules file would do with the past. */
#ifndef CONSOLE_AGAINST_H
#define CONSOLE_AGAINST_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "console/command.h"

struct rules;

#define AGAINST_RECORDED "recorded"

/* against_recorded appends which recorded calls would go elsewhere; -1 with
 * err. */
MUST_CHECK int against_recorded(const struct command_call *call,
				const struct rules *rules, struct buf *out,
				struct error *err);

#endif
