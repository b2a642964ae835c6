/* SPDX-License-Identifier: Apache-2.0 */
/* The engine with a clock of its own: leases, retries, keys, dead letters. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/group.h"
#include "payload/payload.h"
#include "tests/bus/fixture.h"

#define BATCH_MAX 4096

static struct fixture fx;
static struct groups *engine;
static struct groups_time now;
static int64_t withheld;	/* a sequence that hand_out refuses */

/* What one take gave. */
static struct taken {
	size_t count;
	int64_t sequence[BATCH_MAX];
	unsigned attempt[BATCH_MAX];
	bool again[BATCH_MAX];
} got;

static void
fake_now(void *arg, struct groups_time *t)
{
	(void)arg;
	*t = now;
}

static bool
fake_hand_out(void *arg, const struct journal_row *row)
{
	(void)arg;
	return row->sequence != withheld;
}

static void
pass(uint64_t ms)
{
	now.mono_ms += ms;
	now.wall_us += (int64_t)ms * 1000;
	groups_tick(engine);
}

static void
start(void)
{
	struct groups_env env = { .journal = fx.journal, .now = fake_now,
				  .hand_out = fake_hand_out };
	struct error err = { 0 };

	engine = groups_open(&env, &err);
	ck_assert_msg(engine != NULL, "%s", err.text);
}

static void
setup(void)
{
	now = (struct groups_time){ 1000000, 1767607200000000 };
	withheld = 0;
	fixture_open(&fx);
	start();
}

static void
teardown(void)
{
	groups_close(&engine);
	fixture_close(&fx);
}

static void
restart(void)
{
	groups_close(&engine);
	fixture_reopen(&fx);
	start();
}

static int
apply_json(void *arg, struct groups_settings *s, bool is_new,
	   struct error *err)
{
	struct cJSON *o = payload_parse(span_of(arg), err);
	int rc;

	(void)is_new;
	ck_assert_ptr_nonnull(o);
	rc = groups_settings_read(o, s, err);
	payload_free(&o);
	return rc;
}

static void
group(const char *name, const char *settings)
{
	struct error err = { 0 };

	ck_assert_msg(groups_ensure(engine, name, apply_json,
				    (void *)(uintptr_t)settings, &err) == 0,
		      "%s", err.text);
}

static bool
on_event(void *arg, const struct journal_row *row,
	 const struct groups_delivery *d)
{
	(void)arg;
	got.sequence[got.count] = row->sequence;
	got.again[got.count] = groups_is_redelivery(d);
	got.attempt[got.count++] = d->attempt;
	return true;
}

static int
take(const char *name, const char *consumer, size_t max)
{
	const struct groups_who who = { name, consumer, 7 };

	got.count = 0;
	return groups_take(engine, &who, max, NULL, on_event, NULL);
}

static bool
settle(const char *name, const char *consumer, enum groups_verdict verdict,
       int64_t sequence, unsigned delay_ms)
{
	const struct groups_who who = { name, consumer, 7 };
	const struct groups_answer a = { verdict, sequence, delay_ms, "why" };

	return groups_settle(engine, &who, &a) != GROUPS_STALE;
}

static bool
ack(const char *name, const char *consumer, int64_t sequence)
{
	return settle(name, consumer, GROUPS_ACK, sequence, 0);
}

/* A number of the group's status. */
static int64_t
status(const char *name, const char *member)
{
	struct buf text = { 0 };
	struct json j;
	struct cJSON *p;
	int64_t v = -1;

	json_init(&j, &text);
	groups_status(engine, &j);
	p = payload_parse(buf_span(&text), NULL);
	for (const struct cJSON *i = payload_first(p); i; i = payload_next(i))
		if (!strcmp(payload_string(payload_member(i, "name"), ""),
			    name))
			v = payload_int(payload_member(i, member), -1);
	payload_free(&p);
	buf_fini(&text);
	return v;
}

