/* SPDX-License-Identifier: Apache-2.0 */
/* Inside rules/: the ways in which servers read one path. */
#ifndef RULES_READING_H
#define RULES_READING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* reading_is_plain: all servers read this path alike. */
bool reading_is_plain(struct span path);
size_t reading_count(void);
/* reading_write writes the path as reading k sees it, in the form that
 * rules match on. Returns its length, or -1 when there is no room. *climbs
 * is set when it leads above the root. */
long reading_write(size_t k, struct span path, char *out, size_t size,
		   bool *climbs);

#endif
