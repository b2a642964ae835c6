/* SPDX-License-Identifier: Apache-2.0 */
/* Would every value that one JSON Schema takes be taken by another? */
#ifndef RULES_COMPAT_H
#define RULES_COMPAT_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

struct compat_schema;

/* compat_load_file reads a schema of draft 2020-12. NULL with err, line and
 * column. One thread at a time. */
MUST_CHECK struct compat_schema *compat_load_file(const char *path,
						  struct error *err);
MUST_CHECK struct compat_schema *compat_load_text(struct span text,
						  struct error *err);
/* compat_kind_of: what a file seems to be; unreadable ones are schemas. */
enum compat_kind { COMPAT_SCHEMA, COMPAT_RULES };
enum compat_kind compat_kind_of(const char *path);
void compat_free(struct compat_schema **s);

/* compat_find appends a line for each place where a value that `from` takes
 * is refused by `to`, or where that cannot be decided, and returns their
 * number: 0 says that each value of `from` is one of `to`. */
size_t compat_find(const struct compat_schema *from,
		   const struct compat_schema *to, struct buf *out);

#endif
