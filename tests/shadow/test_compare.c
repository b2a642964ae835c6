/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs of answers and what differs, as a table. */
#include "shadow/compare.h"

#include <stdlib.h>

#include "base/pattern.h"

#include "tests/shadow/cases.h"

#define JSON "Content-Type: application/json\n"
#define HTML "Content-Type: text/html\n"

/* expect: "pointer kind legacy>candidate" per difference, ';' between. */
static const struct {
	const char *name;
	int legacy_status, status;
	const char *legacy_fields, *fields;	/* "Name: value\n" */
	const char *legacy, *body;
	const char *expect;
} table[] = {
	{ "same", 200, 200, JSON, JSON, "{\"a\":1}", "{\"a\":1}", "" },
	{ "key order and white space", 200, 200, JSON, JSON,
	  "{\"a\":1,\"b\":2}", "{ \"b\": 2, \"a\": 1 }\n", "" },
	{ "status", 200, 500, "", "", "", "", "status value 200>500" },
	{ "value", 200, 200, JSON, JSON, "{\"a\":{\"b\":1}}",
	  "{\"a\":{\"b\":2}}", "/a/b value 1>2" },
	{ "missing and extra", 200, 200, JSON, JSON, "{\"a\":1}",
	  "{\"b\":1}", "/a missing 1>;/b extra >1" },
	{ "type", 200, 200, JSON, JSON, "{\"a\":1}", "{\"a\":\"1\"}",
	  "/a type 1>\"1\"" },
	{ "ignored", 200, 200, JSON, JSON, "{\"at\":1}", "{\"at\":2}", "" },
	{ "tolerated", 200, 200, JSON, JSON, "{\"price\":1.0}",
	  "{\"price\":1.005}", "" },
	{ "beyond tolerance", 200, 200, JSON, JSON, "{\"price\":1.0}",
	  "{\"price\":1.5}", "/price value 1.0>1.5" },
	{ "unordered", 200, 200, JSON, JSON, "{\"tags\":[1,2]}",
	  "{\"tags\":[2,1]}", "" },
	{ "JSON that says text/html", 200, 200, HTML, HTML, "{\"a\":1}",
	  "{\"a\": 1}", "" },
	{ "a number in a text is a text", 200, 200, HTML, HTML, "1", "1.0",
	  "body length 1>1.0" },
	{ "a number in JSON is a number", 200, 200, JSON, JSON, "1", "1.0",
	  "" },
	{ "JSON against not JSON", 200, 200, JSON, HTML, "{\"a\":1}",
	  "<p>oops", "body bytes {\"a\":1}><p>oops" },
	{ "text", 200, 200, HTML, HTML, "<p>one two three four five",
	  "<p>one two three four six",
	  "body bytes  two three four five> two three four six" },
	{ "cut short", 200, 200, HTML, HTML, "abc", "ab",
	  "body length abc>ab" },
	{ "nothing against something", 200, 200, "", HTML, "", "x",
	  "body length >x" },
	{ "header", 200, 200, "ETag: a\n", "ETag: b\n", "", "",
	  "header:etag value a>b" },
	{ "header missing", 200, 200, "ETag: a\n", "", "", "",
	  "header:etag missing a>" },
	{ "header extra", 200, 200, "", "ETag: b\n", "", "",
	  "header:etag extra >b" },
	{ "headers of one name are a list", 200, 200,
	  "ETag: a\nETag: b\n", "etag: a, b\n", "", "", "" },
	{ "header near", 200, 200,
	  "ETag: Sun, 06 Nov 1994 08:49:37 GMT\n",
	  "ETag: Sun, 06 Nov 1994 08:49:38 GMT\n", "", "", "" },
	{ "header not so near", 200, 200, "ETag: 1994-11-06T08:49:37Z\n",
	  "ETag: 1994-11-06T08:49:40Z\n", "", "",
	  "header:etag value 1994-11-06T08:49:37Z>1994-11-06T08:49:40Z" },
	{ "headers nobody named", 200, 200, "X: a\n", "X: b\n", "", "", "" },
	{ "the same bytes under another coding", 200, 200, JSON,
	  JSON "Content-Encoding: gzip\n", "{\"a\":1}", "{\"a\":1}",
	  "header:content-encoding extra >gzip;"
	  "body coding decoded>not what its coding says" },
	{ "the same bytes in the same coding", 200, 200,
	  JSON "Content-Encoding: br\n", JSON "content-encoding: br\n",
	  "{\"a\":1}", "{\"a\":1}", "" },
	{ "also in one that nobody knows", 200, 200,
	  JSON "Content-Encoding: zstd\n", JSON "content-encoding: zstd\n",
	  "{\"a\":1}", "{\"a\":1}", "" },
	{ "other bytes in one that nobody knows", 200, 200,
	  JSON "Content-Encoding: zstd\n", JSON "content-encoding: zstd\n",
	  "{\"a\":1}", "{\"a\":2}",
	  "body coding in a coding that is not known here>"
	  "in a coding that is not known here" },
	{ "nothing, in a coding", 200, 200, "Content-Encoding: gzip\n",
	  "Content-Encoding: gzip\n", "", "", "" },
	{ "all at once", 200, 404, JSON "ETag: a\n", JSON, "{}", "{\"a\":1}",
	  "status value 200>404;header:etag missing a>;/a extra >1" },
};

