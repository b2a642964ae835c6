/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing: lock file, settings of the file, writer thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/invariant.h"
#include "base/log.h"
#include "journal/internal.h"

#define COMMIT_DELAY_MS 30
#define QUEUE_CAPACITY 4096
#define LOCK_PID_BYTES 32	/* the mark stands behind them */
/* Items wait while a checkpoint runs, so it comes early: 8 MiB take some ten
 * milliseconds. */
#define CHECKPOINT_BYTES (8 << 20)
/* Some seconds of full load; who lags by more reads from the disk. */
#define CACHE_BYTES ((int64_t)64 << 20)

/* Settings of the writing connection. page_size counts for new files only
 * and comes before journal_mode; twice 8192 halves the system calls and
 * saves about 1 us an event. secure_delete is on in some distributions and
 * would zero every page: secrets are replaced before they come here. mmap
 * stays off: an I/O error there is a signal, not a value. Checkpoints are run
 * by writer.c, hence the 0. */
static const char settings[] =
	"PRAGMA page_size = 16384;"
	"PRAGMA journal_mode = WAL;"
	"PRAGMA synchronous = FULL;"
	"PRAGMA mmap_size = 0;"
	"PRAGMA wal_autocheckpoint = 0;"
	"PRAGMA journal_size_limit = 33554432;"
	"PRAGMA cache_size = -16384;"
	"PRAGMA temp_store = MEMORY;"
	"PRAGMA secure_delete = OFF;"
	"PRAGMA foreign_keys = OFF;"
	"PRAGMA trusted_schema = OFF;";

static pthread_once_t sqlite_once = PTHREAD_ONCE_INIT;

/* Memory statistics cost a global mutex per allocation. Refused, harmlessly,
 * when someone has used SQLite before us. */
static void
sqlite_configure(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* ---- the lock file ---- */

static int
lock_busy(const char *path, int fd, struct error *err)
{
	char pid[24] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? strcspn(pid, " \n") : 0] = '\0';
	return error_set(err, "%s: in use by another matapalo (process %s); "
			 "stop it, or name another data directory", path,
			 *pid ? pid : "unknown");
}

/* `verify` looks at the lock for a moment by taking it. */
static bool
lock_is_free(int fd)
{
	struct timespec moment = { .tv_nsec = 5000000 };
	int tries = 5;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0)
		if (errno != EWOULDBLOCK || --tries == 0 ||
		    nanosleep(&moment, NULL) < 0)
			return false;
	return true;
}

/* Never removed: unlinking a lock file lets two processes hold "the" lock. */
static int
lock_take(const char *path, struct error *err)
{
	char name[4096], pid[LOCK_PID_BYTES + 1];
	int fd, n;

	if (snprintf(name, sizeof(name), "%s.lock", path) >= (int)sizeof(name))
		return error_set(err, "%s: the path is too long", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(err, "%s: cannot open: %s; check that the "
				 "data directory exists and may be written",
				 name, strerror(errno));
	if (!lock_is_free(fd)) {
		lock_busy(path, fd, err);
		close(fd);
		return -1;
	}
	n = snprintf(pid, sizeof(pid), "%-*ld\n", LOCK_PID_BYTES - 1,
		     (long)getpid());
	if (pwrite(fd, pid, (size_t)n, 0) != n)
		log_warn("journal.lock", "%s: cannot note the process: %s",
			 name, strerror(errno));
	return fd;
}

/* ---- the file ---- */

/* A new file belongs to its owner alone; SQLite gives its -wal and -shm the
 * same mode. O_EXCL: closing a descriptor of a file that a reader in this
 * process has open would drop that reader's locks. */
static int
file_create(const char *path, struct error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno != EEXIST)
		return error_set(err, "%s: cannot create: %s", path,
				 strerror(errno));
	if (fd >= 0)
		close(fd);
	return 0;
}

