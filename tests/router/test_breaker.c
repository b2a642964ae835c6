/* SPDX-License-Identifier: Apache-2.0 */
/* The breaker by tables: what happens at which time, what state follows. */
#include "router/breaker.h"

#include "tests/rules/table.h"

/* admit: must pass / must be refused; the others end the oldest ticket that
 * has not ended, `late` one of before the last change. */
enum act { ADMIT, REFUSE, GOOD, BAD, GONE };

struct row {
	uint64_t at_ms;
	enum act act;
	unsigned times;
	enum breaker_state after;
};

static const struct rules_breaker limits = {
	.requests = 4,
	.errors_ppm = 500000,
	.window_ms = 1000,
	.open_ms = 500,
	.half_open = 2,
};

struct play {
	struct breaker b;
	uint32_t tickets[64];
	unsigned first, last;
};

static void
act(struct play *p, const struct row *r, unsigned row)
{
	static const enum breaker_outcome outcomes[] = {
		[GOOD] = BREAKER_SUCCESS,
		[BAD] = BREAKER_FAILURE,
		[GONE] = BREAKER_UNKNOWN,
	};
	uint32_t ticket;

	switch (r->act) {
	case ADMIT:
		ticket = breaker_admit(&p->b, &limits, r->at_ms);
		ck_assert_msg(ticket != 0, "row %u: refused", row);
		p->tickets[p->last++] = ticket;
		return;
	case REFUSE:
		ticket = breaker_admit(&p->b, &limits, r->at_ms);
		ck_assert_msg(ticket == 0, "row %u: admitted", row);
		return;
	case GOOD:
	case BAD:
	case GONE:
		ck_assert_uint_lt(p->first, p->last);
		breaker_report(&p->b, &limits, r->at_ms,
			       p->tickets[p->first++], outcomes[r->act]);
		return;
	}
}

static void
play(const struct row *rows, size_t count)
{
	struct play p = { .first = 0 };

	for (size_t i = 0; i < count; i++) {
		for (unsigned k = 0; k < rows[i].times; k++)
			act(&p, &rows[i], (unsigned)i);
		ck_assert_msg(p.b.state == rows[i].after, "row %u: %s",
			      (unsigned)i, breaker_state_name(p.b.state));
	}
}

#define PLAY(rows) play(rows, ARRAY_SIZE(rows))

START_TEST(says_how_long_it_stays_open)
{
	struct breaker b = { 0 };

	ck_assert_uint_eq(breaker_open_ms(&b, &limits, 100), 0);
	for (int i = 0; i < 4; i++)
		breaker_report(&b, &limits, 1000,
			       breaker_admit(&b, &limits, 1000),
			       BREAKER_FAILURE);
	ck_assert_uint_eq(breaker_open_ms(&b, &limits, 1000), 500);
	ck_assert_uint_eq(breaker_open_ms(&b, &limits, 1499), 1);
	ck_assert_uint_eq(breaker_open_ms(&b, &limits, 1700), 0);
	ck_assert_uint_ne(breaker_admit(&b, &limits, 1700), 0);
	ck_assert_uint_eq(breaker_open_ms(&b, &limits, 1700), 0);
}
END_TEST

START_TEST(opens_at_the_share_of_enough_requests)
{
	static const struct row rows[] = {
		{ 10000, ADMIT, 6, BREAKER_CLOSED },
		{ 10000, BAD, 3, BREAKER_CLOSED },	/* too few */
		{ 10000, GONE, 1, BREAKER_CLOSED },	/* says nothing */
		{ 10000, GOOD, 1, BREAKER_CLOSED },	/* 3 of 4: at BAD */
		{ 10010, BAD, 1, BREAKER_OPEN },
		{ 10010, REFUSE, 3, BREAKER_OPEN },
	};

	PLAY(rows);
}
END_TEST

START_TEST(stays_closed_below_the_share)
{
	static const struct row rows[] = {
		{ 10000, ADMIT, 20, BREAKER_CLOSED },
		{ 10000, GOOD, 11, BREAKER_CLOSED },
		{ 10000, BAD, 9, BREAKER_CLOSED },
	};

	PLAY(rows);
}
END_TEST

START_TEST(old_failures_fall_out_of_the_window)
{
	static const struct row rows[] = {
		{ 10000, ADMIT, 8, BREAKER_CLOSED },
		{ 10000, BAD, 3, BREAKER_CLOSED },
		{ 11101, BAD, 3, BREAKER_CLOSED },
		{ 99000, BAD, 1, BREAKER_CLOSED },	/* a long silence */
		{ 99000, BAD, 1, BREAKER_CLOSED },
	};

	PLAY(rows);
}
END_TEST