START_TEST(delivers_in_order_and_once)
{
	fixture_append_many(&fx, "a.v1", 10, 0);
	group("g", "{}");
	ck_assert_int_eq(take("g", "c", 4), 4);
	ck_assert_int_eq(got.sequence[0], 1);
	ck_assert_int_eq(got.sequence[3], 4);
	ck_assert_uint_eq(got.attempt[0], 1);
	ck_assert_int_eq(take("g", "d", 100), 6);
	ck_assert_int_eq(got.sequence[0], 5);
	ck_assert_int_eq(take("g", "c", 100), 0);
	ck_assert(ack("g", "c", 1));
	ck_assert(!ack("g", "c", 1));	/* a second time is harmless */
	ck_assert(!ack("g", "c", 5));	/* not its own */
	ck_assert(!ack("g", "c", 99));
	ck_assert(!ack("g", "nobody", 5));
	ck_assert(!ack("h", "c", 5));
	ck_assert_int_eq(status("g", "in_flight"), 9);
	ck_assert_int_eq(take("unknown", "c", 1), -1);
}
END_TEST

START_TEST(filter_and_start)
{
	fixture_append(&fx, "shop.order.placed.v1", "7", NULL, NULL);
	fixture_append(&fx, "shop.stock.v1", "7", NULL, NULL);
	fixture_append(&fx, "shop.order.paid.v1", "8", NULL, NULL);
	group("t", "{\"filter\":{\"type\":\"shop.order.*\"}}");
	ck_assert_int_eq(take("t", "c", 10), 2);
	ck_assert_int_eq(got.sequence[1], 3);
	group("s", "{\"filter\":{\"subject\":\"7\"}}");
	ck_assert_int_eq(take("s", "c", 10), 2);
	group("n", "{\"start\":\"newest\"}");
	ck_assert_int_eq(take("n", "c", 10), 0);
	group("a", "{\"start\":3}");
	ck_assert_int_eq(take("a", "c", 10), 1);
	fixture_append(&fx, "shop.order.paid.v1", "8", NULL, NULL);
	ck_assert_int_eq(take("n", "c", 10), 1);
}
END_TEST

START_TEST(lease_runs_out)
{
	fixture_append_many(&fx, "a.v1", 1, 0);
	group("g", "{\"lease_ms\":1000,\"backoff_ms\":[50]}");
	ck_assert_int_eq(take("g", "c", 1), 1);
	pass(999);
	ck_assert_int_eq(take("g", "d", 1), 0);
	pass(1);
	ck_assert_int_eq(take("g", "d", 1), 0);	/* backoff holds here, too */
	ck_assert(!ack("g", "c", 1));
	pass(50);
	ck_assert_int_eq(take("g", "d", 1), 1);
	ck_assert_uint_eq(got.attempt[0], 2);
	ck_assert(ack("g", "d", 1));
}
END_TEST

START_TEST(touch_extends_the_lease)
{
	fixture_append_many(&fx, "a.v1", 1, 0);
	group("g", "{\"lease_ms\":1000}");
	ck_assert_int_eq(take("g", "c", 1), 1);
	for (int i = 0; i < 5; i++) {
		pass(900);
		ck_assert(settle("g", "c", GROUPS_TOUCH, 1, 0));
	}
	ck_assert(ack("g", "c", 1));
}
END_TEST

/* Each row: what ends an attempt, and when the next may come. */
static const struct {
	enum groups_verdict verdict;
	unsigned delay_ms, expect_ms;
} naks[] = {
	{ GROUPS_NAK, 0, 100 },
	{ GROUPS_NAK, 0, 200 },
	{ GROUPS_NAK, 0, 400 },
	{ GROUPS_NAK, 0, 400 },	/* the last of the list goes on */
	{ GROUPS_NAK, 7, 7 },
};

START_TEST(nak_waits_by_the_backoff_list)
{
	fixture_append_many(&fx, "a.v1", 1, 0);
	group("g", "{\"backoff_ms\":[100,200,400],\"max_attempts\":100}");
	for (size_t i = 0; i < ARRAY_SIZE(naks); i++) {
		ck_assert_int_eq(take("g", "c", 1), 1);
		ck_assert_uint_eq(got.attempt[0], i + 1);
		ck_assert(settle("g", "c", naks[i].verdict, 1,
				 naks[i].delay_ms));
		pass(naks[i].expect_ms - 1);
		ck_assert_int_eq(take("g", "c", 1), 0);
		pass(1);
	}
	ck_assert_int_eq(take("g", "c", 1), 1);
}
END_TEST

