/* SPDX-License-Identifier: Apache-2.0 */
/* Online backup. Events never change, so they are copied by number, in many
 * short transactions: a single long one (SQLite's backup, VACUUM INTO) would
 * keep the log from starting over, and it would grow by all that comes
 * meanwhile. The last transaction copies what came since, and every other
 * table as a whole, so that the copy is one moment of the journal. */
#include "journal/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "journal/internal.h"

#define CHUNK_US 5000
#define LAST_EVENTS 2000	/* so few are left to the last transaction */

struct backup {
	const struct journal_backup *how;
	struct journal_reader *from;
	sqlite3 *to;
	char partial[4096];
	int64_t at;		/* the newest event in the copy */
	uint64_t began_us;
	int64_t bytes;
	struct journal_copied *copied;
};

static int
failed(const char *path, sqlite3 *db, struct error *err)
{
	return error_set(err, "%s: %s", path, sqlite3_errmsg(db));
}

static int
run(struct backup *b, const char *sql, struct error *err)
{
	if (sqlite3_exec(b->to, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return failed(b->partial, b->to, err);
}

static int64_t
number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *s = NULL;
	int64_t n = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return n;
}

/* ---- rows from one connection to the other ---- */

/* Copies every row of the query; stops at until_us, never when 0. Sets
 * *last to the first column of the last row. SQLITE_DONE, SQLITE_ROW (time
 * is up) or -1 with err. */
static int
copy_rows(struct backup *b, sqlite3_stmt *in, sqlite3_stmt *out,
	  uint64_t until_us, int64_t *last, struct error *err)
{
	int i, rc, columns = sqlite3_column_count(in);

	while ((rc = sqlite3_step(in)) == SQLITE_ROW) {
		for (i = 0; i < columns; i++) {
			sqlite3_bind_value(out, i + 1,
					   sqlite3_column_value(in, i));
			b->bytes += sqlite3_column_bytes(in, i);
		}
		if (sqlite3_step(out) != SQLITE_DONE)
			return failed(b->partial, b->to, err);
		sqlite3_reset(out);
		*last = sqlite3_column_int64(in, 0);
		b->copied->events++;
		if (until_us && clock_mono_us() >= until_us)
			return SQLITE_ROW;
	}
	return rc == SQLITE_DONE ? rc
				 : failed(b->how->from, b->from->db, err);
}

static sqlite3_stmt *
insert_into(struct backup *b, const char *table, int columns)
{
	struct buf sql CLEANUP(buf_fini) = { 0 };
	sqlite3_stmt *s = NULL;
	int i;

	buf_printf(&sql, "INSERT OR REPLACE INTO \"%s\" VALUES(", table);
	for (i = 0; i < columns; i++)
		buf_adds(&sql, i ? ",?" : "?");
	buf_addc(&sql, ')');
	(void)sqlite3_prepare_v2(b->to, buf_str(&sql), -1, &s, NULL);
	return s;
}

/* what: the rest of the query behind the table's name. */
static int
copy_table(struct backup *b, const char *table, const char *what,
	   uint64_t until_us, int64_t *last, struct error *err)
{
	struct buf sql CLEANUP(buf_fini) = { 0 };
	sqlite3_stmt *in = NULL, *out = NULL;
	int rc = -1;

	buf_printf(&sql, "SELECT * FROM \"%s\" %s", table, what);
	if (sqlite3_prepare_v2(b->from->db, buf_str(&sql), -1, &in, NULL))
		failed(b->how->from, b->from->db, err);
	else if (!(out = insert_into(b, table, sqlite3_column_count(in))))
		failed(b->partial, b->to, err);
	else
		rc = copy_rows(b, in, out, until_us, last, err);
	sqlite3_finalize(in);
	sqlite3_finalize(out);
	return rc;
}

static int
copy_events(struct backup *b, uint64_t until_us, struct error *err)
{
	char what[64];

	snprintf(what, sizeof(what), "WHERE seq > %lld ORDER BY seq",
		 (long long)b->at);
	return copy_table(b, "event", what, until_us, &b->at, err);
}

/* ---- the file ---- */

/* What has begun to be copied must be of this very journal. */
static int
check_resumed(struct backup *b, struct error *err)
{
	static const char sql[] = "SELECT count(*) FROM event WHERE seq ="
				  " %lld AND checksum = %lld";
	char query[160];
	int64_t sum;

	b->at = number(b->to, "SELECT coalesce(max(seq), 0) FROM event");
	if (b->at <= 0)
		return 0;
	sum = number(b->to, "SELECT checksum FROM event"
		     " ORDER BY seq DESC LIMIT 1");
	snprintf(query, sizeof(query), sql, (long long)b->at, (long long)sum);
	if (number(b->from->db, query) != 1)
		return error_set(err, "%s: left by a backup of another journal "
				 "or too old; remove it", b->partial);
	b->copied->resumed = b->at;
	return 0;
}

static int
partial_open(struct backup *b, struct error *err)
{
	int version = 0, fd = open(b->partial, O_RDWR | O_CREAT | O_CLOEXEC,
				   0600);

	if (fd < 0)
		return error_set(err, "%s: %s", b->partial, strerror(errno));
	close(fd);
	if (sqlite3_open_v2(b->partial, &b->to, SQLITE_OPEN_READWRITE |
			    SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return failed(b->partial, b->to, err);
	if (journal_schema_check(b->to, b->partial, &version, err) < 0 ||
	    run(b, "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL;"
		"PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;"
		"PRAGMA secure_delete = OFF; PRAGMA trusted_schema = OFF",
		err) < 0 ||
	    journal_schema_migrate(b->to, b->partial, version, err) < 0)
		return -1;
	if (number(b->to, "PRAGMA user_version") !=
	    number(b->from->db, "PRAGMA user_version"))
		return error_set(err, "%s: of another version; remove it",
				 b->partial);
	return check_resumed(b, err);
}

/* ---- the steps ---- */

static void
keep_pace(const struct backup *b)
{
	uint64_t now = clock_mono_us(), due;
	struct timespec rest;

	if (!b->how->bytes_per_s)
		return;
	due = b->began_us + (uint64_t)b->bytes * 1000000u /
				    (uint64_t)b->how->bytes_per_s;
	if (due <= now)
		return;
	rest.tv_sec = (time_t)((due - now) / 1000000u);
	rest.tv_nsec = (long)((due - now) % 1000000u) * 1000;
	(void)nanosleep(&rest, NULL);
}

static int
copy_most(struct backup *b, struct error *err)
{
	int64_t newest;
	int rc = SQLITE_ROW;

	while (rc == SQLITE_ROW) {
		if (journal_read_last_sequence(b->from, &newest) < 0)
			return failed(b->how->from, b->from->db, err);
		if (newest - b->at <= LAST_EVENTS)
			break;
		if (run(b, "BEGIN", err) < 0)
			return -1;
		rc = copy_events(b, clock_mono_us() + CHUNK_US, err);
		if (rc < 0 || run(b, "COMMIT", err) < 0)
			return -1;
		keep_pace(b);
	}
	return 0;
}

/* Everything but the events, whatever tables there are. */
static int
copy_others(struct backup *b, struct error *err)
{
	sqlite3_stmt *s = NULL;
	struct buf sql CLEANUP(buf_fini) = { 0 };
	int rc = SQLITE_DONE;
	int64_t ignored;

	if (sqlite3_prepare_v2(b->from->db, "SELECT name FROM sqlite_master"
			       " WHERE type = 'table' AND name <> 'event' AND"
			       " (name = 'sqlite_sequence' OR name NOT LIKE"
			       " 'sqlite%')", -1, &s, NULL) != SQLITE_OK)
		return failed(b->how->from, b->from->db, err);
	while (rc == SQLITE_DONE && sqlite3_step(s) == SQLITE_ROW) {
		buf_clear(&sql);
		buf_printf(&sql, "DELETE FROM \"%s\"",
			   journal_column_str(s, 0));
		if (run(b, buf_str(&sql), err) < 0)
			rc = -1;
		else
			rc = copy_table(b, journal_column_str(s, 0), "", 0,
					&ignored, err);
	}
	sqlite3_finalize(s);
	return rc == SQLITE_DONE ? 0 : -1;
}

/* What retention deleted after we had copied it. */
static const char prune[] =
	"DELETE FROM event WHERE EXISTS (SELECT 1 FROM removed r"
	" WHERE event.seq BETWEEN r.first AND r.last)";

/* One moment of the journal: a read transaction around all of it. */
static int
copy_rest(struct backup *b, struct error *err)
{
	int64_t events;
	int rc = -1;

	if (sqlite3_exec(b->from->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
		return failed(b->how->from, b->from->db, err);
	if (run(b, "BEGIN", err) == 0 &&
	    copy_events(b, 0, err) == SQLITE_DONE) {
		events = b->copied->events;
		rc = copy_others(b, err);
		b->copied->events = events;
		if (rc == 0)
			rc = run(b, prune, err);
		if (rc == 0)
			rc = journal_read_last_sequence(b->from,
							&b->copied->marked);
	}
	sqlite3_exec(b->from->db, "COMMIT", NULL, NULL, NULL);
	return rc == 0 ? run(b, "COMMIT", err) : -1;
}

/* ---- into place ---- */

static int
sync_path(const char *path, int flags, struct error *err)
{
	int fd = open(path, flags | O_CLOEXEC);
	int rc = fd < 0 ? -1 : fsync(fd);

	if (rc < 0)
		error_set(err, "%s: cannot be made durable: %s", path,
			  strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Never over a file that exists. */
static int
put_in_place(const char *from, const char *to, struct error *err)
{
	char copy[4096];

	if (sync_path(from, O_RDONLY, err) < 0)
		return -1;
	if (link(from, to) < 0)
		return error_set(err, "%s: %s; %s is complete", to,
				 strerror(errno), from);
	(void)unlink(from);
	snprintf(copy, sizeof(copy), "%s", to);
	return sync_path(dirname(copy), O_RDONLY | O_DIRECTORY, err);
}

/* A single file: the log is folded in, and the next opener makes its own. */
static int
partial_close(struct backup *b, struct error *err)
{
	int rc = run(b, "PRAGMA journal_mode = DELETE", err);

	if (sqlite3_close(b->to) != SQLITE_OK && rc == 0)
		rc = error_set(err, "%s: cannot be closed", b->partial);
	b->to = NULL;
	return rc;
}

static int
backup_run(struct backup *b, struct error *err)
{
	if (partial_open(b, err) < 0 || copy_most(b, err) < 0 ||
	    copy_rest(b, err) < 0 || partial_close(b, err) < 0)
		return -1;
	return put_in_place(b->partial, b->how->to, err);
}

int
journal_backup(const struct journal_backup *how, struct journal_copied *copied,
	       struct error *err)
{
	struct backup b = { .how = how, .copied = copied,
			    .began_us = clock_mono_us() };
	int rc;

	*copied = (struct journal_copied){0};
	if (snprintf(b.partial, sizeof(b.partial), "%s.partial", how->to) >=
	    (int)sizeof(b.partial))
		return error_set(err, "%s: the path is too long", how->to);
	if (access(how->to, F_OK) == 0)
		return error_set(err, "%s: exists; name a new file", how->to);
	b.from = journal_reader_open(how->from, err);
	if (!b.from)
		return -1;
	rc = backup_run(&b, err);
	sqlite3_close(b.to);
	journal_reader_close(&b.from);
	return rc;
}

/* ---- restore ---- */

static int
copy_bytes(int in, int out)
{
	static const size_t chunk = 1 << 20;
	char *bytes = malloc(chunk);
	ssize_t n = -1, put;

	while (bytes && (n = read(in, bytes, chunk)) > 0)
		for (put = 0; put < n;) {
			ssize_t now = write(out, bytes + put,
					    (size_t)(n - put));

			if (now < 0) {
				free(bytes);
				return -1;
			}
			put += now;
		}
	free(bytes);
	return n == 0 ? 0 : -1;
}

static bool
has_log(const char *path)
{
	char name[4096];
	struct stat st;

	snprintf(name, sizeof(name), "%s-wal", path);
	return stat(name, &st) == 0 && st.st_size > 0;
}

int
journal_restore(const char *from, const char *to, struct error *err)
{
	char name[4096];
	int in, out, rc;

	if (snprintf(name, sizeof(name), "%s.partial", to) >=
	    (int)sizeof(name))
		return error_set(err, "%s: the path is too long", to);
	if (has_log(from))
		return error_set(err, "%s-wal: holds a part of it; make a copy "
				 "with `matapalo backup'", from);
	in = open(from, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return error_set(err, "%s: %s", from, strerror(errno));
	out = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	rc = out < 0 ? -1 : copy_bytes(in, out);
	if (rc < 0)
		error_set(err, "%s: %s", name, strerror(errno));
	close(in);
	if (out >= 0)
		close(out);
	return rc < 0 ? -1 : put_in_place(name, to, err);
}
