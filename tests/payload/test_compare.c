/* SPDX-License-Identifier: Apache-2.0 */
/* Comparison: each file of tests/payload/compare is one case. */
#include <check.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "payload/payload.h"

#define RULES_MAX 8

/* What a case file asks for, in the form that the library takes. */
struct asked {
	const char *ignore[RULES_MAX];
	struct payload_tolerance tolerance[RULES_MAX];
	struct payload_unordered unordered[RULES_MAX];
	struct payload_compare how;
};

static struct buf
read_file(const char *path)
{
	struct buf b = { 0 };
	FILE *f = fopen(path, "rb");
	char part[4096];
	size_t n;

	ck_assert_msg(f != NULL, "cannot read %s", path);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		buf_add(&b, part, n);
	fclose(f);
	return b;
}

/* As in a rules file: 0.01, "1%", "5s". */
static struct payload_tolerance
tolerance_of(const struct cJSON *p)
{
	struct payload_tolerance t = { .pointer = payload_name(p),
				       .by = payload_number(p, 0) };
	const char *text = payload_string(p, NULL);
	char *unit;

	if (!text)
		return t;
	t.by = strtod(text, &unit);
	t.kind = *unit == '%' ? PAYLOAD_TOLERANCE_SHARE
			      : PAYLOAD_TOLERANCE_TIME;
	t.by = *unit == '%' ? t.by / 100 : t.by * 1000;
	return t;
}

static void
fill(struct asked *a, const struct cJSON *how)
{
	const struct cJSON *i;

	for (i = payload_first(payload_member(how, "ignore")); i;
	     i = payload_next(i))
		a->ignore[a->how.ignore_count++] = payload_string(i, "");
	for (i = payload_first(payload_member(how, "tolerance")); i;
	     i = payload_next(i))
		a->tolerance[a->how.tolerance_count++] =
			tolerance_of(i);
	for (i = payload_first(payload_member(how, "unordered")); i;
	     i = payload_next(i))
		a->unordered[a->how.unordered_count++] =
			(struct payload_unordered){ payload_name(i),
						    payload_string(i, NULL) };
	a->how.ignore = a->ignore;
	a->how.tolerance = a->tolerance;
	a->how.unordered = a->unordered;
}

static void
write_difference(void *arg, const char *pointer,
		 enum payload_difference_kind kind, const char *expected,
		 const char *actual)
{
	buf_printf(arg, "%s %s [%s] [%s]\n", pointer,
		   payload_difference_name(kind), expected, actual);
}

static size_t
write_wanted(const struct cJSON *list, struct buf *out)
{
	size_t n = 0;

	for (const struct cJSON *d = payload_first(list); d;
	     d = payload_next(d), n++)
		buf_printf(out, "%s %s [%s] [%s]\n",
			   payload_string(payload_at(d, "/0"), "?"),
			   payload_string(payload_at(d, "/1"), "?"),
			   payload_string(payload_at(d, "/2"), "?"),
			   payload_string(payload_at(d, "/3"), "?"));
	return n;
}

static void
run_case(const char *path)
{
	struct error err = { 0 };
	struct buf text = read_file(path), got = { 0 }, want = { 0 };
	struct cJSON *p = payload_parse(buf_span(&text), &err);
	struct asked asked = { 0 };
	size_t n, wanted;

	ck_assert_msg(p != NULL, "%s: %s", path, err.text);
	fill(&asked, payload_member(p, "how"));
	n = payload_compare_json(payload_member(p, "expected"),
				 payload_member(p, "actual"), &asked.how, 100,
				 write_difference, &got);
	wanted = write_wanted(payload_member(p, "differences"), &want);
	ck_assert_msg(strcmp(buf_str(&got), buf_str(&want)) == 0,
		      "%s\n--- wanted\n%s--- got\n%s", path, buf_str(&want),
		      buf_str(&got));
	ck_assert_uint_eq(n, wanted);
	payload_free(&p);
	buf_fini(&text);
	buf_fini(&got);
	buf_fini(&want);
}

