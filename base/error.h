/* SPDX-License-Identifier: Apache-2.0 */
/* "The world is wrong": an error value on the caller's stack. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stddef.h>

#include "base/attr.h"

#define ERROR_TEXT_MAX 512

/* Zero-initialise: `struct error err = {0};`. The first error wins: a set
 * struct is not overwritten. line and column are 1-based, 0 when the error
 * is in no file. Every function that takes one accepts NULL. */
struct error {
	int set;
	int line;
	int column;
	int no_memory;	/* the same may do better later */
	char text[ERROR_TEXT_MAX];
};

/* error_set records a message (what, where, what to do). Returns -1, so
 * that `return error_set(...)` reads well. */
int error_set(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* error_no_memory is error_set where nothing is wrong but memory. Returns
 * -1. */
int error_no_memory(struct error *err, const char *fmt, ...)
	PRINTF_LIKE(2, 3);
/* error_at is error_set with a position. Returns -1. */
int error_at(struct error *err, int line, int column, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* error_context prepends "context: " to a set error on its way up;
 * no-op on an unset one. Returns -1. */
int error_context(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* error_format writes "FILE:LINE:COLUMN: text" (parts that are unknown are
 * left out) into out and returns out. file may be NULL. */
const char *error_format(const struct error *err, const char *file, char *out,
			 size_t size);

#endif
