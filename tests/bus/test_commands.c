/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and their replies; what a crash leaves behind. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "bus/internal.h"
#include "tests/bus/live.h"

struct delivery {
	pthread_mutex_t lock;
	pthread_cond_t came;
	struct bus_reply *reply;
	int calls;
};

static void
on_reply(void *arg, struct bus_reply *reply)
{
	struct delivery *d = arg;

	pthread_mutex_lock(&d->lock);
	d->reply = reply;
	d->calls++;
	pthread_cond_signal(&d->came);
	pthread_mutex_unlock(&d->lock);
}

static struct bus_reply *
await_reply(struct delivery *d)
{
	struct bus_reply *r;

	pthread_mutex_lock(&d->lock);
	while (!d->reply)
		pthread_cond_wait(&d->came, &d->lock);
	r = d->reply;
	d->reply = NULL;
	pthread_mutex_unlock(&d->lock);
	return r;
}

#define DELIVERY { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, \
		   NULL, 0 }

#define REQUEST_SIZE 1024

static char *
reply_request(const struct id *id, const char *members, char *out)
{
	char hex[ID_TEXT_SIZE];

	snprintf(out, REQUEST_SIZE,
		 "{\"op\":\"reply\",\"correlationid\":\"%s\"%s}",
		 id_text(id, hex), members);
	return out;
}

START_TEST(command_is_answered)
{
	struct bus_client *c = connect_to(live_ipc);
	struct delivery d = DELIVERY;
	struct id id = id_make();
	char request[REQUEST_SIZE], hex[ID_TEXT_SIZE];
	struct bus_reply *r;
	struct cJSON *p;

	ck_assert_int_eq(bus_expect(live_bus, &id, on_reply, &d), 0);
	fixture_append(&live_fixture, "shop.order.place.v1", "POST /orders",
		       NULL, id_text(&id, hex));
	ck_assert(!bus_command_was_given(live_bus, &id));
	p = must(c, "{\"op\":\"fetch\",\"group\":\"orders\","
		    "\"consumer\":\"c\"}");
	ck_assert_str_eq(text(p, "/events/0/event/correlationid"), hex);
	payload_free(&p);
	ck_assert(bus_command_was_given(live_bus, &id));
	ck_assert(!bus_take_back(live_bus, &id, NULL, NULL));
	p = must(c, reply_request(&id, ",\"status\":201,\"headers\":{"
		"\"X-A\":\" 1 \",\"Set-Cookie\":[\"a=s3cret\",\"b=2\"],"
		"\"Content-Length\":\"99\"},\"json\":{\"id\":7}", request));
	ck_assert(!payload_bool(payload_at(p, "/late"), true));
	payload_free(&p);
	r = await_reply(&d);
	ck_assert(id_equal(&r->exchange_id, &id));
	ck_assert_int_eq(r->status, 201);
	ck_assert_uint_eq(r->field_count, 4);
	ck_assert(span_is(r->fields[0].value, "1"));
	ck_assert(span_is(r->fields[1].value, "a=s3cret"));
	ck_assert(span_is(r->fields[3].value, "application/json"));
	ck_assert(span_is(r->body, "{\"id\":7}"));
	bus_reply_free(&r);
	/* sent again: the same answer, nothing twice */
	p = must(c, reply_request(&id, ",\"status\":201", request));
	ck_assert_int_eq(number(p, "/sequence"), 2);
	payload_free(&p);
	ck_assert_int_eq(d.calls, 1);
	/* another one comes too late */
	p = must(c, reply_request(&id, ",\"id\":"
		"\"018f0000-0000-7000-8000-000000000009\"", request));
	ck_assert(payload_bool(payload_at(p, "/late"), false));
	payload_free(&p);
	ck_assert_int_eq(d.calls, 1);
	p = must(c, "{\"op\":\"read\","
		    "\"filter\":{\"type\":\"matapalo.reply.v1\"}}");
	ck_assert_uint_eq(count(p, "/events"), 2);
	ck_assert_int_eq(number(p, "/events/0/event/data/status"), 201);
	ck_assert_ptr_null(payload_at(p, "/events/0/event/data/late"));
	payload_free(&p);
	ck_assert(!fixture_contains(&live_fixture, "s3cret"));
	bus_client_close(&c);
}
END_TEST

