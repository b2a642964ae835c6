/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of journal/ share: the journal, its transaction, its
 * statements. Not for other folders. */
#ifndef JOURNAL_INTERNAL_H
#define JOURNAL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <sqlite3.h>

#include "journal/journal.h"

#define JOURNAL_MAGIC 0x4a4f5552u
#define JOURNAL_READER_MAGIC 0x4a524452u
#define JOURNAL_QUEUE_MAGIC 0x4a515545u
/* PRAGMA application_id: "mtpl". */
#define JOURNAL_APPLICATION_ID 0x6d74706c
/* So many waiting items are worth a transaction without waiting for more;
 * and so many it takes when it is behind. */
#define JOURNAL_BATCH_ITEMS 512
#define JOURNAL_BATCH_MOST 4096
/* How long the writer waits for a lock that only a stranger can hold. */
#define JOURNAL_BUSY_WAIT_MS 1000

enum stmt {
#define STATEMENT(sym, side, sql) STMT_##sym,
#include "journal/statements.def"
#undef STATEMENT
	STMT_COUNT
};
enum stmt_side { STMT_WRITER = 1, STMT_READER = 2, STMT_BOTH = 3 };

/* ---- schema.c ---- */

MUST_CHECK int journal_stmts_prepare(sqlite3 *db, enum stmt_side side,
				     sqlite3_stmt **stmts, const char *path,
				     struct error *err);
void journal_stmts_finalize(sqlite3_stmt **stmts);
/* journal_schema_check refuses a file that is newer or no journal;
 * *version is 0 for an empty file. */
MUST_CHECK int journal_schema_check(sqlite3 *db, const char *path,
				    int *version, struct error *err);
int journal_schema_newest(void);
MUST_CHECK int journal_schema_migrate(sqlite3 *db, const char *path,
				      int version, struct error *err);

/* ---- operation.c ---- */

/* journal_operations_die: their commands are dead letters or deleted.
 * journal_operation_lives: the command, or the letter's, may be answered. */
void journal_operations_die(struct journal_tx *tx, int64_t first,
			    int64_t last);
void journal_operation_lives(struct journal_tx *tx, int64_t sequence,
			     int64_t letter);

/* ---- time.c ---- */

/* journal_time_begin: before the writer runs. */
void journal_time_begin(struct journal *j);

/* ---- settle.c ---- */

/* journal_log_settle: before the first commit, no other writer. */
MUST_CHECK int journal_log_settle(struct journal *j, struct error *err);
/* journal_log_heal does so after an fsync has failed; else nothing. Before it
 * has succeeded nothing may be committed or folded in. */
MUST_CHECK int journal_log_heal(struct journal *j, struct error *err);

/* ---- names.c: text of types and sources to small ids and back ---- */

#define JOURNAL_NAME_SLOTS 256
struct name_slot {
	char *text;
	size_t len;
	int64_t id;
};
/* Direct-mapped and bounded: a publisher may invent any number of names. */
struct name_cache {
	struct name_slot at[JOURNAL_NAME_SLOTS];
};
void journal_names_clear(struct name_cache *c);
/* journal_name_id finds or makes the id; 0 with the tx failed. */
int64_t journal_name_id(struct journal_tx *tx, struct span text);
/* journal_name_text lends the text until the cache changes; 0 or -1. */
MUST_CHECK int journal_name_text(struct name_cache *c, sqlite3_stmt *find,
				 int64_t id, struct span *text);

/* ---- checksum.c ---- */

/* journal_checksum covers every column. */
uint64_t journal_checksum(const struct journal_row *row);

/* ---- queue.c ---- */

/* Who must wake the writer is decided by this word alone; it is also the
 * futex. */
enum writer_mode {
	WRITER_AWAKE,
	WRITER_WAITS_ANY,	/* nothing to do: every item wakes it */
	WRITER_WAITS_URGENT,	/* collecting: only urgent items, or many */
	WRITER_WAITS_MANY	/* urgent items wait for company */
};

struct batch {
	struct journal_item *first, **tail;
	size_t count;
	bool urgent;
};
void journal_batch_init(struct batch *b);
void journal_batch_add(struct batch *b, struct journal_item *item);
/* journal_batch_take removes the first item; NULL when empty. */
struct journal_item *journal_batch_take(struct batch *b);
/* journal_drain moves waiting items into b, at most limit in all. */
void journal_drain(struct journal *j, struct batch *b, size_t limit);
/* journal_sleep returns when woken or at until_us (monotonic; 0: no limit),
 * and at once when an item waits (but for WRITER_WAITS_MANY) or the journal
 * stops. */
void journal_sleep(struct journal *j, enum writer_mode mode,
		   uint64_t until_us);
void journal_wake(struct journal *j);
bool journal_item_waits(struct journal *j);
void journal_queues_free(struct journal *j);

/* ---- gap.c ---- */

/* Items that were not urgent, so nobody was told, and are lost. */
struct gap {
	int64_t first_us, last_us;
	uint64_t count;
	char reason[128];
};
void journal_gap_count(struct gap *g, const char *reason);
/* journal_gap_append writes matapalo.gap.v1 when there is a gap. */
void journal_gap_append(struct gap *g, struct journal_tx *tx);

/* ---- retain.c, hold.c ---- */

