/* SPDX-License-Identifier: Apache-2.0 */
/* What the legacy disagrees with itself about, and what that hides: noise, and
 * nothing else. */
#include "shadow/noise.h"

#include <stdio.h>
#include <stdlib.h>

#include "shadow/columns.h"
#include "shadow/sieve.h"
#include "shadow/why.h"
#include "tests/shadow/cases.h"

#define RULE "r"
#define PLACE "GET /x"
#define PRINT 7u

static struct shadow_noise *noise;

static void
setup(void)
{
	noise = shadow_noise_new();
	ck_assert_ptr_nonnull(noise);
}

static void
teardown(void)
{
	shadow_noise_free(&noise);
}

/* `disagreed` of `pairs` have another value at /at, of kind value. */
static void
learn(uint64_t pairs, uint64_t disagreed, uint64_t permuted)
{
	for (uint64_t i = 0; i < pairs; i++) {
		struct shadow_noise_seen seen = { 0 };

		if (i < disagreed)
			shadow_noise_see(&seen, "/at", "value", false);
		else if (i < disagreed + permuted)
			shadow_noise_see(&seen, "/at", "value", true);
		shadow_noise_learn(noise, RULE, PRINT, PLACE, &seen, 1);
	}
}

static void
met(uint64_t verdicts, uint64_t with)
{
	for (uint64_t i = 0; i < verdicts; i++) {
		struct shadow_noise_seen seen = { 0 };

		if (i < with)
			shadow_noise_see(&seen, "/at", "value", false);
		shadow_noise_met(noise, RULE, PRINT, PLACE, &seen);
	}
}

static bool
taken(const char *pointer, const char *kind, bool permuted)
{
	struct shadow_noise_row row;

	return shadow_noise_get(noise, RULE, PRINT, PLACE, &row) &&
	       shadow_noise_takes(&row, pointer, kind, permuted);
}

static const struct {
	uint64_t pairs, disagreed, permuted, verdicts, with;
	bool value, order;
} decisions[] = {
	{ 0, 0, 0, 0, 0, false, false },
	{ 19, 19, 0, 0, 0, false, false },	/* too few pairs */
	{ 20, 20, 0, 0, 0, true, true },
	{ 20, 0, 0, 0, 0, false, false },
	{ 20, 0, 20, 0, 0, false, true },	/* order only */
	{ 100, 2, 0, 1000, 10, false, false },	/* too few of them */
	{ 100, 10, 0, 1000, 100, true, true },	/* as often as itself */
	{ 100, 10, 0, 1000, 500, false, false },	/* more often */
	{ 1000, 10, 0, 1000, 10, false, false },	/* rare: below 1 % */
	{ 100, 90, 0, 1000, 1000, true, true },	/* always noise */
	{ 100, 0, 10, 1000, 100, false, true },
};

START_TEST(decides)
{
	learn(decisions[_i].pairs, decisions[_i].disagreed,
	      decisions[_i].permuted);
	met(decisions[_i].verdicts, decisions[_i].with);
	ck_assert(taken("/at", "value", false) == decisions[_i].value);
	ck_assert(taken("/at", "value", true) == decisions[_i].order);
	/* Never another kind or place. */
	ck_assert(!taken("/at", "missing", false));
	ck_assert(!taken("/at", "type", true));
	ck_assert(!taken("/a", "value", true));
}
END_TEST

START_TEST(some_things_are_never_noise)
{
	struct shadow_noise_seen seen = { 0 };

	ck_assert(!shadow_noise_see(&seen, "status", "value", false));
	ck_assert(!shadow_noise_see(&seen, "body", "bytes", false));
	ck_assert(!shadow_noise_see(&seen, "", "type", false));
	ck_assert(!shadow_noise_see(&seen, "/", "type", false));
	ck_assert(shadow_noise_see(&seen, "header:etag", "value", false));
	ck_assert_uint_eq(seen.count, 1);
	for (int i = 0; i < 100; i++) {
		char pointer[16];

		snprintf(pointer, sizeof(pointer), "/m%d", i);
		shadow_noise_see(&seen, pointer, "value", false);
	}
	ck_assert_uint_eq(seen.count, SHADOW_NOISE_PLACES_MAX);
}
END_TEST