static const char *const ignore[] = { "/at" };
static const char *const headers[] = { "etag", "set-cookie", "location",
				       "x-secret" };
static const struct payload_tolerance tolerance[] = {
	{ "/price", 0.01, PAYLOAD_TOLERANCE_NUMBER },
	{ "header:etag", 2000, PAYLOAD_TOLERANCE_TIME },
};
static const struct payload_unordered unordered[] = { { "/tags", NULL } };
static const struct shadow_rule rule = {
	.name = "r", .target = "c",
	.ignore = ignore, .ignore_count = 1,
	.headers = headers, .header_count = ARRAY_SIZE(headers),
	.tolerance = tolerance, .tolerance_count = 2,
	.unordered = unordered, .unordered_count = 1,
};

static size_t
split_fields(const char *text, struct message_field *out)
{
	size_t n = 0;

	while (*text) {
		const char *colon = strchr(text, ':');
		const char *end = strchr(text, '\n');

		out[n].name = (struct span){ text, (size_t)(colon - text) };
		out[n++].value = span_trim((struct span){
			colon + 1, (size_t)(end - colon - 1) });
		text = end + 1;
	}
	return n;
}

static void
compare(const struct shadow_plan *plan, const char *legacy_fields,
	const char *legacy, const char *fields, const char *body,
	struct shadow_verdict *v)
{
	struct message_field a[8], b[8];
	const struct shadow_answer left = {
		200, { a, split_fields(legacy_fields, a) }, span_of(legacy),
		true
	};
	const struct shadow_answer right = {
		200, { b, split_fields(fields, b) }, span_of(body), false
	};

	memset(v, 0, sizeof(*v));
	shadow_compare(plan, &rule, &left, &right, v);
}

static const char *
as_text(const struct shadow_verdict *v, struct buf *out)
{
	for (size_t i = 0; i < v->count; i++)
		buf_printf(out, "%s%s %s %s>%s", i ? ";" : "",
			   v->at[i].pointer, v->at[i].kind, v->at[i].legacy,
			   v->at[i].candidate);
	return buf_str(out);
}

START_TEST(finds_the_differences)
{
	static const struct shadow_plan plan;
	struct message_field a[8], b[8];
	struct shadow_answer left = { table[_i].legacy_status,
				      { a, 0 }, span_of(table[_i].legacy),
				      true };
	struct shadow_answer right = { table[_i].status,
				       { b, 0 }, span_of(table[_i].body),
				       false };
	struct shadow_verdict v = { 0 };
	struct buf text = { 0 };

	left.fields.count = split_fields(table[_i].legacy_fields, a);
	right.fields.count = split_fields(table[_i].fields, b);
	shadow_compare(&plan, &rule, &left, &right, &v);
	ck_assert_msg(strcmp(as_text(&v, &text), table[_i].expect) == 0,
		      "%s: got \"%s\", expected \"%s\"", table[_i].name,
		      buf_str(&text), table[_i].expect);
	ck_assert_int_eq(v.outcome, table[_i].expect[0] ? SHADOW_DIFFERENCE
							: SHADOW_MATCH);
	buf_fini(&text);
}
END_TEST

