/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what stands beside the events: groups, retries, dead letters,
 * state, open exchanges. */
#include "base/invariant.h"
#include "journal/dead.h"
#include "journal/internal.h"

/* The caller has bound its parameters; every row goes to `row`. */
static int
list(struct journal_reader *r, enum stmt stmt, const char *what,
     void (*row)(sqlite3_stmt *s, const void *to), const void *to)
{
	sqlite3_stmt *s = r->stmts[stmt];
	int rc;

	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		row(s, to);
	if (rc != SQLITE_DONE)
		journal_reader_failed(r, what);
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return rc == SQLITE_DONE ? 0 : -1;
}

static int
bind_key(struct journal_reader *r, enum stmt stmt, const char *key)
{
	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	INVARIANT(!sqlite3_stmt_busy(r->stmts[stmt]));
	if (sqlite3_bind_text(r->stmts[stmt], 1, key, -1, SQLITE_STATIC) !=
	    SQLITE_OK)
		return journal_reader_failed(r, "bind a key");
	return 0;
}

/* ---- groups ---- */

struct to_groups {
	void (*fn)(void *arg, const struct journal_group *g);
	void *arg;
};

static void
group_row(sqlite3_stmt *s, const void *to)
{
	const struct to_groups *t = to;
	const struct journal_group g = {
		.name = journal_column_str(s, 0),
		.cursor = sqlite3_column_int64(s, 1),
		.config = journal_column_str(s, 2),
		.paused = sqlite3_column_int(s, 3),
	};

	t->fn(t->arg, &g);
}

int
journal_read_groups(struct journal_reader *r,
		    void (*fn)(void *arg, const struct journal_group *g),
		    void *arg)
{
	const struct to_groups to = { fn, arg };

	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	return list(r, STMT_GROUP_LIST, "list the groups", group_row, &to);
}

/* ---- retries ---- */

struct to_retries {
	const char *group;
	void (*fn)(void *arg, const struct journal_retry *t);
	void *arg;
};

static void
retry_row(sqlite3_stmt *s, const void *to)
{
	const struct to_retries *t = to;
	const struct journal_retry retry = {
		.group = t->group,
		.sequence = sqlite3_column_int64(s, 0),
		.attempts = (unsigned)sqlite3_column_int64(s, 1),
		.not_before_us = sqlite3_column_int64(s, 2),
		.first_us = sqlite3_column_int64(s, 3),
		.last_us = sqlite3_column_int64(s, 4),
		.reason = journal_column_str(s, 5),
		.consumer = journal_column_str(s, 6),
		.origin = (enum journal_origin)sqlite3_column_int(s, 7),
	};

	t->fn(t->arg, &retry);
}

int
journal_read_retries(struct journal_reader *r, const char *group,
		     void (*fn)(void *arg, const struct journal_retry *t),
		     void *arg)
{
	const struct to_retries to = { group, fn, arg };

	if (bind_key(r, STMT_RETRY_LIST, group) < 0)
		return -1;
	return list(r, STMT_RETRY_LIST, "list the retries", retry_row, &to);
}

/* ---- dead letters ---- */

struct to_dead {
	void (*fn)(void *arg, const struct journal_dead *d);
	void *arg;
};

static void
dead_row(sqlite3_stmt *s, const void *to)
{
	const struct to_dead *t = to;
	const struct journal_dead dead = {
		.id = sqlite3_column_int64(s, 0),
		.group = journal_column_str(s, 1),
		.sequence = sqlite3_column_int64(s, 2),
		.attempts = (unsigned)sqlite3_column_int64(s, 3),
		.first_us = sqlite3_column_int64(s, 4),
		.last_us = sqlite3_column_int64(s, 5),
		.reason = journal_column_str(s, 6),
		.consumer = journal_column_str(s, 7),
		.purged = sqlite3_column_int(s, 8),
	};

	t->fn(t->arg, &dead);
}

int
journal_read_dead(struct journal_reader *r, const char *group,
		  void (*fn)(void *arg, const struct journal_dead *d),
		  void *arg)
{
	const struct to_dead to = { fn, arg };

	if (bind_key(r, STMT_DEAD_LIST, group) < 0)
		return -1;
	return list(r, STMT_DEAD_LIST, "list the dead letters", dead_row, &to);
}

struct to_sequences {
	void (*fn)(void *arg, int64_t sequence);
	void *arg;
};

static void
sequence_row(sqlite3_stmt *s, const void *to)
{
	const struct to_sequences *t = to;

	t->fn(t->arg, sqlite3_column_int64(s, 0));
}

int
journal_read_dead_after(struct journal_reader *r, const char *group,
			int64_t after,
			void (*fn)(void *arg, int64_t sequence), void *arg)
{
	const struct to_sequences to = { fn, arg };

	if (bind_key(r, STMT_DEAD_AFTER, group) < 0)
		return -1;
	sqlite3_bind_int64(r->stmts[STMT_DEAD_AFTER], 2, after);
	return list(r, STMT_DEAD_AFTER, "list the dead letters", sequence_row,
		    &to);
}

/* ---- state ---- */

struct to_state {
	void (*fn)(void *arg, const char *key, struct span value);
	void *arg;
};

static void
state_row(sqlite3_stmt *s, const void *to)
{
	const struct to_state *t = to;

	t->fn(t->arg, journal_column_str(s, 0), journal_column_span(s, 1));
}

int
journal_read_state(struct journal_reader *r, const char *space,
		   void (*fn)(void *arg, const char *key, struct span value),
		   void *arg)
{
	const struct to_state to = { fn, arg };

	if (bind_key(r, STMT_STATE_LIST, space) < 0)
		return -1;
	return list(r, STMT_STATE_LIST, "list the state", state_row, &to);
}

/* ---- exchanges that a crash left open ---- */

struct to_open {
	void (*fn)(void *arg, struct span correlation, int64_t sequence);
	void *arg;
};

static void
open_row(sqlite3_stmt *s, const void *to)
{
	const struct to_open *t = to;

	t->fn(t->arg, journal_column_span(s, 0), sqlite3_column_int64(s, 1));
}

int
journal_read_open_exchanges(struct journal_reader *r,
			    void (*fn)(void *arg, struct span correlation,
				       int64_t sequence),
			    void *arg)
{
	const struct to_open to = { fn, arg };

	MAGIC_CHECK(r, JOURNAL_READER_MAGIC);
	return list(r, STMT_OPEN_LIST, "list open exchanges", open_row, &to);
}
