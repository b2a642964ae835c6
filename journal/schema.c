/* SPDX-License-Identifier: Apache-2.0 */
/* The file's tables, its versions, and the statements on them. */
#include <stdio.h>

#include "journal/internal.h"

/* Append only: a released row is never edited. Row n brings a file from
 * version n to n + 1; PRAGMA user_version holds the version.
 *
 * event: small columns first, so that a walk by type never touches the
 * overflow pages of a large body. Types with an id up to 15 are the
 * frequent ones; all others are in event_rare, so that a command is found
 * without reading the exchanges around it. */
static const char *const migrations[] = {
	"CREATE TABLE name("
	" id INTEGER PRIMARY KEY,"
	" text TEXT NOT NULL UNIQUE);"
	"INSERT INTO name(id, text) VALUES"
	" (1, 'matapalo.exchange.v1'),"
	" (2, 'matapalo.request.v1');"
	"CREATE TABLE event("
	" seq INTEGER PRIMARY KEY,"
	" id BLOB NOT NULL,"
	" time INTEGER NOT NULL,"
	" type INTEGER NOT NULL,"
	" source INTEGER NOT NULL,"
	" shadow INTEGER NOT NULL,"
	" checksum INTEGER NOT NULL,"
	" subject TEXT,"
	" correlation TEXT,"
	" partition_key TEXT,"
	" extensions TEXT,"
	" data TEXT);"
	"CREATE INDEX event_rare ON event(seq, type) WHERE type > 15;"
	"CREATE INDEX event_shadow ON event(seq, type) WHERE shadow = 1;"
	"CREATE TABLE open_exchange("
	" correlation TEXT PRIMARY KEY,"
	" seq INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE consumer_group("
	" name TEXT PRIMARY KEY,"
	" cursor INTEGER NOT NULL,"
	" config TEXT,"
	" paused INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE retry("
	" group_name TEXT NOT NULL,"
	" seq INTEGER NOT NULL,"
	" attempts INTEGER NOT NULL,"
	" not_before INTEGER NOT NULL,"
	" first INTEGER NOT NULL,"
	" last INTEGER NOT NULL,"
	" reason TEXT,"
	" PRIMARY KEY(group_name, seq)) WITHOUT ROWID;"
	"CREATE TABLE dead_letter("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" group_name TEXT NOT NULL,"
	" seq INTEGER NOT NULL,"
	" attempts INTEGER NOT NULL,"
	" first INTEGER NOT NULL,"
	" last INTEGER NOT NULL,"
	" reason TEXT,"
	" UNIQUE(group_name, seq));"
	"CREATE TABLE state("
	" space TEXT NOT NULL,"
	" key TEXT NOT NULL,"
	" value TEXT,"
	" PRIMARY KEY(space, key)) WITHOUT ROWID;"

	/* The views are the promise to people with a sqlite3 shell. */
	"CREATE VIEW events(sequence, id, time, type, subject, source,"
	" correlationid, data) AS"
	" SELECT e.seq,"
	" lower(substr(hex(e.id), 1, 8) || '-' || substr(hex(e.id), 9, 4)"
	" || '-' || substr(hex(e.id), 13, 4) || '-' ||"
	" substr(hex(e.id), 17, 4) || '-' || substr(hex(e.id), 21)),"
	" strftime('%Y-%m-%dT%H:%M:%S', e.time / 1000000, 'unixepoch')"
	" || printf('.%06dZ', e.time % 1000000),"
	" t.text, e.subject, s.text, e.correlation, e.data"
	" FROM event e JOIN name t ON t.id = e.type"
	" JOIN name s ON s.id = e.source;"
	"CREATE VIEW groups(name, \"cursor\", lag, paused, retrying,"
	" dead, config) AS"
	" SELECT g.name, g.cursor,"
	" max(0, coalesce((SELECT max(seq) FROM event), 0) - g.cursor),"
	" g.paused,"
	" (SELECT count(*) FROM retry r WHERE r.group_name = g.name),"
	" (SELECT count(*) FROM dead_letter d WHERE d.group_name = g.name),"
	" g.config FROM consumer_group g;"
	"CREATE VIEW dead_letters(id, group_name, sequence, type, subject,"
	" attempts, first, last, reason, data) AS"
	" SELECT d.id, d.group_name, d.seq, t.text, e.subject, d.attempts,"
	" strftime('%Y-%m-%dT%H:%M:%S', d.first / 1000000, 'unixepoch')"
	" || printf('.%06dZ', d.first % 1000000),"
	" strftime('%Y-%m-%dT%H:%M:%S', d.last / 1000000, 'unixepoch')"
	" || printf('.%06dZ', d.last % 1000000),"
	" d.reason, e.data"
	" FROM dead_letter d LEFT JOIN event e ON e.seq = d.seq"
	" LEFT JOIN name t ON t.id = e.type;",

	/* Dead letters: who tried last, each attempt, removal. A purged one
	 * beyond the group's cursor stays as a mark until it has passed. */
	"ALTER TABLE retry ADD COLUMN consumer TEXT;"
	"ALTER TABLE retry ADD COLUMN origin INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE dead_letter ADD COLUMN consumer TEXT;"
	"ALTER TABLE dead_letter ADD COLUMN purged INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX dead_letter_event ON dead_letter(seq);"
	"CREATE INDEX dead_letter_group ON dead_letter(group_name)"
	" WHERE purged = 0;"
	"CREATE INDEX dead_letter_purged ON dead_letter(group_name, seq)"
	" WHERE purged = 1;"
	"CREATE TABLE attempt("
	" id INTEGER PRIMARY KEY,"
	" group_name TEXT NOT NULL,"
	" seq INTEGER NOT NULL,"
	" attempt INTEGER NOT NULL,"
	" time INTEGER NOT NULL,"
	" consumer TEXT,"
	" reason TEXT);"
	"CREATE INDEX attempt_event ON attempt(group_name, seq);"
	"DROP VIEW groups;"
	"CREATE VIEW groups(name, \"cursor\", lag, paused, retrying,"
	" dead, config) AS"
	" SELECT g.name, g.cursor,"
	" max(0, coalesce((SELECT max(seq) FROM event), 0) - g.cursor),"
	" g.paused,"
	" (SELECT count(*) FROM retry r WHERE r.group_name = g.name),"
	" (SELECT count(*) FROM dead_letter d WHERE d.group_name = g.name"
	" AND d.purged = 0),"
	" g.config FROM consumer_group g;"
	"DROP VIEW dead_letters;"
	"CREATE VIEW dead_letters(id, group_name, sequence, type, subject,"
	" attempts, first, last, reason, data, consumer) AS"
	" SELECT d.id, d.group_name, d.seq, t.text, e.subject, d.attempts,"
	" strftime('%Y-%m-%dT%H:%M:%S', d.first / 1000000, 'unixepoch')"
	" || printf('.%06dZ', d.first % 1000000),"
	" strftime('%Y-%m-%dT%H:%M:%S', d.last / 1000000, 'unixepoch')"
	" || printf('.%06dZ', d.last % 1000000),"
	" d.reason, e.data, d.consumer"
	" FROM dead_letter d LEFT JOIN event e ON e.seq = d.seq"
	" LEFT JOIN name t ON t.id = e.type WHERE d.purged = 0;"
	"CREATE VIEW attempts(group_name, sequence, attempt, time, consumer,"
	" reason) AS"
	" SELECT group_name, seq, attempt,"
	" strftime('%Y-%m-%dT%H:%M:%S', time / 1000000, 'unixepoch')"
	" || printf('.%06dZ', time % 1000000), consumer, reason"
	" FROM attempt ORDER BY id;",

	/* What is kept, what was deleted, and what auditors ask. */
	"CREATE TABLE removed("
	" first INTEGER PRIMARY KEY,"
	" last INTEGER NOT NULL,"
	" reason TEXT NOT NULL);"
	"CREATE TABLE hold("
	" name TEXT PRIMARY KEY,"
	" first INTEGER NOT NULL,"
	" last INTEGER NOT NULL,"
	" since INTEGER NOT NULL,"
	" until INTEGER NOT NULL,"
	" type TEXT,"
	" subject TEXT,"
	" reason TEXT,"
	" created INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX retry_seq ON retry(seq);"
	"CREATE VIEW exchanges(sequence, time, correlationid, client, method,"
	" host, path, template, status, rule, stage, target, upstream,"
	" outcome, answered_by, error, fell_back, durability, connect_us,"
	" first_byte_us, total_us, request_bytes, response_bytes) AS"
	" SELECT e.seq,"
	" strftime('%Y-%m-%dT%H:%M:%S', e.time / 1000000, 'unixepoch')"
	" || printf('.%06dZ', e.time % 1000000), e.correlation,"
	" e.data ->> '$.request.client', e.data ->> '$.request.method',"
	" e.data ->> '$.request.host',"
	" substr(e.data ->> '$.request.target', 1,"
	" instr((e.data ->> '$.request.target') || '?', '?') - 1),"
	" e.data ->> '$.route.path', e.data ->> '$.response.status',"
	" e.data ->> '$.route.rule', e.data ->> '$.route.stage',"
	" e.data ->> '$.route.target', e.data ->> '$.route.upstream',"
	" e.data ->> '$.outcome', e.data ->> '$.answered_by',"
	" e.data ->> '$.error', coalesce(e.data ->> '$.fell_back', 0),"
	" e.data ->> '$.durability', e.data ->> '$.timings.connect_us',"
	" e.data ->> '$.timings.first_byte_us',"
	" e.data ->> '$.timings.total_us',"
	" e.data ->> '$.request.body_bytes',"
	" e.data ->> '$.response.body_bytes'"
	" FROM event e WHERE e.type = 1;"
	"CREATE VIEW gaps(kind, first, last, since, until, count, reason) AS"
	" SELECT r.reason, r.first, r.last, NULL, NULL,"
	" r.last - r.first + 1, NULL FROM removed r"
	" UNION ALL SELECT 'unrecorded', e.seq, e.seq,"
	" e.data ->> '$.first', e.data ->> '$.last', e.data ->> '$.count',"
	" e.data ->> '$.reason' FROM event e WHERE e.type ="
	" (SELECT id FROM name WHERE text = 'matapalo.gap.v1')"
	" AND e.type > 15;"
	"CREATE VIEW holds(name, first, last, since, until, type, subject,"
	" reason, created) AS SELECT name, first, nullif(last, 0),"
	" CASE since WHEN 0 THEN NULL ELSE strftime('%Y-%m-%dT%H:%M:%SZ',"
	" since / 1000000, 'unixepoch') END,"
	" CASE until WHEN 0 THEN NULL ELSE strftime('%Y-%m-%dT%H:%M:%SZ',"
	" until / 1000000, 'unixepoch') END,"
	" nullif(type, ''), nullif(subject, ''), reason,"
	" strftime('%Y-%m-%dT%H:%M:%SZ', created / 1000000, 'unixepoch')"
	" FROM hold;",

	/* What caused what, and whose trace it was. */
	"DROP VIEW events;"
	"CREATE VIEW events(sequence, id, time, type, subject, source,"
	" correlationid, data, causationid, traceparent, partitionkey) AS"
	" SELECT e.seq,"
	" lower(substr(hex(e.id), 1, 8) || '-' || substr(hex(e.id), 9, 4)"
	" || '-' || substr(hex(e.id), 13, 4) || '-' ||"
	" substr(hex(e.id), 17, 4) || '-' || substr(hex(e.id), 21)),"
	" strftime('%Y-%m-%dT%H:%M:%S', e.time / 1000000, 'unixepoch')"
	" || printf('.%06dZ', e.time % 1000000),"
	" t.text, e.subject, s.text, e.correlation, e.data,"
	" ('{' || e.extensions || '}') ->> '$.causationid',"
	" ('{' || e.extensions || '}') ->> '$.traceparent',"
	" nullif(e.partition_key, '')"
	" FROM event e JOIN name t ON t.id = e.type"
	" JOIN name s ON s.id = e.source;",

	/* Commands whose answer is kept. The id is all that a client has to
	 * know, so the view does not show it. */
	"CREATE TABLE operation("
	" seq INTEGER PRIMARY KEY,"
	" id BLOB NOT NULL UNIQUE,"
	" correlation TEXT NOT NULL UNIQUE,"
	" rule TEXT,"
	" state INTEGER NOT NULL,"
	" created INTEGER NOT NULL,"
	" keep INTEGER NOT NULL,"
	" expires INTEGER NOT NULL,"
	" when_done INTEGER NOT NULL,"
	" caller TEXT,"
	" key TEXT UNIQUE,"
	" fingerprint TEXT,"
	" answer BLOB);"
	"CREATE INDEX operation_expires ON operation(expires)"
	" WHERE state = 1;"
	"CREATE INDEX operation_forgotten ON operation(expires + keep)"
	" WHERE state = 2;"
	"CREATE VIEW operations(correlationid, rule, state, created, expires,"
	" keyed, answer_bytes) AS"
	" SELECT correlation, rule, CASE state WHEN 0 THEN 'pending'"
	" WHEN 1 THEN 'done' ELSE 'expired' END,"
	" strftime('%Y-%m-%dT%H:%M:%S', created / 1000000, 'unixepoch')"
	" || printf('.%06dZ', created % 1000000),"
	" CASE expires WHEN 0 THEN NULL ELSE"
	" strftime('%Y-%m-%dT%H:%M:%SZ', expires / 1000000, 'unixepoch') END,"
	" key IS NOT NULL, length(answer) FROM operation;",

	/* Whether anybody may still answer: where the command is, and since
	 * when it is a dead letter or gone. */
	"ALTER TABLE operation ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE operation ADD COLUMN died INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX operation_pending ON operation(sequence)"
	" WHERE state = 0;"
	"CREATE INDEX operation_died ON operation(died + keep)"
	" WHERE state = 0 AND died > 0;"
	"DROP VIEW operations;"
	"CREATE VIEW operations(correlationid, rule, state, created, expires,"
	" keyed, answer_bytes, sequence, died) AS"
	" SELECT correlation, rule, CASE state WHEN 0 THEN 'pending'"
	" WHEN 1 THEN 'done' ELSE 'expired' END,"
	" strftime('%Y-%m-%dT%H:%M:%S', created / 1000000, 'unixepoch')"
	" || printf('.%06dZ', created % 1000000),"
	" CASE expires WHEN 0 THEN NULL ELSE"
	" strftime('%Y-%m-%dT%H:%M:%SZ', expires / 1000000, 'unixepoch') END,"
	" key IS NOT NULL, length(answer), nullif(sequence, 0),"
	" CASE died WHEN 0 THEN NULL ELSE"
	" strftime('%Y-%m-%dT%H:%M:%SZ', died / 1000000, 'unixepoch') END"
	" FROM operation;",

	/* All that belongs to one exchange. New ids are the greatest, so that
	 * the index grows at its end. */
	("CREATE INDEX event_correlation ON event(correlation)"
	 " WHERE correlation IS NOT NULL;"),
};

