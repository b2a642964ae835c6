/* SPDX-License-Identifier: Apache-2.0 */
/* Quoting for json.c, which is the interface to use. */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include "base/buf.h"
#include "base/span.h"

/* escape_quoted appends s as a JSON string, quotes included. */
void escape_quoted(struct buf *out, struct span s);
/* escape_exact is escape_quoted for what will read back as it was: false, and
 * a part of it in out, when s is no UTF-8 or holds a NUL byte. */
bool escape_exact(struct buf *out, struct span s);

#endif
