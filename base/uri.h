/* SPDX-License-Identifier: Apache-2.0 */
/* The syntax of URIs (RFC 3986), as text only. Any thread. */
#ifndef BASE_URI_H
#define BASE_URI_H

#include <stdbool.h>

#include "base/span.h"

/* uri_is_absolute: a URI, which has a scheme (3.); a fragment is allowed.
 * uri_is_reference: a URI or a relative reference (4.1), not empty. */
bool uri_is_absolute(struct span s);
bool uri_is_reference(struct span s);

#endif
