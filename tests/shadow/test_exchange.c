/* SPDX-License-Identifier: Apache-2.0 */
/* Exchange events, read back. */
#include "shadow/exchange.h"

#include <stdio.h>
#include <string.h>

#include "tests/shadow/cases.h"

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"

static struct journal_row
row_with(const char *data)
{
	return (struct journal_row){
		.sequence = 7,
		.source = SPAN_LITERAL("urn:test"),
		.subject = SPAN_LITERAL("GET /a"),
		.correlation = SPAN_LITERAL(ID),
		.data = span_of(data),
	};
}

START_TEST(reads_what_was_recorded)
{
	struct journal_row row = row_with(
		"{\"request\":{\"method\":\"GET\",\"target\":\"/a?b\","
		"\"host\":\"shop\",\"headers\":{\"x\":\"1\"}},"
		"\"response\":{\"status\":200,\"headers\":{},\"body\":\"ok\"},"
		"\"route\":{\"rule\":\"r\",\"path\":\"/{x}\"},"
		"\"outcome\":\"response\",\"timings\":{\"total_us\":1234}}");
	struct shadow_exchange *x = shadow_exchange_decode(&row, NULL);

	ck_assert_ptr_nonnull(x);
	ck_assert_str_eq(x->correlation, ID);
	ck_assert_str_eq(x->method, "GET");
	ck_assert_str_eq(x->target, "/a?b");
	ck_assert_str_eq(x->rule, "r");
	ck_assert_str_eq(x->subject, "GET /a");
	ck_assert_int_eq(x->status, 200);
	ck_assert_uint_eq(x->total_us, 1234);
	ck_assert(x->answered);
	ck_assert(shadow_exchange_is_complete(x));
	ck_assert(shadow_exchange_is_safe(x));
	shadow_exchange_free(&x);
}
END_TEST

START_TEST(the_trace_is_the_events_else_the_callers)
{
	struct journal_row row = row_with(
		"{\"request\":{\"method\":\"GET\",\"target\":\"/\","
		"\"headers\":{\"traceparent\":\"theirs\","
		"\"tracestate\":\"s\"}}}");
	struct shadow_exchange *x = shadow_exchange_decode(&row, NULL);

	ck_assert_str_eq(x->traceparent, "theirs");
	ck_assert_str_eq(x->tracestate, "s");
	shadow_exchange_free(&x);
	row.extensions = SPAN_LITERAL("\"traceparent\":\"ours\"");
	x = shadow_exchange_decode(&row, NULL);
	ck_assert_str_eq(x->traceparent, "ours");
	ck_assert_ptr_null(x->tracestate);
	shadow_exchange_free(&x);
}
END_TEST

static const struct {
	const char *method;
	bool safe;
} methods[] = {
	{ "GET", true }, { "HEAD", true }, { "OPTIONS", true },
	{ "POST", false }, { "PUT", false }, { "PATCH", false },
	{ "DELETE", false }, { "get", false }, { "QUERY", false },
	{ "GETX", false },
};

START_TEST(unknown_methods_are_unsafe)
{
	const struct shadow_exchange x = { .method = methods[_i].method };

	ck_assert(shadow_exchange_is_safe(&x) == methods[_i].safe);
}
END_TEST

static const char *const unanswered[] = {
	/* aborted; no answer; matapalo's own 502 */
	"\"response\":{\"status\":200},\"outcome\":\"aborted\"",
	"\"outcome\":\"unknown\"",
	("\"response\":{\"status\":502},\"outcome\":\"response\","
	 "\"answered_by\":\"matapalo\""),
};

START_TEST(knows_when_nobody_answered)
{
	char data[512];
	struct journal_row row;
	struct shadow_exchange *x;

	snprintf(data, sizeof(data), "{\"request\":{\"method\":\"GET\","
		 "\"target\":\"/\"},%s}", unanswered[_i]);
	row = row_with(data);
	x = shadow_exchange_decode(&row, NULL);
	ck_assert_ptr_nonnull(x);
	ck_assert(!x->answered);
	shadow_exchange_free(&x);
}
END_TEST

static const char *const unreadable[] = {
	"", "[]", "{\"request\":{}}", "{",
	("{\"request\":{\"method\":\"GET\",\"target\":\"/\","
	 "\"body_base64\":\"!\"}}"),
};

START_TEST(says_which_event_is_unreadable)
{
	struct journal_row row = row_with(unreadable[_i]);
	struct error err = { 0 };

	ck_assert_ptr_null(shadow_exchange_decode(&row, &err));
	ck_assert_int_eq(strncmp(err.text, "event 7: ", 9), 0);
}
END_TEST

/* As in live commands: an event's attributes stay small. */
START_TEST(a_trace_state_too_long_is_none)
{
	char data[1024], state[513 + 1] = { 0 };
	struct shadow_exchange *x;
	struct journal_row row;

	for (size_t n = 512; n <= 513; n++) {
		memset(state, 's', n);
		snprintf(data, sizeof(data), "{\"request\":{\"method\":"
			 "\"GET\",\"target\":\"/\",\"headers\":{"
			 "\"traceparent\":\"p\",\"tracestate\":\"%s\"}}}",
			 state);
		row = row_with(data);
		x = shadow_exchange_decode(&row, NULL);
		ck_assert(!x->tracestate == (n > 512));
		shadow_exchange_free(&x);
	}
}
END_TEST

TCase *
case_exchange(void)
{
	TCase *t = tcase_create("exchange");

	tcase_add_test(t, reads_what_was_recorded);
	tcase_add_test(t, the_trace_is_the_events_else_the_callers);
	tcase_add_test(t, a_trace_state_too_long_is_none);
	tcase_add_loop_test(t, unknown_methods_are_unsafe, 0,
			    ARRAY_SIZE(methods));
	tcase_add_loop_test(t, knows_when_nobody_answered, 0,
			    ARRAY_SIZE(unanswered));
	tcase_add_loop_test(t, says_which_event_is_unreadable, 0,
			    ARRAY_SIZE(unreadable));
	return t;
}
