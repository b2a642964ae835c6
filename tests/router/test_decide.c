/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of decisions, and what shares and samples promise in numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/router.h"
#include "tests/rules/table.h"

static struct rules *
load_case(const char *folder)
{
	struct error err = { 0 };
	struct rules *r;
	char path[4096];

	snprintf(path, sizeof(path), "%s/rules.json", folder);
	r = rules_load_file(path, &err);
	ck_assert_msg(r != NULL, "%s:%d:%d: %s", path, err.line, err.column,
		      err.text);
	return r;
}

static const char *
action_word(enum router_action action)
{
	switch (action) {
	case ROUTER_FORWARD:
		return "forward";
	case ROUTER_COMMAND:
		return "command";
	case ROUTER_GONE:
		return "gone";
	case ROUTER_AMBIGUOUS:
		return "ambiguous";
	}
	return "?";
}

static const char *
name_of(const struct rules_target *t)
{
	return t ? t->name : "-";
}

struct table_case {
	const char *folder;
	const struct rules *rules;
};

static void
check_line(void *arg, char *line, int number)
{
	static struct table_request r;
	struct table_case *c = arg;
	struct buf expected = { 0 };
	struct router_decision d;
	char got[256];

	for (int i = 0; i < 5; i++)
		buf_printf(&expected, "%s%s", i ? " " : "",
			   table_word(&line));
	table_request(&r, line);
	router_decide(c->rules, &r.req, 0, &d);
	snprintf(got, sizeof(got), "%s %s %s %s %s", action_word(d.action),
		 name_of(d.target), name_of(d.fallback), name_of(d.shadow),
		 !d.record ? "no" : d.strict ? "strict" : "bounded");
	ck_assert_msg(strcmp(buf_str(&expected), got) == 0,
		      "%s/table:%d:\nexpected %s\ngot      %s", c->folder,
		      number, buf_str(&expected), got);
	buf_fini(&expected);
}

static void
run_case(const char *folder)
{
	struct rules *r = load_case(folder);
	struct table_case c = { folder, r };
	struct buf table = { 0 };
	char path[4096];

	snprintf(path, sizeof(path), "%s/table", folder);
	table_read(path, &table);
	ck_assert_uint_ge(table_each_line(&table, check_line, &c), 3);
	buf_fini(&table);
	rules_unref(&r);
}

START_TEST(tables_name_the_decision)
{
	ck_assert_uint_ge(table_each_case("tests/router/cases", run_case), 4);
}
END_TEST

static struct rules *
canary(const char *share, const char *extra)
{
	struct error err = { 0 };
	struct buf text = { 0 };
	struct rules *r;

	buf_printf(&text, "{\"version\":1,%s\"targets\":{\"legacy\":{\"url\":"
		   "\"http://127.0.0.1:1\"},\"new\":{\"url\":"
		   "\"http://127.0.0.1:2\"}},\"rules\":[{\"name\":\"a\","
		   "\"match\":{\"path\":\"/a\"},\"stage\":\"canary\","
		   "\"target\":\"new\",\"share\":\"%s\","
		   "\"stick_to\":\"header:u\"},{\"name\":\"b\",\"match\":{"
		   "\"path\":\"/b\"},\"stage\":\"canary\",\"target\":\"new\","
		   "\"share\":\"%s\",\"stick_to\":\"header:u\"}]}", extra,
		   share, share);
	r = rules_load_text("t", text.data, text.len, &err);
	ck_assert_msg(r != NULL, "%d:%d: %s", err.line, err.column, err.text);
	buf_fini(&text);
	return r;
}

static uint32_t
place(const struct rules *r, const char *path, unsigned user,
      struct router_decision *d)
{
	char value[32];
	int len = snprintf(value, sizeof(value), "user%u", user);
	struct message_field f = { SPAN_LITERAL("U"),
				   { value, (size_t)len } };
	struct message_request req = {
		.method = SPAN_LITERAL("GET"),
		.path = span_of(path),
		.target = span_of(path),
		.client = SPAN_LITERAL("10.0.0.1"),
		.fields = { &f, 1 },
	};

	router_decide(r, &req, user, d);
	return router_bucket(r, d->rule, &req);
}

#define USERS 100000u

/* Nobody who has moved moves back; the share moved is the share asked. */
START_TEST(raising_the_share_never_moves_anyone_back)
{
	bool *moved = calloc(USERS, sizeof(*moved));

	ck_assert_ptr_nonnull(moved);
	for (unsigned percent = 0; percent <= 100; percent += 5) {
		char share[8];
		struct rules *r;
		unsigned count = 0, back = 0;

		snprintf(share, sizeof(share), "%u%%", percent);
		r = canary(share, "");
		for (unsigned u = 0; u < USERS; u++) {
			struct router_decision d;
			bool now;

			place(r, "/a", u, &d);
			now = d.target != r->legacy;
			back += moved[u] && !now;
			moved[u] = now;
			count += now;
		}
		rules_unref(&r);
		ck_assert_uint_eq(back, 0);
		ck_assert_msg(abs((int)count - (int)(USERS / 100 * percent)) <
				      700, "%u%%: %u moved", percent, count);
		if (percent == 0 || percent == 100)
			ck_assert_uint_eq(count, USERS / 100 * percent);
	}
	free(moved);
}
END_TEST

START_TEST(a_caller_moves_exactly_at_its_place)
{
	struct rules *r = canary("1%", "");

	for (unsigned u = 0; u < 2000; u++) {
		struct router_decision d;
		uint32_t bucket = place(r, "/a", u, &d);

		ck_assert_uint_lt(bucket, RULES_SHARE_ALL);
		ck_assert_uint_eq(bucket, d.bucket_ppm);
		ck_assert_int_eq(bucket < 10000, d.target != r->legacy);
	}
	rules_unref(&r);
}
END_TEST