START_TEST(cases_of_the_folder)
{
	const char *top = getenv("TOP_SRCDIR");
	char pattern[4096];
	glob_t g;

	snprintf(pattern, sizeof(pattern), "%s/tests/payload/compare/*.json",
		 top ? top : ".");
	ck_assert_int_eq(glob(pattern, 0, NULL, &g), 0);
	ck_assert_uint_ge(g.gl_pathc, 39);
	for (size_t i = 0; i < g.gl_pathc; i++)
		run_case(g.gl_pathv[i]);
	globfree(&g);
}
END_TEST

static void
count_call(void *arg, const char *pointer, enum payload_difference_kind kind,
	   const char *expected, const char *actual)
{
	(void)pointer;
	(void)kind;
	(void)expected;
	(void)actual;
	++*(size_t *)arg;
}

static size_t
differences(const char *a, const char *b, const struct payload_compare *how,
	    size_t max_reported, size_t *calls)
{
	struct cJSON *pa = payload_parse(span_of(a), NULL);
	struct cJSON *pb = payload_parse(span_of(b), NULL);
	size_t n;

	ck_assert(pa && pb);
	n = payload_compare_json(pa, pb, how, max_reported, count_call, calls);
	payload_free(&pa);
	payload_free(&pb);
	return n;
}

START_TEST(counts_beyond_what_it_reports)
{
	struct payload_compare how = { 0 };
	size_t calls = 0;

	ck_assert_uint_eq(differences("[1,2,3,4]", "[5,6,7,8]", &how, 2,
				      &calls), 4);
	ck_assert_uint_eq(calls, 2);
}
END_TEST

static void
add_list(struct buf *out, int n, int step, int from)
{
	buf_addc(out, '[');
	for (int i = 0; i < n; i++)
		buf_printf(out, "%s{\"k\":%d,\"v\":[%d]}", i ? "," : "",
			   (i * step + from) % n, (i * step + from) % n);
	buf_addc(out, ']');
}

/* A set of many elements in another order must not cost n * n. */
START_TEST(large_sets_are_quick)
{
	struct payload_unordered u[] = { { "", NULL }, { "", "k" } };
	struct buf a = { 0 }, b = { 0 };
	size_t calls = 0;

	add_list(&a, 20011, 1, 0);
	add_list(&b, 20011, 7919, 3);
	for (size_t i = 0; i < 2; i++) {
		struct payload_compare how = { .unordered = &u[i],
					       .unordered_count = 1 };

		ck_assert_uint_eq(differences(buf_str(&a), buf_str(&b), &how,
					      10, &calls), 0);
	}
	buf_fini(&a);
	buf_fini(&b);
}
END_TEST

/* One seeded change at a time must be found at its own path. */
START_TEST(finds_each_seeded_change)
{
	static const char base[] =
		"{\"a\":[0,1,2,{\"b\":\"x\",\"c\":[true,null]}],"
		"\"d\":{\"e\":12345678901234567890,\"f\":-1.5e3}}";
	struct payload_compare how = { 0 };
	char changed[sizeof(base)];
	size_t found = 0, calls = 0;

	for (size_t i = 0; i + 1 < sizeof(base); i++) {
		memcpy(changed, base, sizeof(base));
		if (base[i] < '0' || base[i] > '8')
			continue;
		changed[i]++;
		if (payload_check(span_of(changed), 100, NULL) < 0)
			continue;
		ck_assert_uint_eq(differences(base, changed, &how, 10,
					      &calls), 1);
		found++;
	}
	ck_assert_uint_ge(found, 20);
	ck_assert_uint_eq(found, calls);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("payload/compare");
	TCase *t = tcase_create("compare");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, cases_of_the_folder);
	tcase_add_test(t, counts_beyond_what_it_reports);
	tcase_add_test(t, large_sets_are_quick);
	tcase_add_test(t, finds_each_seeded_change);
	tcase_set_timeout(t, 30);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
