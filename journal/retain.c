/* SPDX-License-Identifier: Apache-2.0 */
/* Retention: the writer deletes the oldest events in small steps, between
 * transactions of others.
 *
 * A step is bounded by time and, under load, takes twice what came since the
 * last one, so that it keeps up and never runs ahead of the live path. Its
 * commit is not synced: a deletion that a power cut takes back is done again,
 * and the next commit that matters syncs it along.
 *
 * Numbers of deleted events are noted in `removed`; the newest event always
 * stays, so that no number is given twice. */
#include "journal/retain.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "journal/internal.h"

#define STEP_US 1000
#define STEP_US_MOST 10000
#define STEP_ROWS_LEAST 64
#define REST_FACTOR 4		/* of a step's time; 1 when over the limit */
#define LOOK_US 1000000u	/* nothing to delete: look again */
#define SWEEP_US 600000000u	/* begin anew with what was held back */
#define WARN_US 300000000u
/* Look at the size at least whenever so much of the limit has come. */
#define LIMIT_SHARE 32

enum verdict { VERDICT_DELETE, VERDICT_FORCE, VERDICT_PASS, VERDICT_STOP };

struct candidate {
	int64_t sequence, time_us;
	const struct journal_hold *hold;	/* lent */
};

struct step {
	struct journal_tx tx;
	bool begun;
	int64_t cutoff_us;	/* what is older has lived long enough */
	int64_t newest;
	int64_t floor;		/* nothing needs what is up to here */
	int64_t pinned;		/* the next that something refers to */
	int64_t first, last;	/* deleted and not yet noted */
	const char *reason;
	int64_t rows;
	bool ended;		/* nothing more to delete for now */
	bool group_holds;	/* ... because a group needs it */
};

/* ---- what is known ---- */

static int64_t
query_int(struct journal *j, enum stmt stmt, int64_t fallback)
{
	sqlite3_stmt *s = j->stmts[stmt];
	int64_t value = fallback;

	if (sqlite3_step(s) == SQLITE_ROW &&
	    sqlite3_column_type(s, 0) != SQLITE_NULL)
		value = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return value;
}

static void
measure(struct journal *j)
{
	struct journal_usage *u = &j->retain.seen;
	int64_t pages = query_int(j, STMT_PAGES, 0);

	u->file_bytes = pages * j->page_bytes;
	u->used_bytes = (pages - query_int(j, STMT_FREE_PAGES, 0)) *
			j->page_bytes;
	u->wal_bytes = j->wal_bytes;
	u->limit_bytes = j->retain.want.bytes;
}

static bool
is_over(const struct journal *j)
{
	const struct retain *r = &j->retain;

	return r->want.bytes && r->seen.used_bytes > r->want.bytes;
}

static int64_t
pinned_from(struct journal *j, int64_t sequence)
{
	sqlite3_bind_int64(j->stmts[STMT_PINNED], 1, sequence);
	return query_int(j, STMT_PINNED, INT64_MAX);
}

/* The oldest event from `sequence` on; false when there is none. */
static bool
candidate_find(struct journal *j, int64_t sequence, struct candidate *c)
{
	sqlite3_stmt *s = j->stmts[STMT_OLDEST];
	struct retain *r = &j->retain;
	struct span type = { "", 0 };
	bool found;

	sqlite3_bind_int64(s, 1, sequence);
	found = sqlite3_step(s) == SQLITE_ROW;
	if (found) {
		*c = (struct candidate){ sqlite3_column_int64(s, 0),
					 sqlite3_column_int64(s, 1), NULL };
		if (r->holds.count && journal_name_text(
			    &r->types, j->stmts[STMT_NAME_TEXT],
			    sqlite3_column_int64(s, 2), &type) == 0)
			c->hold = journal_holds_find(
				&r->holds, c->sequence, c->time_us, type,
				journal_column_span(s, 3));
	}
	sqlite3_reset(s);
	return found;
}

static void
publish(struct journal *j)
{
	struct journal_usage *u = &j->retain.seen;
	struct candidate oldest = { 0, 0, NULL };

	(void)candidate_find(j, 0, &oldest);
	u->first_sequence = oldest.sequence;
	u->first_us = oldest.time_us;
	pthread_mutex_lock(&j->lock);
	j->usage = *u;
	pthread_mutex_unlock(&j->lock);
}

/* ---- loud ---- */

