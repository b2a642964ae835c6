/* SPDX-License-Identifier: Apache-2.0 */
/* Places of rules: their words, their order, and moving while it runs. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/place.h"
#include "router/router.h"
#include "tests/rules/table.h"

static struct rules *
load(const char *members)
{
	struct error err = { 0 };
	struct buf text = { 0 };
	struct rules *r;

	buf_printf(&text, "{\"version\":1,\"targets\":{\"legacy\":{\"url\":"
		   "\"http://127.0.0.1:1\"},\"new\":{\"url\":"
		   "\"http://127.0.0.1:2\"},\"bus\":{\"command\":"
		   "\"shop.a.v1\"}},\"rules\":[{\"name\":\"a\",\"match\":{"
		   "\"path\":\"/a\"},%s}]}", members);
	r = rules_load_text("t", text.data, text.len, &err);
	ck_assert_msg(r != NULL, "%d:%d: %s", err.line, err.column, err.text);
	buf_fini(&text);
	return r;
}

static struct rules_place
parse(const char *text)
{
	struct rules_place p = { 0 };
	struct error err = { 0 };

	ck_assert_msg(place_parse(text, &p, &err) == 0, "%s", err.text);
	return p;
}

START_TEST(words_are_read_and_written)
{
	static const struct {
		const char *text, *written;
	} rows[] = {
		{ "25%", "canary 25%" },   { "0.5%", "canary 0.5%" },
		{ "0.0001%", "canary 0.0001%" }, { "100%", "canary 100%" },
		{ "0%", "shadow" },	   { "shadow", "shadow" },
		{ "mirror", "mirror" },	   { "migrated", "migrated" },
	};
	static const char *const bad[] = { "", "25", "101%", "canary",
					   "retired", "passthrough", "-1%" };
	char text[PLACE_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ck_assert_str_eq(place_text(parse(rows[i].text), text),
				 rows[i].written);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rules_place p;
		struct error err = { 0 };

		ck_assert_int_eq(place_parse(bad[i], &p, &err), -1);
		ck_assert(strstr(err.text, "25%"));
	}
}
END_TEST

START_TEST(places_have_an_order)
{
	static const char *const rising[] = { "mirror", "shadow", "0.1%",
					      "10%",	"100%",	  "migrated" };

	for (size_t i = 0; i < ARRAY_SIZE(rising); i++)
		for (size_t k = 0; k < ARRAY_SIZE(rising); k++) {
			int c = place_compare(parse(rising[i]),
					      parse(rising[k]));

			ck_assert_int_eq(c < 0, i < k);
			ck_assert_int_eq(c == 0, i == k);
		}
}
END_TEST

START_TEST(the_next_place_is_the_files_or_nobodys)
{
	struct rules *r = load("\"stage\":\"mirror\",\"target\":\"new\","
			       "\"share\":\"5%\"");
	struct rules_place p = parse("mirror");
	struct error err = { 0 };
	char text[PLACE_TEXT_SIZE];

	ck_assert_int_eq(place_up(&r->rules[0], p, &p, &err), 0);
	ck_assert_str_eq(place_text(p, text), "shadow");
	ck_assert_int_eq(place_up(&r->rules[0], p, &p, &err), 0);
	ck_assert_str_eq(place_text(p, text), "canary 5%");
	ck_assert_int_eq(place_up(&r->rules[0], p, &p, &err), -1);
	ck_assert(strstr(err.text, "--to"));
	rules_unref(&r);
}
END_TEST

START_TEST(a_ramp_leaves_no_step_out)
{
	struct rules *r = load("\"stage\":\"shadow\",\"target\":\"new\","
			       "\"ramp\":{\"steps\":[\"1%\",\"10%\","
			       "\"50%\"]}");
	static const char *const up[] = { "canary 1%", "canary 10%",
					  "canary 50%", "migrated" };
	const struct rules_rule *rule = rules_find(r, "a");
	struct rules_place p = rules_place(rule);
	char text[PLACE_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(up); i++) {
		ck_assert_int_eq(place_up(rule, p, &p, NULL), 0);
		ck_assert_str_eq(place_text(p, text), up[i]);
	}
	p = parse("50%");
	for (size_t i = 2; i-- > 0;) {
		p = place_back(rule->ramp, p);
		ck_assert_str_eq(place_text(p, text), up[i]);
	}
	ck_assert_str_eq(place_text(place_back(rule->ramp, p), text),
			 "shadow");
	ck_assert_str_eq(place_text(place_back(rule->ramp, parse("30%")),
				    text), "canary 10%");
	ck_assert(!place_next(rule->ramp, parse("50%"), &p));
	rules_unref(&r);
}
END_TEST

/* A request of the user with that number. */
struct caller {
	struct message_request req;
	char address[32];
};

static const struct message_request *
caller(struct caller *c, unsigned user)
{
	int len = snprintf(c->address, sizeof(c->address), "10.%u.%u.%u",
			   user >> 16, user >> 8 & 255, user & 255);

	c->req = (struct message_request){
		.method = SPAN_LITERAL("GET"),
		.path = SPAN_LITERAL("/a"),
		.target = SPAN_LITERAL("/a"),
		.client = { c->address, (size_t)len },
	};
	return &c->req;
}

static struct router_decision
decide_for(const struct rules *r, const struct message_request *req)
{
	struct router_decision d;

	router_decide(r, req, 0, &d);
	return d;
}

static struct router_decision
decide(const struct rules *r, unsigned user)
{
	struct caller c;

	return decide_for(r, caller(&c, user));
}

