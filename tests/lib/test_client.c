/* SPDX-License-Identifier: Apache-2.0 */
/* libmatapalo against a live bus. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/matapalo.h"
#include "tests/bus/live.h"

#define MANY 300

static struct matapalo_error err;

static struct matapalo_consumer *
consumer(const char *group, const char *name, unsigned touch_ms,
	 unsigned lease_ms)
{
	struct matapalo_consumer_options o = MATAPALO_CONSUMER_OPTIONS;
	struct matapalo_consumer *c;

	o.url = live_ipc;
	o.group = group;
	o.consumer = name;
	o.touch_ms = touch_ms;
	o.lease_ms = lease_ms;
	o.type = "a.*,c.*";
	ck_assert_msg(matapalo_consumer_open(&o, &c, &err) == MATAPALO_OK,
		      "%s", err.text);
	return c;
}

static struct matapalo_publisher *
publisher(void)
{
	struct matapalo_publisher_options o = MATAPALO_PUBLISHER_OPTIONS;
	struct matapalo_publisher *p;

	o.url = live_ipc;
	ck_assert_int_eq(matapalo_publisher_open(&o, &p, &err), MATAPALO_OK);
	return p;
}

static struct matapalo_batch *
fetch(struct matapalo_consumer *c, size_t at_least)
{
	struct matapalo_batch *b;
	enum matapalo_code code = matapalo_fetch(c, 1000, 10000, &b, &err);

	ck_assert_msg(code == MATAPALO_OK, "%s", err.text);
	ck_assert_uint_ge(matapalo_batch_count(b), at_least);
	return b;
}

static int64_t
publish(const char *type, const char *id, const char *data)
{
	struct matapalo_publisher *p = publisher();
	struct matapalo_message m = { .type = type, .id = id, .data = data,
				      .subject = "s" };
	int64_t sequence = 0;

	ck_assert_int_eq(matapalo_publish(p, &m, &sequence, &err),
			 MATAPALO_OK);
	matapalo_publisher_close(&p);
	return sequence;
}

static int64_t
first(const struct matapalo_batch *b)
{
	return matapalo_event_sequence(matapalo_batch_event(b, 0));
}

static char *
text_of(size_t bytes)
{
	char *data = malloc(bytes + 1);

	ck_assert_ptr_nonnull(data);
	memset(data, 'x', bytes);
	for (size_t i = 0; i < bytes; i += 100)
		data[i] = (char)('a' + (int)(i / 100 % 26));
	data[0] = data[bytes - 1] = '"';
	data[bytes] = '\0';
	return data;
}

/* Each of the sizes, whole or by its reference, is what was published. */
START_TEST(large_data_is_fetched)
{
	static const size_t sizes[] = { 65000, 65100, 65150, 65200, 65536,
					393215, 393216, 393217, 2500000 };
	struct matapalo_consumer *c = consumer("g", NULL, 0, 0);
	size_t n = sizeof(sizes) / sizeof(*sizes), whole = 0;
	struct matapalo_batch *b;
	char *sent, *got;

	for (size_t i = 0; i < n; i++) {
		const struct matapalo_event *e;

		sent = text_of(sizes[i]);
		publish("a.b", NULL, sent);
		b = fetch(c, 1);
		e = matapalo_batch_event(b, 0);
		ck_assert_uint_le(strlen(matapalo_event_json(e)), 65536);
		ck_assert_int_eq(!matapalo_event_data(e),
				 !!matapalo_event_attribute(e, "dataref"));
		whole += matapalo_event_data(e) != NULL;
		ck_assert_msg(!matapalo_data(c, e, &got, &err), "%s",
			      err.text);
		ck_assert(strcmp(got, sent) == 0);
		free(got);
		free(sent);
		ck_assert(!matapalo_ack(c, matapalo_event_sequence(e)));
		matapalo_batch_free(&b);
	}
	ck_assert_uint_ge(whole, 1);
	ck_assert_uint_le(whole, 4);
	publish("a.b", NULL, NULL);
	b = fetch(c, 1);
	ck_assert_int_eq(matapalo_data(c, matapalo_batch_event(b, 0), &got,
				       &err), MATAPALO_USAGE);
	matapalo_batch_free(&b);
	matapalo_consumer_close(&c);
}
END_TEST

