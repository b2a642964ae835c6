/* SPDX-License-Identifier: Apache-2.0 */
/* Reads every event and everything that refers to one.
 *
 * The walk starts anew, in a transaction of its own, behind the last event
 * that was whole, so that neither a live journal nor damaged numbers lead it
 * astray. */
#include "journal/verify.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "journal/internal.h"

#define CHUNK_US 5000

struct range {
	int64_t first, last;
};

struct verify {
	struct journal_reader *r;
	void (*fn)(void *arg, const struct journal_finding *f);
	void *arg;
	struct journal_report *report;
	int64_t top;		/* the newest event when it began */
	int64_t at;		/* the last whole event */
	int64_t expected;	/* the next number; what is before is settled */
	struct range *removed;
	size_t removed_count;
	bool failed;		/* memory, or a list that cannot be read */
};

static const struct {
	const char *name, *sentence;
} faults[] = {
#define FAULT(sym, name, sentence) [JOURNAL_FAULT_##sym] = { name, sentence },
#include "journal/faults.def"
#undef FAULT
};

const char *
journal_fault_name(enum journal_fault f)
{
	return faults[f].name;
}

const char *
journal_fault_sentence(enum journal_fault f)
{
	return faults[f].sentence;
}

static void
found(struct verify *v, enum journal_fault fault, int64_t first, int64_t last,
      const char *text)
{
	const struct journal_finding f = { fault, first, last, text };

	v->report->faults++;
	v->fn(v->arg, &f);
}

/* ---- explained gaps ---- */

static void
removed_row(struct verify *v, sqlite3_stmt *s)
{
	struct range *at;

	at = realloc(v->removed, (v->removed_count + 1) * sizeof(*at));
	if (!at) {
		v->failed = true;
		return;
	}
	v->removed = at;
	at += v->removed_count++;
	*at = (struct range){ sqlite3_column_int64(s, 0),
			      sqlite3_column_int64(s, 1) };
	v->report->removed += at->last - at->first + 1;
}

static void
removed_load(struct verify *v)
{
	sqlite3_stmt *s = v->r->stmts[STMT_REMOVED_LIST];
	int rc;

	v->removed_count = 0;
	v->report->removed = 0;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		removed_row(v, s);
	sqlite3_reset(s);
	if (rc != SQLITE_DONE)
		found(v, JOURNAL_FAULT_STRUCTURE, 0, 0,
		      sqlite3_errmsg(v->r->db));
}

/* The first number from `from` on that nothing explains; to + 1: none. */
static int64_t
unexplained(const struct verify *v, int64_t from, int64_t to)
{
	size_t i;

	for (i = 0; i < v->removed_count && from <= to; i++)
		if (v->removed[i].first <= from && v->removed[i].last >= from)
			from = v->removed[i].last + 1;
	return from <= to ? from : to + 1;
}

static int64_t
explained_from(const struct verify *v, int64_t from, int64_t to)
{
	size_t i;

	for (i = 0; i < v->removed_count; i++)
		if (v->removed[i].first > from && v->removed[i].first <= to)
			return v->removed[i].first;
	return to + 1;
}

/* No event was met from `first` to `last`. */
static void
hole(struct verify *v, int64_t first, int64_t last, enum journal_fault fault)
{
	int64_t end;

	if (unexplained(v, first, last) <= last)
		removed_load(v);	/* retention may be at work */
	while ((first = unexplained(v, first, last)) <= last) {
		end = explained_from(v, first, last) - 1;
		found(v, fault, first, end, "");
		first = end + 1;
	}
}

/* ---- events ---- */

static void
whole(struct verify *v, int64_t sequence)
{
	if (sequence > v->expected)
		hole(v, v->expected, sequence - 1, JOURNAL_FAULT_MISSING);
	if (unexplained(v, sequence, sequence) > sequence)
		found(v, JOURNAL_FAULT_PRESENT, sequence, sequence, "");
	v->expected = sequence + 1;
	v->at = sequence;
	v->report->events++;
	if (!v->report->first)
		v->report->first = sequence;
	v->report->last = sequence;
}

static bool
row_is_whole(struct verify *v, sqlite3_stmt *s, int64_t sequence)
{
	struct journal_row row = { .sequence = sequence };

	return journal_row_fill(v->r, s, &row) == 0 &&
	       journal_checksum(&row) == (uint64_t)sqlite3_column_int64(s, 5);
}

/* Its number may be damaged, too: it settles a number only when that is the
 * one which comes next. */
static bool
look_at(struct verify *v, sqlite3_stmt *s)
{
	int64_t sequence = sqlite3_column_int64(s, 11);

	if (sequence > v->at && sequence <= v->top &&
	    row_is_whole(v, s, sequence)) {
		whole(v, sequence);
		return true;
	}
	if (sequence > v->top && row_is_whole(v, s, sequence))
		return true;	/* came after we began */
	found(v, JOURNAL_FAULT_ALTERED, sequence, sequence, "");
	if (sequence == v->expected)
		v->expected++;
	return false;
}

/* SQLITE_ROW: more to come; SQLITE_DONE: the end; else an error. Stops
 * behind a whole event only. */