START_TEST(another_way_to_compare_begins_anew)
{
	struct shadow_noise_seen seen = { 0 };
	struct shadow_noise_row row;

	learn(30, 30, 0);
	ck_assert(!shadow_noise_get(noise, RULE, PRINT + 1, PLACE, &row));
	shadow_noise_learn(noise, RULE, PRINT + 1, PLACE, &seen, 1);
	ck_assert(shadow_noise_get(noise, RULE, PRINT + 1, PLACE, &row));
	ck_assert_uint_eq(row.pairs, 1);
	ck_assert_uint_eq(row.count, 0);
	ck_assert(!taken("/at", "value", false));
	/* What the candidate is met with there makes no row. */
	shadow_noise_met(noise, RULE, PRINT, PLACE, &seen);
	ck_assert(!shadow_noise_get(noise, RULE, PRINT, PLACE, &row));
}
END_TEST

START_TEST(the_oldest_gives_way)
{
	struct shadow_noise_seen seen = { 0 };
	struct shadow_noise_row row;
	char name[32];

	for (unsigned i = 0; i <= SHADOW_NOISE_ROWS_MAX; i++) {
		snprintf(name, sizeof(name), "GET /%u", i);
		shadow_noise_learn(noise, RULE, PRINT, name, &seen, i);
	}
	ck_assert(!shadow_noise_get(noise, RULE, PRINT, "GET /0", &row));
	ck_assert(shadow_noise_get(noise, RULE, PRINT, "GET /1", &row));
	ck_assert(shadow_noise_get(noise, RULE, PRINT, name, &row));
}
END_TEST

static void
keep(void *arg, const char *key, struct span value)
{
	shadow_noise_load(arg, key, value);
}

START_TEST(kept_and_read_again)
{
	struct shadow_noise *again = shadow_noise_new();
	struct shadow_noise_row a, b;

	learn(40, 20, 10);
	shadow_noise_learn(noise, RULE, PRINT, PLACE, NULL, 5);
	met(7, 3);
	ck_assert(shadow_noise_is_unsaved(noise));
	ck_assert_int_eq(shadow_noise_save(noise, keep, again), 0);
	ck_assert(!shadow_noise_is_unsaved(noise));
	ck_assert(shadow_noise_get(noise, RULE, PRINT, PLACE, &a));
	ck_assert(shadow_noise_get(again, RULE, PRINT, PLACE, &b));
	ck_assert_uint_eq(b.pairs, 40);
	ck_assert_uint_eq(b.unusable, 1);
	ck_assert_uint_eq(b.compared, 7);
	ck_assert_uint_eq(b.count, 1);
	ck_assert_int_eq(memcmp(&a.places[0], &b.places[0],
				sizeof(a.places[0])), 0);
	/* Nonsense on the disk is no row. */
	shadow_noise_load(again, "9", SPAN_LITERAL("["));
	shadow_noise_load(again, "999999", SPAN_LITERAL("{}"));
	shadow_noise_load(again, "9", SPAN_LITERAL(
		"{\"rule\":\"q\",\"endpoint\":\"e\",\"fingerprint\":\"7\","
		"\"pairs\":1,\"places\":[{\"pointer\":\"/a\",\"kind\":"
		"\"value\",\"disagreed\":2}]}"));
	ck_assert(!shadow_noise_get(again, "q", 7, "e", &b));
	shadow_noise_unsave(noise);
	ck_assert(shadow_noise_is_unsaved(noise));
	shadow_noise_free(&again);
}
END_TEST

static const struct {
	const char *a, *b, *pointer;
	bool agree;
} columns[] = {
	{ "[1,2]", "[2,1]", "/*", true },
	{ "[1,2]", "[2,2]", "/*", false },
	{ "[1,1,2]", "[2,2,1]", "/*", false },
	{ "[1]", "[1]", "/*", false },		/* no order */
	{ "{\"a\":1}", "{\"a\":1}", "/a", false },
	{ "{\"i\":[{\"p\":1,\"t\":1},{\"p\":2,\"t\":2}]}",
	  "{\"i\":[{\"p\":2,\"t\":3},{\"p\":1,\"t\":4}]}", "/i/*/p", true },
	{ "{\"i\":[{\"p\":1,\"t\":1},{\"p\":2,\"t\":2}]}",
	  "{\"i\":[{\"p\":2,\"t\":3},{\"p\":1,\"t\":4}]}", "/i/*/t", false },
	{ "{\"i\":[{\"p\":1},{\"p\":2}]}", "{\"i\":[{\"p\":2},{}]}", "/i/*/p",
	  false },
	{ "{\"a/b\":[1,\"1\"]}", "{\"a/b\":[\"1\",1]}", "/a~1b/*", true },
	{ "{\"u\":{\"1234\":1,\"1235\":2}}", "{\"u\":{\"1234\":2,\"1235\":1}}",
	  "/u/*", true },
};

