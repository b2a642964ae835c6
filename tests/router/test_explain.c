/* SPDX-License-Identifier: Apache-2.0 */
/* What `matapalo explain` prints, word for word. */
#include "router/router.h"
#include "tests/rules/table.h"

struct explain_case {
	const char *request, *expected;
};

static const struct explain_case cases[] = {
	{ "GET shop.test /products/7?a=b",
	  "GET /products/7?a=b\n"
	  "rule        product-page (line 19)\n"
	  "  rule \"product-page\" (line 19) wins: path /products/{id}, "
	  "method GET\n"
	  "stage       shadow: Answered by the legacy; the candidate gets a "
	  "copy and the answers are compared.\n"
	  "answered by legacy (http://127.0.0.1:3000)\n"
	  "fallback    none: a failure is the caller's answer\n"
	  "recorded    yes, bounded: on disk soon after the answer, up to "
	  "65536 bytes of each body\n"
	  "shadow      catalog (http://127.0.0.1:4001 and others) gets a copy "
	  "of 20% of the requests\n" },
	{ "POST - /orders | Cookie: session=5",
	  "POST /orders\n"
	  "rule        place-order (line 26)\n"
	  "  rule \"place-order\" (line 26) wins: path /orders, "
	  "method POST\n"
	  "stage       canary: A sticky share of callers is answered by the "
	  "target.\n"
	  "answered by legacy (http://127.0.0.1:3000)\n"
	  "fallback    none: a failure is the caller's answer\n"
	  "share       10% of callers, by cookie session; this caller moves "
	  "at 73.51%\n"
	  "recorded    yes, strict: on disk before the answer ends, up to "
	  "65536 bytes of each body\n"
	  "shadow      none\n" },
	{ "POST - /orders | Cookie: session=10",
	  "POST /orders\n"
	  "rule        place-order (line 26)\n"
	  "  rule \"place-order\" (line 26) wins: path /orders, "
	  "method POST\n"
	  "stage       canary: A sticky share of callers is answered by the "
	  "target.\n"
	  "answered by orders (command shop.order.place.v1, reply "
	  "within 3000 ms)\n"
	  "fallback    legacy (http://127.0.0.1:3000)\n"
	  "share       10% of callers, by cookie session; this caller moves "
	  "at 7.2064%\n"
	  "recorded    yes, strict: on disk before the answer ends, up to "
	  "65536 bytes of each body\n"
	  "shadow      none\n" },
	{ "GET - /orders",
	  "GET /orders\n"
	  "rule        default (line 9)\n"
	  "  rule \"place-order\" (line 26) does not match: it wants method "
	  "POST\n"
	  "  the default applies: no rule matches\n"
	  "stage       mirror: Answered by the legacy, recorded as an "
	  "event.\n"
	  "answered by legacy (http://127.0.0.1:3000)\n"
	  "fallback    none: a failure is the caller's answer\n"
	  "recorded    yes, bounded: on disk soon after the answer, up to "
	  "65536 bytes of each body\n"
	  "shadow      none\n" },
	{ "GET - /static/a/b",
	  "GET /static/a/b\n"
	  "rule        static-files (line 11)\n"
	  "  rule \"static-files\" (line 11) wins: path /static/{file...}\n"
	  "stage       passthrough: Forwarded to the legacy, not recorded.\n"
	  "answered by legacy (http://127.0.0.1:3000)\n"
	  "fallback    none: a failure is the caller's answer\n"
	  "recorded    no\n"
	  "shadow      none\n" },
	{ "PUT - /orders/fax",
	  "PUT /orders/fax\n"
	  "rule        fax-order (line 35)\n"
	  "  rule \"fax-order\" (line 35) wins: path /orders/fax\n"
	  "stage       retired: Answered with 410 Gone.\n"
	  "answered by matapalo itself: 410 Gone\n"
	  "fallback    none: a failure is the caller's answer\n"
	  "recorded    yes, strict: on disk before the answer ends, up to "
	  "65536 bytes of each body\n"
	  "shadow      none\n" },
};

START_TEST(explanations_are_exact)
{
	static struct table_request q;
	struct error err = { 0 };
	char path[1024];
	struct rules *r = rules_load_file(
		table_path(path, sizeof(path), "examples/rules/shop.json"),
		&err);

	ck_assert_msg(r != NULL, "%d:%d: %s", err.line, err.column, err.text);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf out = { 0 };

		table_request(&q, cases[i].request);
		router_explain(r, &q.req, &out);
		ck_assert_str_eq(buf_str(&out), cases[i].expected);
		buf_fini(&out);
	}
	rules_unref(&r);
}
END_TEST

START_TEST(unsafe_requests_are_not_shadowed_and_it_says_so)
{
	static const char text[] =
		"{\"version\":1,\"targets\":{\"legacy\":{\"url\":"
		"\"http://127.0.0.1:1\"},\"new\":{\"command\":\"a.b.v1\"}},"
		"\"default\":{\"stage\":\"shadow\",\"target\":\"new\"}}";
	static struct table_request q;
	struct rules *r = rules_load_text("t", text, sizeof(text) - 1, NULL);
	struct buf out = { 0 };

	ck_assert_ptr_nonnull(r);
	table_request(&q, "POST - /");
	router_explain(r, &q.req, &out);
	ck_assert_msg(strstr(buf_str(&out),
			     "shadow      none: POST is not safe and the rule "
			     "does not say \"shadow_unsafe\"\n") != NULL,
		      "%s", buf_str(&out));
	buf_clear(&out);
	table_request(&q, "GET - /");
	router_explain(r, &q.req, &out);
	ck_assert_msg(strstr(buf_str(&out),
			     "shadow      new (command a.b.v1, reply within "
			     "5000 ms) gets a copy of 100% of the requests\n")
			      != NULL,
		      "%s", buf_str(&out));
	buf_fini(&out);
	rules_unref(&r);
}
END_TEST

START_TEST(a_breaker_is_mentioned)
{
	static const char text[] =
		"{\"version\":1,\"targets\":{\"legacy\":{\"url\":"
		"\"http://127.0.0.1:1\",\"breaker\":{\"errors\":\"2.5%\"}}}}";
	static struct table_request q;
	struct rules *r = rules_load_text("t", text, sizeof(text) - 1, NULL);
	struct buf out = { 0 };

	ck_assert_ptr_nonnull(r);
	table_request(&q, "GET - /");
	router_explain(r, &q.req, &out);
	ck_assert_msg(strstr(buf_str(&out),
			     "answered by legacy (http://127.0.0.1:1); not "
			     "asked for 5000 ms when 2.5% of at least 20 "
			     "requests in 10000 ms failed\n") != NULL,
		      "%s", buf_str(&out));
	buf_fini(&out);
	rules_unref(&r);
}
END_TEST

static void
fill(TCase *t)
{
	tcase_add_test(t, a_breaker_is_mentioned);
	tcase_add_test(t, explanations_are_exact);
	tcase_add_test(t, unsafe_requests_are_not_shadowed_and_it_says_so);
}

int
main(void)
{
	return table_run("router/explain", fill);
}
