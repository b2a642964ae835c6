/* SPDX-License-Identifier: Apache-2.0 */
/* The reply thread: joins replies with waiting pairs, whenever they come.
 *
 * A pair can be claimed from the moment its command is on disk (the end of
 * a pair must not overtake its beginning), once, and is removed with its
 * verdict, so that a second reply finds nothing. Its deadline is held
 * against the replies that have been read, not against the clock: after a
 * restart those that came in time are still in the journal. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "shadow/compare.h"
#include "shadow/engine.h"

#define BATCH 64
#define WAIT_MS 500

/* ---- a verdict on a claimed pair ---- */

/* The pair's rule is gone: nothing to compare by. */
static void
forget_pair(struct shadow *s, const struct shadow_pair *pair)
{
	struct shadow_entry *e = shadow_entry_new(SHADOW_ENTRY_FORGET,
						  pair->correlation);

	if (!e) {
		shadow_unclaim(s, pair->correlation);
		return;
	}
	counter_inc(COUNTER_SHADOW_SKIPPED_NO_RULE);
	shadow_entry_delete(e, SHADOW_PENDING_SPACE, pair->correlation);
	shadow_post(s, e);
}

struct legacy {
	struct shadow_exchange *x;
	struct error err;
};

static bool
on_legacy(void *arg, const struct journal_row *row)
{
	struct legacy *l = arg;

	l->x = shadow_exchange_decode(row, &l->err);
	return false;
}

struct reply {
	struct cJSON *tree;
	struct shadow_side side;
	int status;
};

static int
reply_read(struct reply *r, struct span data, struct error *err)
{
	memset(r, 0, sizeof(*r));
	r->tree = payload_parse(data, err);
	if (!r->tree)
		return -1;
	r->status = (int)payload_int(payload_member(r->tree, "status"), 200);
	return shadow_side_decode(r->tree, &r->side, err);
}

static void
compare_reply(struct shadow *s, const struct shadow_plan_ref *plan,
	      const struct shadow_rule *rule, const struct shadow_exchange *x,
	      const struct reply *r, struct shadow_verdict *v,
	      struct buf *kept)
{
	const struct shadow_answer legacy = {
		.status = x->status,
		.fields = shadow_side_fields(&x->response),
		.body = x->response.body,
		.redacted = true,
	};
	/* The bus redacts replies before it stores them. */
	const struct shadow_answer candidate = {
		.status = r->status,
		.fields = shadow_side_fields(&r->side),
		.body = r->side.body,
		.redacted = true,
	};

	shadow_compare_sifted(s, shadow_plan_of(plan), rule, &legacy,
			      &candidate, v);
	shadow_keep_answer(s, shadow_plan_of(plan), &candidate, v, kept);
}

