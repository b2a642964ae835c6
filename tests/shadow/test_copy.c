/* SPDX-License-Identifier: Apache-2.0 */
/* What candidates get: where it goes and what it says. */
#include <stdio.h>

#include "shadow/candidate.h"
#include "tests/shadow/cases.h"

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"
#define TRACE "0af7651916cd43dd8448eb211c80319c"

static struct shadow_exchange *
exchange(const char *target, const char *request)
{
	char data[2048];
	struct error err = { 0 };
	struct shadow_exchange *x;
	struct journal_row row = { .sequence = 1,
				   .source = SPAN_LITERAL("urn:x"),
				   .subject = SPAN_LITERAL("POST /a"),
				   .correlation = SPAN_LITERAL(ID) };

	snprintf(data, sizeof(data), "{\"request\":{\"method\":\"POST\","
		 "\"target\":\"%s\",\"host\":\"shop\"%s},\"response\":"
		 "{\"status\":200},\"route\":{\"rule\":\"r\"}}", target,
		 request);
	row.data = span_of(data);
	x = shadow_exchange_decode(&row, &err);
	ck_assert_msg(x != NULL, "%s", err.text);
	return x;
}

static const struct {
	const char *base, *target, *url;
} urls[] = {
	{ "http://c:1", "/a?b=c", "http://c:1/a?b=c" },
	{ "http://c:1/", "/a", "http://c:1/a" },
	{ "http://c:1/v2/", "/a", "http://c:1/v2/a" },
	{ "http://c:1", "//evil/x", "http://c:1//evil/x" },
	{ "http://c:1", "http://shop/a?b", "http://c:1/a?b" },
	{ "http://c:1", "http://shop", "http://c:1/" },
	{ "http://c:1", "http://shop?q", "http://c:1/?q" },
	/* Glued to an authority, these would name another host. */
	{ "http://c:1", "@evil/", NULL },
	{ "http://c:1", ".evil/", NULL },
	{ "http://c:1", "*", NULL },
};

START_TEST(goes_to_the_candidate_only)
{
	const struct shadow_rule rule = { .name = "r", .target = "c",
					  .url = urls[_i].base };
	struct shadow_exchange *x = exchange(urls[_i].target, "");
	struct shadow_copy c;
	struct error err = { 0 };

	if (urls[_i].url) {
		ck_assert_int_eq(shadow_copy_init(&c, x, &rule, &err), 0);
		ck_assert_str_eq(c.request.url, urls[_i].url);
	} else {
		ck_assert_int_eq(shadow_copy_init(&c, x, &rule, &err), -1);
		ck_assert_ptr_nonnull(strstr(err.text, "no path to copy"));
	}
	shadow_copy_fini(&c);
	shadow_exchange_free(&x);
}
END_TEST

START_TEST(a_socket_takes_the_place_of_the_authority)
{
	const struct shadow_rule rule = { .name = "r", .target = "c",
					  .url = "unix:/run/c.sock",
					  .unix_path = "/run/c.sock" };
	struct shadow_exchange *x = exchange("/a", "");
	struct shadow_copy c;

	ck_assert_int_eq(shadow_copy_init(&c, x, &rule, NULL), 0);
	ck_assert_str_eq(c.request.url, "http://localhost/a");
	ck_assert_str_eq(c.request.unix_path, "/run/c.sock");
	ck_assert_str_eq(c.request.host, "shop");
	shadow_copy_fini(&c);
	shadow_exchange_free(&x);
}
END_TEST

static size_t
count_of(const struct shadow_copy *c, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < c->request.fields.count; i++)
		n += span_is_nocase(c->request.fields.at[i].name, name);
	return n;
}

START_TEST(is_marked_and_traced)
{
	const struct shadow_rule rule = { .name = "r", .target = "c",
					  .url = "http://c" };
	struct shadow_exchange *x = exchange("/a",
		",\"headers\":{\"x\":\"1\",\"matapalo-shadow\":\"0\","
		"\"x-correlation-id\":\"theirs\",\"traceparent\":\"00-" TRACE
		"-b7ad6b7169203331-01\",\"tracestate\":\"a=b\","
		"\"authorization\":\"redacted:1\"},\"body\":\"hello\"");
	struct shadow_copy c;

	ck_assert_int_eq(shadow_copy_init(&c, x, &rule, NULL), 0);
	ck_assert_uint_eq(count_of(&c, "matapalo-shadow"), 1);
	ck_assert(span_is(message_find(c.request.fields,
				       "matapalo-shadow")->value, "1"));
	ck_assert_uint_eq(count_of(&c, "x-correlation-id"), 1);
	ck_assert(span_is(message_find(c.request.fields,
				       "x-correlation-id")->value, ID));
	ck_assert_uint_eq(count_of(&c, "traceparent"), 1);
	ck_assert_uint_eq(count_of(&c, "tracestate"), 1);
	ck_assert_ptr_nonnull(strstr(c.traceparent, TRACE));
	ck_assert_ptr_null(strstr(c.traceparent, "b7ad6b7169203331"));
	ck_assert_uint_eq(count_of(&c, "authorization"), 1);
	ck_assert_uint_eq(count_of(&c, "x"), 1);
	ck_assert_str_eq(c.request.host, "shop");
	ck_assert(span_is(c.request.body, "hello"));
	shadow_copy_fini(&c);
	shadow_exchange_free(&x);
}
END_TEST