START_TEST(late_reply_is_recorded_as_late)
{
	struct bus_client *c = connect_to(live_ipc);
	int64_t late = counter_get(COUNTER_COMMANDS_LATE);
	struct delivery d = DELIVERY;
	struct id id = id_make();
	char request[REQUEST_SIZE];
	struct cJSON *p;

	ck_assert_int_eq(bus_expect(live_bus, &id, on_reply, &d), 0);
	ck_assert(bus_forget(live_bus, &id));
	ck_assert(!bus_forget(live_bus, &id));
	p = must(c, reply_request(&id, ",\"body_base64\":\"aGk=\"", request));
	ck_assert(payload_bool(payload_at(p, "/late"), false));
	payload_free(&p);
	p = must(c, "{\"op\":\"read\"}");
	ck_assert(payload_bool(payload_at(p, "/events/0/event/data/late"),
			       false));
	ck_assert_str_eq(text(p, "/events/0/event/data/body"), "hi");
	payload_free(&p);
	ck_assert_int_eq(d.calls, 0);
	ck_assert_int_eq(counter_get(COUNTER_COMMANDS_LATE), late + 1);
	bus_client_close(&c);
}
END_TEST

static int64_t
replies_marked(struct bus_client *c, const char *mark)
{
	struct cJSON *p = must(c, "{\"op\":\"read\",\"filter\":"
				  "{\"type\":\"matapalo.reply.v1\"}}");
	char pointer[64];
	int64_t n = 0;

	for (size_t i = 0; i < count(p, "/events"); i++) {
		snprintf(pointer, sizeof(pointer),
			 "/events/%zu/event/data/%s", i, mark);
		n += payload_bool(payload_at(p, pointer), false);
	}
	payload_free(&p);
	return n;
}

/* Under another's cause, or to nobody at all: recorded, and whoever waits
 * still gets the answer that is his. */
START_TEST(foreign_replies_answer_nobody)
{
	struct bus_client *c = connect_to(live_ipc);
	int64_t foreign = counter_get(COUNTER_COMMANDS_FOREIGN);
	int64_t twice = counter_get(COUNTER_COMMANDS_DUPLICATE);
	struct delivery d = DELIVERY;
	struct id id = id_make(), other = id_make();
	char request[REQUEST_SIZE], hex[ID_TEXT_SIZE], members[128];
	struct bus_reply *r;
	struct cJSON *p;

	ck_assert_int_eq(bus_expect(live_bus, &id, on_reply, &d), 0);
	fixture_append(&live_fixture, "shop.order.place.v1", "POST /orders",
		       NULL, id_text(&id, hex));
	p = must(c, "{\"op\":\"fetch\",\"group\":\"orders\"}");
	snprintf(members, sizeof(members), ",\"causationid\":\"%s\"",
		 text(p, "/events/0/event/id"));
	payload_free(&p);
	ck_assert_ptr_null(ask(c, reply_request(&other, members, request)));
	ck_assert_ptr_nonnull(strstr(live_refusal, "unknown_correlation"));
	ck_assert_ptr_null(ask(c, reply_request(&id, ",\"causationid\":"
		"\"018f0000-0000-7000-8000-000000000009\"", request)));
	ck_assert_int_eq(d.calls, 0);
	ck_assert_int_eq(replies_marked(c, "foreign"), 2);
	ck_assert_int_eq(counter_get(COUNTER_COMMANDS_FOREIGN), foreign + 2);
	say(c, reply_request(&id, members, request));
	r = await_reply(&d);
	ck_assert(id_equal(&r->exchange_id, &id));
	bus_reply_free(&r);
	p = must(c, reply_request(&id, ",\"id\":"
		"\"018f0000-0000-7000-8000-000000000009\"", request));
	ck_assert(payload_bool(payload_at(p, "/late"), false));
	ck_assert(payload_bool(payload_at(p, "/duplicate"), false));
	payload_free(&p);
	ck_assert_int_eq(replies_marked(c, "duplicate"), 1);
	ck_assert_int_eq(replies_marked(c, "late"), 1);
	ck_assert_int_eq(counter_get(COUNTER_COMMANDS_DUPLICATE), twice + 1);
	ck_assert_int_eq(d.calls, 1);
	bus_client_close(&c);
}
END_TEST

/* An event of the exchange that is no command: given, whatever became of the
 * command, and its being given forbids no fallback. */
START_TEST(domain_events_are_no_commands)
{
	struct bus_client *c = connect_to(live_ipc);
	struct id id = id_make(), other = id_make();
	char hex[ID_TEXT_SIZE];
	struct journal_event e = {
		.id = id_make(), .time_us = clock_wall_us(),
		.type = SPAN_LITERAL("shop.order.placed.v1"),
		.source = SPAN_LITERAL("//test"),
		.correlation = span_of(id_text(&id, hex)),
		.data = SPAN_LITERAL("{}"),
	};

	ck_assert(bus_take_back(live_bus, &id, NULL, NULL));
	bus_publish(live_bus, &e, NULL, NULL);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"fetch\",\"group\":\"g\","
				    "\"wait_ms\":5000,\"filter\":{\"type\":"
				    "\"shop.*\"}}", "/events/0/attempt"), 1);
	e.id = id_make();
	e.correlation = span_of(id_text(&other, hex));
	bus_publish(live_bus, &e, NULL, NULL);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"fetch\",\"group\":\"g\","
				    "\"wait_ms\":5000}",
				    "/events/0/attempt"), 1);
	ck_assert(!bus_command_was_given(live_bus, &other));
	ck_assert(bus_take_back(live_bus, &other, NULL, NULL));
	bus_client_close(&c);
}
END_TEST