START_TEST(an_event_goes_round)
{
	int64_t sequence = publish("a.b", NULL, "{\"x\":[1,2.5]}");
	struct matapalo_consumer *c = consumer("g", NULL, 0, 0);
	struct matapalo_batch *b = fetch(c, 1);
	const struct matapalo_event *e = matapalo_batch_event(b, 0);
	const char *name;

	ck_assert_int_eq(matapalo_event_sequence(e), sequence);
	ck_assert_uint_eq(matapalo_event_attempt(e), 1);
	ck_assert_uint_eq(matapalo_event_flags(e), 0);
	ck_assert_str_eq(matapalo_event_attribute(e, "type"), "a.b");
	ck_assert_ptr_null(matapalo_event_attribute(e, "none"));
	ck_assert_ptr_null(matapalo_event_attribute(e, "data"));
	ck_assert_str_eq(matapalo_event_data(e), "{\"x\":[1,2.5]}");
	ck_assert_ptr_nonnull(strstr(matapalo_event_json(e), "\"data\""));
	ck_assert_str_eq(matapalo_event_attribute_at(e, 0, &name), "1.0");
	ck_assert_str_eq(name, "specversion");
	ck_assert_ptr_null(matapalo_event_attribute_at(e, 99, &name));
	ck_assert_ptr_null(matapalo_batch_event(b, 1));
	ck_assert_int_eq(matapalo_ack(c, sequence), MATAPALO_OK);
	ck_assert_uint_eq(matapalo_pending(c), 1);
	ck_assert_int_eq(matapalo_flush(c, &err), MATAPALO_OK);
	ck_assert_uint_eq(matapalo_pending(c), 0);
	matapalo_batch_free(&b);
	ck_assert_int_eq(matapalo_fetch(c, 9, 0, &b, &err), MATAPALO_OK);
	ck_assert_uint_eq(matapalo_batch_count(b), 0);
	matapalo_batch_free(&b);
	matapalo_consumer_close(&c);
}
END_TEST

/* The delay of a nak, and that the next delivery knows of the first. */
START_TEST(a_nak_comes_again)
{
	struct matapalo_consumer *c = consumer("g", "me", 0, 0);
	struct matapalo_batch *b;

	publish("a.b", NULL, NULL);
	b = fetch(c, 1);
	ck_assert_ptr_null(matapalo_event_data(matapalo_batch_event(b, 0)));
	ck_assert_int_eq(matapalo_nak(c, first(b), 0, "not \"now\""),
			 MATAPALO_OK);
	matapalo_batch_free(&b);
	b = fetch(c, 1);
	ck_assert_uint_eq(matapalo_event_attempt(matapalo_batch_event(b, 0)),
			  2);
	ck_assert_uint_eq(matapalo_event_flags(matapalo_batch_event(b, 0)),
			  MATAPALO_REDELIVERED);
	ck_assert_int_eq(matapalo_term(c, first(b), "never", &err),
			 MATAPALO_OK);
	/* A second verdict has no effect, and says so. */
	matapalo_ack(c, first(b));
	matapalo_batch_free(&b);
	ck_assert_int_eq(matapalo_fetch(c, 9, 0, &b, &err), MATAPALO_OK);
	ck_assert_uint_eq(matapalo_batch_stale(b), 1);
	matapalo_batch_free(&b);
	matapalo_consumer_close(&c);
}
END_TEST

/* What was not begun is nobody's attempt. */
START_TEST(a_release_is_no_attempt)
{
	struct matapalo_consumer *c = consumer("g", "me", 0, 0);
	struct matapalo_consumer *other = consumer("g", "you", 0, 0);
	struct matapalo_batch *b;

	publish("a.b", NULL, NULL);
	b = fetch(c, 1);
	ck_assert_int_eq(matapalo_release(c, first(b), &err), MATAPALO_OK);
	ck_assert_int_eq(matapalo_release(c, first(b), &err), MATAPALO_OK);
	matapalo_batch_free(&b);
	b = fetch(other, 1);
	ck_assert_uint_eq(matapalo_event_attempt(matapalo_batch_event(b, 0)),
			  1);
	ck_assert_uint_eq(matapalo_event_flags(matapalo_batch_event(b, 0)),
			  MATAPALO_REDELIVERED);
	matapalo_batch_free(&b);
	matapalo_consumer_close(&other);
	matapalo_consumer_close(&c);
}
END_TEST

