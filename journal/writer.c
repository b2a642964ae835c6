/* SPDX-License-Identifier: Apache-2.0 */
/* The one thread that writes: gather, apply, commit, tell, checkpoint.
 *
 * Group commit: one fsync for everything that waits. A transaction is never
 * open while the thread waits. After a failure it backs off: items fail at
 * once until the next attempt is due, so that a dying disk costs the
 * callers no time. */
#include <stdio.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/invariant.h"
#include "base/log.h"
#include "journal/internal.h"

/* A transaction ends early here: its pages must fit the cache. */
#define TX_BYTES_MAX (4 << 20)
/* The longest that an urgent item waits for others. */
#define COMPANY_MOST_US 1000
#define BACKOFF_FIRST_MS 20
#define BACKOFF_LAST_MS 2000
#define CHECKPOINT_WAIT_MS 100

/* ---- one transaction ---- */

static bool
tx_begin(struct journal_tx *tx)
{
	struct error err = {0};

	if (journal_log_heal(tx->j, &err) < 0) {
		tx->failed = true;
		snprintf(tx->j->reason, sizeof(tx->j->reason), "%.*s",
			 (int)sizeof(tx->j->reason) - 1, err.text);
		return false;
	}
	journal_tx_run(tx, STMT_BEGIN_WRITE, "begin");
	tx->writes = 0;
	return !tx->failed;
}

static void
tx_apply(struct journal_tx *tx, struct journal_item *item)
{
	uint64_t writes = tx->writes;

	item->refused = false;
	if (item->ops->apply(item, tx) == 0 || tx->failed)
		return;
	/* Half an item in a transaction that goes on would be a lie. */
	INVARIANT(tx->writes == writes);
	item->refused = true;
}

/* Moves the items it could apply from todo to applied. */
static void
tx_apply_batch(struct journal_tx *tx, struct batch *todo,
	       struct batch *applied)
{
	struct journal_item *item;

	while (!tx->failed && tx->bytes < TX_BYTES_MAX &&
	       (item = journal_batch_take(todo))) {
		journal_batch_add(applied, item);
		tx_apply(tx, item);
	}
}

static void
tx_end(struct journal_tx *tx)
{
	struct journal *j = tx->j;
	uint64_t start = clock_mono_us();

	journal_tx_run(tx, STMT_COMMIT, "commit");
	j->commit_us = (j->commit_us * 7 + clock_mono_us() - start) / 8;
	if (!tx->failed)
		return;
	/* SQLite may have rolled back by itself already. */
	if (!sqlite3_get_autocommit(j->db)) {
		sqlite3_step(j->stmts[STMT_ROLLBACK]);
		sqlite3_reset(j->stmts[STMT_ROLLBACK]);
	}
	/* Names of this transaction are gone with it. */
	journal_names_clear(&j->names);
}

/* ---- what follows ---- */

static void
items_done(struct journal *j, struct batch *b, enum journal_status status)
{
	struct journal_item *item;

	while ((item = journal_batch_take(b))) {
		if (status == JOURNAL_FAILED && !item->urgent &&
		    !item->refused)
			journal_gap_count(&j->gap, j->reason);
		item->ops->done(item, item->refused ? JOURNAL_FAILED : status);
	}
}

static void
ring_doorbell(struct journal *j, int64_t sequence)
{
	void (*fn)(void *arg, int64_t sequence);
	void *arg;

	pthread_mutex_lock(&j->lock);
	fn = j->on_commit;
	arg = j->on_commit_arg;
	pthread_mutex_unlock(&j->lock);
	if (fn)
		fn(arg, sequence);
}

static void
after_commit(struct journal *j, const struct journal_tx *tx,
	     struct batch *applied)
{
	counter_inc(COUNTER_JOURNAL_COMMITS);
	counter_add(COUNTER_JOURNAL_EVENTS, tx->events);
	counter_add(COUNTER_JOURNAL_BYTES, tx->bytes);
	j->company -= (j->company + 3) / 4;
	if (j->company < applied->count)
		j->company = applied->count;
	j->gap = (struct gap){0};
	j->backoff_ms = 0;
	if (!atomic_load(&j->writable))
		log_info("journal.writable", "%s: writing works again",
			 j->path);
	atomic_store(&j->last_sequence, tx->last);
	atomic_store(&j->writable, true);
	if (tx->events)
		journal_mark_put(j, tx->last);
	j->retain.appended += tx->events;
	j->retain.bytes += tx->bytes;
	items_done(j, applied, JOURNAL_COMMITTED);
	ring_doorbell(j, tx->last);
}

static void
after_failure(struct journal *j, struct batch *applied)
{
	counter_inc(COUNTER_JOURNAL_ERRORS);
	j->backoff_ms = j->backoff_ms ? j->backoff_ms * 2 : BACKOFF_FIRST_MS;
	if (j->backoff_ms > BACKOFF_LAST_MS)
		j->backoff_ms = BACKOFF_LAST_MS;
	j->retry_at_us = clock_mono_us() + j->backoff_ms * 1000u;
	if (atomic_exchange(&j->writable, false))
		log_error("journal.unwritable", "%s: cannot write: %s; "
			  "check the space and the health of the disk; "
			  "retrying every %d ms or less", j->path, j->reason,
			  BACKOFF_LAST_MS);
	items_done(j, applied, JOURNAL_FAILED);
}

