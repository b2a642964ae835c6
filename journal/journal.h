/* SPDX-License-Identifier: Apache-2.0 */
/* The durable log: one writer thread, group commit, the only hand-over
 * point. Sole home of sqlite3. */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/id.h"
#include "base/span.h"
#include "journal/retain.h"

struct journal;
struct journal_tx;
struct journal_queue;
struct journal_item;

enum journal_status { JOURNAL_COMMITTED, JOURNAL_FAILED };

/* What happens to an item. Both run on the writer's thread.
 * apply: inside the open transaction; may call journal_tx_*; returns 0, or
 *   -1 when this item alone is to be refused (it must then have written
 *   nothing). Must not block.
 * done: after the commit (fsync included) or its failure; a refused item is
 *   told JOURNAL_FAILED. The item belongs to its owner again and is usually
 *   freed here. Never blocks. */
struct journal_item_ops {
	int (*apply)(struct journal_item *item, struct journal_tx *tx);
	void (*done)(struct journal_item *item, enum journal_status status);
};

/* Embedded as first member in the owner's struct. */
struct journal_item {
	const struct journal_item_ops *ops;
	bool urgent;		/* commit now; else within commit_delay_ms */
	bool refused;		/* set by the writer when apply returned -1 */
	struct journal_item *next;	/* the journal's own */
};

struct journal_options {
	const char *path;	/* DIR/journal.db */
	unsigned commit_delay_ms;	/* for items not urgent; default 30 */
	size_t queue_capacity;	/* items per queue, a power of two */
	int64_t checkpoint_bytes;	/* of log; default 8 MiB */
	int64_t cache_bytes;	/* of the file's end that the kernel is left
				 * to keep in memory; default 64 MiB */
	/* on_commit: after each successful commit, on the writer's thread,
	 * with the newest sequence; a doorbell for readers. May be NULL. */
	void (*on_commit)(void *arg, int64_t sequence);
	void *on_commit_arg;
	struct journal_retention retention;	/* default: all, for ever */
};

/* journal_open opens or creates the file, migrates it and starts the
 * writer. A file of a newer version is refused with a clear message; a file
 * in use by another process too (an exclusive lock file beside it). */
MUST_CHECK struct journal *journal_open(const struct journal_options *o,
					struct error *err);
/* journal_set_on_commit replaces the doorbell; once, before traffic. */
void journal_set_on_commit(struct journal *j, void (*fn)(void *, int64_t),
			   void *arg);
/* journal_close commits what is queued, checkpoints and frees. */
void journal_close(struct journal **j);
const char *journal_path(const struct journal *j);
/* journal_is_writable: false from a failed commit until a good one. Any
 * thread, one atomic load. */
bool journal_is_writable(const struct journal *j);
/* journal_time_us: wall time as it was at the first start since the machine
 * was booted, plus what has passed; nobody can set it. For what is kept for
 * some time. Any thread; _tx_ inside apply. */
int64_t journal_time_us(const struct journal *j);
struct journal_tx;
int64_t journal_tx_time_us(const struct journal_tx *tx);
int64_t journal_last_sequence(const struct journal *j);	/* any thread */

/* A single-producer ring for one worker. journal_push never blocks and
 * never allocates: false when full (the item stays the caller's). */
MUST_CHECK struct journal_queue *journal_queue_new(struct journal *j);
MUST_CHECK bool journal_push(struct journal_queue *q,
			     struct journal_item *item);
/* Any thread; a mutex and a list. */
void journal_post(struct journal *j, struct journal_item *item);

/* ---- writing, inside apply only (journal/append.c, cursors.c) ---- */

enum journal_mark {
	JOURNAL_MARK_NONE,
	JOURNAL_MARK_OPENS,	/* request event: a terminal one must follow */
	JOURNAL_MARK_CLOSES	/* terminal event of `correlation` */
};

/* A CloudEvent in parts; spans are borrowed for the call. */
struct journal_event {
	struct id id;
	int64_t time_us;		/* wall time */
	struct span type, source;	/* interned: few distinct values */
	struct span subject;		/* may be empty */
	struct span correlation;	/* correlationid, may be empty */
	struct span partition_key;	/* may be empty */
	struct span extensions;		/* JSON members without braces:
					 * "causationid":"..", ... */
	struct span data;		/* JSON text */
	bool shadow;			/* read by the shadow subscriber */
	enum journal_mark mark;
};

/* journal_tx_append returns 0 and the sequence, or -1: either the event
 * cannot be stored (no type or source, a mark without correlation, more than
 * 256 MiB; nothing was written, refuse the item), or SQLite failed. The latter
 * is sticky: the transaction is rolled back and every item is FAILED. */
int journal_tx_append(struct journal_tx *tx, const struct journal_event *e,
		      int64_t *sequence);

/* A durable consumer group. Everything up to `cursor` is settled, but for
 * its rows in retry. */
struct journal_group {
	const char *name;
	int64_t cursor;
	const char *config;	/* JSON, the bus's own: filter, limits */
	bool paused;
};
/* Why an event is given to a group: its turn has come in the log, or an
 * operator wants it to come again. */
