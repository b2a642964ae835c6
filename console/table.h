/* SPDX-License-Identifier: Apache-2.0 */
/* A table for a terminal: columns as wide as their widest cell. */
#ifndef CONSOLE_TABLE_H
#define CONSOLE_TABLE_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"

#define TABLE_COLUMNS_MAX 10

/* Zero-initialise, then table_init. One thread. */
struct table {
	const char *const *heads;	/* "<name": left, ">name": right */
	size_t columns, cells;
	size_t widths[TABLE_COLUMNS_MAX];
	struct buf text;	/* cells, each with its NUL */
};

void table_init(struct table *t, const char *const *heads, size_t columns);
/* table_cell adds the next cell, row after row. Control characters become
 * `?': a name from a rules file must not drive the terminal. */
void table_cell(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void table_write(const struct table *t, struct buf *out);
void table_fini(struct table *t);

#endif