/* Nobody waits for a candidate's reply: that is no lateness. */
START_TEST(reply_to_a_shadow_command)
{
	struct bus_client *c = connect_to(live_ipc);
	int64_t late = counter_get(COUNTER_COMMANDS_LATE);
	struct id id = id_make();
	char request[REQUEST_SIZE], hex[ID_TEXT_SIZE];
	const struct journal_event e = {
		.id = id_make(), .time_us = clock_wall_us(),
		.type = SPAN_LITERAL("shop.order.place.v1"),
		.source = SPAN_LITERAL("//test"),
		.correlation = span_of(id_text(&id, hex)),
		.extensions = SPAN_LITERAL("\"shadow\":true,\"dataschema\":\""
					   BUS_COMMAND_SCHEMA "\""),
		.data = SPAN_LITERAL("{}"),
	};
	struct cJSON *p;

	bus_publish(live_bus, &e, NULL, NULL);
	p = must(c, "{\"op\":\"fetch\",\"group\":\"g\",\"wait_ms\":5000}");
	ck_assert(payload_bool(payload_at(p, "/events/0/event/shadow"),
			       false));
	payload_free(&p);
	p = must(c, reply_request(&id, ",\"body\":\"x\"", request));
	ck_assert(!payload_bool(payload_at(p, "/late"), true));
	payload_free(&p);
	p = must(c, "{\"op\":\"read\",\"after\":1}");
	ck_assert_str_eq(text(p, "/events/0/event/data/body"), "x");
	ck_assert_ptr_null(payload_at(p, "/events/0/event/data/late"));
	payload_free(&p);
	ck_assert_int_eq(counter_get(COUNTER_COMMANDS_LATE), late);
	bus_client_close(&c);
}
END_TEST

START_TEST(command_taken_back_is_never_given)
{
	struct bus_client *c = connect_to(live_ipc);
	struct delivery d = DELIVERY;
	struct id id = id_make();
	char hex[ID_TEXT_SIZE];

	ck_assert_int_eq(bus_expect(live_bus, &id, on_reply, &d), 0);
	ck_assert(bus_take_back(live_bus, &id, NULL, NULL));
	ck_assert(bus_forget(live_bus, &id));
	fixture_append(&live_fixture, "shop.order.place.v1", "POST /orders",
		       NULL, id_text(&id, hex));
	ck_assert_int_eq(ask_number(c, "{\"op\":\"fetch\",\"group\":\"g\"}",
				    "/events/0/sequence"), -1);
	bus_client_close(&c);
	live_restart();
	c = connect_to(live_ipc);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"fetch\",\"group\":\"h\"}",
				    "/events/0/sequence"), -1);
	bus_client_close(&c);
}
END_TEST

static void
count_mark(void *arg, const char *key, struct span value)
{
	size_t *n = arg;

	(void)key;
	(void)value;
	++*n;
}

static size_t
marks(void)
{
	struct journal_reader *r = journal_reader_open(live_fixture.path, NULL);
	size_t n = 0;

	ck_assert_ptr_nonnull(r);
	ck_assert_int_eq(journal_read_state(r, "bus.taken-back", count_mark,
					    &n), 0);
	journal_reader_close(&r);
	return n;
}

static bool
no_mark_is_left(void *arg)
{
	say(arg, "{\"op\":\"hello\"}");
	bus_after_settle(live_bus, GROUPS_UNBLOCKED);	/* a turn */
	return marks() == 0;
}

/* Not while the command is in the log, whoever is past it: a group that is
 * made later would get it. */
START_TEST(mark_goes_with_the_command)
{
	const struct journal_options o = { .path = live_fixture.path,
					   .retention = { .age_us = 1 } };
	struct bus_client *c = connect_to(live_ipc);
	struct id id = id_make();
	char hex[ID_TEXT_SIZE];

	ck_assert(bus_take_back(live_bus, &id, NULL, NULL));
	fixture_append(&live_fixture, "a.v1", "", NULL, id_text(&id, hex));
	say(c, "{\"op\":\"fetch\",\"group\":\"g\"}");
	fixture_append(&live_fixture, "a.v1", "", NULL, NULL);
	bus_client_close(&c);
	live_restart();
	c = connect_to(live_ipc);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"fetch\",\"group\":\"h\"}",
				    "/events/0/sequence"), 2);
	ck_assert_uint_eq(marks(), 1);
	say(c, "{\"op\":\"group_delete\",\"group\":\"h\","
	       "\"force\":true}");
	bus_client_close(&c);
	bus_close(&live_bus);
	journal_close(&live_fixture.journal);
	live_fixture.journal = journal_open(&o, NULL);
	ck_assert_ptr_nonnull(live_fixture.journal);
	live_start();
	c = connect_to(live_ipc);
	/* What was in the log at the start has to go, and the next stays. */
	fixture_append(&live_fixture, "a.v1", "", NULL, NULL);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"fetch\",\"group\":\"g\","
				    "\"consumer\":\"c\",\"max\":1}",
				    "/events/0/sequence"), 2);
	say(c, "{\"op\":\"ack\",\"group\":\"g\",\"consumer\":\"c\","
	       "\"sequence\":2}");
	fixture_await(no_mark_is_left, c, "end of the mark");
	bus_client_close(&c);
}
END_TEST

