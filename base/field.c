/* SPDX-License-Identifier: Apache-2.0 */
/* The table of field names: found by length and first letter. */
#include "base/field.h"

#include <string.h>

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

/* Zero when `name` is `row` in any case: a letter of a row (0x40 is set) may
 * differ in 0x20, all else in nothing. */
static uint64_t
difference(const char *name, const char *row)
{
	uint64_t a, b;

	memcpy(&a, name, sizeof(a));
	memcpy(&b, row, sizeof(b));
	return (a ^ b) & ~((b & UINT64_C(0x4040404040404040)) >> 1);
}

static uint32_t
short_difference(const char *name, const char *row)
{
	uint32_t a, b;

	memcpy(&a, name, sizeof(a));
	memcpy(&b, row, sizeof(b));
	return (a ^ b) & ~((b & UINT32_C(0x40404040)) >> 1);
}

/* Eight bytes at a time, the last eight once more; rows are in lower case. */
static bool
is_row(struct span name, struct span row)
{
	uint64_t found;
	size_t i;

	if (name.len < 4)
		return span_equal_nocase(name, row);
	if (name.len < sizeof(found))
		return (short_difference(name.at, row.at) |
			short_difference(name.at + name.len - 4,
					 row.at + name.len - 4)) == 0;
	found = difference(name.at + name.len - 8, row.at + name.len - 8);
	for (i = 0; i + 8 < name.len; i += 8)
		found |= difference(name.at + i, row.at + i);
	return found == 0;
}

enum field
field_of(struct span name)
{
	enum field f = name.len ? candidate(name) : FIELD_OTHER;

	if (f == FIELD_OTHER || !is_row(name, rows[f].name))
		return FIELD_OTHER;
	return f;
}

enum field_class
field_class(enum field f)
{
	return rows[f].class;
}