static void
say_held(struct journal *j)
{
	struct retain *r = &j->retain;
	uint64_t now = clock_mono_us();

	if (r->warned_us && now < r->warned_us + WARN_US)
		return;
	r->warned_us = now;
	if (r->seen.over_limit)
		log_error("journal.over-limit", "%s: %" PRId64 " MiB in use, "
			  "the limit is %" PRId64 " MiB, but %s still needs "
			  "the oldest events; nothing of it is deleted. Let "
			  "it catch up, delete, move or cancel it, raise "
			  "retain_size, or set retain_full to drop", j->path,
			  r->seen.used_bytes >> 20, r->want.bytes >> 20,
			  r->seen.held_by);
	else
		log_warn("journal.retention-held", "%s: events older than "
			 "retain_age are kept, because %s still needs them",
			 j->path, r->seen.held_by);
}

static void
set_over_limit(struct journal *j, bool over)
{
	struct journal_usage *u = &j->retain.seen;

	if (over)
		counter_inc(COUNTER_JOURNAL_REFUSED);
	if (over == u->over_limit)
		return;
	u->over_limit = over;
	counter_add(COUNTER_JOURNAL_OVER_LIMIT, over ? 1 : -1);
	j->retain.warned_us = 0;
	if (!over)
		log_info("journal.within-limit", "%s: within retain_size "
			 "again", j->path);
}

static void
say_forced(struct journal *j, int64_t sequence)
{
	struct retain *r = &j->retain;
	uint64_t now = clock_mono_us();

	if (r->warned_us && now < r->warned_us + WARN_US)
		return;
	r->warned_us = now;
	log_error("journal.forced", "%s: larger than retain_size and "
		  "retain_full is drop: deletes from event %" PRId64 " on "
		  "what %s has not settled", j->path, sequence,
		  r->seen.held_by);
}

/* ---- one event ---- */

static enum verdict
judge_group(struct journal *j, struct step *st, const struct candidate *c)
{
	sqlite3_stmt *s = j->stmts[STMT_FLOOR];
	struct retain *r = &j->retain;

	if (sqlite3_step(s) == SQLITE_ROW)
		snprintf(r->seen.held_by, sizeof(r->seen.held_by),
			 "%s at event %lld", journal_column_str(s, 1),
			 (long long)sqlite3_column_int64(s, 0));
	sqlite3_reset(s);
	st->group_holds = !is_over(j) ||
			  r->want.when_full == JOURNAL_FULL_KEEP;
	if (st->group_holds)
		return VERDICT_STOP;
	say_forced(j, c->sequence);
	return VERDICT_FORCE;
}

static enum verdict
pass(struct journal *j, const char *what, const char *name)
{
	snprintf(j->retain.seen.held_by, sizeof(j->retain.seen.held_by),
		 "%s%s", what, name);
	j->retain.left_behind = true;
	return VERDICT_PASS;
}

static enum verdict
judge(struct journal *j, struct step *st, const struct candidate *c)
{
	if (c->sequence >= st->newest ||
	    (c->time_us >= st->cutoff_us && !is_over(j)))
		return VERDICT_STOP;
	if (c->hold)
		return pass(j, "hold ", c->hold->name);
	if (c->sequence > st->pinned)
		st->pinned = pinned_from(j, c->sequence);
	if (c->sequence == st->pinned)
		return pass(j, "a retry, dead letter or open exchange", "");
	return c->sequence > st->floor ? judge_group(j, st, c)
				       : VERDICT_DELETE;
}

/* ---- one step ---- */

static void
step_note(struct step *st)
{
	if (st->first && !st->tx.failed) {
		journal_removed_add(&st->tx, st->first, st->last, st->reason);
		journal_operations_die(&st->tx, st->first, st->last);
	}
	st->first = 0;
}

static void
step_delete(struct journal *j, struct step *st, int64_t sequence,
	    const char *reason)
{
	if (!st->begun) {
		st->begun = true;
		sqlite3_exec(j->db, "PRAGMA synchronous = NORMAL", NULL, NULL,
			     NULL);
		journal_tx_run(&st->tx, STMT_BEGIN_WRITE, "begin to delete");
	}
	if (st->first && (sequence != st->last + 1 || reason != st->reason))
		step_note(st);
	sqlite3_bind_int64(j->stmts[STMT_EVENT_DELETE], 1, sequence);
	journal_tx_run(&st->tx, STMT_EVENT_DELETE, "delete an event");
	if (!st->first)
		st->first = sequence;
	st->last = sequence;
	st->reason = reason;
	st->rows++;
}