START_TEST(dead_letter_after_exactly_n_attempts)
{
	fixture_append_many(&fx, "a.v1", 2, 0);
	group("g", "{\"backoff_ms\":[0],\"max_attempts\":3,"
		   "\"lease_ms\":1000}");
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(status("g", "dead"), 0);
		ck_assert_int_eq(take("g", "c", 1), 1);
		ck_assert_int_eq(got.sequence[0], 1);
		if (i == 1)
			pass(1000);	/* a lease that ran out counts */
		else
			ck_assert(settle("g", "c", GROUPS_NAK, 1, 0));
	}
	ck_assert_int_eq(status("g", "dead"), 1);
	ck_assert_int_eq(take("g", "c", 10), 1);
	ck_assert_int_eq(got.sequence[0], 2);
	ck_assert(settle("g", "c", GROUPS_TERM, 2, 0));
	ck_assert_int_eq(status("g", "dead"), 2);
	ck_assert_int_eq(take("g", "c", 10), 0);
}
END_TEST

START_TEST(no_backoff_list_means_at_once)
{
	fixture_append_many(&fx, "a.v1", 1, 0);
	group("g", "{\"backoff_ms\":[],\"max_attempts\":2}");
	ck_assert_int_eq(take("g", "c", 1), 1);
	ck_assert(settle("g", "c", GROUPS_NAK, 1, 0));
	ck_assert_int_eq(take("g", "c", 1), 1);
}
END_TEST

START_TEST(limits_hold_what_is_in_flight)
{
	fixture_append_many(&fx, "a.v1", 10, 0);
	group("g", "{\"max_in_flight\":3}");
	ck_assert_int_eq(take("g", "c", 2), 2);
	ck_assert_int_eq(take("g", "d", 10), 1);
	ck_assert_int_eq(take("g", "c", 10), 0);
	ck_assert(ack("g", "d", 3));
	ck_assert_int_eq(take("g", "c", 10), 1);
	ck_assert_int_eq(got.sequence[0], 4);
}
END_TEST

START_TEST(key_has_one_owner)
{
	fixture_append_many(&fx, "a.v1", 6, 2);	/* k0 k1 k0 k1 k0 k1 */
	group("g", "{}");
	ck_assert_int_eq(take("g", "c", 1), 1);
	ck_assert_int_eq(take("g", "d", 10), 3);	/* all of k1 */
	ck_assert_int_eq(got.sequence[0], 2);
	ck_assert_int_eq(got.sequence[2], 6);
	ck_assert_int_eq(take("g", "d", 10), 0);
	ck_assert_int_eq(take("g", "c", 1), 1);	/* its owner may have more */
	ck_assert_int_eq(got.sequence[0], 3);
	ck_assert(ack("g", "c", 1));
	ck_assert_int_eq(take("g", "d", 10), 0);
	ck_assert(ack("g", "c", 3));
	ck_assert_int_eq(take("g", "d", 10), 1);
	ck_assert_int_eq(got.sequence[0], 5);
}
END_TEST

/* 1 2 3 2 is legal for a key, 1 3 2 is not. */
START_TEST(retry_does_not_overtake_first_deliveries)
{
	fixture_append_many(&fx, "a.v1", 3, 1);
	group("g", "{\"backoff_ms\":[100]}");
	ck_assert_int_eq(take("g", "c", 2), 2);
	ck_assert(settle("g", "c", GROUPS_NAK, 2, 0));
	ck_assert_int_eq(take("g", "c", 10), 1);
	ck_assert_int_eq(got.sequence[0], 3);
	pass(100);
	ck_assert_int_eq(take("g", "c", 10), 1);
	ck_assert_int_eq(got.sequence[0], 2);
}
END_TEST

/* Eight consumers that take, drop and settle at random: per key the first
 * deliveries are in order, a key is never at two consumers, and every event
 * is settled in the end. */
