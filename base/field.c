/* SPDX-License-Identifier: Apache-2.0 */
/* The table of field names: found by length and first letter. */
#include "base/field.h"

#define KEY(length, first) ((length) << 8 | (first))

static const struct {
	struct span name;
	enum field_class class;
} rows[FIELD_COUNT] = {
	[FIELD_OTHER] = { { "", 0 }, FIELD_FREE },
#define FIELD(sym, length, first, name, class) \
	[FIELD_##sym] = { { name, length }, FIELD_##class },
#include "base/fields.def"
#undef FIELD
};

/* The only row that this name can be. */
static enum field
candidate(struct span name)
{
	switch (KEY(name.len, (unsigned char)(name.at[0] | 0x20))) {
#define FIELD(sym, length, first, name, class) \
	case KEY(sizeof(name) - 1, first):     \
		return FIELD_##sym;
#include "base/fields.def"
#undef FIELD
	}
	return FIELD_OTHER;
}

enum field
field_of(struct span name)
{
	enum field f = name.len ? candidate(name) : FIELD_OTHER;

	if (f == FIELD_OTHER || !span_equal_nocase(name, rows[f].name))
		return FIELD_OTHER;
	return f;
}

enum field_class
field_class(enum field f)
{
	return rows[f].class;
}
