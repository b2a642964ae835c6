/* SPDX-License-Identifier: Apache-2.0 */
/* Records as events: form, redaction, and what encoding costs. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bus/bus.h"
#include "bus/encode.h"
#include "payload/payload.h"

#define CANARY "c4n4ry"

static const struct digest_key key = { { 1, 2, 3 } };
static const struct bus_source source = { "//test/matapalo", &key };
static struct encode_scratch scratch;

static const char *const secret_headers[] = { "X-Api-Key" };
static const char *const secret_query[] = { "token", "password" };
static const char *const secret_json[] = { "/password", "/cards/*/pan" };
static const struct redact redact = {
	secret_headers, ARRAY_SIZE(secret_headers),
	secret_query,	ARRAY_SIZE(secret_query),
	secret_json,	ARRAY_SIZE(secret_json),
};

#define FIELD(n, v) { { n, sizeof(n) - 1 }, { v, sizeof(v) - 1 } }

static const struct message_field request_fields[] = {
	FIELD("Host", "shop.example"),
	FIELD("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"),
	FIELD("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
	FIELD("Accept-Language", "en-US,en;q=0.5"),
	FIELD("Accept-Encoding", "gzip, deflate, br"),
	FIELD("Connection", "keep-alive"),
	FIELD("Cookie", "session=" CANARY "; theme=" CANARY),
	FIELD("Authorization", "Bearer " CANARY),
	FIELD("X-Forwarded-For", "192.0.2.7"),
	FIELD("x-forwarded-for", "192.0.2.8"),
};
static const struct message_field response_fields[] = {
	FIELD("Content-Type", "text/plain; charset=utf-8"),
	FIELD("Content-Length", "1024"),
	FIELD("Date", "Mon, 05 Jan 2026 10:00:00 GMT"),
	FIELD("Server", "legacy/1.0"),
	FIELD("ETag", "\"abcdef0123456789\""),
	FIELD("Cache-Control", "max-age=60, public"),
	FIELD("Vary", "Accept-Encoding"),
	FIELD("Set-Cookie", "session=" CANARY "; Path=/; HttpOnly"),
	FIELD("Set-Cookie", "other=" CANARY),
	FIELD("X-Request-Id", "0123456789abcdef"),
};

static struct bus_record
an_exchange(void)
{
	struct bus_record r;

	bus_record_init(&r, BUS_RECORD_EXCHANGE, &source);
	r.redact = &redact;
	r.event_id = id_make();
	r.exchange_id = id_make();
	r.started_us = 1767607200000000;
	r.total_us = 1500;
	r.request = (struct message_request){
		.method = SPAN_LITERAL("GET"),
		.target = SPAN_LITERAL("/p/7?token=" CANARY "&q=1"),
		.path = SPAN_LITERAL("/p/7"),
		.query = SPAN_LITERAL("token=" CANARY "&q=1"),
		.host = SPAN_LITERAL("shop.example"),
		.client = SPAN_LITERAL("192.0.2.1"),
		.fields = { request_fields, ARRAY_SIZE(request_fields) },
	};
	r.status = 200;
	r.response = (struct message_fields){ response_fields,
					      ARRAY_SIZE(response_fields) };
	r.rule = SPAN_LITERAL("product-page");
	r.stage = SPAN_LITERAL("mirror");
	r.target = SPAN_LITERAL("legacy");
	r.upstream = SPAN_LITERAL("127.0.0.1:3000");
	r.path_template = SPAN_LITERAL("/p/{id}");
	return r;
}

static struct bus_body
body_of(const char *text)
{
	return (struct bus_body){ .bytes = span_of(text),
				  .true_bytes = strlen(text) };
}

/* Encodes, checks that data and extensions are JSON, returns data. */
static struct cJSON *
encoded(const struct bus_record *r, struct journal_event *e)
{
	struct error err = { 0 };
	struct buf all = { 0 };
	struct cJSON *p;

	ck_assert_int_eq(encode_record(&scratch, r, e), 0);
	buf_printf(&all, "{\"extensions\":{%.*s},\"data\":%.*s}",
		   (int)e->extensions.len, e->extensions.at, (int)e->data.len,
		   e->data.at);
	ck_assert_msg(!strstr(buf_str(&all), CANARY), "secret in %s",
		      buf_str(&all));
	p = payload_parse(buf_span(&all), &err);
	ck_assert_msg(p != NULL, "%s in %s", err.text, buf_str(&all));
	buf_fini(&all);
	return p;
}

static const char *
at(const struct cJSON *p, const char *pointer)
{
	return payload_string(payload_at(p, pointer), "(none)");
}

START_TEST(exchange_has_its_members)
{
	struct bus_record r = an_exchange();
	struct journal_event e;
	struct cJSON *p;

	r.response_body = body_of("hello \"world\"\n");
	r.traceparent = SPAN_LITERAL("00-ab-cd-01");
	p = encoded(&r, &e);
	ck_assert(span_is(e.type, "matapalo.exchange.v1"));
	ck_assert(span_is(e.subject, "GET /p/7"));
	ck_assert(e.time_us == r.started_us + 1500);
	ck_assert_int_eq(e.mark, JOURNAL_MARK_NONE);
	ck_assert(!e.shadow);
	ck_assert_str_eq(at(p, "/extensions/traceparent"), "00-ab-cd-01");
	ck_assert_str_eq(at(p, "/extensions/dataschema"),
			 "urn:matapalo:schema:exchange:v1");
	ck_assert_str_eq(at(p, "/extensions/causationid"), "(none)");
	ck_assert_str_eq(at(p, "/data/request/method"), "GET");
	ck_assert_str_eq(at(p, "/data/request/headers/x-forwarded-for/1"),
			 "192.0.2.8");
	ck_assert_str_eq(at(p, "/data/response/body"), "hello \"world\"\n");
	ck_assert_int_eq(payload_int(
		payload_at(p, "/data/response/body_bytes"), -1), 14);
	ck_assert_int_eq(payload_int(payload_at(p, "/data/response/status"),
				     0), 200);
	ck_assert_str_eq(at(p, "/data/route/path"), "/p/{id}");
	ck_assert_str_eq(at(p, "/data/outcome"), "response");
	ck_assert_str_eq(at(p, "/data/durability"), "bounded");
	ck_assert_str_eq(at(p, "/data/timings/started"),
			 "2026-01-05T10:00:00.000000Z");
	ck_assert_str_eq(at(p, "/data/answered_by"), "(none)");
	payload_free(&p);
}
END_TEST

START_TEST(exchange_has_its_trailers)
{
	static const struct {
		const char *lines, *pointer, *value;
	} rows[] = {
		{ "Digest: abc\r\n", "/digest", "abc" },
		{ "A: 1\r\nB:\r\na:2\r\n", "/a/1", "2" },
		{ "A: 1\r\nB:\r\na:2\r\n", "/b", "" },
		{ "A: x:y \t\r\n", "/a", "x:y" },
		{ "A: 1\r\nX-Api-Key: " CANARY "\r\n", "/a", "1" },
		{ "", "", "(none)" },
		{ "no colon\r\nA: 1\r\n", "", "(none)" },
	};
	struct bus_record r = an_exchange();
	struct journal_event e;
	struct cJSON *p;
	char pointer[64];
	size_t i;

	for (i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		struct span lines = span_of(rows[i / 2].lines);

		r.request_trailers = i % 2 ? lines : (struct span){ "", 0 };
		r.response_trailers = i % 2 ? (struct span){ "", 0 } : lines;
		p = encoded(&r, &e);
		snprintf(pointer, sizeof(pointer), "/data/%s/trailers%s",
			 i % 2 ? "request" : "response", rows[i / 2].pointer);
		ck_assert_str_eq(at(p, pointer), rows[i / 2].value);
		payload_free(&p);
	}
}
END_TEST

START_TEST(exchange_says_whose_certificate)
{
	struct bus_record r = an_exchange();
	struct journal_event e;
	struct cJSON *p = encoded(&r, &e);

	ck_assert_ptr_null(payload_at(p, "/data/request/client_certificate"));
	payload_free(&p);
	r.certificate_hash = SPAN_LITERAL("00ff");
	r.certificate_subject = SPAN_LITERAL("CN=me,O=a \\\"b\\\"");
	p = encoded(&r, &e);
	ck_assert_str_eq(at(p, "/data/request/client_certificate/sha256"),
			 "00ff");
	ck_assert_str_eq(at(p, "/data/request/client_certificate/subject"),
			 "CN=me,O=a \\\"b\\\"");
	payload_free(&p);
}
END_TEST

START_TEST(aborted_exchange_has_no_response)
{
	struct bus_record r = an_exchange();
	struct journal_event e;
	struct cJSON *p;

	r.status = 0;
	r.outcome = BUS_OUTCOME_ABORTED;
	r.opened = true;
	r.opened_by = id_make();
	r.strict = r.fell_back = r.answered_by_proxy = true;
	r.error = SPAN_LITERAL("the client went away");
	r.shadow = SPAN_LITERAL("catalog");
	p = encoded(&r, &e);
	ck_assert_ptr_null(payload_at(p, "/data/response"));
	ck_assert_str_eq(at(p, "/data/outcome"), "aborted");
	ck_assert_str_eq(at(p, "/data/answered_by"), "matapalo");
	ck_assert_str_eq(at(p, "/data/error"), "the client went away");
	ck_assert_str_eq(at(p, "/data/shadow"), "catalog");
	ck_assert_str_eq(at(p, "/data/durability"), "strict");
	ck_assert(payload_bool(payload_at(p, "/data/fell_back"), false));
	ck_assert_uint_eq(strlen(at(p, "/extensions/causationid")), 36);
	ck_assert_int_eq(e.mark, JOURNAL_MARK_CLOSES);
	ck_assert(e.shadow);
	payload_free(&p);
}
END_TEST

START_TEST(command_inlines_a_json_body)
{
	struct bus_record r = an_exchange();
	struct journal_event e;
	struct cJSON *p;

	r.kind = BUS_RECORD_COMMAND;
	r.command = SPAN_LITERAL("shop.order.place.v1");
	r.request_body = body_of("{\"sku\":\"a\", \"password\":\"" CANARY "\","
				 "\"n\":12345678901234567890}");
	p = encoded(&r, &e);
	ck_assert(span_is(e.type, "shop.order.place.v1"));
	ck_assert_int_eq(e.mark, JOURNAL_MARK_OPENS);
	ck_assert_str_eq(at(p, "/data/request/json/sku"), "a");
	ck_assert_int_eq(strncmp(at(p, "/data/request/json/password"),
				 "redacted:", 9), 0);
	ck_assert_ptr_null(payload_at(p, "/data/outcome"));
	payload_free(&p);
}
END_TEST

/* ---- bodies ---- */

enum stored { AS_TEXT, AS_BASE64, NOT_STORED, NOTHING };

static const struct {
	const char *type, *encoding, *body;
	bool truncated;
	enum stored want;
} bodies[] = {
	{ "text/plain", NULL, "plain", false, AS_TEXT },
	{ "text/plain", NULL, "caf\xc3", true, AS_TEXT },
	{ "text/plain", NULL, "caf\xc3", false, AS_BASE64 },
	{ "image/png", NULL, "\x89PNG", false, AS_BASE64 },
	{ "text/plain", NULL, "", false, NOTHING },
	{ "application/json", NULL, "{\"password\":\"" CANARY "\"}", false,
	  AS_TEXT },
	{ "text/html", NULL, " {\"password\":\"" CANARY "\"}", false, AS_TEXT },
	{ NULL, NULL, "{\"cards\":[{\"pan\":\"" CANARY "\"}]}", false,
	  AS_TEXT },
	{ "application/json", NULL, "{\"password\":\"" CANARY, true,
	  NOT_STORED },
	{ "application/json", NULL, "{\"password\":\"" CANARY, false,
	  NOT_STORED },
	{ "application/x-ndjson", NULL,
	  "{\"password\":\"" CANARY "\"}\n{\"password\":\"" CANARY "\"}",
	  false, NOT_STORED },
	{ "application/json", "gzip", "\x1f\x8b" CANARY, false, NOT_STORED },
	{ "text/plain", "identity", "plain", false, AS_TEXT },
	{ "text/event-stream", NULL, "data: {\"password\":\"" CANARY "\"}",
	  false, NOT_STORED },
	{ "application/x-www-form-urlencoded", NULL,
	  "a=1&password=" CANARY "&b=2", false, AS_TEXT },
	{ "application/x-www-form-urlencoded", NULL, "a=1&pass%77ord=" CANARY,
	  true, AS_TEXT },
	{ "multipart/form-data; boundary=x", NULL,
	  "--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n"
	  CANARY "\r\n--x--", false, NOT_STORED },
	{ "multipart/form-data; boundary=x", NULL, "--x--", false, AS_TEXT },
};

START_TEST(body_is_stored_safely)
{
	struct message_field f[2];
	struct bus_record r = an_exchange();
	struct journal_event e;
	struct cJSON *p;
	size_t n = 0;

	if (bodies[_i].type)
		f[n++] = (struct message_field){ SPAN_LITERAL("content-type"),
						 span_of(bodies[_i].type) };
	if (bodies[_i].encoding)
		f[n++] = (struct message_field){
			SPAN_LITERAL("Content-Encoding"),
			span_of(bodies[_i].encoding) };
	r.response = (struct message_fields){ f, n };
	r.response_body = body_of(bodies[_i].body);
	r.response_body.truncated = bodies[_i].truncated;
	memset(r.response_body.digest, 'a', DIGEST_HEX_SIZE - 1);
	p = encoded(&r, &e);
	ck_assert_int_eq(payload_at(p, "/data/response/body") != NULL,
			 bodies[_i].want == AS_TEXT);
	ck_assert_int_eq(payload_at(p, "/data/response/body_base64") != NULL,
			 bodies[_i].want == AS_BASE64);
	ck_assert_int_eq(payload_at(p, "/data/response/withheld") != NULL,
			 bodies[_i].want == NOT_STORED);
	ck_assert_int_eq(payload_bool(
		payload_at(p, "/data/response/truncated"), false),
		bodies[_i].truncated);
	if (bodies[_i].want == NOT_STORED)
		ck_assert_ptr_null(payload_at(p, "/data/response/digest"));
	payload_free(&p);
}
END_TEST

START_TEST(urls_in_headers_are_redacted)
{
	static const struct message_field f[] = {
		FIELD("Referer", "https://shop.example/a?token=" CANARY),
		FIELD("Location", "https://user:" CANARY "@shop.example/"),
		FIELD("x-api-key", CANARY),
		FIELD("Proxy-Authorization", "Basic " CANARY),
	};
	struct bus_record r = an_exchange();
	struct journal_event e;
	struct cJSON *p;

	r.request.fields = (struct message_fields){ f, ARRAY_SIZE(f) };
	r.request.target = SPAN_LITERAL("http://u:" CANARY "@h/p?x=1");
	r.request.path = SPAN_LITERAL("http://u:" CANARY "@h/p");
	p = encoded(&r, &e);
	ck_assert(!memmem(e.subject.at, e.subject.len, CANARY,
			  strlen(CANARY)));
	payload_free(&p);
}
END_TEST

START_TEST(cloudevent_has_its_attributes)
{
	struct journal_row row = {
		.sequence = 42, .id = id_make(), .time_us = 1767607200000000,
		.type = SPAN_LITERAL("a.v1"), .source = SPAN_LITERAL("//s"),
		.partition_key = SPAN_LITERAL("k"),
		.extensions = SPAN_LITERAL("\"causationid\":\"c\""),
		.data = SPAN_LITERAL("[1]"), .shadow = true,
	};
	struct buf out = { 0 };
	struct json j;
	struct cJSON *p;

	json_init(&j, &out);
	bus_write_cloudevent(&j, &row);
	p = payload_parse(buf_span(&out), NULL);
	ck_assert_msg(p != NULL, "%s", buf_str(&out));
	ck_assert_str_eq(at(p, "/specversion"), "1.0");
	ck_assert_str_eq(at(p, "/time"), "2026-01-05T10:00:00.000000Z");
	ck_assert_str_eq(at(p, "/sequence"), "0000000000000000042");
	ck_assert_str_eq(at(p, "/causationid"), "c");
	ck_assert_str_eq(at(p, "/partitionkey"), "k");
	ck_assert_str_eq(at(p, "/subject"), "(none)");
	ck_assert(payload_bool(payload_at(p, "/shadow"), false));
	ck_assert_int_eq(payload_int(payload_at(p, "/data/0"), 0), 1);
	payload_free(&p);
	buf_fini(&out);
}
END_TEST

static double
cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* Whatever a caller asks for: without its data an event fits the limit, and
 * a subject is not cut in the midst of a character. */
START_TEST(attributes_fit_an_event)
{
	static char path[65536], state[512];
	struct bus_record r = an_exchange();
	struct buf text = { 0 };
	struct journal_event e;
	struct json j;
	size_t i;

	for (i = 0; i < sizeof(path); i++)
		path[i] = i < 2 ? "/a"[i] : "\xc3\xa9"[i % 2];
	memset(state, 1, sizeof(state));
	r.request.path = (struct span){ path, sizeof(path) };
	r.tracestate = (struct span){ state, sizeof(state) };
	payload_free(&(struct cJSON *){ encoded(&r, &e) });
	ck_assert_uint_le(e.subject.len, ENCODE_SUBJECT_MAX);
	ck_assert_uint_ge(e.subject.len, ENCODE_SUBJECT_MAX - 1);
	ck_assert(json_is_utf8(e.subject));
	ck_assert(span_is((struct span){ e.subject.at, 8 }, "GET /a\xc3\xa9"));

	memset(path, 1, sizeof(path));
	path[0] = '/';
	payload_free(&(struct cJSON *){ encoded(&r, &e) });
	json_init(&j, &text);
	bus_write_cloudevent_within(&j, &(struct journal_row){
		.source = e.source, .type = e.type, .subject = e.subject,
		.partition_key = e.subject, .extensions = e.extensions,
		.data = e.data }, 1);
	ck_assert_uint_gt(text.len, 2 * (ENCODE_SUBJECT_MAX - 16));
	ck_assert_uint_lt(text.len, BUS_EVENT_BYTES);
	buf_fini(&text);
}
END_TEST

static double
cost_us(const struct bus_record *r, struct journal_event *e)
{
	enum { ROUNDS = 20000 };
	double from;

	ck_assert_int_eq(encode_record(&scratch, r, e), 0);
	from = cpu_us();
	for (int i = 0; i < ROUNDS; i++)
		if (encode_record(&scratch, r, e) < 0)
			ck_abort_msg("no memory");
	return (cpu_us() - from) / ROUNDS;
}

/* Not a promise on every machine: reported, and far from it is a failure. */
START_TEST(encoding_is_cheap)
{
	struct bus_record r = an_exchange();
	struct journal_event e;
	char body[1025];
	double us;

	memset(body, 'x', 1024);
	body[1024] = '\0';
	r.response_body = body_of(body);
	us = cost_us(&r, &e);
	printf("encode: %.2f us an exchange with secrets (%zu bytes)\n", us,
	       e.data.len);
	r.request.fields.count = 6;
	r.response.count = 7;
	r.request.target = r.request.path;
	us = cost_us(&r, &e);
	printf("encode: %.2f us an exchange without (%zu bytes)\n", us,
	       e.data.len);
	ck_assert_double_lt(us, 200);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus/encode");
	TCase *t = tcase_create("encode");
	SRunner *r = srunner_create(s);
	int failed;

	digest_start();
	tcase_add_test(t, exchange_has_its_members);
	tcase_add_test(t, exchange_has_its_trailers);
	tcase_add_test(t, exchange_says_whose_certificate);
	tcase_add_test(t, aborted_exchange_has_no_response);
	tcase_add_test(t, command_inlines_a_json_body);
	tcase_add_loop_test(t, body_is_stored_safely, 0, ARRAY_SIZE(bodies));
	tcase_add_test(t, urls_in_headers_are_redacted);
	tcase_add_test(t, cloudevent_has_its_attributes);
	tcase_add_test(t, attributes_fit_an_event);
	tcase_add_test(t, encoding_is_cheap);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	encode_scratch_fini(&scratch);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
