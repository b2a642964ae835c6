/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/field.c. */
#include "tests/base/suites.h"

#include <ctype.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/field.h"

static const struct {
	enum field field;
	const char *name;
	enum field_class class;
} rows[] = {
#define FIELD(sym, length, first, name, class) \
	{ FIELD_##sym, name, FIELD_##class },
#include "base/fields.def"
#undef FIELD
};

START_TEST(every_row_is_found_in_any_case)
{
	char upper[32] = "", longer[32], other[32];
	size_t i = (size_t)_i, k;

	for (k = 0; rows[i].name[k]; k++)
		upper[k] = (char)toupper((unsigned char)rows[i].name[k]);
	snprintf(longer, sizeof(longer), "%sx", rows[i].name);
	snprintf(other, sizeof(other), "%s", rows[i].name);
	ck_assert_uint_gt(k, 0);
	other[k > 0 ? k - 1 : 0] = '-';
	ck_assert_int_eq(field_of(span_of(rows[i].name)), rows[i].field);
	ck_assert_int_eq(field_of(span_of(upper)), rows[i].field);
	ck_assert_int_eq(field_of(span_of(longer)), FIELD_OTHER);
	ck_assert_int_eq(field_of(span_of(other)), FIELD_OTHER);
	ck_assert_int_eq(field_class(rows[i].field), rows[i].class);
}
END_TEST

START_TEST(other_names_are_other)
{
	static const char *const table[] = { "", "x", "HOSU", "X-Host",
					     "\xc8ost", "(ost",
					     "content\rlength",
					     "keep\ralive",
					     "http\x12-settings" };

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		ck_assert_int_eq(field_of(span_of(table[i])), FIELD_OTHER);
	ck_assert_int_eq(field_of((struct span){ NULL, 0 }), FIELD_OTHER);
	ck_assert_int_eq(field_class(FIELD_OTHER), FIELD_FREE);
}
END_TEST

TCase *
field_tests(void)
{
	TCase *tc = tcase_create("field");

	tcase_add_loop_test(tc, every_row_is_found_in_any_case, 0,
			    (int)ARRAY_SIZE(rows));
	tcase_add_test(tc, other_names_are_other);
	return tc;
}