static int64_t
dead_letters(void)
{
	struct bus_client *c = connect_to(live_ipc);
	struct cJSON *p = must(c, "{\"op\":\"dlq_list\"}");
	int64_t n = (int64_t)count(p, "/dead");

	payload_free(&p);
	bus_client_close(&c);
	return n;
}

/* Renewed by itself, a lease of 300 ms lasts for a second. */
START_TEST(leases_are_renewed)
{
	struct matapalo_consumer *c = consumer("g", "a", 60, 300);
	struct matapalo_consumer *other = consumer("g", "b", 0, 0);
	struct matapalo_batch *b, *none;

	publish("a.b", NULL, "1");
	b = fetch(c, 1);
	ck_assert_int_eq(matapalo_fetch(other, 1, 1000, &none, &err),
			 MATAPALO_OK);
	ck_assert_uint_eq(matapalo_batch_count(none), 0);
	matapalo_batch_free(&none);
	matapalo_ack(c, first(b));
	matapalo_batch_free(&b);
	ck_assert_int_eq(matapalo_fetch(c, 1, 0, &b, &err), MATAPALO_OK);
	ck_assert_uint_eq(matapalo_batch_stale(b), 0);
	matapalo_batch_free(&b);
	matapalo_consumer_close(&c);
	matapalo_consumer_close(&other);
	ck_assert_int_eq(dead_letters(), 0);
}
END_TEST

START_TEST(many_are_published)
{
	struct matapalo_publisher *p = publisher();
	struct matapalo_consumer *c = consumer("g", NULL, 0, 0);
	struct matapalo_message m[MANY] = { { 0 } };
	int64_t sequences[MANY], again[MANY];
	char ids[MANY][MATAPALO_ID_SIZE];
	size_t seen = 0;

	for (size_t i = 0; i < MANY; i++) {
		matapalo_id(ids[i]);
		m[i].id = ids[i];
		m[i].type = "a.b";
	}
	ck_assert_int_eq(matapalo_publish_many(p, m, MANY, sequences, &err),
			 MATAPALO_OK);
	ck_assert_int_eq(matapalo_publish_many(p, m, MANY, again, &err),
			 MATAPALO_OK);
	ck_assert_mem_eq(sequences, again, sizeof(again));
	while (seen < MANY) {
		struct matapalo_batch *b = fetch(c, 1);

		for (size_t i = 0; i < matapalo_batch_count(b); i++, seen++)
			matapalo_ack(c, matapalo_event_sequence(
						matapalo_batch_event(b, i)));
		matapalo_batch_free(&b);
	}
	ck_assert_int_eq(matapalo_flush(c, &err), MATAPALO_OK);
	ck_assert_uint_eq(seen, MANY);
	matapalo_consumer_close(&c);
	matapalo_publisher_close(&p);
}
END_TEST

/* Each message has its own place; the order is theirs. */
START_TEST(many_are_judged_one_by_one)
{
	struct matapalo_publisher *p = publisher();
	struct matapalo_message m[MANY] = { { 0 } };
	int64_t sequences[MANY];

	for (size_t i = 0; i < MANY; i++)
		m[i].type = i == 7 || i == 9 ? "matapalo.own.v1" : "a.b";
	ck_assert_int_eq(matapalo_publish_many(p, m, MANY, sequences, &err),
			 MATAPALO_REFUSED);
	ck_assert_str_eq(err.name, "bad_request");
	ck_assert_ptr_nonnull(strstr(err.text, "message 7: "));
	for (size_t i = 0; i < MANY; i++)
		ck_assert_int_eq(sequences[i],
				 i == 7 || i == 9 ? 0
				 : (int64_t)(i + 1 - (i > 7) - (i > 9)));
	m[3].data = "{";
	ck_assert_int_eq(matapalo_publish_many(p, m, MANY, sequences, &err),
			 MATAPALO_USAGE);
	ck_assert_int_eq(sequences[0], 0);
	ck_assert_int_eq(publish("a.b", NULL, NULL), MANY - 1);
	matapalo_publisher_close(&p);
}
END_TEST