START_TEST(order_and_ownership_under_eight_consumers)
{
	enum { EVENTS = 3000, KEYS = 17, CONSUMERS = 8 };
	static int holder[EVENTS + 1];	/* consumer + 1 */
	static bool seen[EVENTS + 1], done[EVENTS + 1];
	int64_t newest[KEYS] = { 0 };
	unsigned seed = 20260105;
	int left = EVENTS;

	memset(holder, 0, sizeof(holder));
	memset(seen, 0, sizeof(seen));
	memset(done, 0, sizeof(done));
	fixture_append_many(&fx, "a.v1", EVENTS, KEYS);
	group("g", "{\"backoff_ms\":[1,3],\"max_attempts\":1000000,"
		   "\"max_in_flight\":64,\"lease_ms\":20}");
	for (int round = 0; left > 0; round++) {
		int c = rand_r(&seed) % CONSUMERS;
		char name[8];

		ck_assert_int_lt(round, 1000000);
		snprintf(name, sizeof(name), "c%d", c);
		ck_assert_int_ge(take("g", name, 1 + rand_r(&seed) % 16), 0);
		for (size_t i = 0; i < got.count; i++) {
			int64_t s = got.sequence[i];
			int key = (int)((s - 1) % KEYS);

			ck_assert(!done[s]);
			ck_assert_int_eq(got.attempt[i] == 1, !seen[s]);
			if (!seen[s]) {
				ck_assert_int_gt(s, newest[key]);
				newest[key] = s;
			}
			seen[s] = true;
			holder[s] = c + 1;
		}
		for (int64_t s = 1; s <= EVENTS; s++) {
			if (holder[s] != c + 1 || rand_r(&seed) % 3 == 0)
				continue;
			if (rand_r(&seed) % 4 == 0) {
				(void)settle("g", name, GROUPS_NAK, s, 0);
			} else if (ack("g", name, s)) {
				done[s] = true;
				left--;
			}
			holder[s] = 0;
		}
		if (rand_r(&seed) % 2)
			pass(1);
	}
	ck_assert_int_eq(status("g", "in_flight"), 0);
	ck_assert_int_eq(status("g", "retrying"), 0);
	ck_assert_int_eq(status("g", "lag_events"), 0);
}
END_TEST

START_TEST(lost_consumer_has_a_second)
{
	const struct groups_who other = { "g", "c", 8 };

	fixture_append_many(&fx, "a.v1", 2, 0);
	group("g", "{\"backoff_ms\":[0],\"lease_ms\":60000}");
	ck_assert_int_eq(take("g", "c", 1), 1);
	groups_session_gone(engine, 7);
	pass(999);
	ck_assert_int_eq(take("g", "d", 1), 1);
	ck_assert_int_eq(got.sequence[0], 2);
	got.count = 0;	/* it comes back on another connection */
	ck_assert_int_eq(groups_repeat(engine, &other, on_event, NULL), 1);
	ck_assert_int_eq(got.sequence[0], 1);
	ck_assert_uint_eq(got.attempt[0], 1);
	pass(2000);
	ck_assert_int_eq(status("g", "in_flight"), 2);
	groups_session_gone(engine, 8);
	pass(1000);
	ck_assert_int_eq(take("g", "d", 1), 1);
	ck_assert_int_eq(got.sequence[0], 1);
	ck_assert_uint_eq(got.attempt[0], 2);
}
END_TEST

START_TEST(leaving_in_order_is_no_attempt)
{
	const struct groups_who who = { "g", "c", 7 };

	fixture_append_many(&fx, "a.v1", 3, 0);
	group("g", "{}");
	ck_assert_int_eq(take("g", "c", 3), 3);
	ck_assert(ack("g", "c", 2));
	groups_leave(engine, &who);
	ck_assert_int_eq(take("g", "d", 3), 2);
	ck_assert_uint_eq(got.attempt[0], 1);
	ck_assert_int_eq(got.sequence[1], 3);
}
END_TEST

static bool
is_saved(void *arg)
{
	int64_t *want = arg;

	pass(1);
	return status("g", "cursor") == *want;
}

START_TEST(restart_goes_on_at_the_cursor)
{
	int64_t three = 3;

	fixture_append_many(&fx, "a.v1", 6, 0);
	group("g", "{\"filter\":{\"type\":\"a.*\"},\"max_attempts\":9}");
	ck_assert_int_eq(take("g", "c", 5), 5);
	for (int s = 1; s <= 3; s++)
		ck_assert(ack("g", "c", s));
	ck_assert(ack("g", "c", 5));
	fixture_await(is_saved, &three, "cursor at 3");
	restart();
	ck_assert_int_eq(take("g", "c", 10), 1);
	ck_assert_int_eq(got.sequence[0], 6);
	ck_assert(!got.again[0]);
	ck_assert(!ack("g", "d", 4));	/* it is still c's */
	ck_assert(ack("g", "c", 4));
}
END_TEST