static void
step_end(struct journal *j, struct step *st)
{
	if (!st->begun)
		return;
	step_note(st);
	journal_tx_run(&st->tx, STMT_COMMIT, "commit a deletion");
	if (st->tx.failed && !sqlite3_get_autocommit(j->db)) {
		sqlite3_step(j->stmts[STMT_ROLLBACK]);
		sqlite3_reset(j->stmts[STMT_ROLLBACK]);
	}
	sqlite3_exec(j->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
	if (st->tx.failed)
		log_warn("journal.retention", "%s: cannot delete: %s; trying "
			 "again", j->path, j->reason);
}

/* Where a hold of plain numbers ends; all of it is passed at once. */
static int64_t
after_hold(const struct journal_hold *h, int64_t sequence)
{
	if (!h || h->since_us || h->until_us || *h->type || *h->subject)
		return sequence + 1;
	return h->last ? h->last + 1 : INT64_MAX;
}

static bool
step_one(struct journal *j, struct step *st)
{
	struct retain *r = &j->retain;
	struct candidate c;

	if (!candidate_find(j, r->next_sequence, &c))
		return false;
	switch (judge(j, st, &c)) {
	case VERDICT_STOP:
		return false;
	case VERDICT_PASS:
		r->next_sequence = after_hold(c.hold, c.sequence);
		return true;
	case VERDICT_FORCE:
		counter_inc(COUNTER_JOURNAL_FORCED);
		step_delete(j, st, c.sequence, "forced");
		break;
	case VERDICT_DELETE:
		counter_inc(COUNTER_JOURNAL_REMOVED);
		step_delete(j, st, c.sequence, "retention");
		break;
	}
	r->next_sequence = c.sequence + 1;
	measure(j);
	return !st->tx.failed;
}

static bool
step_goes_on(struct journal *j, const struct step *st, int64_t quota,
	     uint64_t began_us)
{
	uint64_t spent = clock_mono_us() - began_us;

	if (spent >= STEP_US_MOST)
		return false;
	return st->rows < quota ||
	       (spent < STEP_US && !journal_item_waits(j));
}

static void
step_run(struct journal *j, struct step *st, uint64_t began_us)
{
	struct retain *r = &j->retain;
	int64_t before = r->next_sequence;
	int64_t quota = STEP_ROWS_LEAST + 2 * r->appended;

	r->appended = r->bytes = 0;
	do {
		st->ended = !step_one(j, st);
	} while (!st->ended && step_goes_on(j, st, quota, began_us));
	step_end(j, st);
	if (st->tx.failed)
		r->next_sequence = before;
}

static void
sweep_ended(struct journal *j, const struct step *st, uint64_t now)
{
	struct retain *r = &j->retain;

	set_over_limit(j, is_over(j));
	if (r->seen.over_limit || st->group_holds)
		say_held(j);
	r->due_us = now + LOOK_US;
	if (r->left_behind && now >= r->sweep_us) {
		r->next_sequence = 0;
		r->left_behind = false;
		r->sweep_us = now + SWEEP_US;
	}
}

static void
step(struct journal *j, uint64_t now)
{
	struct retain *r = &j->retain;
	int64_t age = r->want.age_us;
	struct step st = {
		.tx = { .j = j },
		.cutoff_us = age ? clock_wall_us() - age : INT64_MIN,
		.newest = atomic_load(&j->last_sequence),
		.floor = query_int(j, STMT_FLOOR, INT64_MAX),
		.pinned = pinned_from(j, r->next_sequence),
	};
	uint64_t end;

	r->seen.held_by[0] = '\0';
	step_run(j, &st, now);
	end = clock_mono_us();
	r->due_us = end + (end - now) * (is_over(j) ? 1 : REST_FACTOR);
	if (st.ended)
		sweep_ended(j, &st, end);
}

/* ---- from outside ---- */

static bool
is_wanted(const struct retain *r)
{
	return r->want.age_us || r->want.bytes;
}

uint64_t
journal_retain_due(const struct journal *j)
{
	const struct retain *r = &j->retain;

	return is_wanted(r) || r->appended ? r->due_us : 0;
}

static bool
is_due(const struct retain *r, uint64_t now)
{
	return now >= r->due_us ||
	       (r->want.bytes && r->bytes >= r->want.bytes / LIMIT_SHARE);
}

void
journal_retain(struct journal *j)
{
	struct retain *r = &j->retain;
	uint64_t now = clock_mono_us();

	if (!is_due(r, now) || !atomic_load(&j->writable) || j->suspect ||
	    atomic_load(&j->stopping))
		return;
	measure(j);
	r->due_us = now + LOOK_US;
	if (is_wanted(r) && journal_holds_load(j) == 0)
		step(j, now);
	else
		r->appended = r->bytes = 0;
	publish(j);
}

void
journal_retain_fini(struct journal *j)
{
	journal_holds_free(&j->retain.holds);
	journal_names_clear(&j->retain.types);
}

void
journal_usage_get(struct journal *j, struct journal_usage *out)
{
	pthread_mutex_lock(&j->lock);
	*out = j->usage;
	pthread_mutex_unlock(&j->lock);
}
