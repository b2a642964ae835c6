/* SPDX-License-Identifier: Apache-2.0 */
/* What a start finds in the log goes to the disk once more.
 *
 * After a failed fsync the page cache holds for clean what is not on disk:
 * frames of a transaction that was refused, and of deletions before it, which
 * are not synced. A process that takes them for committed writes behind a
 * hole; a power cut then ends the log there, before everything that has been
 * acknowledged since, or leaves pages of a half copied log in the database.
 * Bytes written again are dirty again, and the fsync that follows speaks for
 * all of them. So it is done at every start, for another process may have
 * failed, and after every failure. Decision 18. */
#include "journal/internal.h"

#define CHUNK 16384

static sqlite3_file *
log_file(struct journal *j)
{
	sqlite3_file *f = NULL;

	if (sqlite3_file_control(j->db, "main", SQLITE_FCNTL_JOURNAL_POINTER,
				 &f) != SQLITE_OK || !f || !f->pMethods)
		return NULL;
	return f;
}

static int
rewrite(sqlite3_file *f, sqlite3_int64 size)
{
	char chunk[CHUNK];
	sqlite3_int64 at, n;
	int rc = SQLITE_OK;

	for (at = 0; rc == SQLITE_OK && at < size; at += n) {
		n = size - at < CHUNK ? size - at : CHUNK;
		rc = f->pMethods->xRead(f, chunk, (int)n, at);
		if (rc == SQLITE_OK)
			rc = f->pMethods->xWrite(f, chunk, (int)n, at);
	}
	return rc == SQLITE_OK ? f->pMethods->xSync(f, SQLITE_SYNC_NORMAL)
			       : rc;
}

int
journal_log_settle(struct journal *j, struct error *err)
{
	sqlite3_file *f = log_file(j);
	sqlite3_int64 size = 0;
	int rc = SQLITE_OK;

	if (f)
		rc = f->pMethods->xFileSize(f, &size);
	if (rc == SQLITE_OK && size > 0)
		rc = rewrite(f, size);
	if (rc != SQLITE_OK)
		return error_set(err, "%s-wal: cannot be made durable: %s; "
				 "check the health of the disk", j->path,
				 sqlite3_errstr(rc));
	return 0;
}

int
journal_log_heal(struct journal *j, struct error *err)
{
	if (!j->suspect)
		return 0;
	if (journal_log_settle(j, err) < 0)
		return -1;
	j->suspect = false;
	return 0;
}