struct holds {
	struct journal_hold *at;
	size_t count;
	bool stale;		/* to be read again */
};
struct retain {
	struct journal_retention want;
	struct holds holds;
	struct name_cache types;
	int64_t next_sequence;	/* the sweep is here */
	bool left_behind;	/* the sweep passed what something holds */
	int64_t appended, bytes;	/* came since the last step */
	uint64_t due_us;	/* next step */
	uint64_t sweep_us;	/* next sweep from the oldest */
	uint64_t warned_us;
	struct journal_usage seen;	/* of the writer; copied under lock */
};
/* journal_retain deletes a little when it is due; between transactions. */
void journal_retain(struct journal *j);
/* journal_retain_due: monotonic us, 0 when there is nothing to do. */
uint64_t journal_retain_due(const struct journal *j);
void journal_retain_fini(struct journal *j);
MUST_CHECK int journal_holds_load(struct journal *j);
void journal_holds_free(struct holds *h);
/* The hold that covers the event, or NULL. */
const struct journal_hold *
journal_holds_find(const struct holds *h, int64_t sequence, int64_t time_us,
		   struct span type, struct span subject);
/* journal_removed_add notes that first to last are gone, and why. */
void journal_removed_add(struct journal_tx *tx, int64_t first, int64_t last,
			 const char *reason);

/* ---- cache.c ---- */

/* journal_cache_drop tells the kernel to forget the file but for its last
 * cache_bytes, and as much of what was written elsewhere; after a
 * checkpoint. */
void journal_cache_drop(struct journal *j);

/* ---- mark.c, verify.c ---- */

void journal_mark_put(struct journal *j, int64_t sequence);
void journal_mark_sync(struct journal *j);
/* journal_mark_read: 0 when there is none. */
int64_t journal_mark_read(const char *path);
/* journal_mark_compare: before the writer's thread; a loss is noted. */
MUST_CHECK int journal_mark_compare(struct journal *j, struct error *err);
/* The newest sequence, INT64_MAX when it cannot be read. */
int64_t journal_verify_newest(struct journal_reader *r);

/* ---- the journal ---- */

struct journal_tx {
	struct journal *j;
	bool failed;		/* sticky: the whole transaction goes */
	uint64_t writes;	/* statements that changed something */
	int64_t last;		/* newest sequence given */
	int64_t events, bytes;
};

struct journal {
	uint32_t magic;
	char *path;
	int lock_fd;
	bool mark_is_dirty;
	sqlite3 *db;		/* the writer's, once the thread runs */
	sqlite3_stmt *stmts[STMT_COUNT];
	struct name_cache names;
	unsigned commit_delay_ms;
	size_t queue_capacity;
	pthread_t thread;
	int64_t page_bytes;
	int64_t wal_bytes, wal_bytes_tried, checkpoint_bytes;
	/* The writer's own: what a commit takes of late, and how many items
	 * came together. */
	uint64_t commit_us;
	size_t company;
	int64_t cache_bytes;
	int64_t rewritten_bytes;	/* not at the end; since a drop */
	int64_t wal_seen, file_seen;	/* when that was counted last */
	int64_t time_offset_us;	/* to the machine's counter */
	int64_t dropped_bytes;	/* from the file's start */

	struct retain retain;	/* the writer's own */

	/* failure: the writer's own */
	struct gap gap;
	char reason[128];
	unsigned backoff_ms;
	uint64_t retry_at_us;
	bool suspect;		/* an fsync failed: the log may have holes */

	_Atomic bool writable;
	_Atomic bool stopping;
	_Atomic int64_t last_sequence;
	_Atomic uint32_t mode;	/* enum writer_mode */
	_Atomic(struct journal_queue *) queues;	/* newest first */
	struct journal_queue *resume;		/* where draining goes on */

	pthread_mutex_t lock;	/* of all below */
	struct batch posted;
	struct journal_usage usage;
	void (*on_commit)(void *arg, int64_t sequence);
	void *on_commit_arg;
};

/* The thread: gathers, commits, tells, checkpoints; until j->stopping. */
void *journal_writer_main(void *journal);

/* ---- writing: helpers of append.c, cursors.c, state.c ---- */

/* journal_tx_fail keeps SQLite's words as the reason. */
void journal_tx_fail(struct journal_tx *tx, const char *what);
/* An empty span is stored as NULL, which costs nothing. */
void journal_bind_span(struct journal_tx *tx, sqlite3_stmt *s, int i,
		       struct span v);
void journal_bind_str(struct journal_tx *tx, sqlite3_stmt *s, int i,
		      const char *v);
/* journal_tx_run steps a statement that returns no row, and resets it. */
void journal_tx_run(struct journal_tx *tx, enum stmt stmt, const char *what);

/* ---- reading ---- */

struct journal_reader {
	uint32_t magic;
	char *path;
	sqlite3 *db;
	sqlite3_stmt *stmts[STMT_COUNT];
	struct name_cache types, sources;
	bool failing;		/* and has said so */
	int64_t damaged_first, damaged_last;	/* 0: none known */
	uint64_t damage_said_us;
};

/* journal_row_fill takes the columns of EVENT_ONE; -1: they make no row. */
int journal_row_fill(struct journal_reader *r, sqlite3_stmt *s,
		     struct journal_row *row);
/* journal_reader_failed logs SQLite's words, once until a read works again;
 * returns -1. */
int journal_reader_failed(struct journal_reader *r, const char *what);
struct span journal_column_span(sqlite3_stmt *s, int i);
const char *journal_column_str(sqlite3_stmt *s, int i);	/* never NULL */
/* removed.c: the last number of the noted gap that `sequence` is in; less than
 * that when it is in none, -1 when that cannot be read. */
MUST_CHECK int64_t journal_removed_to(struct journal_reader *r,
				      int64_t sequence);
/* As struct journal_filter has it. */
bool journal_filter_type(const char *filter, struct span type);
bool journal_filter_subject(const char *filter, struct span subject);

#endif