/* More than one request takes; and data of 1 MiB each. */
START_TEST(very_many_are_published)
{
	struct matapalo_publisher *p = publisher();
	size_t n = 2500, large = 9;
	struct matapalo_message *m = calloc(n, sizeof(*m));
	int64_t *sequences = calloc(n, sizeof(*sequences));
	char *data = text_of(1 << 20);

	ck_assert(m && sequences);
	for (size_t i = 0; i < n; i++)
		m[i].type = "a.b";
	for (size_t i = 0; i < large; i++)
		m[i].data = data;
	ck_assert_msg(matapalo_publish_many(p, m, n, sequences, &err) ==
		      MATAPALO_OK, "%s", err.text);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(sequences[i], (int64_t)i + 1);
	ck_assert_int_eq(matapalo_publish_many(p, m, 0, NULL, &err),
			 MATAPALO_OK);
	free(data);
	free(sequences);
	free(m);
	matapalo_publisher_close(&p);
}
END_TEST

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const struct matapalo_attribute attributes[] = {
	{ "time", "2026-01-05T10:00:00.123456789+01:00", MATAPALO_STRING },
	{ "dataschema", "urn:shop:a:v1", MATAPALO_STRING },
	{ "source", "//shop/till-3", MATAPALO_STRING },
	{ "traceparent", TRACE, MATAPALO_STRING },
	{ "tracestate", "a=b", MATAPALO_STRING },
	{ "comexample", "x \"y\"", MATAPALO_STRING },
	{ "count", "-7", MATAPALO_INTEGER },
	{ "flag", "true", MATAPALO_BOOLEAN },
	{ "none", NULL, MATAPALO_STRING },
	{ NULL, NULL, MATAPALO_STRING },
};

START_TEST(attributes_go_along)
{
	struct matapalo_publisher *p = publisher();
	struct matapalo_consumer *c = consumer("g", NULL, 0, 0);
	struct matapalo_message m = { .type = "a.b", .subject = "s/1",
				      .partitionkey = "k", .data = "[1]",
				      .attributes = attributes };
	struct matapalo_batch *b;
	const struct matapalo_event *e;

	ck_assert_msg(!matapalo_publish(p, &m, NULL, &err), "%s", err.text);
	ck_assert(!matapalo_publish_many(p, &m, 1, NULL, &err));
	b = fetch(c, 2);
	for (size_t i = 0; i < 2; i++) {
		e = matapalo_batch_event(b, i);
		for (size_t k = 0; k < 6; k++)
			ck_assert_str_eq(matapalo_event_attribute(
						 e, attributes[k].name),
					 attributes[k].value);
		ck_assert_ptr_nonnull(strstr(matapalo_event_json(e),
					     "\"count\":-7,\"flag\":true"));
		ck_assert_ptr_null(matapalo_event_attribute(e, "none"));
		ck_assert_str_eq(matapalo_event_attribute(e, "subject"),
				 "s/1");
		ck_assert_str_eq(matapalo_event_attribute(e, "partitionkey"),
				 "k");
	}
	matapalo_batch_free(&b);
	m.data = NULL;
	m.data_base64 = "AP8=";
	ck_assert(!matapalo_publish(p, &m, NULL, &err));
	b = fetch(c, 1);
	ck_assert_ptr_nonnull(strstr(
		matapalo_event_json(matapalo_batch_event(b, 0)),
		"\"data_base64\":\"AP8=\""));
	matapalo_batch_free(&b);
	matapalo_consumer_close(&c);
	matapalo_publisher_close(&p);
}
END_TEST

static const struct {
	struct matapalo_attribute a;
	enum matapalo_code code;
	const char *says;
} wrong[] = {
	{ { "op", "x", MATAPALO_STRING }, MATAPALO_USAGE, "op is no" },
	{ { "token", "x", MATAPALO_STRING }, MATAPALO_USAGE, "token is no" },
	{ { "each", "x", MATAPALO_STRING }, MATAPALO_USAGE, "each is no" },
	{ { "data", "x", MATAPALO_STRING }, MATAPALO_USAGE, "data is no" },
	{ { "n", "2147483648", MATAPALO_INTEGER }, MATAPALO_USAGE, "32 bits" },
	{ { "n", "1x", MATAPALO_INTEGER }, MATAPALO_USAGE, "32 bits" },
	{ { "b", "yes", MATAPALO_BOOLEAN }, MATAPALO_USAGE, "\"true\"" },
	{ { "time", "yesterday", MATAPALO_STRING }, MATAPALO_REFUSED, "time" },
	{ { "type", "b.c", MATAPALO_STRING }, MATAPALO_REFUSED, "twice" },
	{ { "sequence", "1", MATAPALO_STRING }, MATAPALO_REFUSED, "matapalo" },
	{ { "Upper", "1", MATAPALO_STRING }, MATAPALO_REFUSED, "lower-case" },
};