static const struct {
	const char *sql;
	enum stmt_side side;
} statements[] = {
#define STATEMENT(sym, side, sql) [STMT_##sym] = { sql, STMT_##side },
#include "journal/statements.def"
#undef STATEMENT
};

int
journal_stmts_prepare(sqlite3 *db, enum stmt_side side, sqlite3_stmt **stmts,
		      const char *path, struct error *err)
{
	size_t i;

	for (i = 0; i < STMT_COUNT; i++) {
		if (!(statements[i].side & side))
			continue;
		if (sqlite3_prepare_v3(db, statements[i].sql, -1,
				       SQLITE_PREPARE_PERSISTENT, &stmts[i],
				       NULL) != SQLITE_OK)
			return error_set(err, "%s: %s (statement: %s); check "
					 "the file with `sqlite3 -readonly %s "
					 "'PRAGMA integrity_check'`", path,
					 sqlite3_errmsg(db), statements[i].sql,
					 path);
	}
	return 0;
}

void
journal_stmts_finalize(sqlite3_stmt **stmts)
{
	size_t i;

	for (i = 0; i < STMT_COUNT; i++) {
		sqlite3_finalize(stmts[i]);
		stmts[i] = NULL;
	}
}

static int
pragma_int(sqlite3 *db, const char *sql, int *value)
{
	sqlite3_stmt *s = NULL;
	int rc;

	rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
	if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW)
		*value = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	return rc == SQLITE_ROW ? 0 : -1;
}

