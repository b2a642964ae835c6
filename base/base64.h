/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648 section 4), read strictly: padded, no line breaks. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/attr.h"
#include "base/span.h"

/* base64_decode writes at most text.len / 4 * 3 bytes and returns how many;
 * -1 on bad input. Any thread. */
MUST_CHECK long base64_decode(struct span text, char *out);

#endif