static bool
mode_is_wal(struct journal *j)
{
	sqlite3_stmt *s = NULL;
	bool wal = false;

	if (sqlite3_prepare_v2(j->db, "SELECT page_size, journal_mode FROM"
			       " pragma_page_size, pragma_journal_mode", -1,
			       &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW) {
		j->page_bytes = sqlite3_column_int(s, 0);
		wal = !strcmp(journal_column_str(s, 1), "wal");
	}
	sqlite3_finalize(s);
	return wal;
}

static const char *
whose(struct journal *j)
{
	struct stat st;

	if (stat(j->path, &st) < 0)
		return "unknown";
	snprintf(j->reason, sizeof(j->reason), "its owner is user %ld, this is "
		 "user %ld", (long)st.st_uid, (long)geteuid());
	return j->reason;
}

static int
file_open(struct journal *j, struct error *err)
{
	int version;

	if (file_create(j->path, err) < 0)
		return -1;
	if (sqlite3_open_v2(j->path, &j->db, SQLITE_OPEN_READWRITE |
			    SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return error_set(err, "%s: cannot open: %s", j->path,
				 sqlite3_errmsg(j->db));
	sqlite3_extended_result_codes(j->db, 1);
	sqlite3_busy_timeout(j->db, JOURNAL_BUSY_WAIT_MS);
	/* Room for a record of usual size, so that none is malloc'd. */
	sqlite3_db_config(j->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 8192, 64);
	/* SQLite opens what it may not write for reading, without a word. */
	if (sqlite3_db_readonly(j->db, "main") == 1)
		return error_set(err, "%s: may not be written; run as the "
				 "user who owns it (%s)", j->path, whose(j));
	/* Before any setting: a refused file is left as it is. */
	if (journal_schema_check(j->db, j->path, &version, err) < 0)
		return -1;
	if (sqlite3_exec(j->db, settings, NULL, NULL, NULL) != SQLITE_OK)
		return error_set(err, "%s: %s", j->path,
				 sqlite3_errmsg(j->db));
	if (!mode_is_wal(j))
		return error_set(err, "%s: no write-ahead log here; the data "
				 "directory must be on a local disk", j->path);
	if (journal_log_settle(j, err) < 0)
		return -1;
	if (journal_schema_migrate(j->db, j->path, version, err) < 0)
		return -1;
	return journal_stmts_prepare(j->db, STMT_WRITER, j->stmts, j->path,
				     err);
}

static int
load_sequence(struct journal *j, struct error *err)
{
	sqlite3_stmt *s = j->stmts[STMT_LAST_SEQUENCE];
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW)
		atomic_store(&j->last_sequence, sqlite3_column_int64(s, 0));
	sqlite3_reset(s);
	return rc == SQLITE_ROW ? 0 : error_set(err, "%s: %s", j->path,
						sqlite3_errmsg(j->db));
}

/* Keeps the number of the newest event even if that event is trimmed. */
static void
store_sequence(struct journal *j)
{
	char text[24];
	struct journal_tx tx = { .j = j };

	snprintf(text, sizeof(text), "%lld",
		 (long long)atomic_load(&j->last_sequence));
	journal_tx_state_put(&tx, "journal", "sequence", span_of(text));
	if (tx.failed)
		log_warn("journal.close", "%s: %s", j->path, j->reason);
}

static int
on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct journal *j = arg;

	(void)db;
	(void)name;
	j->wal_bytes = pages * j->page_bytes;
	return SQLITE_OK;
}

static struct journal *
journal_alloc(const struct journal_options *o)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	MAGIC_SET(j, JOURNAL_MAGIC);
	j->lock_fd = -1;
	j->commit_delay_ms = o->commit_delay_ms ? o->commit_delay_ms
						: COMMIT_DELAY_MS;
	j->queue_capacity = o->queue_capacity ? o->queue_capacity
					      : QUEUE_CAPACITY;
	j->checkpoint_bytes = o->checkpoint_bytes ? o->checkpoint_bytes
						  : CHECKPOINT_BYTES;
	j->cache_bytes = o->cache_bytes ? o->cache_bytes : CACHE_BYTES;
	j->on_commit = o->on_commit;
	j->on_commit_arg = o->on_commit_arg;
	j->retain.want = o->retention;
	j->retain.holds.stale = true;
	j->retain.due_us = j->retain.appended = 1;
	journal_batch_init(&j->posted);
	pthread_mutex_init(&j->lock, NULL);
	atomic_store(&j->writable, true);
	j->path = strdup(o->path);
	return j;
}