enum journal_origin {
	JOURNAL_FROM_LOG,
	JOURNAL_REDRIVEN,	/* it was a dead letter */
	JOURNAL_REPLAYED
};
struct journal_retry {
	const char *group;
	int64_t sequence;
	unsigned attempts;
	int64_t not_before_us;	/* wall time */
	int64_t first_us, last_us;	/* first and last attempt */
	const char *reason;
	const char *consumer;	/* of the last attempt; NULL: none */
	enum journal_origin origin;
};
struct journal_dead {
	int64_t id;		/* set when read */
	const char *group;
	int64_t sequence;
	unsigned attempts;
	int64_t first_us, last_us;
	const char *reason;
	const char *consumer;	/* of the last attempt; NULL: none */
	/* set when read: removed, but remembered until the cursor has passed,
	 * so that the event does not come again */
	bool purged;
};
void journal_tx_group_put(struct journal_tx *tx,
			  const struct journal_group *g);
/* With its retries; dead letters stay until they are purged. */
void journal_tx_group_delete(struct journal_tx *tx, const char *name);
/* Both puts add an attempt to the event's history. */
void journal_tx_retry_put(struct journal_tx *tx,
			  const struct journal_retry *r);
void journal_tx_retry_delete(struct journal_tx *tx, const char *group,
			     int64_t sequence);
/* journal_tx_retries_reset: all of the group but what an operator wanted to
 * come again. */
void journal_tx_retries_reset(struct journal_tx *tx, const char *group);
void journal_tx_dead_put(struct journal_tx *tx, const struct journal_dead *d);
/* Small durable values of other parts: (space, key) -> text. A value in a
 * space "NAME.pending" that is a JSON object with a member `sequence` keeps
 * that event from being deleted. */
void journal_tx_state_put(struct journal_tx *tx, const char *space,
			  const char *key, struct span value);
void journal_tx_state_delete(struct journal_tx *tx, const char *space,
			     const char *key);

/* ---- reading (journal/read.c): a read-only connection, one thread ---- */

struct journal_reader;
struct journal_row {
	int64_t sequence;
	struct id id;
	int64_t time_us;
	struct span type, source, subject, correlation, partition_key;
	struct span extensions, data;
	bool shadow;
};
struct journal_filter {
	/* NULL: all. Patterns between commas: any of them, and none that
	 * begins with `!`. `*` stands for text within a token (of a type
	 * between dots, of a subject between slashes), as the last
	 * character for all that follows; `**` for any text. A backslash
	 * makes the next character an ordinary one. */
	const char *type;
	const char *subject;
	bool shadow_only;
};

/* journal_filter_takes: would journal_read deliver the row? */
bool journal_filter_takes(const struct journal_filter *f,
			  const struct journal_row *row);

/* Works on a journal that another process has open, too. */
MUST_CHECK struct journal_reader *journal_reader_open(const char *path,
						      struct error *err);
void journal_reader_close(struct journal_reader **r);
/* journal_read calls fn for events after `after` that pass the filter, in
 * order, at most max; fn returns false to stop (that row counts as delivered).
 * The row is lent for the call; fn must not read events with r. Transactions
 * end after 5 ms, so a call may see events committed while it runs.
 * *scanned is the last sequence looked at (matching or not; never beyond the
 * newest), so that a cursor may skip what does not match; scan_limit bounds
 * how many rows one call looks at. A row whose checksum is wrong is
 * counted, logged and skipped. Returns the number delivered or -1; *scanned is
 * true then, too: what was delivered before stays delivered. */
int journal_read(struct journal_reader *r, int64_t after,
		 const struct journal_filter *f, size_t max,
		 size_t scan_limit,
		 bool (*fn)(void *arg, const struct journal_row *row),
		 void *arg, int64_t *scanned);
/* journal_read_one lends one event by sequence to fn; 1, 0 (none) or -1. */
int journal_read_one(struct journal_reader *r, int64_t sequence,
		     bool (*fn)(void *arg, const struct journal_row *row),
		     void *arg);
/* journal_reader_damage: the events at which the last journal_read broke off
 * because the file leads astray there, until one has got past them. */
bool journal_reader_damage(const struct journal_reader *r, int64_t *first,
			   int64_t *last);
int journal_read_last_sequence(struct journal_reader *r, int64_t *sequence);
/* journal_find_time: where to begin in order not to miss an event of that
 * time or later, beyond the newest when there is none; earlier ones may be
 * among them. 0 or -1. */
MUST_CHECK int journal_find_time(struct journal_reader *r, int64_t time_us,
				 int64_t *sequence);
int journal_read_groups(struct journal_reader *r,
			void (*fn)(void *arg, const struct journal_group *g),
			void *arg);
int journal_read_retries(struct journal_reader *r, const char *group,
			 void (*fn)(void *arg, const struct journal_retry *t),
			 void *arg);
/* group NULL: all; purged ones, too. For lists see journal/dead.h. */
int journal_read_dead(struct journal_reader *r, const char *group,
		      void (*fn)(void *arg, const struct journal_dead *d),
		      void *arg);
int journal_read_state(struct journal_reader *r, const char *space,
		       void (*fn)(void *arg, const char *key,
				  struct span value),
		       void *arg);
/* Exchanges that were opened and never closed (after a crash): their
 * correlation id and the sequence of the request event. */
int journal_read_open_exchanges(struct journal_reader *r,
				void (*fn)(void *arg, struct span correlation,
					   int64_t sequence),
				void *arg);

#endif