START_TEST(wrong_attributes_are_named)
{
	struct matapalo_publisher *p = publisher();
	struct matapalo_attribute list[2] = { wrong[_i].a, { 0 } };
	struct matapalo_message m = { .type = "a.b", .attributes = list };

	ck_assert_int_eq(matapalo_publish(p, &m, NULL, &err), wrong[_i].code);
	ck_assert_msg(strstr(err.text, wrong[_i].says), "%s", err.text);
	ck_assert_int_eq(matapalo_publish_many(p, &m, 1, NULL, &err),
			 wrong[_i].code);
	ck_assert_msg(strstr(err.text, wrong[_i].says), "%s", err.text);
	matapalo_publisher_close(&p);
}
END_TEST

/* Verdicts outlive the bus: kept, and given to the next one. */
static void
follow(const struct matapalo_event *cause, const char *type,
       const char *correlation)
{
	struct matapalo_publisher *p = publisher();
	struct matapalo_message m = { .type = type, .cause = cause,
				      .correlationid = correlation };

	ck_assert_msg(!matapalo_publish(p, &m, NULL, &err), "%s", err.text);
	matapalo_publisher_close(&p);
}

/* What follows from an event has its correlation id, or its id. */
START_TEST(a_cause_is_handed_on)
{
	static const char own[] = "01890000-0000-7000-8000-000000000001";
	struct matapalo_consumer *c = consumer("g", NULL, 0, 0);
	const struct matapalo_event *first, *second, *third;
	struct matapalo_batch *b, *more, *last;

	publish("a.b", NULL, "1");
	b = fetch(c, 1);
	first = matapalo_batch_event(b, 0);
	follow(first, "c.d", NULL);
	more = fetch(c, 1);
	second = matapalo_batch_event(more, 0);
	ck_assert_str_eq(matapalo_event_attribute(second, "correlationid"),
			 matapalo_event_attribute(first, "id"));
	ck_assert_str_eq(matapalo_event_attribute(second, "causationid"),
			 matapalo_event_attribute(first, "id"));
	follow(second, "c.e", own);
	last = fetch(c, 1);
	third = matapalo_batch_event(last, 0);
	ck_assert_str_eq(matapalo_event_attribute(third, "correlationid"),
			 own);
	ck_assert_str_eq(matapalo_event_attribute(third, "causationid"),
			 matapalo_event_attribute(second, "id"));
	matapalo_batch_free(&b);
	matapalo_batch_free(&more);
	matapalo_batch_free(&last);
	matapalo_consumer_close(&c);
}
END_TEST

START_TEST(a_bus_that_restarts)
{
	struct matapalo_consumer *c = consumer("g", "me", 0, 0);
	struct matapalo_batch *b;

	publish("a.b", NULL, "1");
	b = fetch(c, 1);
	matapalo_ack(c, first(b));
	matapalo_batch_free(&b);
	live_restart();
	ck_assert_int_eq(matapalo_fetch(c, 9, 0, &b, &err), MATAPALO_OK);
	ck_assert_uint_eq(matapalo_batch_count(b), 0);
	ck_assert_uint_eq(matapalo_batch_stale(b), 0);
	matapalo_batch_free(&b);
	matapalo_consumer_close(&c);
}
END_TEST