/* ---- what is made alike ---- */

static const struct {
	const char *at, *pattern, *with;
} patterns[] = {
	{ "/**/url", "^https?://[^/]+", "" },
	{ "/list/*", "[0-9]+", "N" },
	{ "header:etag", "^W/", "" },
	{ "body", "at \\d+:\\d+", "at T" },
	{ "body", "T$", "t" },
	{ "/slow", "(a+)+b", "" },
};
static const struct shadow_status statuses[] = {
	{ "201", { 1, { { 201, 201 } } },
	  { 2, { { 200, 200 }, { 202, 204 } } } },
	{ "4xx", { 1, { { 400, 499 } } }, { 1, { { 404, 404 } } } },
};

static const struct {
	int legacy_status, status;
	const char *legacy_fields, *fields, *legacy, *body, *expect;
} alike[] = {
	{ 201, 200, "", "", "", "", "" },
	{ 201, 204, "", "", "", "", "" },
	{ 201, 205, "", "", "", "", "status value 201>205" },
	{ 200, 201, "", "", "", "", "status value 200>201" },
	{ 400, 404, "", "", "", "", "" },
	{ 404, 400, "", "", "", "", "status value 404>400" },
	{ 200, 200, "ETag: W/\"a\"\n", "ETag: \"a\"\n", "", "", "" },
	{ 200, 200, "ETag: W/\"a\"\n", "ETag: \"b\"\n", "", "",
	  "header:etag value W/\"a\">\"b\"" },
	{ 200, 200, JSON, JSON, "{\"a\":{\"url\":\"http://x/1\"}}",
	  "{\"a\":{\"url\":\"https://y/1\"}}", "" },
	{ 200, 200, JSON, JSON, "{\"a\":{\"url\":\"http://x/1\"}}",
	  "{\"a\":{\"url\":\"https://y/2\"}}",
	  "/a/url value \"http://x/1\">\"https://y/2\"" },
	{ 200, 200, JSON, JSON, "{\"list\":[\"a1\",\"b2\"]}",
	  "{\"list\":[\"b9\",\"a8\"]}", "" },
	{ 200, 200, HTML, HTML, "made at 10:11\nx", "made at 9:12\nx", "" },
	{ 200, 200, HTML, HTML, "made at 10:11\nx", "made at 9:12\ny",
	  "body bytes made at t\nx>made at t\ny" },
};

static void
make_alike(int i, const char *legacy, const char *body,
	   struct shadow_verdict *v)
{
	static const struct shadow_plan plan;
	static const char *const names[] = { "etag" };
	static const struct payload_unordered sets[] = { { "/list", NULL } };
	struct payload_rewrite rewrites[ARRAY_SIZE(patterns)];
	const struct shadow_rule changed = {
		.name = "r", .target = "c",
		.headers = names, .header_count = 1,
		.unordered = sets, .unordered_count = 1,
		.status = statuses, .status_count = ARRAY_SIZE(statuses),
		.normalise = rewrites,
		.normalise_count = ARRAY_SIZE(rewrites),
	};
	struct message_field a[8], b[8];
	struct shadow_answer x = { alike[i].legacy_status, { a, 0 },
				   span_of(legacy), true };
	struct shadow_answer y = { alike[i].status, { b, 0 },
				   span_of(body), false };

	for (size_t k = 0; k < ARRAY_SIZE(patterns); k++) {
		rewrites[k].pointer = patterns[k].at;
		rewrites[k].pattern = pattern_compile(patterns[k].pattern,
						      patterns[k].with, NULL);
	}
	x.fields.count = split_fields(alike[i].legacy_fields, a);
	y.fields.count = split_fields(alike[i].fields, b);
	memset(v, 0, sizeof(*v));
	shadow_compare(&plan, &changed, &x, &y, v);
	for (size_t k = 0; k < ARRAY_SIZE(patterns); k++) {
		struct pattern *p = (struct pattern *)rewrites[k].pattern;

		pattern_free(&p);
	}
}