START_TEST(retries_survive_a_restart)
{
	fixture_append_many(&fx, "a.v1", 3, 1);
	group("g", "{\"backoff_ms\":[5000],\"max_attempts\":3}");
	ck_assert_int_eq(take("g", "c", 3), 3);
	ck_assert(settle("g", "c", GROUPS_NAK, 2, 0));
	ck_assert(ack("g", "c", 3));
	ck_assert(ack("g", "c", 1));
	restart();	/* closing saves */
	ck_assert_int_eq(status("g", "retrying"), 1);
	ck_assert_int_eq(take("g", "c", 3), 0);
	pass(5000);
	ck_assert_int_eq(take("g", "c", 3), 1);
	ck_assert_int_eq(got.sequence[0], 2);
	ck_assert_uint_eq(got.attempt[0], 2);
	ck_assert(ack("g", "c", 2));
	restart();
	ck_assert_int_eq(status("g", "retrying"), 0);
	pass(100000);
	ck_assert_int_eq(take("g", "c", 3), 0);
}
END_TEST

/* A dead letter above the cursor must not come again after a restart. */
START_TEST(dead_letters_survive_a_restart)
{
	fixture_append_many(&fx, "a.v1", 3, 0);
	group("g", "{}");
	ck_assert_int_eq(take("g", "c", 3), 3);
	ck_assert(settle("g", "c", GROUPS_TERM, 2, 0));
	restart();
	ck_assert_int_eq(status("g", "dead"), 1);
	ck_assert_int_eq(take("g", "d", 3), 0);
	pass(30000);	/* the leases of before run out */
	pass(1000);
	ck_assert_int_eq(take("g", "d", 3), 1);
	ck_assert_int_eq(got.sequence[0], 1);
	ck_assert_uint_eq(got.attempt[0], 2);
	ck_assert_int_eq(take("g", "d", 3), 1);
	ck_assert_int_eq(got.sequence[0], 3);
}
END_TEST

START_TEST(lowering_the_limit_buries)
{
	fixture_append_many(&fx, "a.v1", 1, 0);
	group("g", "{\"backoff_ms\":[0],\"max_attempts\":9}");
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(take("g", "c", 1), 1);
		ck_assert(settle("g", "c", GROUPS_NAK, 1, 0));
	}
	group("g", "{\"max_attempts\":2}");
	ck_assert_int_eq(take("g", "c", 1), 0);
	ck_assert_int_eq(status("g", "dead"), 1);
}
END_TEST

START_TEST(what_was_taken_back_is_never_given)
{
	fixture_append_many(&fx, "a.v1", 3, 0);
	withheld = 2;
	group("g", "{}");
	ck_assert_int_eq(take("g", "c", 3), 2);
	ck_assert_int_eq(got.sequence[1], 3);
	ck_assert(ack("g", "c", 1));
	ck_assert(ack("g", "c", 3));
	ck_assert_int_eq(status("g", "lag_events"), 0);
}
END_TEST

static void
jump(int64_t wall_seconds)
{
	now.wall_us += wall_seconds * 1000000;
	groups_tick(engine);
}

/* Leases, backoff and rate know only the monotonic clock. */
START_TEST(wall_clock_jumps_change_nothing)
{
	static const int64_t jumps[] = { 3600, -3600, -86400, 86400 };

	fixture_append_many(&fx, "a.v1", 5, 0);
	group("g", "{\"lease_ms\":1000,\"backoff_ms\":[500],\"rate\":1,"
		   "\"max_attempts\":9}");
	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
		ck_assert_int_eq(take("g", "c", 1), 1);
		ck_assert_int_eq(got.sequence[0], 1);
		jump(jumps[i]);
		ck_assert_int_eq(status("g", "in_flight"), 1);
		ck_assert_int_eq(take("g", "c", 1), 0);
		pass(999);
		ck_assert_int_eq(status("g", "in_flight"), 1);
		if (i % 2)
			pass(1);
		else
			ck_assert(settle("g", "c", GROUPS_NAK, 1, 0));
		ck_assert_int_eq(status("g", "retrying"), 1);
		jump(-jumps[i]);
		group("g", "{\"rate\":0}");
		ck_assert_int_eq(take("g", "d", 1), 1);
		ck_assert_int_gt(got.sequence[0], 1);
		ck_assert(ack("g", "d", got.sequence[0]));
		group("g", "{\"rate\":1}");
		pass(1000);
	}
}
END_TEST

