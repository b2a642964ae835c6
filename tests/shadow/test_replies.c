/* SPDX-License-Identifier: Apache-2.0 */
/* Candidates on the bus: replies in any order, at any time, and none. */
#include <stdlib.h>

#include "tests/shadow/cases.h"
#include "tests/shadow/stage.h"

#define PATIENCE_MS 20000
#define COMMAND "shop.order.place.v1"

static struct stage stage;
static struct shadow_rule rule;

static void
setup(void)
{
	rule = (struct shadow_rule){ .name = "r", .target = "orders",
				     .command = COMMAND, .timeout_ms = 10000,
				     .unsafe_allowed = 1 };
	stage_make(&stage);
	stage_open(&stage);
	stage_shadow(&stage, &rule, 1);
}

static void
teardown(void)
{
	stage_remove(&stage);
}

static void
restart(void)
{
	stage_close(&stage);
	stage_open(&stage);
	stage_shadow(&stage, &rule, 1);
}

static const char *
place_order(void)
{
	return stage_publish(&stage, &(struct stage_exchange){
		.method = "POST", .body = "{\\\"id\\\":7}",
		.request_more = ",\"body\":\"{\\\"sku\\\":1}\"" });
}

static enum shadow_outcome
outcome_of(const char *id)
{
	struct shadow_verdict v;

	ck_assert(stage_verdict(&stage, id, PATIENCE_MS, &v));
	return v.outcome;
}

/* What a service on the bus sees: the command, marked as a copy. */
START_TEST(the_command_is_published)
{
	const struct bus_group_options o = { .name = "orders",
					     .type_filter = COMMAND };
	struct error err = { 0 };
	struct bus_subscriber *sub = bus_subscribe(stage.bus, &o, &err);
	struct bus_batch b = { 0 };
	const char *id = place_order();
	const struct journal_row *row;

	ck_assert_msg(sub != NULL, "%s", err.text);
	ck_assert_int_eq(bus_fetch(sub, 1, PATIENCE_MS, &b), 0);
	ck_assert_uint_eq(b.count, 1);
	row = &b.events[0].row;
	ck_assert(span_is(row->correlation, id));
	ck_assert(!row->shadow);
	ck_assert_ptr_nonnull(memmem(row->extensions.at, row->extensions.len,
				     "\"shadow\":true", 13));
	bus_ack(sub, row->sequence);
	bus_batch_fini(&b);
	stage_reply(&stage, id, 200, "{\"id\":7}");
	ck_assert_int_eq(outcome_of(id), SHADOW_MATCH);
	bus_unsubscribe(&sub);
}
END_TEST

START_TEST(replies_join_in_any_order)
{
	const char *a = place_order(), *b = place_order(), *c = place_order();

	stage_await_count(&stage, COMMAND, 3);
	stage_reply(&stage, c, 200, "{\"id\":7}");
	stage_reply(&stage, a, 200, "{\"id\":8}");
	stage_reply(&stage, b, 500, "{\"id\":7}");
	ck_assert_int_eq(outcome_of(a), SHADOW_DIFFERENCE);
	ck_assert_int_eq(outcome_of(b), SHADOW_DIFFERENCE);
	ck_assert_int_eq(outcome_of(c), SHADOW_MATCH);
	stage_await_number(&stage, "/waiting_for_replies", 0);
	stage_await_number(&stage, "/rules/0/samples", 3);
}
END_TEST

START_TEST(a_second_reply_changes_nothing)
{
	const char *id = place_order();

	stage_await_count(&stage, COMMAND, 1);
	stage_reply(&stage, id, 200, "{\"id\":7}");
	stage_reply(&stage, id, 200, "{\"id\":8}");
	ck_assert_int_eq(outcome_of(id), SHADOW_MATCH);
	stage_await_number(&stage, "/unmatched_replies", 1);
	stage_reply(&stage, id, 200, "{\"id\":9}");
	stage_await_number(&stage, "/unmatched_replies", 2);
	ck_assert_uint_eq(stage_verdicts_of(&stage, id), 1);
}
END_TEST

/* Both wait when the shadow comes back: the first is not settled yet when
 * the second is read. */
START_TEST(two_replies_at_once_are_one_verdict)
{
	const char *id = place_order();

	stage_await_count(&stage, COMMAND, 1);
	shadow_stop(&stage.shadow);
	stage_reply(&stage, id, 200, "{\"id\":7}");
	stage_reply(&stage, id, 200, "{\"id\":8}");
	stage_shadow(&stage, &rule, 1);
	stage_await_number(&stage, "/unmatched_replies", 1);
	ck_assert_int_eq(outcome_of(id), SHADOW_MATCH);
	stage_await_number(&stage, "/waiting_for_replies", 0);
	ck_assert_uint_eq(stage_verdicts_of(&stage, id), 1);
}
END_TEST

/* The live route of the same exchange was a command, too. */
START_TEST(the_reply_to_another_command_is_not_ours)
{
	const char *id = place_order();

	stage_await_count(&stage, COMMAND, 1);
	stage_reply_to(&stage, id, "01890a5d-ac96-774b-bcce-b302099a8057",
		       200, "{\"id\":8}");
	stage_await_number(&stage, "/unmatched_replies", 1);
	ck_assert_int_eq(stage_number(&stage, "/waiting_for_replies"), 1);
	stage_reply(&stage, id, 200, "{\"id\":7}");
	ck_assert_int_eq(outcome_of(id), SHADOW_MATCH);
}
END_TEST