static uint32_t
latency_us(const struct shadow_pair *pair, int64_t replied_us)
{
	int64_t us = replied_us - pair->sent_us;

	return us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static struct shadow_verdict *
verdict_on(const struct shadow_pair *pair)
{
	struct shadow_verdict *v = shadow_verdict_new(
		pair->rule, pair->candidate, pair->legacy_us);

	if (!v)
		return NULL;
	snprintf(v->endpoint, sizeof(v->endpoint), "%s", pair->endpoint);
	v->exchange_sequence = pair->sequence;
	return v;
}

static void
judge_reply(struct shadow *s, const struct shadow_plan_ref *plan,
	    const struct shadow_rule *rule, const struct shadow_pair *pair,
	    const struct journal_row *row)
{
	struct shadow_verdict *v = verdict_on(pair);
	struct legacy l = { 0 };
	struct reply r = { 0 };
	struct buf kept = { 0 };

	if (!v) {
		shadow_unclaim(s, pair->correlation);
		return;
	}
	v->candidate_us = latency_us(pair, row->time_us);
	journal_read_one(s->reader, pair->sequence, on_legacy, &l);
	if (!l.x)
		shadow_verdict_fail(v, "the recorded exchange is gone");
	else if (reply_read(&r, row->data, &l.err) != 0)
		shadow_verdict_fail(v, l.err.text);
	else if (!r.side.complete)
		shadow_verdict_fail(v, "the reply's body was not recorded");
	else
		compare_reply(s, plan, rule, l.x, &r, v, &kept);
	shadow_post_verdict(s, v, pair->correlation, row->source, &row->id,
			    SHADOW_SETTLES_PAIR);
	buf_fini(&kept);
	shadow_side_fini(&r.side);
	payload_free(&r.tree);
	shadow_exchange_free(&l.x);
}

/* ---- replies ---- */

/* A live command of the same exchange has replies, too: one that names its
 * cause must name our command. */
static bool
answers_command(const struct journal_row *row, const struct id *command_id)
{
	struct buf text = { 0 };
	struct cJSON *tree = NULL;
	const char *cause;
	struct id id;
	bool ours;

	buf_addc(&text, '{');
	buf_add(&text, row->extensions.at, row->extensions.len);
	buf_addc(&text, '}');
	if (!text.failed)
		tree = payload_parse(buf_span(&text), NULL);
	cause = payload_string(payload_member(tree, "causationid"), "");
	ours = id_parse(cause, strlen(cause), &id) != 0 ||
	       id_equal(&id, command_id);
	payload_free(&tree);
	buf_fini(&text);
	return ours;
}

/* False: nobody waits for it (any more, or never here). */
static bool
claim(struct shadow *s, const struct journal_row *row,
      struct shadow_pair *out)
{
	struct shadow_pair *pair;

	pthread_mutex_lock(&s->lock);
	pair = shadow_pending_find(s->pending, row->correlation);
	if (pair && (!pair->sent || pair->claimed ||
		     !answers_command(row, &pair->command_id)))
		pair = NULL;
	if (pair) {
		pair->claimed = true;
		*out = *pair;
	} else {
		s->unmatched_replies++;
	}
	pthread_mutex_unlock(&s->lock);
	return pair;
}

static void
take_reply(struct shadow *s, const struct journal_row *row)
{
	struct shadow_pair pair;
	struct shadow_plan_ref *plan;
	const struct shadow_rule *rule;

	if (!claim(s, row, &pair))
		return;
	plan = shadow_hold_plan(s);
	rule = shadow_plan_find(plan, pair.rule, pair.candidate);
	if (rule)
		judge_reply(s, plan, rule, &pair, row);
	else
		forget_pair(s, &pair);
	shadow_plan_drop(&plan);
}

/* Everything in the journal up to `us` has been joined. */
static void
note_read(struct shadow *s, int64_t us)
{
	pthread_mutex_lock(&s->lock);
	if (us > s->replies_read_us)
		s->replies_read_us = us;
	pthread_mutex_unlock(&s->lock);
}

void *
shadow_replies_main(void *arg)
{
	struct shadow *s = arg;
	struct bus_batch b;

	if (!shadow_wait_plan(s))
		return NULL;
	while (!shadow_is_stopping(s)) {
		int64_t before_us = clock_wall_us();

		if (bus_fetch(s->replies, BATCH, WAIT_MS, &b) != 0)
			break;
		for (size_t i = 0; i < b.count; i++) {
			before_us = b.events[i].row.time_us;
			take_reply(s, &b.events[i].row);
			bus_ack(s->replies, b.events[i].row.sequence);
		}
		note_read(s, before_us);
		bus_batch_fini(&b);
	}
	return NULL;
}

/* ---- no reply ---- */

static bool
claim_overdue(struct shadow *s, struct shadow_pair *out)
{
	struct shadow_pair *pair;

	pthread_mutex_lock(&s->lock);
	pair = shadow_pending_overdue(s->pending, s->replies_read_us);
	if (pair) {
		pair->claimed = true;
		*out = *pair;
	}
	pthread_mutex_unlock(&s->lock);
	return pair;
}

void
shadow_expire_pairs(struct shadow *s)
{
	struct shadow_pair pair;

	while (claim_overdue(s, &pair)) {
		struct shadow_verdict *v = verdict_on(&pair);
		char reason[64];

		if (!v) {
			shadow_unclaim(s, pair.correlation);
			return;
		}
		snprintf(reason, sizeof(reason), "no reply within %lld ms",
			 (long long)(pair.deadline_us - pair.sent_us) / 1000);
		shadow_verdict_fail(v, reason);
		shadow_post_verdict(s, v, pair.correlation,
				    span_of(pair.source),
				    &pair.command_id, SHADOW_SETTLES_PAIR);
	}
}