START_TEST(columns_of_arrays)
{
	struct cJSON *a = payload_parse(span_of(columns[_i].a), NULL);
	struct cJSON *b = payload_parse(span_of(columns[_i].b), NULL);

	ck_assert(shadow_columns_agree(a, b, columns[_i].pointer) ==
		  columns[_i].agree);
	payload_free(&a);
	payload_free(&b);
}
END_TEST

/* ---- the whole of it, with seeded mutations ---- */

#define ITEMS 4

static uint64_t seed;

static unsigned
draw(unsigned below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % below;
}

/* What may be wrong with a candidate, and where that is to be found. */
static const struct mutation {
	const char *what;
	const char *price, *name, *at, *token;	/* members, or "" */
	int item_price, items;			/* of the third item; count */
	bool sku_is_text;
	const char *found;			/* begins so */
} mutations[] = {
	{ "nothing", NULL, NULL, NULL, NULL, 30, ITEMS, false, NULL },
	{ "price value", "\"price\":11,", NULL, NULL, NULL, 30, ITEMS, false,
	  "/price" },
	{ "price missing", "", NULL, NULL, NULL, 30, ITEMS, false, "/price" },
	{ "price type", "\"price\":\"10\",", NULL, NULL, NULL, 30, ITEMS,
	  false, "/price" },
	{ "name value", NULL, "\"name\":\"b\",", NULL, NULL, 30, ITEMS, false,
	  "/name" },
	{ "noisy member missing", NULL, NULL, "", NULL, 30, ITEMS, false,
	  "/at" },
	{ "noisy member's type", NULL, NULL, "\"at\":null,", NULL, 30, ITEMS,
	  false, "/at" },
	{ "random id missing", NULL, NULL, NULL, "", 30, ITEMS, false,
	  "/token" },
	{ "random id's type", NULL, NULL, NULL, "\"token\":7,", 30, ITEMS,
	  false, "/token" },
	{ "price in an array without order", NULL, NULL, NULL, NULL, 31,
	  ITEMS, false, "/items/" },
	{ "one element less", NULL, NULL, NULL, NULL, 30, ITEMS - 1, false,
	  "/items" },
	{ "type in an array without order", NULL, NULL, NULL, NULL, 30, ITEMS,
	  true, "/items/" },
	{ "a member too many", NULL, "\"name\":\"a\",\"new\":1,", NULL, NULL,
	  30, ITEMS, false, "/new" },
};

static void
write_items(struct buf *out, const struct mutation *m)
{
	int order[ITEMS] = { 0, 1, 2, 3 };
	int written = 0;

	for (int i = ITEMS - 1; i > 0; i--) {
		int k = (int)draw((unsigned)i + 1), t = order[i];

		order[i] = order[k];
		order[k] = t;
	}
	buf_adds(out, "\"items\":[");
	for (int i = 0; i < ITEMS; i++) {
		int n = order[i];

		if (n >= m->items)
			continue;
		buf_printf(out, "%s{\"sku\":%s%d%s,\"price\":%d,\"at\":%u}",
			   written++ ? "," : "",
			   m->sku_is_text && n == 1 ? "\"" : "", 100 + n,
			   m->sku_is_text && n == 1 ? "\"" : "",
			   n == 2 ? m->item_price : 10 * n + 10,
			   draw(1000000));
	}
	buf_addc(out, ']');
}

static void
write_member(struct buf *out, const char *given, const char *name, unsigned n)
{
	if (given)
		buf_adds(out, given);
	else
		buf_printf(out, "\"%s\":%s%u%s,", name,
			   name[0] == 't' ? "\"x" : "", n,
			   name[0] == 't' ? "\"" : "");
}

static struct span
write_body(struct buf *out, const struct mutation *m)
{
	buf_clear(out);
	buf_addc(out, '{');
	buf_adds(out, m->price ? m->price : "\"price\":10,");
	buf_adds(out, m->name ? m->name : "\"name\":\"a\",");
	write_member(out, m->at, "at", draw(1000000));
	write_member(out, m->token, "token", draw(1000000));
	/* One in ten: what changes now and then. */
	buf_printf(out, "\"stock\":%u,", draw(10) ? 5 : draw(1000));
	write_items(out, m);
	buf_addc(out, '}');
	return buf_span(out);
}

static const struct shadow_plan plan;
static const struct shadow_rule rule = { .name = RULE, .noise_ppm = 1,
					 .fingerprint = PRINT };