START_TEST(answers_are_made_alike)
{
	struct shadow_verdict v;
	struct buf text = { 0 };

	make_alike(_i, alike[_i].legacy, alike[_i].body, &v);
	ck_assert_str_eq(as_text(&v, &text), alike[_i].expect);
	buf_fini(&text);
}
END_TEST

/* Texts made to be costly are compared as they are. */
START_TEST(a_pattern_that_costs_too_much_hides_nothing)
{
	struct shadow_verdict v;
	struct buf a = { 0 }, b = { 0 };

	buf_adds(&a, "{\"slow\":\"");
	for (int i = 0; i < 5000; i++)
		buf_addc(&a, 'a');
	buf_add(&b, a.data, a.len);
	buf_adds(&a, "c\"}");
	buf_adds(&b, "d\"}");
	make_alike(0, buf_str(&a), buf_str(&b), &v);
	ck_assert_uint_eq(v.count, 1);
	ck_assert_str_eq(v.at[0].pointer, "/slow");
	buf_fini(&a);
	buf_fini(&b);
}
END_TEST

/* ---- codings ---- */

#define GZIP_FIELDS JSON "Content-Encoding: gzip\n"
#define BR_FIELDS JSON "Content-Encoding: br\n"
/* {"card":"canary","a":1} and {"card":"canary","a":2} */
#define GZIP_1 \
	"1f8b0800000000000203ab564a4e2c4a51b20252798945954a3a4a894a56" \
	"86b5002a635e8217000000"
#define GZIP_2 \
	"1f8b0800000000000203ab564a4e2c4a51b20252798945954a3a4a894a56" \
	"46b500e93073a917000000"
#define BR_2 \
	"0f0b807b2263617264223a2263616e617279222c2261223a327d03"

static const struct shadow_rule same = { .name = "r", .target = "c" };
static const struct shadow_rule any = { .name = "r", .target = "c",
					.any_coding = true };

static const struct {
	const struct shadow_rule *rule;
	const char *legacy_fields, *legacy, *fields, *body, *expect;
} coded[] = {
	{ &same, GZIP_FIELDS, GZIP_1, GZIP_FIELDS, GZIP_2, "/a value 1>2" },
	{ &same, GZIP_FIELDS, GZIP_2, BR_FIELDS, BR_2,
	  "header:content-encoding value gzip>br" },
	{ &any, GZIP_FIELDS, GZIP_2, BR_FIELDS, BR_2, "" },
	{ &any, BR_FIELDS, BR_2, GZIP_FIELDS, GZIP_1, "/a value 2>1" },
	{ &any, JSON, "", GZIP_FIELDS, GZIP_1,
	  "body length >{\"card\":\"canary\",\"a\":1}" },
	{ &any, GZIP_FIELDS, GZIP_1, BR_FIELDS, GZIP_1,
	  "body coding decoded>not what its coding says" },
	{ &any, GZIP_FIELDS, "", GZIP_FIELDS, "1f8b08",
	  "body coding decoded>ends before its coding does" },
};

static void
add_hex(struct buf *out, const char *hex)
{
	static const char digits[] = "0123456789abcdef";

	for (; hex[0] && hex[1]; hex += 2)
		buf_addc(out, (char)((strchr(digits, hex[0]) - digits) * 16 +
				     (strchr(digits, hex[1]) - digits)));
}

static void
compare_coded(const struct shadow_plan *plan, int i, struct shadow_verdict *v)
{
	struct message_field a[8], b[8];
	struct buf left = { 0 }, right = { 0 };
	struct shadow_answer x = { .status = 200, .redacted = true };
	struct shadow_answer y = { .status = 200 };

	add_hex(&left, coded[i].legacy);
	add_hex(&right, coded[i].body);
	x.fields = (struct message_fields){
		a, split_fields(coded[i].legacy_fields, a)
	};
	y.fields = (struct message_fields){ b, split_fields(coded[i].fields,
							    b) };
	x.body = buf_span(&left);
	y.body = buf_span(&right);
	memset(v, 0, sizeof(*v));
	shadow_compare(plan, coded[i].rule, &x, &y, v);
	buf_fini(&left);
	buf_fini(&right);
}