static void
journal_free(struct journal **jp)
{
	struct journal *j = *jp;

	if (!j)
		return;
	*jp = NULL;
	journal_stmts_finalize(j->stmts);
	sqlite3_close(j->db);
	journal_names_clear(&j->names);
	journal_retain_fini(j);
	journal_queues_free(j);
	pthread_mutex_destroy(&j->lock);
	if (j->lock_fd >= 0)
		close(j->lock_fd);
	free(j->path);
	MAGIC_CLEAR(j);
	free(j);
}

struct journal *
journal_open(const struct journal_options *o, struct error *err)
{
	CLEANUP(journal_free) struct journal *j = NULL;
	struct journal *opened;

	INVARIANT(!(o->queue_capacity & (o->queue_capacity - 1)));
	pthread_once(&sqlite_once, sqlite_configure);
	j = journal_alloc(o);
	if (!j || !j->path) {
		error_set(err, "%s: no memory", o->path);
		return NULL;
	}
	j->lock_fd = lock_take(j->path, err);
	if (j->lock_fd < 0 || file_open(j, err) < 0 ||
	    load_sequence(j, err) < 0 || journal_mark_compare(j, err) < 0)
		return NULL;
	journal_time_begin(j);
	sqlite3_wal_hook(j->db, on_wal, j);
	if (pthread_create(&j->thread, NULL, journal_writer_main, j)) {
		error_set(err, "%s: cannot start the writer's thread", j->path);
		return NULL;
	}
	opened = j;
	j = NULL;
	return opened;
}

void
journal_set_on_commit(struct journal *j, void (*fn)(void *, int64_t),
		      void *arg)
{
	MAGIC_CHECK(j, JOURNAL_MAGIC);
	pthread_mutex_lock(&j->lock);
	j->on_commit = fn;
	j->on_commit_arg = arg;
	pthread_mutex_unlock(&j->lock);
}

/* A reader may be in the way, or the disk broken; the log is then taken up at
 * the next start, and sqlite3_close must not try again. */
static void
fold_in(struct journal *j)
{
	struct error err = {0};

	if (journal_log_heal(j, &err) == 0 &&
	    sqlite3_wal_checkpoint_v2(j->db, NULL, SQLITE_CHECKPOINT_TRUNCATE,
				      NULL, NULL) == SQLITE_OK)
		return;
	sqlite3_db_config(j->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	log_info("journal.close", "%s: the log was not folded in: %s", j->path,
		 err.set ? err.text : sqlite3_errmsg(j->db));
}

void
journal_close(struct journal **jp)
{
	struct journal *j = *jp;

	if (!j)
		return;
	MAGIC_CHECK(j, JOURNAL_MAGIC);
	atomic_store(&j->stopping, true);
	journal_wake(j);
	pthread_join(j->thread, NULL);
	store_sequence(j);
	fold_in(j);
	journal_mark_sync(j);
	journal_free(jp);
}

const char *
journal_path(const struct journal *j)
{
	return j->path;
}

bool
journal_is_writable(const struct journal *j)
{
	return atomic_load_explicit(&j->writable, memory_order_relaxed);
}

int64_t
journal_last_sequence(const struct journal *j)
{
	return atomic_load_explicit(&j->last_sequence, memory_order_acquire);
}