/* A retry waits no longer than it was told, though the clock was set back
 * while nobody ran. */
START_TEST(clock_set_back_before_a_restart)
{
	fixture_append_many(&fx, "a.v1", 1, 0);
	group("g", "{\"backoff_ms\":[5000]}");
	ck_assert_int_eq(take("g", "c", 1), 1);
	ck_assert(settle("g", "c", GROUPS_NAK, 1, 0));
	now.wall_us -= 86400000000;
	restart();
	ck_assert_int_eq(take("g", "c", 1), 0);
	pass(5000);
	ck_assert_int_eq(take("g", "c", 1), 1);
}
END_TEST

START_TEST(rate_is_held)
{
	int total = 0;

	fixture_append_many(&fx, "a.v1", 3000, 0);
	group("g", "{\"rate\":100,\"max_in_flight\":100000}");
	for (int ms = 0; ms < 10000; ms += 7) {
		total += take("g", ms % 2 ? "c" : "d", 100);
		pass(7);
		if (ms % 1001 == 0)	/* another setting fills no bucket */
			group("g", ms % 2 ? "{\"lease_ms\":60000}"
					  : "{\"lease_ms\":60001}");
	}
	ck_assert_int_ge(total, 995);
	ck_assert_int_le(total, 1011);
	group("g", "{\"rate\":0}");
	ck_assert_int_eq(take("g", "c", 500), 500);
}
END_TEST

/* A retry at a consumer was counted twice, which held up new events. */
START_TEST(leased_retry_holds_up_nobody)
{
	fixture_append_many(&fx, "a.v1", 3, 0);
	group("g", "{\"backoff_ms\":[0]}");
	ck_assert_int_eq(take("g", "c", 1), 1);
	ck_assert(settle("g", "c", GROUPS_NAK, 1, 0));
	ck_assert_int_eq(take("g", "c", 1), 1);
	ck_assert_int_eq(got.sequence[0], 1);
	ck_assert_int_eq(take("g", "d", 5), 2);
}
END_TEST

/* Who took a consumer along goes alone, and so do those that were with it:
 * only one of them does it again. */
START_TEST(suspects_go_alone)
{
	fixture_append_many(&fx, "a.v1", 4, 0);
	group("g", "{\"backoff_ms\":[0],\"max_attempts\":2}");
	ck_assert_int_eq(take("g", "c", 3), 3);
	groups_session_gone(engine, 7);
	pass(1000);
	for (int64_t s = 1; s <= 2; s++) {
		ck_assert_int_eq(take("g", "d", 10), 1);
		ck_assert_int_eq(got.sequence[0], s);
	}
	ck_assert(ack("g", "d", 1));
	restart();
	ck_assert(settle("g", "d", GROUPS_NAK, 2, 0));	/* its second */
	ck_assert_int_eq(status("g", "dead"), 1);
	ck_assert_int_eq(take("g", "e", 10), 1);
	ck_assert_int_eq(got.sequence[0], 3);
	ck_assert_int_eq(take("g", "e", 10), 1);
	ck_assert_int_eq(got.sequence[0], 4);
}
END_TEST

static bool
is_on_disk(void *arg)
{
	(void)arg;
	pass(1);
	return groups_is_saved(engine, "g", groups_version(engine, "g"));
}

/* What an engine that is gone without a word has given, or may have. */
START_TEST(crash_flags_what_may_have_been_given)
{
	struct groups *crashed;

	fixture_append_many(&fx, "a.v1", 3, 0);
	group("g", "{}");
	fixture_await(is_on_disk, NULL, "group on disk");
	ck_assert_int_eq(take("g", "c", 2), 2);
	ck_assert(!got.again[1]);
	crashed = engine;
	start();
	ck_assert_int_eq(take("g", "d", 3), 3);
	ck_assert(got.again[0] && got.again[1]);
	ck_assert_uint_eq(got.attempt[0], 1);
	groups_close(&crashed);
}
END_TEST

static enum groups_result
seek(enum groups_start start, int64_t after)
{
	const struct groups_place to = { .start = start, .after = after };
	uint64_t version;

	return groups_seek(engine, "g", &to, &version);
}

