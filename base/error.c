/* SPDX-License-Identifier: Apache-2.0 */
/* Errors on the caller's stack: the first one wins. */
#include "base/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void
set(struct error *err, int line, int column, const char *fmt, va_list ap)
{
	if (!err || err->set)
		return;
	err->set = 1;
	err->line = line;
	err->column = column;
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
}

int
error_set(struct error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(err, 0, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int
error_no_memory(struct error *err, const char *fmt, ...)
{
	bool first = err && !err->set;
	va_list ap;

	va_start(ap, fmt);
	set(err, 0, 0, fmt, ap);
	va_end(ap);
	if (first)
		err->no_memory = 1;
	return -1;
}

int
error_at(struct error *err, int line, int column, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(err, line, column, fmt, ap);
	va_end(ap);
	return -1;
}

int
error_context(struct error *err, const char *fmt, ...)
{
	char old[ERROR_TEXT_MAX];
	va_list ap;
	size_t n;

	if (!err || !err->set)
		return -1;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	n = strlen(err->text);
	snprintf(err->text + n, sizeof(err->text) - n, ": %s", old);
	return -1;
}

const char *
error_format(const struct error *err, const char *file, char *out,
	     size_t size)
{
	char where[32] = "";

	if (size == 0)
		return out;
	out[0] = '\0';
	if (!err || !err->set)
		return out;
	if (err->line > 0 && err->column > 0)
		snprintf(where, sizeof(where), "%d:%d: ", err->line,
			 err->column);
	else if (err->line > 0)
		snprintf(where, sizeof(where), "%d: ", err->line);
	snprintf(out, size, "%s%s%s%s", file ? file : "",
		 !file ? "" : *where ? ":" : ": ", where, err->text);
	return out;
}
