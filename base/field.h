/* SPDX-License-Identifier: Apache-2.0 */
/* Field names as numbers, so that a name is compared once a message. */
#ifndef BASE_FIELD_H
#define BASE_FIELD_H

#include <stdint.h>

#include "base/span.h"

enum field {
	FIELD_OTHER,
#define FIELD(sym, length, first, name, class) FIELD_##sym,
#include "base/fields.def"
#undef FIELD
	FIELD_COUNT
};

enum field_class { FIELD_FREE, FIELD_HOP, FIELD_END };

/* A set of fields has a bit for each. */
#define FIELD_BIT(field) (UINT64_C(1) << (field))
_Static_assert(FIELD_COUNT <= 64, "a set of fields is one word");

/* field_of looks a name up, any case; FIELD_OTHER when no row has it. Any
 * thread. */
enum field field_of(struct span name);
enum field_class field_class(enum field f);

/* field_hops is the set of class HOP, for those who look at every line. */
static inline uint64_t
field_hops(void)
{
	return 0
#define FIELD(sym, length, first, name, class) \
	| (uint64_t)(FIELD_##class == FIELD_HOP) << FIELD_##sym
#include "base/fields.def"
#undef FIELD
	;
}

#endif