/* A canary with a ramp goes on comparing what the legacy answers. */
START_TEST(the_legacys_part_of_a_ramp_is_copied)
{
	struct rules *r = load("\"stage\":\"canary\",\"target\":\"new\","
			       "\"ramp\":{\"steps\":[\"50%\",\"90%\"]}");
	unsigned copied = 0;

	ck_assert_uint_eq(r->rules[0].share_ppm, 500000);
	for (unsigned u = 0; u < 1000; u++) {
		struct router_decision d = decide(r, u);

		ck_assert_ptr_eq(d.shadow, d.target == r->legacy ?
						   r->rules[0].target : NULL);
		copied += d.shadow != NULL;
	}
	ck_assert_uint_gt(copied, 400);
	ck_assert_uint_lt(copied, 600);
	rules_unref(&r);
}
END_TEST

START_TEST(a_move_holds_for_the_next_decision)
{
	struct rules *r = load("\"stage\":\"shadow\",\"target\":\"new\","
			       "\"shadow\":\"legacy\"");
	struct rules_rule *rule = rules_find(r, "a");
	struct router_decision d = decide(r, 1);

	ck_assert_ptr_eq(d.target, r->legacy);
	ck_assert_ptr_eq(d.shadow, rule->target);
	rules_move(rule, parse("migrated"));
	d = decide(r, 1);
	ck_assert_ptr_eq(d.target, rule->target);
	ck_assert_ptr_eq(d.shadow, r->legacy);
	rules_move(rule, parse("mirror"));
	d = decide(r, 1);
	ck_assert_ptr_eq(d.target, r->legacy);
	ck_assert_ptr_null(d.shadow);
	rules_move_back(rule);
	ck_assert_int_eq(decide(r, 1).place.stage, RULES_STAGE_SHADOW);
	ck_assert_ptr_null(rules_find(r, "b"));
	rules_unref(&r);
}
END_TEST

/* The durability of a command does not depend on where it was at load. */
START_TEST(a_command_is_strict_wherever_it_came_from)
{
	struct rules *r = load("\"stage\":\"mirror\",\"target\":\"bus\"");

	ck_assert(!decide(r, 1).strict);
	rules_move(&r->rules[0], parse("migrated"));
	ck_assert_int_eq(decide(r, 1).action, ROUTER_COMMAND);
	ck_assert(decide(r, 1).strict);
	rules_unref(&r);
}
END_TEST

#define DECISIONS 400000u

static atomic_bool enough;

static void *
move_about(void *arg)
{
	const struct rules_place one = parse("100%"), other = parse("shadow");

	while (!atomic_load(&enough)) {
		rules_move(arg, one);
		rules_move(arg, other);
	}
	return NULL;
}

/* One request sees one state: who answers, the stage that is recorded and the
 * copy always belong together. */
START_TEST(a_decision_sees_one_place)
{
	struct rules *r = load("\"stage\":\"shadow\",\"target\":\"new\"");
	struct rules_rule *rule = rules_find(r, "a");
	pthread_t thread;
	unsigned seen[RULES_STAGE_COUNT] = { 0 };

	ck_assert_int_eq(pthread_create(&thread, NULL, move_about, rule), 0);
	for (unsigned u = 0; u < DECISIONS; u++) {
		struct router_decision d = decide(r, u);
		bool moved = d.place.stage == RULES_STAGE_CANARY;

		ck_assert(moved || d.place.stage == RULES_STAGE_SHADOW);
		ck_assert_ptr_eq(d.target, moved ? rule->target : r->legacy);
		ck_assert_ptr_eq(d.shadow, moved ? NULL : rule->target);
		seen[d.place.stage]++;
	}
	atomic_store(&enough, true);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(seen[RULES_STAGE_CANARY], 0);
	ck_assert_uint_gt(seen[RULES_STAGE_SHADOW], 0);
	rules_unref(&r);
}
END_TEST

#define CALLERS 100000u

/* Every caller at every percentage, while the set stays. */
START_TEST(no_percentage_moves_anyone_back)
{
	struct rules *r = load("\"stage\":\"canary\",\"share\":\"0%\","
			       "\"target\":\"new\"");
	struct rules_rule *rule = rules_find(r, "a");
	unsigned count[101] = { 0 }, back = 0;

	for (unsigned u = 0; u < CALLERS; u++) {
		struct caller c;
		bool before = false;

		caller(&c, u);
		for (uint32_t percent = 0; percent <= 100; percent++) {
			bool now;

			rules_move(rule, (struct rules_place){
				RULES_STAGE_CANARY, percent * 10000 });
			now = decide_for(r, &c.req).target != r->legacy;
			back += before && !now;
			before = now;
			count[percent] += now;
		}
	}
	ck_assert_uint_eq(back, 0);
	for (int percent = 0; percent <= 100; percent++)
		ck_assert_int_le(abs((int)count[percent] - percent * 1000),
				 700);
	ck_assert_uint_eq(count[0], 0);
	ck_assert_uint_eq(count[100], CALLERS);
	rules_unref(&r);
}
END_TEST

static void
fill(TCase *t)
{
	tcase_add_test(t, words_are_read_and_written);
	tcase_add_test(t, places_have_an_order);
	tcase_add_test(t, the_next_place_is_the_files_or_nobodys);
	tcase_add_test(t, a_ramp_leaves_no_step_out);
	tcase_add_test(t, the_legacys_part_of_a_ramp_is_copied);
	tcase_add_test(t, a_move_holds_for_the_next_decision);
	tcase_add_test(t, a_command_is_strict_wherever_it_came_from);
	tcase_add_test(t, a_decision_sees_one_place);
	tcase_add_test(t, no_percentage_moves_anyone_back);
	tcase_set_timeout(t, 60);
}

int
main(void)
{
	return table_run("router/place", fill);
}