static void
learn_pair(const struct mutation *m)
{
	struct shadow_noise_seen seen = { 0 };
	struct buf x = { 0 }, y = { 0 };
	struct shadow_answer a = { .status = 200 }, b = { .status = 200 };

	a.body = write_body(&x, m);
	b.body = write_body(&y, m);
	ck_assert(shadow_sieve_learn(&plan, &rule, &a, &b, &seen));
	shadow_noise_learn(noise, RULE, PRINT, PLACE, &seen, 1);
	buf_fini(&x);
	buf_fini(&y);
}

static void
judge(const struct mutation *m, struct shadow_verdict *v)
{
	struct shadow_sieve *s = malloc(sizeof(*s));
	struct buf x = { 0 }, y = { 0 };
	struct shadow_answer a = { .status = 200 }, b = { .status = 200 };
	struct shadow_noise_row row;
	struct shadow_why w;

	memset(v, 0, sizeof(*v));
	ck_assert_ptr_nonnull(s);
	a.body = write_body(&x, &mutations[0]);
	b.body = write_body(&y, m);
	ck_assert(shadow_noise_get(noise, RULE, PRINT, PLACE, &row));
	shadow_why(&plan, &rule, &a, &b, &row, &w);
	shadow_sieve_put(s, &row, v);
	shadow_compare(&plan, &rule, &a, &b, v);
	shadow_noise_met(noise, RULE, PRINT, PLACE, &s->seen);
	/* What is explained is what was done. */
	ck_assert_uint_eq(shadow_why_counting(&w), v->total);
	ck_assert_uint_eq(w.count - shadow_why_counting(&w),
			  v->suppressed_total);
	shadow_why_fini(&w);
	buf_fini(&x);
	buf_fini(&y);
	free(s);
}

START_TEST(noise_hides_no_mutation)
{
	struct shadow_verdict v;
	unsigned found = 0, clean = 0;

	seed = 42;
	for (int i = 0; i < 300; i++) {
		learn_pair(&mutations[0]);
		judge(&mutations[0], &v);
	}
	for (int i = 0; i < 300; i++) {
		judge(&mutations[0], &v);
		ck_assert_msg(v.outcome == SHADOW_MATCH, "%s %s: %s > %s",
			      v.at[0].pointer, v.at[0].kind, v.at[0].legacy,
			      v.at[0].candidate);
		ck_assert_uint_gt(v.suppressed_total, 0);
	}
	for (int i = 0; i < 1000; i++) {
		const struct mutation *m =
			&mutations[draw(ARRAY_SIZE(mutations))];

		judge(m, &v);
		clean += !m->found;
		if (!m->found) {
			ck_assert_uint_eq(v.total, 0);
			continue;
		}
		ck_assert_msg(v.outcome == SHADOW_DIFFERENCE, "%s: hidden",
			      m->what);
		for (size_t k = 0; k < v.count; k++)
			ck_assert_msg(strncmp(v.at[k].pointer, m->found,
					      strlen(m->found)) == 0,
				      "%s: found at %s", m->what,
				      v.at[k].pointer);
		found++;
	}
	ck_assert_uint_eq(found + clean, 1000);
}
END_TEST

/* A member that changes now and then may do so in a candidate as often. */
START_TEST(now_and_then_is_not_always)
{
	const struct mutation stock = {
		NULL, NULL, "\"name\":\"a\",", NULL, NULL, 30, ITEMS, false,
		NULL
	};
	struct shadow_verdict v;
	unsigned hidden = 0, i = 0;

	seed = 7;
	learn(200, 20, 0);	/* at /at, of kind value */
	met(500, 50);
	/* From now on it is always another one. */
	do {
		judge(&stock, &v);
		for (size_t k = 0; k < v.count; k++)
			if (strcmp(v.at[k].pointer, "/at") == 0)
				i = 1000;
		hidden += i < 1000;
	} while (i++ < 999);
	ck_assert_msg(hidden < 60, "hidden %u times", hidden);
}
END_TEST

TCase *
case_noise(void)
{
	TCase *t = tcase_create("noise");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, decides, 0, ARRAY_SIZE(decisions));
	tcase_add_test(t, some_things_are_never_noise);
	tcase_add_test(t, another_way_to_compare_begins_anew);
	tcase_add_test(t, the_oldest_gives_way);
	tcase_add_test(t, kept_and_read_again);
	tcase_add_loop_test(t, columns_of_arrays, 0, ARRAY_SIZE(columns));
	tcase_add_test(t, noise_hides_no_mutation);
	tcase_add_test(t, now_and_then_is_not_always);
	return t;
}
