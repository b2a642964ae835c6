/* SPDX-License-Identifier: Apache-2.0 */
/* A copy's place in the trace. */
#include "shadow/trace.h"

#include <string.h>

#include "base/attr.h"
#include "tests/shadow/cases.h"

#define T "0af7651916cd43dd8448eb211c80319c"
#define P "b7ad6b7169203331"

static const char *const valid[] = {
	"00-" T "-" P "-00", "00-" T "-" P "-01", "00-" T "-" P "-03",
	"01-" T "-" P "-01", "cc-" T "-" P "-01-more",
};

START_TEST(goes_on_with_its_own_parent)
{
	char out[SHADOW_TRACEPARENT_SIZE], again[SHADOW_TRACEPARENT_SIZE];

	ck_assert(shadow_trace_child(valid[_i], out));
	ck_assert_uint_eq(strlen(out), 55);
	ck_assert_int_eq(memcmp(out, "00-" T "-", 36), 0);
	ck_assert_int_ne(memcmp(out + 36, P, 16), 0);
	ck_assert_int_eq(memcmp(out + 52, valid[_i] + 52, 3), 0);
	ck_assert(shadow_trace_child(valid[_i], again));
	ck_assert_str_ne(out, again);
}
END_TEST

static const char *const invalid[] = {
	NULL, "", "00", "00-" T "-" P, "00-" T "-" P "-0",
	"00-" T "-" P "-01-more", "cc-" T "-" P "-01more",
	"ff-" T "-" P "-01", "00_" T "-" P "-01",
	"00-00000000000000000000000000000000-" P "-01",
	"00-" T "-0000000000000000-01",
	"00-0AF7651916CD43DD8448EB211C80319C-" P "-01",
	"00-" T "-" P "-0g", "00-" T "x" P "-01",
};

START_TEST(begins_anew)
{
	char out[SHADOW_TRACEPARENT_SIZE];

	ck_assert(!shadow_trace_child(invalid[_i], out));
	ck_assert_uint_eq(strlen(out), 55);
	ck_assert_ptr_null(strstr(out, T));
	ck_assert(shadow_trace_child(out, out));
}
END_TEST

START_TEST(unknown_flags_go_out_as_zero)
{
	char out[SHADOW_TRACEPARENT_SIZE];

	ck_assert(shadow_trace_child("00-" T "-" P "-ff", out));
	ck_assert_str_eq(out + 53, "03");
}
END_TEST

TCase *
case_trace(void)
{
	TCase *t = tcase_create("trace");

	tcase_add_loop_test(t, goes_on_with_its_own_parent, 0,
			    ARRAY_SIZE(valid));
	tcase_add_loop_test(t, begins_anew, 0, ARRAY_SIZE(invalid));
	tcase_add_test(t, unknown_flags_go_out_as_zero);
	return t;
}
