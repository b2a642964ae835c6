/* SPDX-License-Identifier: Apache-2.0 */
/* W3C Trace Context, section 3: what is valid and what is handed on. */
#include "base/trace.h"

#include <stdio.h>

#include "base/attr.h"
#include "tests/base/suites.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"
#define VALID "00-" TRACE "-" PARENT "-01"
#define STATE_SIZE 8192
#define ZERO16 "0000000000000000"

static const char *const parents[][2] = {
	{ VALID, VALID },
	{ "00-" TRACE "-" PARENT "-00", "00-" TRACE "-" PARENT "-00" },
	{ "00-" TRACE "-" PARENT "-ff", "00-" TRACE "-" PARENT "-ff" },
	/* a version to come: read as this one, known flags only */
	{ "01-" TRACE "-" PARENT "-01", VALID },
	{ "cc-" TRACE "-" PARENT "-ff-more", "00-" TRACE "-" PARENT "-03" },
	{ "fe-" TRACE "-" PARENT "-08-", "00-" TRACE "-" PARENT "-00" },
	{ "01-" TRACE "-" PARENT "-01.more", NULL },
	{ "01-" TRACE "-" PARENT "-011", NULL },
	{ VALID "-more", NULL },
	{ VALID "0", NULL },
	{ "ff-" TRACE "-" PARENT "-01", NULL },
	{ "0-" TRACE "-" PARENT "-01", NULL },
	{ "000-" TRACE "-" PARENT "-01", NULL },
	{ "0g-" TRACE "-" PARENT "-01", NULL },
	{ "CC-" TRACE "-" PARENT "-01", NULL },
	{ "00-" ZERO16 ZERO16 "-" PARENT "-01", NULL },
	{ "00-" TRACE "-" ZERO16 "-01", NULL },
	{ "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01", NULL },
	{ "00-" TRACE "-B7AD6B7169203331-01", NULL },
	{ "00-" TRACE "-" PARENT "-0A", NULL },
	{ "00-" TRACE "-" PARENT "-1", NULL },
	{ "00-" TRACE "-" PARENT "-", NULL },
	{ "00-" TRACE "-" PARENT, NULL },
	{ "00-" TRACE "_" PARENT "-01", NULL },
	{ "00_" TRACE "-" PARENT "-01", NULL },
	{ "00-" TRACE "-" PARENT "_01", NULL },
	{ " " VALID, NULL },
	{ VALID ", " VALID, NULL },
	{ "00-ab-cd-01", NULL },
	{ "", NULL },
};

START_TEST(reads_parents)
{
	char out[TRACE_PARENT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
		bool valid = trace_parent_read(span_of(parents[i][0]), out);

		ck_assert_msg(valid == (parents[i][1] != NULL), "%s",
			      parents[i][0]);
		if (valid)
			ck_assert_str_eq(out, parents[i][1]);
	}
}
END_TEST

START_TEST(makes_parents)
{
	static const struct {
		enum trace_start start;
		const char *flags;
	} table[] = { { TRACE_START_SAMPLED, "-03" },
		      { TRACE_START_UNSAMPLED, "-02" } };
	char a[TRACE_PARENT_SIZE], b[TRACE_PARENT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		trace_parent_make(table[i].start, a);
		ck_assert(trace_parent_read(span_of(a), b));
		ck_assert_str_eq(a, b);
		ck_assert_str_eq(a + 52, table[i].flags);
		trace_parent_make(table[i].start, b);
		ck_assert_str_ne(a, b);
	}
}
END_TEST

static const char *const states[][2] = {
	{ "a=b", "a=b" },
	{ "a=b,c=d", "a=b,c=d" },
	{ " a=b ,\t, c=d ", "a=b,c=d" },
	{ "0a@b_-*/=1 2!~", "0a@b_-*/=1 2!~" },
	{ "", "" },
	{ ",", "" },
	{ "a", "" },
	{ "a=", "" },
	{ "=b", "" },
	{ "A=b", "" },
	{ "_a=b", "" },
	{ "a =b", "" },
	{ "a=b=c", "" },
	{ "a=\x7f", "" },
	{ "a=\xc3\xa4", "" },
	{ "a=b,a=c", "" },
	{ "a=b,x", "" },
};

static size_t
write_state(const char *text, char out[TRACE_STATE_MAX])
{
	struct trace_state t = { .count = 0 };

	trace_state_add(&t, span_of(text));
	return trace_state_write(&t, out);
}

START_TEST(reads_states)
{
	char out[TRACE_STATE_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		size_t n = write_state(states[i][0], out);

		ck_assert_msg(n == strlen(states[i][1]) &&
				      memcmp(out, states[i][1], n) == 0,
			      "%s: %.*s", states[i][0], (int)n, out);
	}
}
END_TEST

/* Lines are one list; what is twice in it is wrong wherever it stands. */
START_TEST(joins_lines)
{
	struct trace_state t = { .count = 0 };
	char out[TRACE_STATE_MAX];

	trace_state_add(&t, span_of("a=1"));
	trace_state_add(&t, span_of("b=2, c=3"));
	ck_assert_uint_eq(trace_state_write(&t, out), 11);
	ck_assert_int_eq(memcmp(out, "a=1,b=2,c=3", 11), 0);
	trace_state_add(&t, span_of("b=4"));
	ck_assert_uint_eq(trace_state_write(&t, out), 0);
}
END_TEST

/* `count` members of `len` characters; those at a multiple of `each` have
 * 130. */
static size_t
make_state(char to[STATE_SIZE], int count, int len, int each)
{
	size_t used = 0;

	for (int i = 0; i < count; i++) {
		int n = each && i % each == 0 ? 130 : len;

		used += (size_t)snprintf(to + used, STATE_SIZE - used,
					 "%sk%02d=%0*d", i ? "," : "", i,
					 n - 4, i);
	}
	return used;
}

START_TEST(keeps_to_the_limits)
{
	char in[STATE_SIZE], out[TRACE_STATE_MAX], few[STATE_SIZE];
	size_t n;

	make_state(in, 32, 15, 0);
	ck_assert_uint_eq(write_state(in, out), 511);
	make_state(in, 33, 6, 0);	/* one more than there may be */
	ck_assert_uint_eq(write_state(in, out), 0);
	n = make_state(in, 20, 100, 0);	/* the last ones go */
	ck_assert_uint_gt(n, TRACE_STATE_MAX);
	n = write_state(in, out);
	ck_assert_uint_eq(n, 504);
	make_state(few, 5, 100, 0);
	ck_assert_int_eq(memcmp(out, few, n), 0);
	make_state(in, 10, 60, 2);	/* long ones go first */
	n = write_state(in, out);
	ck_assert_uint_eq(n, 130 + 5 * 61);
	ck_assert_int_eq(memcmp(out, "k00=", 4), 0);
	ck_assert_int_eq(memcmp(out + 131, "k01=", 4), 0);
	ck_assert_int_eq(memcmp(out + 131 + 61, "k03=", 4), 0);
}
END_TEST

TCase *
trace_tests(void)
{
	TCase *c = tcase_create("trace");

	tcase_add_test(c, reads_parents);
	tcase_add_test(c, makes_parents);
	tcase_add_test(c, reads_states);
	tcase_add_test(c, joins_lines);
	tcase_add_test(c, keeps_to_the_limits);
	return c;
}