/* ---- after a crash ---- */

struct opening {
	struct journal_item item;
	const char *correlation;
	enum journal_mark mark;
};

static int
opening_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct opening *o = (struct opening *)item;
	struct journal_event e = {
		.id = id_make(), .time_us = clock_wall_us(),
		.type = SPAN_LITERAL("matapalo.request.v1"),
		.source = SPAN_LITERAL("//test"),
		.subject = SPAN_LITERAL("POST /orders"),
		.correlation = span_of(o->correlation),
		.data = SPAN_LITERAL("{\"request\":{\"method\":\"POST\"},"
				     "\"route\":{\"rule\":\"r\"},"
				     "\"durability\":\"strict\"}"),
		.mark = o->mark,
	};
	int64_t sequence;

	return journal_tx_append(tx, &e, &sequence);
}

static void
opening_done(struct journal_item *item, enum journal_status status)
{
	(void)item;
	(void)status;
}

START_TEST(recovery_closes_each_open_exchange_once)
{
	static const struct journal_item_ops ops = { opening_apply,
						     opening_done };
	struct opening o[3];
	char id[3][ID_TEXT_SIZE];
	struct bus_client *c;
	struct cJSON *p;

	for (int i = 0; i < 3; i++) {
		struct id made = id_make();

		o[i] = (struct opening){ .item.ops = &ops,
					 .correlation = id_text(&made, id[i]),
					 .mark = JOURNAL_MARK_OPENS };
		journal_post(live_fixture.journal, &o[i].item);
	}
	/* What comes after them is in, so they are. */
	fixture_append(&live_fixture, "a.v1", "x", NULL, NULL);
	for (int i = 0; i < 3; i++) {	/* from the second on, none is left */
		live_restart();
	}
	c = connect_to(live_ipc);
	p = must(c, "{\"op\":\"read\","
		    "\"filter\":{\"type\":\"matapalo.exchange.v1\"}}");
	ck_assert_uint_eq(count(p, "/events"), 3);
	ck_assert_str_eq(text(p, "/events/0/event/data/outcome"), "unknown");
	ck_assert_str_eq(text(p, "/events/0/event/data/request/method"),
			 "POST");
	ck_assert_str_eq(text(p, "/events/0/event/data/route/rule"), "r");
	ck_assert_uint_eq(strlen(text(p, "/events/0/event/causationid")), 36);
	payload_free(&p);
	bus_client_close(&c);
}
END_TEST

/* The socket's file is still there after a kill. */
START_TEST(ipc_file_of_a_killed_process)
{
	struct bus_client *c;
	pid_t pid;
	char byte;
	int told;

	bus_close(&live_bus);
	journal_close(&live_fixture.journal);
	pid = live_process("serve", live_fixture.path, &told);
	ck_assert_int_eq(read(told, &byte, 1), 1);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	close(told);
	ck_assert_int_eq(access(live_ipc + 6, F_OK), 0);
	fixture_reopen(&live_fixture);
	live_start();
	c = connect_to(live_ipc);
	ck_assert_int_eq(ask_number(c, "{\"op\":\"hello\"}", "/protocol"), 1);
	bus_client_close(&c);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("bus/commands");
	TCase *t = tcase_create("commands");

	tcase_add_checked_fixture(t, live_setup, live_teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, command_is_answered);
	tcase_add_test(t, late_reply_is_recorded_as_late);
	tcase_add_test(t, foreign_replies_answer_nobody);
	tcase_add_test(t, domain_events_are_no_commands);
	tcase_add_test(t, reply_to_a_shadow_command);
	tcase_add_test(t, command_taken_back_is_never_given);
	tcase_add_test(t, mark_goes_with_the_command);
	tcase_add_test(t, recovery_closes_each_open_exchange_once);
	tcase_add_test(t, ipc_file_of_a_killed_process);
	suite_add_tcase(s, t);
	return s;
}

int
main(int argc, char **argv)
{
	return live_main(argc, argv, suite);
}
