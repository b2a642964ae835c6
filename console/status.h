/* SPDX-License-Identifier: Apache-2.0 */
/* /status as a board for a terminal. */
#ifndef CONSOLE_STATUS_H
#define CONSOLE_STATUS_H

#include "base/buf.h"

struct cJSON;

/* status_write_board appends the board. Total: a member that is missing or
 * of another type leaves its place empty. */
void status_write_board(const struct cJSON *status, struct buf *out);
/* status_write_groups: one line for each of the list; NULL: none. */
void status_write_groups(const struct cJSON *groups, struct buf *out);

#endif