START_TEST(bodies_are_compared_without_their_codings)
{
	static const struct shadow_plan plan;
	struct shadow_verdict v;
	struct buf text = { 0 };

	compare_coded(&plan, _i, &v);
	ck_assert_str_eq(as_text(&v, &text), coded[_i].expect);
	buf_fini(&text);
}
END_TEST

/* ---- secrets ---- */

static const char *const secret_headers[] = { "X-Secret" };
static const char *const secret_query[] = { "token" };
static const char *const secret_json[] = { "/card" };
static const struct redact redact = {
	.headers = secret_headers, .header_count = 1,
	.query = secret_query, .query_count = 1,
	.json = secret_json, .json_count = 1,
};
static const struct digest_key key = { .bytes = { 1, 2, 3 } };
static const struct shadow_plan secretive = { .redact = &redact,
					      .key = &key };

static void
add_redacted_field(struct buf *out, const char *name, const char *value)
{
	char text[REDACT_TEXT_SIZE];

	buf_printf(out, "%s: %s\n", name,
		   redact_text(&key, span_of(value), text));
}

/* The record holds digests; equal secrets are equal digests. */
START_TEST(equal_secrets_match)
{
	struct buf fields = { 0 }, body = { 0 };
	struct shadow_verdict v;

	add_redacted_field(&fields, "X-Secret", "hush");
	buf_adds(&fields, "Set-Cookie: ");
	redact_set_cookie(&key, SPAN_LITERAL("sid=1; Path=/"), &fields);
	buf_adds(&fields, "\nLocation: ");
	redact_target(&redact, &key, SPAN_LITERAL("/x?token=t"), &fields);
	buf_adds(&fields, "\n" JSON);
	ck_assert_int_eq(payload_redact(SPAN_LITERAL("{\"card\":\"4111\"}"),
					secret_json, 1, &key, &body), 0);
	compare(&secretive, buf_str(&fields), buf_str(&body),
		JSON "X-Secret: hush\nSet-Cookie: sid=1; Path=/\n"
		"Location: /x?token=t\n",
		"{\"card\":\"4111\"}", &v);
	ck_assert_int_eq(v.outcome, SHADOW_MATCH);
	buf_fini(&fields);
	buf_fini(&body);
}
END_TEST

static void
assert_no_secret(const struct shadow_verdict *v, const char *secret)
{
	struct buf text = { 0 };
	struct json j;

	json_init(&j, &text);
	shadow_verdict_write(v, &j);
	ck_assert_msg(strstr(buf_str(&text), secret) == NULL, "%s",
		      buf_str(&text));
	buf_fini(&text);
}

static const struct {
	const char *fields, *body;
} leaks[] = {
	{ JSON "X-Secret: canary\n", "{}" },
	{ JSON "Set-Cookie: sid=canary\n", "{}" },
	{ JSON "Location: /x?token=canary\n", "{}" },
	{ JSON, "{\"card\":\"canary\"}" },
	{ JSON, "{\"card\":{\"number\":\"canary\"}}" },
	{ JSON, "{\"card\":\"canary\"" },	/* cut: not JSON */
	{ HTML, "<p>card canary" },
};

START_TEST(no_secret_reaches_a_verdict)
{
	struct shadow_verdict v;

	compare(&secretive, JSON, "{\"card\":\"redacted:0011\"}",
		leaks[_i].fields, leaks[_i].body, &v);
	ck_assert_int_eq(v.outcome, SHADOW_DIFFERENCE);
	assert_no_secret(&v, "canary");
}
END_TEST

START_TEST(no_secret_of_a_coded_body_reaches_a_verdict)
{
	struct shadow_verdict v;

	compare_coded(&secretive, _i, &v);
	assert_no_secret(&v, "canary");
}
END_TEST

