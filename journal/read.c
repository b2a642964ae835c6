/* SPDX-License-Identifier: Apache-2.0 */
/* Reading events on a read-only connection, in short transactions.
 *
 * Who wants every type gets the rows as they come. For others a read walks the
 * numbers and types, over a partial index where one fits the filter, and
 * fetches only the rows that are wanted: the bodies of all others are never
 * touched.
 *
 * Numbers are dense but for what `removed` has. Whoever meets all of them
 * stops at one that is missing; a partial index cannot tell. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/invariant.h"
#include "base/log.h"
#include "journal/internal.h"

#define READER_BUSY_WAIT_MS 2000
#define TRANSACTION_US 5000
#define SCAN_SEQUENCE 11	/* column of EVENT_SCAN */

/* The same damage is told again after so long. */
#define DAMAGE_WARN_US 300000000u

/* GONE: there is no such row; NOT: one that is not for the caller. */
enum fetched { FETCHED_FAILED = -1, FETCHED_NOT, FETCHED_OK, FETCHED_STOP,
	       FETCHED_GONE };

/* Where the rows of one call go. */
struct sink {
	const char *subject;	/* filter */
	bool (*fn)(void *arg, const struct journal_row *row);
	void *arg;
};

/* ---- the connection ---- */

static int
reader_db_open(struct journal_reader *r, struct error *err)
{
	int version;

	if (sqlite3_open_v2(r->path, &r->db, SQLITE_OPEN_READONLY |
			    SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return error_set(err, "%s: cannot open for reading: %s",
				 r->path, sqlite3_errmsg(r->db));
	sqlite3_extended_result_codes(r->db, 1);
	sqlite3_busy_timeout(r->db, READER_BUSY_WAIT_MS);
	/* Two checkpointers may lose a commit (SQLite before 3.51.3). */
	sqlite3_db_config(r->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (sqlite3_exec(r->db, "PRAGMA mmap_size = 0; PRAGMA cache_size = "
			 "-4096; PRAGMA temp_store = MEMORY", NULL, NULL,
			 NULL) != SQLITE_OK)
		return error_set(err, "%s: %s", r->path,
				 sqlite3_errmsg(r->db));
	if (journal_schema_check(r->db, r->path, &version, err) < 0)
		return -1;
	if (version == 0)
		return error_set(err, "%s: an empty file, no journal yet; "
				 "start `matapalo run` first", r->path);
	if (version < journal_schema_newest())
		return error_set(err, "%s: written by an older matapalo (file "
				 "version %d, this program reads %d); start "
				 "`matapalo run` on it once, which brings it "
				 "up to date", r->path, version,
				 journal_schema_newest());
	return journal_stmts_prepare(r->db, STMT_READER, r->stmts, r->path,
				     err);
}

struct journal_reader *
journal_reader_open(const char *path, struct error *err)
{
	struct journal_reader *r = calloc(1, sizeof(*r));

	if (!r || !(r->path = strdup(path))) {
		free(r);
		error_set(err, "%s: no memory", path);
		return NULL;
	}
	MAGIC_SET(r, JOURNAL_READER_MAGIC);
	if (reader_db_open(r, err) < 0)
		journal_reader_close(&r);
	return r;
}

void
journal_reader_close(struct journal_reader **rp)
{
	struct journal_reader *r = *rp;

	if (!r)
		return;
	*rp = NULL;
	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	journal_stmts_finalize(r->stmts);
	sqlite3_close(r->db);
	journal_names_clear(&r->types);
	journal_names_clear(&r->sources);
	free(r->path);
	MAGIC_CLEAR(r);
	free(r);
}

int
journal_reader_failed(struct journal_reader *r, const char *what)
{
	if (!r->failing)
		log_warn("journal.read", "%s: cannot %s: %s", r->path, what,
			 sqlite3_errmsg(r->db));
	r->failing = true;
	return -1;
}

struct span
journal_column_span(sqlite3_stmt *s, int i)
{
	const char *at = (const char *)sqlite3_column_text(s, i);

	size_t len = (size_t)sqlite3_column_bytes(s, i);

	return (struct span){ at ? at : "", len };
}

const char *
journal_column_str(sqlite3_stmt *s, int i)
{
	const char *at = (const char *)sqlite3_column_text(s, i);

	return at ? at : "";
}

/* ---- one event ---- */

int
journal_row_fill(struct journal_reader *r, sqlite3_stmt *s,
		 struct journal_row *row)
{
	const void *id = sqlite3_column_blob(s, 0);
	sqlite3_stmt *find = r->stmts[STMT_NAME_TEXT];

	if (sqlite3_column_bytes(s, 0) != (int)sizeof(row->id.bytes) || !id)
		return -1;
	memcpy(row->id.bytes, id, sizeof(row->id.bytes));
	row->time_us = sqlite3_column_int64(s, 1);
	row->shadow = sqlite3_column_int(s, 4);
	row->subject = journal_column_span(s, 6);
	row->correlation = journal_column_span(s, 7);
	row->partition_key = journal_column_span(s, 8);
	row->extensions = journal_column_span(s, 9);
	row->data = journal_column_span(s, 10);
	if (journal_name_text(&r->types, find, sqlite3_column_int64(s, 2),
			      &row->type) < 0)
		return -1;
	return journal_name_text(&r->sources, find, sqlite3_column_int64(s, 3),
				 &row->source);
}

static enum fetched
row_corrupt(struct journal_reader *r, int64_t sequence)
{
	counter_inc(COUNTER_JOURNAL_CORRUPT);
	log_error("journal.corrupt", "%s: event %lld does not match its "
		  "checksum and is not delivered; restore it from a backup",
		  r->path, (long long)sequence);
	return FETCHED_NOT;
}

static enum fetched
row_deliver(struct journal_reader *r, sqlite3_stmt *s, int64_t sequence,
	    const struct sink *sink)
{
	struct journal_row row = { .sequence = sequence };

	if (journal_row_fill(r, s, &row) < 0 ||
	    journal_checksum(&row) != (uint64_t)sqlite3_column_int64(s, 5))
		return row_corrupt(r, sequence);
	if (!journal_filter_subject(sink->subject, row.subject))
		return FETCHED_NOT;
	return sink->fn(sink->arg, &row) ? FETCHED_OK : FETCHED_STOP;
}

static enum fetched
row_fetch(struct journal_reader *r, int64_t sequence, const struct sink *sink)
{
	sqlite3_stmt *s = r->stmts[STMT_EVENT_ONE];
	enum fetched result = FETCHED_GONE;
	int rc;

	INVARIANT(!sqlite3_stmt_busy(s));	/* called from a callback */
	sqlite3_bind_int64(s, 1, sequence);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		result = row_deliver(r, s, sequence, sink);
	else if ((rc & 0xff) == SQLITE_CORRUPT)
		result = row_corrupt(r, sequence);
	else if (rc != SQLITE_DONE)
		result = journal_reader_failed(r, "read an event");
	sqlite3_reset(s);
	return result;
}

int
journal_read_one(struct journal_reader *r, int64_t sequence,
		 bool (*fn)(void *arg, const struct journal_row *row),
		 void *arg)
{
	const struct sink sink = { NULL, fn, arg };
	enum fetched result;

	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	result = row_fetch(r, sequence, &sink);
	if (result == FETCHED_GONE)
		return 0;
	return result == FETCHED_STOP ? 1 : (int)result;
}

/* ---- many events ---- */

static int
transaction_begin(struct journal_reader *r)
{
	sqlite3_stmt *s = r->stmts[STMT_BEGIN_READ];
	int rc = sqlite3_step(s);

	sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0
				 : journal_reader_failed(r, "begin to read");
}

static void
transaction_end(struct journal_reader *r)
{
	sqlite3_stmt *s = r->stmts[STMT_COMMIT];

	sqlite3_step(s);
	sqlite3_reset(s);
}

/* The frequent types are the ones that event_rare leaves out. */
static sqlite3_stmt *
walk_choose(struct journal_reader *r, const struct journal_filter *f)
{
	if (f->shadow_only)
		return r->stmts[STMT_WALK_SHADOW];
	if (journal_filter_type(f->type,
				SPAN_LITERAL("matapalo.exchange.v1")) ||
	    journal_filter_type(f->type,
				SPAN_LITERAL("matapalo.request.v1")))
		return r->stmts[STMT_WALK_ALL];
	return r->stmts[STMT_WALK_RARE];
}

/* An unknown type is a damaged one: row_fetch will say so. */
static bool
walk_wants(struct journal_reader *r, sqlite3_stmt *walk,
	   const struct journal_filter *f)
{
	struct span type;

	if (!f->type)
		return true;
	return journal_name_text(&r->types, r->stmts[STMT_NAME_TEXT],
				 sqlite3_column_int64(walk, 1), &type) < 0 ||
	       journal_filter_type(f->type, type);
}

static bool
row_is_there(struct journal_reader *r, int64_t sequence)
{
	sqlite3_stmt *s = r->stmts[STMT_EVENT_ONE];
	bool there;

	sqlite3_bind_int64(s, 1, sequence);
	there = sqlite3_step(s) == SQLITE_ROW;
	sqlite3_reset(s);
	return there;
}

struct walk {
	const struct journal_filter *filter;
	bool by_number;		/* each row is looked up, none is scanned */
	struct sink sink;
	size_t max, limit;
	size_t delivered, looked;
	int64_t scanned;
	int64_t newest;		/* as the transaction has it */
	uint64_t pause_us;	/* the transaction is old enough then */
};

enum walked {
	WALKED_FAILED = -1,
	WALKED_TO_NEWEST,
	WALKED_ENOUGH,		/* a limit, or the callback */
	WALKED_A_WHILE,		/* goes on in a new transaction */
	WALKED_DAMAGED		/* the tree leads astray behind `scanned` */
};

/* From w->scanned on to just before `next` there is no event. All of it must
 * have been noted; what was is behind us. */
static enum walked
pass_gap(struct journal_reader *r, struct walk *w, int64_t next)
{
	int64_t last;

	if (w->scanned < 0)
		w->scanned = 0;
	while (w->scanned + 1 < next) {
		last = journal_removed_to(r, w->scanned + 1);
		if (last < 0)
			return WALKED_FAILED;
		if (last <= w->scanned)
			return WALKED_DAMAGED;
		w->scanned = last < next ? last : next - 1;
	}
	return WALKED_A_WHILE;
}

static bool
is_scan(const struct walk *w)
{
	return !w->by_number && !w->filter->type && !w->filter->shadow_only;
}

static enum walked
walk_got(struct walk *w, int64_t sequence, enum fetched got)
{
	if (got == FETCHED_FAILED)
		return WALKED_FAILED;
	if (got == FETCHED_GONE)
		return WALKED_DAMAGED;
	w->looked++;
	w->scanned = sequence;
	w->delivered += got != FETCHED_NOT;
	if (got == FETCHED_STOP || w->delivered == w->max ||
	    w->looked == w->limit)
		return WALKED_ENOUGH;
	return WALKED_A_WHILE;
}

static bool
meets_all(const struct journal_reader *r, const sqlite3_stmt *walk)
{
	return walk == r->stmts[STMT_WALK_ALL];
}

static enum walked
walk_row(struct journal_reader *r, sqlite3_stmt *s, struct walk *w)
{
	int64_t sequence = sqlite3_column_int64(s, 0);
	enum fetched got = FETCHED_NOT;
	enum walked passed;

	if (sequence <= w->scanned || sequence > w->newest)
		return WALKED_DAMAGED;
	if (meets_all(r, s)) {
		passed = pass_gap(r, w, sequence);
		if (passed != WALKED_A_WHILE)
			return passed;
	}
	if (walk_wants(r, s, w->filter))
		got = row_fetch(r, sequence, &w->sink);
	return walk_got(w, sequence, got);
}

/* A row that is not the next may be one of a page in the wrong place. */
static enum walked
scan_row(struct journal_reader *r, sqlite3_stmt *s, struct walk *w)
{
	int64_t sequence = sqlite3_column_int64(s, SCAN_SEQUENCE);
	enum walked passed;

	if (sequence <= w->scanned || sequence > w->newest)
		return WALKED_DAMAGED;
	if (sequence != w->scanned + 1) {
		passed = row_is_there(r, sequence) ? pass_gap(r, w, sequence)
						   : WALKED_DAMAGED;
		if (passed != WALKED_A_WHILE)
			return passed;
	}
	return walk_got(w, sequence,
			row_deliver(r, s, sequence, &w->sink));
}

/* No row is left; the newest is known by other ways, too. */
static enum walked
walk_end(struct journal_reader *r, struct walk *w)
{
	enum walked passed = pass_gap(r, w, w->newest + 1);

	return passed == WALKED_A_WHILE ? WALKED_TO_NEWEST : passed;
}

/* Damage in the middle of a scan: which row it is in is found by walking. */
static enum walked
scan_damaged(struct walk *w)
{
	w->by_number = true;
	return WALKED_A_WHILE;
}

static enum walked
scan_run(struct journal_reader *r, struct walk *w)
{
	sqlite3_stmt *s = r->stmts[STMT_EVENT_SCAN];
	enum walked result = WALKED_A_WHILE;
	int rc;

	INVARIANT(!sqlite3_stmt_busy(s));	/* called from a callback */
	sqlite3_bind_int64(s, 1, w->scanned);
	do {
		rc = sqlite3_step(s);
		if (rc == SQLITE_ROW)
			result = scan_row(r, s, w);
		else if (rc == SQLITE_DONE)
			result = walk_end(r, w);
		else if ((rc & 0xff) == SQLITE_CORRUPT)
			result = WALKED_DAMAGED;
		else
			result = journal_reader_failed(r, "scan the events");
	} while (result == WALKED_A_WHILE && clock_mono_us() < w->pause_us);
	sqlite3_reset(s);
	return result == WALKED_DAMAGED ? scan_damaged(w) : result;
}

static enum walked
walk_run(struct journal_reader *r, sqlite3_stmt *s, struct walk *w)
{
	enum walked result = WALKED_A_WHILE;
	int rc;

	sqlite3_bind_int64(s, 1, w->scanned);
	do {
		rc = sqlite3_step(s);
		if (rc == SQLITE_ROW)
			result = walk_row(r, s, w);
		else if (rc == SQLITE_DONE)
			result = meets_all(r, s) ? walk_end(r, w)
						 : WALKED_TO_NEWEST;
		else if ((rc & 0xff) == SQLITE_CORRUPT)
			result = WALKED_DAMAGED;
		else
			result = journal_reader_failed(r, "walk the events");
	} while (result == WALKED_A_WHILE && clock_mono_us() < w->pause_us);
	sqlite3_reset(s);
	return result;
}

/* ---- damage that stops a walk ---- */

static bool
is_readable_after(struct journal_reader *r, sqlite3_stmt *s, int64_t sequence,
		  int64_t newest)
{
	struct walk w = { .scanned = sequence };
	int64_t next = newest + 1;
	int rc;

	sqlite3_bind_int64(s, 1, sequence);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		next = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	if (rc == SQLITE_ROW && (next <= sequence || next > newest ||
				 !row_is_there(r, next)))
		return false;
	return (rc == SQLITE_ROW || rc == SQLITE_DONE) &&
	       (!meets_all(r, s) || pass_gap(r, &w, next) == WALKED_A_WHILE);
}

/* The first number from `bad` + 1 on behind which reading works again. */
static int64_t
damage_end(struct journal_reader *r, sqlite3_stmt *s, int64_t bad,
	   int64_t newest)
{
	int64_t step = 1, good, middle;

	while (bad + step < newest &&
	       !is_readable_after(r, s, bad + step, newest))
		step *= 2;
	good = bad + step < newest ? bad + step : newest;
	bad += step / 2;
	while (good - bad > 1) {
		middle = bad + (good - bad) / 2;
		if (is_readable_after(r, s, middle, newest))
			good = middle;
		else
			bad = middle;
	}
	return good;
}

/* Nothing is skipped unasked: whoever reads stops here until an operator has
 * restored the file or moved the group behind it. */
static void
damage_found(struct journal_reader *r, sqlite3_stmt *s, const struct walk *w)
{
	uint64_t now = clock_mono_us();

	if (r->damaged_first == w->scanned + 1 &&
	    now < r->damage_said_us + DAMAGE_WARN_US)
		return;
	if (r->damaged_first != w->scanned + 1)
		counter_inc(COUNTER_JOURNAL_CORRUPT);
	r->damaged_first = w->scanned + 1;
	r->damaged_last = damage_end(r, s, w->scanned, w->newest);
	r->damage_said_us = now;
	log_error("journal.damaged", "%s: events %lld to %lld cannot be read, "
		  "the file is damaged there; groups that need them stand "
		  "still. Look with `matapalo verify`, then restore a backup, "
		  "or give the events up: `matapalo groups seek GROUP %lld`",
		  r->path, (long long)r->damaged_first,
		  (long long)r->damaged_last, (long long)r->damaged_last + 1);
}

bool
journal_reader_damage(const struct journal_reader *r, int64_t *first,
		      int64_t *last)
{
	*first = r->damaged_first;
	*last = r->damaged_last;
	return r->damaged_first;
}

/* One transaction, short whatever the rows weigh and the callback does: the
 * log cannot start over while a reader looks at it. */
static enum walked
walk_transaction(struct journal_reader *r, struct walk *w)
{
	sqlite3_stmt *s = walk_choose(r, w->filter);
	enum walked result = WALKED_FAILED;

	if (transaction_begin(r) < 0)
		return WALKED_FAILED;
	w->pause_us = clock_mono_us() + TRANSACTION_US;
	/* Inside the transaction: the end of what this walk can see. */
	if (journal_read_last_sequence(r, &w->newest) == 0)
		result = is_scan(w) ? scan_run(r, w) : walk_run(r, s, w);
	if (result == WALKED_DAMAGED)
		damage_found(r, s, w);
	transaction_end(r);
	if (result == WALKED_TO_NEWEST && w->newest > w->scanned)
		w->scanned = w->newest;
	return result;
}

int
journal_read(struct journal_reader *r, int64_t after,
	     const struct journal_filter *f, size_t max, size_t scan_limit,
	     bool (*fn)(void *arg, const struct journal_row *row), void *arg,
	     int64_t *scanned)
{
	static const struct journal_filter all;
	enum walked result = max && scan_limit ? WALKED_A_WHILE : WALKED_ENOUGH;
	struct walk w = {
		.filter = f ? f : &all,
		.sink = { f ? f->subject : NULL, fn, arg },
		.max = max,
		.limit = scan_limit,
		.scanned = after,
	};

	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	while (result == WALKED_A_WHILE)
		result = walk_transaction(r, &w);
	r->failing = result == WALKED_FAILED;
	if (after < r->damaged_first && w.scanned >= r->damaged_first)
		r->damaged_first = r->damaged_last = 0;
	if (scanned)
		*scanned = w.scanned;
	return r->failing || result == WALKED_DAMAGED ? -1 : (int)w.delivered;
}

int
journal_read_last_sequence(struct journal_reader *r, int64_t *sequence)
{
	sqlite3_stmt *s = r->stmts[STMT_LAST_SEQUENCE];
	int rc;

	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		*sequence = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return rc == SQLITE_ROW ? 0
				: journal_reader_failed(r, "find the newest");
}