/* What a stranger says of itself ends here; what we know of it goes on. */
START_TEST(tells_who_called_in_our_own_words)
{
	static const struct {
		const char *request;
		const char *address, *proto, *forwarded;	/* NULL: none */
	} rows[] = {
		{ "\"client\":\"192.0.2.7\",\"proto\":\"https\"", "192.0.2.7",
		  "https", "for=192.0.2.7;host=\"shop\";proto=https" },
		{ "\"client\":\"2001:db8::7\",\"proto\":\"http\"",
		  "2001:db8::7", "http",
		  "for=\"[2001:db8::7]\";host=\"shop\";proto=http" },
		{ "\"client\":\"unknown\"", "unknown", NULL,
		  "for=unknown;host=\"shop\"" },
		{ "\"x\":1", NULL, NULL, NULL },
	};
	static const char *const names[] = {
		"x-forwarded-for", "x-forwarded-proto", "forwarded",
		"x-real-ip",
	};
	const char *values[] = { rows[_i].address, rows[_i].proto,
				 rows[_i].forwarded, rows[_i].address };
	const struct shadow_rule rule = {
		.name = "r", .target = "c", .url = "http://c",
		.tls_header = SPAN_LITERAL("X-Client-Cert"),
	};
	char request[600];
	struct shadow_exchange *x;
	struct shadow_copy c;

	snprintf(request, sizeof(request), ",%s,\"headers\":{"
		 "\"x-forwarded-for\":[\"6.6.6.6\",\"6.6.6.7\"],"
		 "\"X_Forwarded_For\":\"6.6.6.6\",\"x-forwarded-proto\":"
		 "\"evil\",\"x-forwarded-prefix\":\"/evil\",\"x-real-ip\":"
		 "\"6.6.6.6\",\"forwarded\":\"for=6.6.6.6\","
		 "\"matapalo-exchange\":\"6\",\"x-client_cert\":\"6\","
		 "\"x-forward\":\"theirs\"}", rows[_i].request);
	x = exchange("/a", request);
	ck_assert_int_eq(shadow_copy_init(&c, x, &rule, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		ck_assert_uint_eq(count_of(&c, names[i]), values[i] != NULL);
		if (values[i])
			ck_assert(span_is(message_find(c.request.fields,
						       names[i])->value,
					  values[i]));
	}
	ck_assert_uint_eq(count_of(&c, "x_forwarded_for"), 0);
	ck_assert_uint_eq(count_of(&c, "x-forwarded-prefix"), 0);
	ck_assert_uint_eq(count_of(&c, "matapalo-exchange"), 0);
	ck_assert_uint_eq(count_of(&c, "x-client_cert"), 0);
	ck_assert_uint_eq(count_of(&c, "x-forward"), 1);
	shadow_copy_fini(&c);
	shadow_exchange_free(&x);
}
END_TEST

START_TEST(state_of_an_invalid_trace_is_dropped)
{
	const struct shadow_rule rule = { .name = "r", .target = "c",
					  .url = "http://c" };
	struct shadow_exchange *x = exchange("/a",
		",\"headers\":{\"traceparent\":\"junk\","
		"\"tracestate\":\"a=b\"}");
	struct shadow_copy c;

	ck_assert_int_eq(shadow_copy_init(&c, x, &rule, NULL), 0);
	ck_assert_uint_eq(count_of(&c, "tracestate"), 0);
	ck_assert_uint_eq(count_of(&c, "traceparent"), 1);
	shadow_copy_fini(&c);
	shadow_exchange_free(&x);
}
END_TEST

START_TEST(commands_are_events_with_a_waiting_pair)
{
	const struct shadow_rule rule = { .name = "r", .target = "orders",
					  .command = "shop.order.place.v1",
					  .timeout_ms = 2000 };
	struct shadow_exchange *x = exchange("/a",
		",\"headers\":{},\"body\":\"{\\\"a\\\":1}\"");
	struct shadow_pair pair;
	struct shadow_entry *e = shadow_command_make(x, &rule, &pair);
	struct cJSON *data;

	ck_assert_ptr_nonnull(e);
	ck_assert(span_is(e->event.type, "shop.order.place.v1"));
	ck_assert(span_is(e->event.subject, "POST /a"));
	ck_assert(span_is(e->event.correlation, ID));
	ck_assert(!e->event.shadow);
	ck_assert_ptr_nonnull(strstr(e->event.extensions.at,
				     "\"shadow\":true"));
	ck_assert_ptr_nonnull(strstr(e->event.extensions.at,
				     "\"causationid\":\""));
	ck_assert_ptr_nonnull(strstr(e->event.extensions.at,
				     "\"dataschema\":\""
				     BUS_COMMAND_SCHEMA "\""));
	data = payload_parse(e->event.data, NULL);
	ck_assert_int_eq(payload_int(payload_at(data, "/request/json/a"), 0),
			 1);
	ck_assert_str_eq(payload_string(payload_at(data, "/route/target"),
					""), "orders");
	ck_assert_str_eq(payload_string(payload_member(data, "durability"),
					""), "bounded");
	ck_assert_int_eq(pair.deadline_us - pair.sent_us, 2000000);
	ck_assert(id_equal(&pair.command_id, &e->event.id));
	payload_free(&data);
	shadow_entry_free(&e);
	shadow_exchange_free(&x);
}
END_TEST

TCase *
case_copy(void)
{
	TCase *t = tcase_create("copy");

	tcase_add_loop_test(t, goes_to_the_candidate_only, 0,
			    ARRAY_SIZE(urls));
	tcase_add_test(t, a_socket_takes_the_place_of_the_authority);
	tcase_add_test(t, is_marked_and_traced);
	tcase_add_loop_test(t, tells_who_called_in_our_own_words, 0, 4);
	tcase_add_test(t, state_of_an_invalid_trace_is_dropped);
	tcase_add_test(t, commands_are_events_with_a_waiting_pair);
	return t;
}