START_TEST(errors_say_what)
{
	struct matapalo_consumer_options o = MATAPALO_CONSUMER_OPTIONS;
	struct matapalo_consumer *c = NULL;
	struct matapalo_publisher *p = publisher();
	struct matapalo_message m = { .type = "matapalo.own.v1" };
	struct matapalo_batch *b;

	ck_assert_int_eq(matapalo_consumer_open(NULL, &c, &err),
			 MATAPALO_USAGE);
	ck_assert_int_eq(matapalo_consumer_open(&o, &c, NULL),
			 MATAPALO_USAGE);
	o.group = "g";
	ck_assert_int_eq(matapalo_consumer_open(&o, &c, &err),
			 MATAPALO_USAGE);
	ck_assert_ptr_nonnull(strstr(err.text, "url"));
	o.url = "ipc:///nowhere/at/all";
	o.connect_ms = 50;
	ck_assert_int_eq(matapalo_consumer_open(&o, &c, &err),
			 MATAPALO_UNREACHABLE);
	ck_assert_ptr_null(c);
	ck_assert_int_eq(matapalo_publish(p, &m, NULL, &err),
			 MATAPALO_REFUSED);
	ck_assert_str_eq(err.name, "bad_request");
	m.type = "a.b";
	m.data = "{\"not\": json}";
	ck_assert_int_eq(matapalo_publish(p, &m, NULL, &err),
			 MATAPALO_USAGE);
	c = consumer("g", "local-me", 0, 0);
	ck_assert_int_eq(matapalo_fetch(c, 1, 0, &b, &err),
			 MATAPALO_REFUSED);
	ck_assert_ptr_null(b);
	ck_assert_str_eq(matapalo_code_name(err.code), "refused");
	matapalo_consumer_close(&c);
	matapalo_consumer_close(&c);
	matapalo_publisher_close(&p);
	ck_assert_ptr_nonnull(matapalo_version());
}
END_TEST

static void
on_reply(void *arg, struct bus_reply *reply)
{
	__atomic_store_n((int *)arg, reply->status, __ATOMIC_SEQ_CST);
	bus_reply_free(&reply);
}

START_TEST(a_command_is_answered)
{
	struct matapalo_consumer *c = consumer("g", NULL, 0, 0);
	struct id id = id_make();
	char hex[ID_TEXT_SIZE];
	struct matapalo_batch *b;
	const struct matapalo_event *e;
	int status = 0, late = 7;

	ck_assert_int_eq(bus_expect(live_bus, &id, on_reply, &status), 0);
	fixture_append(&live_fixture, "c.d", "POST /orders", NULL,
		       id_text(&id, hex));
	b = fetch(c, 1);
	e = matapalo_batch_event(b, 0);
	ck_assert_int_eq(matapalo_reply(c, e, "[]", NULL, &err),
			 MATAPALO_USAGE);
	ck_assert_int_eq(matapalo_reply(c, e, "{\"status\":99}", NULL, &err),
			 MATAPALO_REFUSED);
	ck_assert_int_eq(matapalo_reply(c, e, "{\"status\":201,\"json\":{}}",
					&late, &err), MATAPALO_OK);
	ck_assert_int_eq(late, 0);
	ck_assert_int_eq(__atomic_load_n(&status, __ATOMIC_SEQ_CST), 201);
	matapalo_ack(c, first(b));
	matapalo_batch_free(&b);
	ck_assert_int_eq(matapalo_flush(c, &err), MATAPALO_OK);
	matapalo_consumer_close(&c);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("lib/client");
	TCase *t = tcase_create("client");

	tcase_add_checked_fixture(t, live_setup, live_teardown);
	tcase_add_test(t, an_event_goes_round);
	tcase_add_test(t, large_data_is_fetched);
	tcase_add_test(t, a_nak_comes_again);
	tcase_add_test(t, a_release_is_no_attempt);
	tcase_add_test(t, leases_are_renewed);
	tcase_add_test(t, many_are_published);
	tcase_add_test(t, many_are_judged_one_by_one);
	tcase_add_test(t, very_many_are_published);
	tcase_add_test(t, attributes_go_along);
	tcase_add_loop_test(t, wrong_attributes_are_named, 0,
			    sizeof(wrong) / sizeof(*wrong));
	tcase_add_test(t, a_cause_is_handed_on);
	tcase_add_test(t, a_bus_that_restarts);
	tcase_add_test(t, errors_say_what);
	tcase_add_test(t, a_command_is_answered);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return s;
}

int
main(int argc, char **argv)
{
	return live_main(argc, argv, suite);
}