START_TEST(seek_takes_everything_back)
{
	fixture_append_many(&fx, "a.v1", 9, 2);
	group("g", "{\"backoff_ms\":[0],\"max_attempts\":2}");
	ck_assert_int_eq(take("g", "c", 6), 6);
	ck_assert(settle("g", "c", GROUPS_NAK, 1, 0));
	ck_assert(settle("g", "c", GROUPS_TERM, 2, 0));
	ck_assert_int_eq(seek(GROUPS_OLDEST, 0), GROUPS_DONE);
	ck_assert_int_eq(status("g", "in_flight"), 0);
	ck_assert_int_eq(status("g", "retrying"), 0);
	ck_assert_int_eq(status("g", "dead"), 1);
	for (int64_t s = 1; s <= 6; s++)
		ck_assert(!ack("g", "c", s));	/* not its own any more */
	ck_assert_int_eq(take("g", "d", 20), 8);	/* but for the dead */
	ck_assert_int_eq(got.sequence[0], 1);
	ck_assert_uint_eq(got.attempt[0], 1);
	ck_assert_int_eq(got.sequence[1], 3);
	ck_assert_int_eq(seek(GROUPS_AFTER, 7), GROUPS_DONE);
	restart();
	ck_assert_int_eq(status("g", "dead"), 1);
	ck_assert_int_eq(take("g", "d", 20), 2);
	ck_assert_int_eq(got.sequence[0], 8);
	ck_assert_int_eq(seek(GROUPS_NEWEST, 0), GROUPS_DONE);
	ck_assert_int_eq(take("g", "d", 20), 0);
	ck_assert_int_eq(status("g", "lag_events"), 0);
}
END_TEST

/* ---- reading that takes its time ---- */

static _Atomic int looks;	/* at the clock, by the other thread */
static _Thread_local bool is_other;
static enum groups_result sought;

static void
counting_now(void *arg, struct groups_time *t)
{
	fake_now(arg, t);
	if (is_other)
		looks++;
}

static void *
ask_for_status(void *arg)
{
	(void)arg;
	is_other = true;
	(void)status("g", "dead");
	return NULL;
}

static void *
ask_for_seek(void *arg)
{
	(void)arg;
	is_other = true;
	sought = seek(GROUPS_OLDEST, 0);
	return NULL;
}

static bool
has_looked(void *arg)
{
	(void)arg;
	return looks > 0;
}

/* The other thread has had the engine's lock and reads, which lasts until
 * side_lock is free. Who held the engine then would hold us up for good. */
static void
work_beside(void *(*ask)(void *arg))
{
	pthread_t thread;

	looks = 0;
	pthread_mutex_lock(&engine->side_lock);
	ck_assert_int_eq(pthread_create(&thread, NULL, ask, NULL), 0);
	fixture_await(has_looked, NULL, "a look at the group");
	ck_assert_int_eq(take("g", "c", 1), 1);
	ck_assert(settle("g", "c", GROUPS_TERM, got.sequence[0], 0));
	pass(100);
	pthread_mutex_unlock(&engine->side_lock);
	pthread_join(thread, NULL);
}

START_TEST(reading_holds_up_nobody)
{
	fixture_append_many(&fx, "a.v1", 9, 0);
	group("g", "{}");
	engine->env.now = counting_now;
	work_beside(ask_for_status);
	work_beside(ask_for_seek);
	ck_assert_int_eq(sought, GROUPS_DONE);
	ck_assert_int_eq(status("g", "dead"), 2);
	ck_assert_int_eq(take("g", "d", 20), 7);
	ck_assert_int_eq(got.sequence[0], 3);
}
END_TEST

static bool
letter_is_saved(void *arg)
{
	struct group *p = group_find(engine, "g");
	const uint64_t *before = arg;

	engine->now.mono_ms += 100;
	(void)group_flush(engine, p);
	return p->letters > *before;
}

/* What another thread may have done between the seek's reading and its second
 * look: a letter more, and it is on disk. */
static void
burying_now(void *arg, struct groups_time *t)
{
	struct group *p;
	uint64_t before;

	fake_now(arg, t);
	if (++looks != 2)
		return;
	p = group_find(engine, "g");
	before = p->letters;
	entry_bury(engine, p, entry_find(p, 2), "why");
	fixture_await(letter_is_saved, &before, "the letter on disk");
}

