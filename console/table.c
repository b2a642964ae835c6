/* SPDX-License-Identifier: Apache-2.0 */
/* A table for a terminal: columns as wide as their widest cell. */
#include "console/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/invariant.h"

#define CELL_MAX 160

void
table_init(struct table *t, const char *const *heads, size_t columns)
{
	INVARIANT(columns <= TABLE_COLUMNS_MAX);
	t->heads = heads;
	t->columns = columns;
	for (size_t i = 0; i < columns; i++)
		t->widths[i] = strlen(heads[i]) - 1;
}

/* Columns on the screen: bytes that do not continue a UTF-8 character. */
static size_t
width_of(const char *s)
{
	size_t width = 0;

	for (; *s; s++)
		width += ((unsigned char)*s & 0xc0) != 0x80;
	return width;
}

void
table_cell(struct table *t, const char *fmt, ...)
{
	char text[CELL_MAX];
	size_t *widest = &t->widths[t->cells++ % t->columns];
	size_t width;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	width = width_of(text);
	if (width > *widest)
		*widest = width;
	buf_add(&t->text, text, strlen(text) + 1);
}

static void
write_cell(const struct table *t, size_t column, const char *text,
	   struct buf *out)
{
	size_t pad = t->widths[column] - width_of(text);
	bool right = t->heads[column][0] == '>';
	bool last = column + 1 == t->columns;

	if (column && !(last && !*text))
		buf_adds(out, "  ");
	for (size_t i = 0; right && i < pad; i++)
		buf_addc(out, ' ');
	buf_adds(out, text);
	for (size_t i = 0; !right && !last && i < pad; i++)
		buf_addc(out, ' ');
	if (last)
		buf_addc(out, '\n');
}

void
table_write(const struct table *t, struct buf *out)
{
	const char *at = t->text.data;

	for (size_t i = 0; i < t->columns; i++)
		write_cell(t, i, t->heads[i] + 1, out);
	for (size_t i = 0; !t->text.failed && i < t->cells; i++) {
		write_cell(t, i % t->columns, at, out);
		at += strlen(at) + 1;
	}
}

void
table_fini(struct table *t)
{
	buf_fini(&t->text);
}