/* Without the key nobody can tell whether a digest is the value's. */
START_TEST(without_the_key_digests_are_left_out)
{
	static const struct shadow_plan plan;
	struct shadow_verdict v;

	compare(&plan, JSON "X-Secret: redacted:0011\n",
		"{\"card\":\"redacted:0011\"}", JSON "X-Secret: canary\n",
		"{\"card\":\"canary\"}", &v);
	ck_assert_int_eq(v.outcome, SHADOW_MATCH);
}
END_TEST

/* They are no differences that count, so they take no places of such. */
START_TEST(many_digests_hide_no_difference)
{
	static const struct shadow_plan plan;
	struct buf a = { 0 }, b = { 0 };
	struct shadow_verdict v;

	for (int i = 0; i < 2 * SHADOW_DIFFERENCES_MAX; i++) {
		buf_printf(&a, "%s\"redacted:%04d\"", i ? "," : "[", i);
		buf_printf(&b, "%s\"x\"", i ? "," : "[");
	}
	buf_adds(&a, ",1]");
	buf_adds(&b, ",2]");
	compare(&plan, JSON, buf_str(&a), JSON, buf_str(&b), &v);
	ck_assert_int_eq(v.outcome, SHADOW_DIFFERENCE);
	ck_assert_uint_eq(v.total, 1);
	ck_assert_str_eq(v.at[0].pointer, "/40");
	buf_fini(&a);
	buf_fini(&b);
}
END_TEST

/* A reply from the journal is redacted already: digests compare. */
START_TEST(recorded_answers_are_not_redacted_again)
{
	static const char body[] = "{\"card\":\"redacted:0011\"}";
	struct message_field f = { SPAN_LITERAL("X-Secret"),
				   SPAN_LITERAL("redacted:2233") };
	struct shadow_answer a = { 200, { &f, 1 }, span_of(body), true };
	struct shadow_answer b = a;
	struct shadow_verdict v = { 0 };

	shadow_compare(&secretive, &rule, &a, &b, &v);
	ck_assert_int_eq(v.outcome, SHADOW_MATCH);
	b.body = SPAN_LITERAL("{\"card\":\"redacted:9999\"}");
	shadow_compare(&secretive, &rule, &a, &b, &v);
	ck_assert_int_eq(v.outcome, SHADOW_DIFFERENCE);
	ck_assert_str_eq(v.at[0].pointer, "/card");
}
END_TEST

START_TEST(many_differences_are_counted_not_kept)
{
	struct buf a = { 0 }, b = { 0 };
	struct shadow_verdict v;

	for (int i = 0; i < 100; i++) {
		buf_printf(&a, "%s%d", i ? "," : "[", i);
		buf_printf(&b, "%s%d", i ? "," : "[", i + 1);
	}
	buf_addc(&a, ']');
	buf_addc(&b, ']');
	compare(&(struct shadow_plan){ 0 }, JSON, buf_str(&a), JSON,
		buf_str(&b), &v);
	ck_assert_uint_eq(v.count, SHADOW_DIFFERENCES_MAX);
	ck_assert_uint_eq(v.total, 100);
	buf_fini(&a);
	buf_fini(&b);
}
END_TEST

TCase *
case_compare(void)
{
	TCase *t = tcase_create("compare");

	tcase_add_loop_test(t, finds_the_differences, 0, ARRAY_SIZE(table));
	tcase_add_loop_test(t, answers_are_made_alike, 0, ARRAY_SIZE(alike));
	tcase_add_test(t, a_pattern_that_costs_too_much_hides_nothing);
	tcase_add_loop_test(t, bodies_are_compared_without_their_codings, 0,
			    ARRAY_SIZE(coded));
	tcase_add_loop_test(t, no_secret_of_a_coded_body_reaches_a_verdict, 0,
			    ARRAY_SIZE(coded));
	tcase_add_test(t, equal_secrets_match);
	tcase_add_loop_test(t, no_secret_reaches_a_verdict, 0,
			    ARRAY_SIZE(leaks));
	tcase_add_test(t, without_the_key_digests_are_left_out);
	tcase_add_test(t, many_digests_hide_no_difference);
	tcase_add_test(t, recorded_answers_are_not_redacted_again);
	tcase_add_test(t, many_differences_are_counted_not_kept);
	return t;
}
