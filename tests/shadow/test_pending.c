/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting pairs: found, overdue, removed, read back. */
#include "shadow/pending.h"

#include <stdio.h>

#include "tests/shadow/cases.h"

static struct shadow_pair
pair_of(unsigned n)
{
	struct shadow_pair p = { .rule = "r", .candidate = "c",
				 .source = "urn:x", .sequence = n,
				 .sent_us = 10 * n, .deadline_us = 100 * n,
				 .legacy_us = 3, .sent = true };

	snprintf(p.correlation, sizeof(p.correlation), "pair-%u", n);
	p.command_id = id_make();
	return p;
}

START_TEST(holds_many)
{
	struct shadow_pending *t = shadow_pending_new();
	char name[ID_TEXT_SIZE];

	for (unsigned i = 0; i < 5000; i++) {
		struct shadow_pair p = pair_of(i);

		ck_assert_int_eq(shadow_pending_add(t, &p), 0);
		ck_assert_int_eq(shadow_pending_add(t, &p), -1);
	}
	ck_assert_uint_eq(shadow_pending_count(t), 5000);
	for (unsigned i = 0; i < 5000; i += 2) {
		snprintf(name, sizeof(name), "pair-%u", i);
		shadow_pending_remove(t, name);
		shadow_pending_remove(t, name);
	}
	ck_assert_uint_eq(shadow_pending_count(t), 2500);
	for (unsigned i = 0; i < 5000; i++) {
		struct shadow_pair *p;

		snprintf(name, sizeof(name), "pair-%u", i);
		p = shadow_pending_find(t, span_of(name));
		ck_assert((p != NULL) == (i % 2 == 1));
		ck_assert(!p || p->sequence == i);
	}
	shadow_pending_free(&t);
}
END_TEST

START_TEST(claimed_and_unsent_pairs_are_not_overdue)
{
	struct shadow_pending *t = shadow_pending_new();
	struct shadow_pair a = pair_of(1), b = pair_of(2);

	ck_assert_int_eq(shadow_pending_add(t, &a), 0);
	ck_assert_int_eq(shadow_pending_add(t, &b), 0);
	ck_assert_ptr_null(shadow_pending_overdue(t, 100));
	ck_assert_int_eq(shadow_pending_overdue(t, 101)->sequence, 1);
	shadow_pending_find(t, span_of("pair-1"))->claimed = true;
	ck_assert_ptr_null(shadow_pending_overdue(t, 200));
	ck_assert_int_eq(shadow_pending_overdue(t, 201)->sequence, 2);
	shadow_pending_find(t, span_of("pair-2"))->sent = false;
	ck_assert_ptr_null(shadow_pending_overdue(t, 201));
	shadow_pending_free(&t);
}
END_TEST

START_TEST(round_trip)
{
	struct shadow_pair p = pair_of(9), back;
	struct buf text = { 0 };
	struct json j;

	json_init(&j, &text);
	shadow_pair_write(&p, &j);
	ck_assert_int_eq(shadow_pair_read(p.correlation, buf_span(&text),
					  &back), 0);
	ck_assert_str_eq(back.correlation, "pair-9");
	ck_assert_str_eq(back.rule, "r");
	ck_assert_str_eq(back.candidate, "c");
	ck_assert_str_eq(back.source, "urn:x");
	ck_assert_int_eq(back.sequence, 9);
	ck_assert_int_eq(back.sent_us, 90);
	ck_assert_int_eq(back.deadline_us, 900);
	ck_assert_uint_eq(back.legacy_us, 3);
	ck_assert(id_equal(&back.command_id, &p.command_id));
	ck_assert(back.sent && !back.claimed);
	ck_assert_int_eq(shadow_pair_read("x", SPAN_LITERAL("{}"), &back),
			 -1);
	ck_assert_int_eq(shadow_pair_read("x", SPAN_LITERAL("?"), &back), -1);
	buf_fini(&text);
}
END_TEST

TCase *
case_pending(void)
{
	TCase *t = tcase_create("pending");

	tcase_add_test(t, holds_many);
	tcase_add_test(t, claimed_and_unsent_pairs_are_not_overdue);
	tcase_add_test(t, round_trip);
	return t;
}
