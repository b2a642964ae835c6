/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of a command's data directory. */
#ifndef CONSOLE_READING_H
#define CONSOLE_READING_H

#include "base/attr.h"
#include "base/error.h"
#include "console/command.h"
#include "journal/journal.h"

/* reading_open opens DATA/journal.db for reading; NULL with err. */
MUST_CHECK struct journal_reader *
reading_open(const struct command_call *call, struct error *err);

#endif