int
journal_schema_newest(void)
{
	return (int)ARRAY_SIZE(migrations);
}

int
journal_schema_check(sqlite3 *db, const char *path, int *version,
		     struct error *err)
{
	int app = 0, tables = 0, known = journal_schema_newest();

	if (pragma_int(db, "PRAGMA user_version", version) ||
	    pragma_int(db, "PRAGMA application_id", &app) ||
	    pragma_int(db, "SELECT count(*) FROM sqlite_master", &tables))
		return error_set(err, "%s: %s; if this is no journal, name "
				 "another data directory", path,
				 sqlite3_errmsg(db));
	if (app != JOURNAL_APPLICATION_ID && (tables || app || *version))
		return error_set(err, "%s: an SQLite file, but not a journal "
				 "of matapalo; name another data directory",
				 path);
	if (*version > known)
		return error_set(err, "%s: written by a newer matapalo "
				 "(file version %d, this program knows up to "
				 "%d); run that version or a newer one", path,
				 *version, known);
	return 0;
}

static int
migrate_one(sqlite3 *db, int version)
{
	char mark[96];

	snprintf(mark, sizeof(mark),
		 "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
		 JOURNAL_APPLICATION_ID, version + 1);
	if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) ||
	    sqlite3_exec(db, migrations[version], NULL, NULL, NULL) ||
	    sqlite3_exec(db, mark, NULL, NULL, NULL))
		return -1;
	return 0;
}

int
journal_schema_migrate(sqlite3 *db, const char *path, int version,
		       struct error *err)
{
	for (; version < journal_schema_newest(); version++)
		if (migrate_one(db, version) < 0)
			return error_set(err, "%s: cannot bring the file from "
					 "version %d to %d: %s; it is "
					 "unchanged", path, version,
					 version + 1, sqlite3_errmsg(db));
	return 0;
}