START_TEST(half_open_lets_a_few_through_and_closes)
{
	static const struct row rows[] = {
		{ 10000, ADMIT, 4, BREAKER_CLOSED },
		{ 10000, BAD, 4, BREAKER_OPEN },
		{ 10499, REFUSE, 1, BREAKER_OPEN },
		{ 10500, ADMIT, 2, BREAKER_HALF_OPEN },
		{ 10500, REFUSE, 1, BREAKER_HALF_OPEN },
		{ 10600, GOOD, 1, BREAKER_HALF_OPEN },
		{ 10600, REFUSE, 1, BREAKER_HALF_OPEN },
		{ 10700, GOOD, 1, BREAKER_CLOSED },
		{ 10700, ADMIT, 5, BREAKER_CLOSED },
		{ 10700, BAD, 3, BREAKER_CLOSED },	/* begins anew */
	};

	PLAY(rows);
}
END_TEST

START_TEST(one_failed_trial_opens_again)
{
	static const struct row rows[] = {
		{ 10000, ADMIT, 4, BREAKER_CLOSED },
		{ 10000, BAD, 4, BREAKER_OPEN },
		{ 10600, ADMIT, 2, BREAKER_HALF_OPEN },
		{ 10610, GOOD, 1, BREAKER_HALF_OPEN },
		{ 10620, BAD, 1, BREAKER_OPEN },
		{ 11119, REFUSE, 1, BREAKER_OPEN },
		{ 11120, ADMIT, 1, BREAKER_HALF_OPEN },
	};

	PLAY(rows);
}
END_TEST

START_TEST(a_trial_that_vanishes_gives_its_place_back)
{
	static const struct row rows[] = {
		{ 10000, ADMIT, 4, BREAKER_CLOSED },
		{ 10000, BAD, 4, BREAKER_OPEN },
		{ 10600, ADMIT, 2, BREAKER_HALF_OPEN },
		{ 10600, REFUSE, 1, BREAKER_HALF_OPEN },
		{ 10610, GONE, 2, BREAKER_HALF_OPEN },
		{ 10620, ADMIT, 2, BREAKER_HALF_OPEN },
		{ 10620, REFUSE, 1, BREAKER_HALF_OPEN },
		{ 10630, GOOD, 2, BREAKER_CLOSED },
	};

	PLAY(rows);
}
END_TEST

START_TEST(what_began_before_a_change_changes_nothing)
{
	static const struct row rows[] = {
		{ 10000, ADMIT, 8, BREAKER_CLOSED },
		{ 10000, BAD, 4, BREAKER_OPEN },
		{ 10600, BAD, 1, BREAKER_OPEN },
		{ 10600, ADMIT, 2, BREAKER_HALF_OPEN },
		{ 10610, BAD, 1, BREAKER_HALF_OPEN },
		{ 10610, GOOD, 2, BREAKER_HALF_OPEN },
		{ 10620, GOOD, 2, BREAKER_CLOSED },
	};

	PLAY(rows);
}
END_TEST

/* The numbers of the slices are smaller then, for years. */
START_TEST(a_wider_window_slides_too)
{
	struct rules_breaker wide = limits;
	struct breaker b = { 0 };
	uint64_t at_ms = 10000000;

	breaker_report(&b, &limits, at_ms,
		       breaker_admit(&b, &limits, at_ms), BREAKER_FAILURE);
	wide.window_ms *= 6;
	for (unsigned i = 0; i < 20; i++) {
		at_ms += 2 * wide.window_ms;
		breaker_report(&b, &wide, at_ms,
			       breaker_admit(&b, &wide, at_ms),
			       BREAKER_FAILURE);
		ck_assert_int_eq(b.state, BREAKER_CLOSED);
	}
}
END_TEST

static void
fill(TCase *t)
{
	tcase_add_test(t, says_how_long_it_stays_open);
	tcase_add_test(t, opens_at_the_share_of_enough_requests);
	tcase_add_test(t, stays_closed_below_the_share);
	tcase_add_test(t, old_failures_fall_out_of_the_window);
	tcase_add_test(t, half_open_lets_a_few_through_and_closes);
	tcase_add_test(t, one_failed_trial_opens_again);
	tcase_add_test(t, a_trial_that_vanishes_gives_its_place_back);
	tcase_add_test(t, what_began_before_a_change_changes_nothing);
	tcase_add_test(t, a_wider_window_slides_too);
}

int
main(void)
{
	return table_run("router/breaker", fill);
}
