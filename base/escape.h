/* SPDX-License-Identifier: Apache-2.0 */
/* Quoting for json.c, which is the interface to use. */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include "base/buf.h"
#include "base/span.h"

/* escape_quoted appends s as a JSON string, quotes included. */
void escape_quoted(struct buf *out, struct span s);

#endif