START_TEST(foreign_replies_are_left_alone)
{
	const char *id = place_order();

	stage_await_count(&stage, COMMAND, 1);
	stage_reply(&stage, "01890a5d-ac96-774b-bcce-b302099a8057", 200,
		    "{}");
	stage_reply(&stage, "not an id", 200, "{}");
	stage_reply(&stage, id, 200, "{\"id\":7}");
	ck_assert_int_eq(outcome_of(id), SHADOW_MATCH);
	ck_assert_uint_eq(stage_count(&stage, SHADOW_VERDICT_TYPE), 1);
}
END_TEST

START_TEST(no_reply_is_a_failure_and_a_late_one_is_too_late)
{
	struct shadow_rule quick = rule;
	const struct shadow_plan plan = { .rules = &quick, .count = 1 };
	struct shadow_verdict v;
	const char *id;

	quick.timeout_ms = 50;
	shadow_set_plan(stage.shadow, &plan);
	id = place_order();
	ck_assert(stage_verdict(&stage, id, PATIENCE_MS, &v));
	ck_assert_int_eq(v.outcome, SHADOW_FAILED);
	ck_assert_str_eq(v.reason, "no reply within 50 ms");
	stage_await_number(&stage, "/waiting_for_replies", 0);
	stage_reply(&stage, id, 200, "{\"id\":7}");
	stage_await_number(&stage, "/unmatched_replies", 1);
	ck_assert_uint_eq(stage_verdicts_of(&stage, id), 1);
}
END_TEST

START_TEST(an_unreadable_reply_is_a_failure)
{
	struct shadow_verdict v;
	const char *id = place_order();

	stage_await_count(&stage, COMMAND, 1);
	stage_publish_event(&stage, "matapalo.reply.v1", id,
			    "{\"status\":200,\"body_base64\":\"!\"}");
	ck_assert(stage_verdict(&stage, id, PATIENCE_MS, &v));
	ck_assert_int_eq(v.outcome, SHADOW_FAILED);
	ck_assert_str_eq(v.reason, "body_base64 is not base64");
}
END_TEST

START_TEST(a_pair_waits_through_a_restart)
{
	const char *id = place_order();

	stage_await_count(&stage, COMMAND, 1);
	restart();
	stage_await_number(&stage, "/waiting_for_replies", 1);
	stage_reply(&stage, id, 200, "{\"id\":7}");
	ck_assert_int_eq(outcome_of(id), SHADOW_MATCH);
	/* Neither the command nor the verdict comes a second time. */
	restart();
	ck_assert_int_eq(stage_number(&stage, "/waiting_for_replies"), 0);
	ck_assert_uint_eq(stage_count(&stage, COMMAND), 1);
	ck_assert_int_eq(stage_number(&stage, "/rules/0/matches"), 1);
}
END_TEST

/* It came in time, but nobody was there to read it before the deadline. */
START_TEST(a_reply_during_the_restart_counts)
{
	struct shadow_rule quick = rule;
	const struct shadow_plan plan = { .rules = &quick, .count = 1 };
	struct shadow_verdict v;
	const char *id;

	quick.timeout_ms = 2000;
	shadow_set_plan(stage.shadow, &plan);
	id = place_order();
	stage_await_count(&stage, COMMAND, 1);
	shadow_stop(&stage.shadow);
	stage_reply(&stage, id, 200, "{\"id\":7}");
	/* The deadline passes, and nobody looks. */
	ck_assert(!stage_verdict(&stage, id, 2100, &v));
	stage_close(&stage);
	stage_open(&stage);
	stage_shadow(&stage, &quick, 1);
	ck_assert_int_eq(outcome_of(id), SHADOW_MATCH);
}
END_TEST

START_TEST(sums_survive_restarts)
{
	for (int i = 1; i <= 3; i++) {
		const char *id = place_order();

		stage_await_count(&stage, COMMAND, (size_t)i);
		stage_reply(&stage, id, 200, i % 2 ? "{\"id\":7}"
						   : "{\"id\":8}");
		outcome_of(id);
		restart();
		ck_assert_int_eq(stage_number(&stage, "/rules/0/samples"), i);
	}
	ck_assert_int_eq(stage_number(&stage, "/rules/0/matches"), 2);
	ck_assert_int_eq(stage_number(&stage, "/rules/0/differences"), 1);
}
END_TEST

START_TEST(a_rule_that_went_away_frees_its_pairs)
{
	const struct shadow_plan none = { 0 };
	const char *id = place_order();

	stage_await_count(&stage, COMMAND, 1);
	shadow_set_plan(stage.shadow, &none);
	stage_reply(&stage, id, 200, "{\"id\":7}");
	stage_await_number(&stage, "/waiting_for_replies", 0);
	ck_assert_uint_eq(stage_verdicts_of(&stage, id), 0);
}
END_TEST

TCase *
case_replies(void)
{
	TCase *t = tcase_create("replies");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_command_is_published);
	tcase_add_test(t, replies_join_in_any_order);
	tcase_add_test(t, a_second_reply_changes_nothing);
	tcase_add_test(t, two_replies_at_once_are_one_verdict);
	tcase_add_test(t, the_reply_to_another_command_is_not_ours);
	tcase_add_test(t, foreign_replies_are_left_alone);
	tcase_add_test(t, no_reply_is_a_failure_and_a_late_one_is_too_late);
	tcase_add_test(t, an_unreadable_reply_is_a_failure);
	tcase_add_test(t, a_pair_waits_through_a_restart);
	tcase_add_test(t, a_reply_during_the_restart_counts);
	tcase_add_test(t, sums_survive_restarts);
	tcase_add_test(t, a_rule_that_went_away_frees_its_pairs);
	return t;
}