static int
walk_chunk(struct verify *v)
{
	sqlite3_stmt *s = v->r->stmts[STMT_VERIFY];
	uint64_t until = clock_mono_us() + CHUNK_US;
	bool good;
	int rc;

	sqlite3_bind_int64(s, 1, v->at);
	do {
		rc = sqlite3_step(s);
		good = rc == SQLITE_ROW && look_at(v, s);
	} while (rc == SQLITE_ROW && v->at < v->top &&
		 (!good || clock_mono_us() < until));
	sqlite3_reset(s);
	return rc == SQLITE_ROW && v->at >= v->top ? SQLITE_DONE : rc;
}

static bool
is_readable_after(struct verify *v, int64_t sequence)
{
	sqlite3_stmt *s = v->r->stmts[STMT_VERIFY];
	int rc;

	sqlite3_bind_int64(s, 1, sequence);
	rc = sqlite3_step(s);
	sqlite3_reset(s);
	return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

/* Reading goes wrong behind v->at, or somewhere after it: searches where it
 * works again. */
static void
skip_unreadable(struct verify *v)
{
	int64_t bad = v->expected - 1, good, step = 1, middle;
	const char *words = sqlite3_errstr(SQLITE_CORRUPT);

	while (bad + step < v->top && !is_readable_after(v, bad + step))
		step *= 2;
	good = bad + step < v->top ? bad + step : v->top;
	bad += step / 2;
	while (good - bad > 1) {
		middle = bad + (good - bad) / 2;
		if (is_readable_after(v, middle))
			good = middle;
		else
			bad = middle;
	}
	found(v, JOURNAL_FAULT_UNREADABLE, v->expected, good, words);
	v->at = good;
	v->expected = good + 1;
}

static void
walk(struct verify *v)
{
	int rc;

	while (v->at < v->top && (rc = walk_chunk(v)) != SQLITE_DONE)
		if (rc != SQLITE_ROW)
			skip_unreadable(v);
	if (v->expected <= v->top)
		hole(v, v->expected, v->top, JOURNAL_FAULT_MISSING);
	if (v->report->mark > v->top)
		hole(v, v->top + 1, v->report->mark, JOURNAL_FAULT_LOST_TAIL);
}

/* ---- what refers to events ---- */

static void
on_group(void *arg, const struct journal_group *g)
{
	struct verify *v = arg;

	v->report->groups++;
	if (g->cursor > journal_verify_newest(v->r))
		found(v, JOURNAL_FAULT_CURSOR, g->cursor, g->cursor, g->name);
}

static void
on_hold(void *arg, const struct journal_hold *h)
{
	struct verify *v = arg;

	(void)h;
	v->report->holds++;
}

static void
references(struct verify *v)
{
	sqlite3_stmt *s = v->r->stmts[STMT_VERIFY_REFERENCES];
	int rc;

	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		found(v, JOURNAL_FAULT_REFERENCE, sqlite3_column_int64(s, 0),
		      sqlite3_column_int64(s, 0), journal_column_str(s, 1));
	sqlite3_reset(s);
	if (rc != SQLITE_DONE ||
	    journal_read_groups(v->r, on_group, v) < 0 ||
	    journal_read_holds(v->r, on_hold, v) < 0)
		found(v, JOURNAL_FAULT_STRUCTURE, 0, 0,
		      sqlite3_errmsg(v->r->db));
}

static void
structure(struct verify *v)
{
	sqlite3_stmt *s = v->r->stmts[STMT_VERIFY_STRUCTURE];
	int rc;

	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		if (strcmp(journal_column_str(s, 0), "ok") != 0)
			found(v, JOURNAL_FAULT_STRUCTURE, 0, 0,
			      journal_column_str(s, 0));
	sqlite3_reset(s);
	if (rc != SQLITE_DONE)
		found(v, JOURNAL_FAULT_STRUCTURE, 0, 0,
		      sqlite3_errmsg(v->r->db));
}

/* ---- the whole ---- */

int64_t
journal_verify_newest(struct journal_reader *r)
{
	int64_t newest = 0;

	r->failing = true;	/* the report says it, the log need not */
	if (journal_read_last_sequence(r, &newest) < 0)
		return INT64_MAX;
	return newest;
}

int
journal_verify(const char *path, enum journal_depth depth,
	       void (*fn)(void *arg, const struct journal_finding *f),
	       void *arg, struct journal_report *report, struct error *err)
{
	struct verify v = { .fn = fn, .arg = arg, .report = report,
			    .expected = 1 };

	*report = (struct journal_report){0};
	/* Before the newest event is asked for: it never is ahead of it. */
	report->mark = journal_mark_read(path);
	v.r = journal_reader_open(path, err);
	if (!v.r)
		return -1;
	v.top = journal_verify_newest(v.r);
	if (v.top == INT64_MAX) {
		found(&v, JOURNAL_FAULT_STRUCTURE, 0, 0,
		      sqlite3_errmsg(v.r->db));
		v.top = report->mark;
	}
	removed_load(&v);
	walk(&v);
	references(&v);
	if (depth == JOURNAL_VERIFY_ALL)
		structure(&v);
	journal_reader_close(&v.r);
	free(v.removed);
	return v.failed ? error_set(err, "%s: no memory", path) : 0;
}