START_TEST(rules_move_callers_independently)
{
	struct rules *r = canary("50%", "");
	unsigned both = 0;

	for (unsigned u = 0; u < USERS; u++) {
		struct router_decision a, b;

		place(r, "/a", u, &a);
		place(r, "/b", u, &b);
		both += a.target != r->legacy && b.target != r->legacy;
	}
	ck_assert_int_lt(abs((int)both - (int)(USERS / 4)), 700);
	rules_unref(&r);
}
END_TEST

START_TEST(proxies_with_one_key_agree_and_others_do_not)
{
	struct rules *a = canary("50%", ""), *b = canary("10%", "");
	struct rules *c = canary("50%", "\"share_key\":\"other\",");
	unsigned same = 0;

	for (unsigned u = 0; u < 1000; u++) {
		struct router_decision d;

		ck_assert_uint_eq(place(a, "/a", u, &d),
				  place(b, "/a", u, &d));
		same += place(a, "/a", u, &d) == place(c, "/a", u, &d);
	}
	ck_assert_uint_lt(same, 10);
	rules_unref(&a);
	rules_unref(&b);
	rules_unref(&c);
}
END_TEST

static uint32_t
bucket_of(const struct rules *r, const char *line)
{
	static struct table_request q;
	struct router_decision d;

	table_request(&q, line);
	router_decide(r, &q.req, 0, &d);
	return d.bucket_ppm;
}

/* Each line differs from the first in what the rule sticks to, and only the
 * last in what it does not. */
static void
check_stick(const struct rules *r, const char *const lines[4])
{
	uint32_t first = bucket_of(r, lines[0]);

	ck_assert_uint_ne(first, bucket_of(r, lines[1]));
	ck_assert_uint_ne(first, bucket_of(r, lines[2]));
	ck_assert_uint_eq(first, bucket_of(r, lines[3]));
}

START_TEST(callers_are_recognised_by_what_the_rule_says)
{
	static const char *const cookie[] = {
		"GET - /cookie | cookie: session=1 | client: 10.0.0.1",
		"GET - /cookie | cookie: session=2 | client: 10.0.0.1",
		"GET - /cookie | cookie: sessions=1 | client: 10.0.0.1",
		"POST h /cookie?x=1 | cookie: a=b; session=1 | client: ::1",
	};
	static const char *const header[] = {
		"GET - /header | x-user: 1 | client: 10.0.0.1",
		"GET - /header | x-user: 2 | client: 10.0.0.1",
		"GET - /header | y-user: 1 | client: 10.0.0.1",
		"POST h /header | X-USER: 1 | client: ::1",
	};
	static const char *const query[] = {
		"GET - /query?user=1 | client: 10.0.0.1",
		"GET - /query?user=2 | client: 10.0.0.1",
		"GET - /query?users=1 | client: 10.0.0.1",
		"POST h /query?a=b&user=1 | client: ::1",
	};
	static const char *const client[] = {
		"GET - /client | client: 10.0.0.1",
		"GET - /client | client: 10.0.0.2",
		"GET - /client | client: 10.0.0.11",
		"POST h /client | client: 10.0.0.1 | x-user: 1",
	};
	/* Without a value, or with an empty one, the address decides. */
	static const char *const empty[] = {
		"GET - /cookie | cookie: session= | client: 10.0.0.1",
		"GET - /cookie | cookie: session= | client: 10.0.0.2",
		"GET - /cookie | cookie: session=10.0.0.2 | client: 10.0.0.1",
		"GET - /cookie | client: 10.0.0.1",
	};
	char path[1024];
	struct rules *r;

	r = load_case(table_path(path, sizeof(path),
				 "tests/router/cases/sticky"));
	check_stick(r, cookie);
	check_stick(r, header);
	check_stick(r, query);
	check_stick(r, client);
	check_stick(r, empty);
	rules_unref(&r);
}
END_TEST

START_TEST(sample_is_a_fraction_of_exchanges)
{
	static const char text[] =
		"{\"version\":1,\"targets\":{\"legacy\":{\"url\":"
		"\"http://127.0.0.1:1\"},\"new\":{\"url\":"
		"\"http://127.0.0.1:2\"}},\"default\":{\"stage\":\"shadow\","
		"\"target\":\"new\",\"sample\":\"20%\"}}";
	struct rules *r = rules_load_text("t", text, strlen(text), NULL);
	struct message_request req = { .method = SPAN_LITERAL("GET"),
				       .path = SPAN_LITERAL("/") };
	struct router_decision d;
	unsigned copied = 0;

	ck_assert_ptr_nonnull(r);
	for (uint64_t i = 0; i < 10000; i++) {
		router_decide(r, &req, i * (UINT64_MAX / 10000), &d);
		copied += d.shadow != NULL;
	}
	ck_assert_int_lt(abs((int)copied - 2000), 3);
	router_decide(r, &req, 0, &d);
	ck_assert_ptr_nonnull(d.shadow);
	router_decide(r, &req, UINT64_MAX, &d);
	ck_assert_ptr_null(d.shadow);
	rules_unref(&r);
}
END_TEST

static void
fill(TCase *t)
{
	tcase_add_test(t, tables_name_the_decision);
	tcase_add_test(t, raising_the_share_never_moves_anyone_back);
	tcase_add_test(t, a_caller_moves_exactly_at_its_place);
	tcase_add_test(t, rules_move_callers_independently);
	tcase_add_test(t, proxies_with_one_key_agree_and_others_do_not);
	tcase_add_test(t, callers_are_recognised_by_what_the_rule_says);
	tcase_add_test(t, sample_is_a_fraction_of_exchanges);
}

int
main(void)
{
	return table_run("router/decide", fill);
}