START_TEST(letters_saved_meanwhile_stay_dead)
{
	fixture_append_many(&fx, "a.v1", 9, 0);
	group("g", "{}");
	ck_assert_int_eq(take("g", "c", 3), 3);
	looks = 0;
	engine->env.now = burying_now;
	ck_assert_int_eq(seek(GROUPS_OLDEST, 0), GROUPS_DONE);
	ck_assert_int_eq(looks, 3);
	ck_assert_int_eq(take("g", "d", 20), 8);
	ck_assert_int_eq(got.sequence[1], 3);
}
END_TEST

START_TEST(pause_survives_a_restart)
{
	uint64_t version;

	fixture_append_many(&fx, "a.v1", 2, 0);
	group("g", "{}");
	ck_assert_int_eq(take("g", "c", 1), 1);
	ck_assert_int_eq(groups_set_flow(engine, "g", GROUPS_PAUSED, &version),
			 GROUPS_DONE);
	ck_assert_int_eq(take("g", "c", 1), 0);
	ck_assert(ack("g", "c", 1));
	restart();
	ck_assert_int_eq(take("g", "c", 1), 0);
	ck_assert_int_eq(groups_set_flow(engine, "g", GROUPS_RUNNING, &version),
			 GROUPS_DONE);
	ck_assert_int_eq(take("g", "c", 1), 1);
	ck_assert_int_eq(got.sequence[0], 2);
}
END_TEST

static bool
is_gone(void *arg)
{
	pass(1);
	return groups_is_saved(engine, "g", *(uint64_t *)arg);
}

START_TEST(deleted_group_is_gone)
{
	uint64_t version = 0;

	fixture_append_many(&fx, "a.v1", 2, 1);
	group("g", "{\"backoff_ms\":[0]}");
	ck_assert_int_eq(take("g", "c", 2), 2);
	ck_assert(settle("g", "c", GROUPS_NAK, 1, 0));
	ck_assert_int_eq(groups_delete(engine, "g", GROUPS_IF_UNUSED, &version),
			 GROUPS_IN_USE);
	ck_assert_int_eq(groups_delete(engine, "g", GROUPS_BY_FORCE, &version),
			 GROUPS_DONE);
	ck_assert_int_eq(take("g", "c", 2), -1);
	fixture_await(is_gone, &version, "end of the group");
	restart();
	ck_assert_int_eq(take("g", "c", 2), -1);
	group("g", "{}");
	ck_assert_int_eq(take("g", "c", 9), 2);
	ck_assert_uint_eq(got.attempt[0], 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus/groups");
	TCase *t = tcase_create("groups");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, delivers_in_order_and_once);
	tcase_add_test(t, filter_and_start);
	tcase_add_test(t, lease_runs_out);
	tcase_add_test(t, touch_extends_the_lease);
	tcase_add_test(t, nak_waits_by_the_backoff_list);
	tcase_add_test(t, dead_letter_after_exactly_n_attempts);
	tcase_add_test(t, no_backoff_list_means_at_once);
	tcase_add_test(t, limits_hold_what_is_in_flight);
	tcase_add_test(t, key_has_one_owner);
	tcase_add_test(t, retry_does_not_overtake_first_deliveries);
	tcase_add_test(t, order_and_ownership_under_eight_consumers);
	tcase_add_test(t, lost_consumer_has_a_second);
	tcase_add_test(t, leaving_in_order_is_no_attempt);
	tcase_add_test(t, restart_goes_on_at_the_cursor);
	tcase_add_test(t, retries_survive_a_restart);
	tcase_add_test(t, dead_letters_survive_a_restart);
	tcase_add_test(t, lowering_the_limit_buries);
	tcase_add_test(t, what_was_taken_back_is_never_given);
	tcase_add_test(t, wall_clock_jumps_change_nothing);
	tcase_add_test(t, clock_set_back_before_a_restart);
	tcase_add_test(t, rate_is_held);
	tcase_add_test(t, leased_retry_holds_up_nobody);
	tcase_add_test(t, suspects_go_alone);
	tcase_add_test(t, crash_flags_what_may_have_been_given);
	tcase_add_test(t, seek_takes_everything_back);
	tcase_add_test(t, reading_holds_up_nobody);
	tcase_add_test(t, letters_saved_meanwhile_stay_dead);
	tcase_add_test(t, pause_survives_a_restart);
	tcase_add_test(t, deleted_group_is_gone);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
