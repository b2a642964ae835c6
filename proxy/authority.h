/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a request is for: the value of Host, or absolute-form's authority. */
#ifndef PROXY_AUTHORITY_H
#define PROXY_AUTHORITY_H

#include <stdbool.h>

#include "base/span.h"

/* authority_is_valid: uri-host [":" port], in the forms that all servers
 * read alike. Any thread. */
bool authority_is_valid(struct span a);
/* authority_of: the part of what stands behind `http://` that names the
 * server (RFC 3986 3.2). */
struct span authority_of(struct span rest);

#endif