/* Never the same value twice: SQLite leaves a page as it is, and the disk
 * alone, when a row is put that is there already. */
static void
probe(struct journal_tx *tx)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu",
		 (unsigned long long)clock_mono_us());
	journal_tx_state_put(tx, "journal", "probe", span_of(text));
}

/* One transaction of as much of todo as fits. With an empty todo it is the
 * probe after a failure: the gap event, or a value of our own. */
static void
commit_some(struct journal *j, struct batch *todo)
{
	struct journal_tx tx = { .j = j };
	struct batch applied;

	tx.last = atomic_load_explicit(&j->last_sequence,
				       memory_order_relaxed);
	journal_batch_init(&applied);
	if (tx_begin(&tx)) {
		journal_gap_append(&j->gap, &tx);
		if (!todo->first && !tx.writes)
			probe(&tx);
		tx_apply_batch(&tx, todo, &applied);
		tx_end(&tx);
	}
	if (!tx.failed) {
		after_commit(j, &tx, &applied);
		return;
	}
	/* Never applied, but part of the same failure. */
	while (todo->first)
		journal_batch_add(&applied, journal_batch_take(todo));
	after_failure(j, &applied);
}

/* The only checkpointer: of two, SQLite before 3.51.3 may lose a commit.
 * Runs after everyone has been told, so that no item waits for it. Failure
 * is harmless, the log just grows until the next attempt. Well above the
 * usual size readers are waited for, which takes as long as their short
 * transactions, so that the log can start over. */
static void
checkpoint(struct journal *j)
{
	bool hard = j->wal_bytes >= j->checkpoint_bytes / 2 * 5;

	if (j->suspect)
		return;
	if (j->wal_bytes < j->checkpoint_bytes) {
		j->wal_bytes_tried = 0;
		return;
	}
	if (j->wal_bytes < j->wal_bytes_tried + j->checkpoint_bytes / 4)
		return;
	j->wal_bytes_tried = j->wal_bytes;
	sqlite3_busy_timeout(j->db, CHECKPOINT_WAIT_MS);
	if (sqlite3_wal_checkpoint_v2(j->db, NULL,
				      hard ? SQLITE_CHECKPOINT_RESTART
					   : SQLITE_CHECKPOINT_PASSIVE,
				      NULL, NULL) == SQLITE_IOERR_FSYNC)
		j->suspect = true;
	sqlite3_busy_timeout(j->db, JOURNAL_BUSY_WAIT_MS);
	journal_cache_drop(j);
	journal_mark_sync(j);
}

/* ---- the loop ---- */

static bool
attempt_is_due(struct journal *j)
{
	return atomic_load(&j->writable) || atomic_load(&j->stopping) ||
	       clock_mono_us() >= j->retry_at_us;
}

static void
commit_all(struct journal *j, struct batch *b)
{
	while (b->first) {
		if (attempt_is_due(j))
			commit_some(j, b);
		else
			items_done(j, b, JOURNAL_FAILED);
	}
	checkpoint(j);
	journal_retain(j);
}

/* Callers that wait ask again together when they have been told: the first
 * of them is given some of the time that a commit of its own would take, and
 * shares one with the others. Who comes alone does not wait. */
static void
await_company(struct journal *j, struct batch *b)
{
	uint64_t wait_us = j->commit_us / 2;

	if (!b->urgent || b->count >= j->company / 2 ||
	    atomic_load(&j->stopping))
		return;
	if (wait_us > COMPANY_MOST_US)
		wait_us = COMPANY_MOST_US;
	journal_sleep(j, WRITER_WAITS_MANY, clock_mono_us() + wait_us);
	journal_drain(j, b, JOURNAL_BATCH_MOST);
}

/* Waits for company until the first item's delay is over. */
static void
collect(struct journal *j, struct batch *b)
{
	uint64_t until = clock_mono_us() + j->commit_delay_ms * 1000u;

	while (!b->urgent && b->count < JOURNAL_BATCH_ITEMS &&
	       !atomic_load(&j->stopping) && clock_mono_us() < until) {
		journal_sleep(j, WRITER_WAITS_URGENT, until);
		journal_drain(j, b, JOURNAL_BATCH_MOST);
	}
	await_company(j, b);
}

static void
idle(struct journal *j)
{
	struct batch none;

	journal_batch_init(&none);
	if (atomic_load(&j->writable)) {
		journal_sleep(j, WRITER_WAITS_ANY, journal_retain_due(j));
		journal_retain(j);
	} else if (attempt_is_due(j))
		commit_some(j, &none);
	else
		journal_sleep(j, WRITER_WAITS_ANY, j->retry_at_us);
}

void *
journal_writer_main(void *journal)
{
	struct journal *j = journal;
	struct batch b;
	bool last;

	(void)pthread_setname_np(pthread_self(), "journal");
	for (;;) {
		/* Read before draining: what came before the stop is done. */
		last = atomic_load(&j->stopping);
		journal_batch_init(&b);
		journal_drain(j, &b, JOURNAL_BATCH_MOST);
		if (b.first) {
			collect(j, &b);
			commit_all(j, &b);
		} else if (last) {
			if (j->gap.count)
				commit_some(j, &b);
			break;
		} else {
			idle(j);
		}
	}
	return NULL;
}
