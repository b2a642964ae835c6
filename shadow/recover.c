/* SPDX-License-Identifier: Apache-2.0 */
/* What the shadow knew before the process ended, from the journal.
 *
 * The sums are those of one sequence; the verdicts after it are added from
 * their events. An exchange may come again when it is after the group's
 * cursor, or before it and in retry (the cursor passes what is under way);
 * its verdict, if there is one, is after it. Those verdicts are known again,
 * so that nothing is compared twice. */
#include "shadow/engine.h"

#include <stdio.h>

#include "base/log.h"

#define READ_AT_ONCE 1000

struct recovery {
	struct shadow *s;
	int64_t settled;	/* no exchange up to here comes again */
	int64_t after;
};

static void
on_group(void *arg, const struct journal_group *g)
{
	struct recovery *r = arg;

	if (strcmp(g->name, SHADOW_GROUP) == 0)
		r->settled = g->cursor;
}

static void
on_retry(void *arg, const struct journal_retry *t)
{
	struct recovery *r = arg;

	if (t->sequence <= r->settled)
		r->settled = t->sequence - 1;
}

static void
on_sum(void *arg, const char *key, struct span value)
{
	struct recovery *r = arg;

	shadow_tally_load(r->s->tally, key, value);
}

static void
on_noise(void *arg, const char *key, struct span value)
{
	struct recovery *r = arg;

	shadow_noise_load(r->s->noise, key, value);
}

/* Its reply may come before its exchange does, and end the pair: the
 * exchange has been dealt with all the same. */
static void
on_pair(void *arg, const char *key, struct span value)
{
	struct recovery *r = arg;
	struct shadow_pair pair;

	shadow_settled_add(&r->s->settled, span_of(key));
	if (shadow_pair_read(key, value, &pair) != 0 ||
	    shadow_pending_add(r->s->pending, &pair) != 0)
		log_warn("shadow.bad-pair", "the waiting pair %s cannot be "
			 "read and is left alone", key);
}

static bool
on_verdict(void *arg, const struct journal_row *row)
{
	struct recovery *r = arg;
	struct shadow_verdict v;
	char correlation[ID_TEXT_SIZE];

	snprintf(correlation, sizeof(correlation), "%.*s",
		 (int)row->correlation.len, row->correlation.at);
	if (row->sequence > shadow_tally_sequence(r->s->tally) &&
	    shadow_verdict_read(row->data, &v) == 0) {
		v.time_us = row->time_us;
		shadow_tally_add(r->s->tally, &v, correlation, row->sequence);
	}
	if (row->sequence > r->settled)
		shadow_settled_add(&r->s->settled, row->correlation);
	return true;
}

static int
read_verdicts(struct recovery *r, struct error *err)
{
	static const struct journal_filter filter = {
		.type = SHADOW_VERDICT_TYPE,
	};
	int64_t last;

	if (journal_read_last_sequence(r->s->reader, &last) != 0)
		return error_set(err, "cannot read the journal");
	while (r->after < last) {
		int64_t scanned = r->after;

		if (journal_read(r->s->reader, r->after, &filter,
				 READ_AT_ONCE, READ_AT_ONCE, on_verdict, r,
				 &scanned) < 0)
			return error_set(err, "cannot read verdicts");
		if (scanned <= r->after)
			break;
		r->after = scanned;
	}
	shadow_settled_end(&r->s->settled);
	return 0;
}

int
shadow_recover(struct shadow *s, struct error *err)
{
	struct recovery r = { .s = s };
	int64_t sums;

	if (journal_read_groups(s->reader, on_group, &r) != 0 ||
	    journal_read_retries(s->reader, SHADOW_GROUP, on_retry,
				 &r) != 0 ||
	    journal_read_state(s->reader, SHADOW_TALLY_SPACE, on_sum,
			       &r) != 0 ||
	    journal_read_state(s->reader, SHADOW_NOISE_SPACE, on_noise,
			       &r) != 0 ||
	    journal_read_state(s->reader, SHADOW_PENDING_SPACE, on_pair,
			       &r) != 0)
		return error_set(err, "cannot read the shadow's state");
	if (shadow_tally_is_short(s->tally))
		return error_set(err, "out of memory for the shadow's sums");
	sums = shadow_tally_sequence(s->tally);
	r.after = r.settled < sums ? r.settled : sums;
	return read_verdicts(&r, err);
}
