/* SPDX-License-Identifier: Apache-2.0 */
/* What differs by value only becomes one: paths, pointers, reasons. */
#ifndef SHADOW_FOLD_H
#define SHADOW_FOLD_H

#include <stddef.h>

#include "base/span.h"

#define SHADOW_ENDPOINT_MAX 192

/* shadow_fold_endpoint writes "METHOD /path": the rule's template when there
 * is one without a tail, else the target's path with `{id}` for segments that
 * look like identifiers; `(not found)` for a path that the legacy does not
 * know (status 404), so that scanners make no endpoints. Printable ASCII,
 * but for what the template has. Any thread. */
void shadow_fold_endpoint(const char *method, const char *template,
			  const char *target, int status,
			  char out[SHADOW_ENDPOINT_MAX]);
/* shadow_fold_pointer writes the pointer with `*` for array indices and for
 * member names that look like identifiers. */
void shadow_fold_pointer(const char *pointer, char *out, size_t size);
/* shadow_fold_reason writes a failure's reason with `#` for its numbers. */
void shadow_fold_reason(const char *reason, char *out, size_t size);

#endif
