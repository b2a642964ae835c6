/* SPDX-License-Identifier: Apache-2.0 */
/* Always-on assertions: "we are wrong" aborts, in every build. */
#ifndef BASE_INVARIANT_H
#define BASE_INVARIANT_H

#include "base/attr.h"

/* INVARIANT aborts with file, line and the expression when it is false. */
#define INVARIANT(cond) \
	do { \
		if (UNLIKELY(!(cond))) \
			invariant_failed(__FILE__, __LINE__, #cond); \
	} while (0)

/* Object magic: the first member of a long-lived object is
 * `uint32_t magic`; MAGIC_SET on birth, MAGIC_CHECK on every entry,
 * MAGIC_CLEAR before the memory goes. */
#define MAGIC_SET(obj, m) ((obj)->magic = (m))
#define MAGIC_CHECK(obj, m) INVARIANT((obj) && (obj)->magic == (m))
#define MAGIC_CLEAR(obj) ((obj)->magic = 0)

/* Any thread. Writes one line to stderr and aborts. */
NO_RETURN void invariant_failed(const char *file, int line, const char *expr);

#endif
