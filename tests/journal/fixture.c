/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal's tests share. */
#include "tests/journal/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"

char fixture_dir[64];
char fixture_path[96];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void
fixture_setup(void)
{
	snprintf(fixture_dir, sizeof(fixture_dir), "journal-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture_dir));
	snprintf(fixture_path, sizeof(fixture_path), "%s/journal.db",
		 fixture_dir);
}

void
fixture_teardown(void)
{
	static const char *const ends[] = { "", "-wal", "-shm", ".lock" };
	char name[128];
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", fixture_path, ends[i]);
		unlink(name);
	}
	rmdir(fixture_dir);
}

struct journal *
fixture_open(void)
{
	struct journal_options o = { .path = fixture_path };
	struct error err = {0};
	struct journal *j = journal_open(&o, &err);

	ck_assert_msg(j != NULL, "%s", err.text);
	return j;
}

struct journal_reader *
fixture_reader(void)
{
	struct error err = {0};
	struct journal_reader *r = journal_reader_open(fixture_path, &err);

	ck_assert_msg(r != NULL, "%s", err.text);
	return r;
}

static int
probe_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct probe *p = (struct probe *)item;

	if (!p->skip_append &&
	    journal_tx_append(tx, &p->event, &p->sequence) < 0)
		return -1;
	return p->extra ? p->extra(tx) : 0;
}

static void
probe_done(struct journal_item *item, enum journal_status status)
{
	struct probe *p = (struct probe *)item;

	pthread_mutex_lock(&lock);
	p->status = status;
	p->done++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static const struct journal_item_ops probe_ops = {
	.apply = probe_apply,
	.done = probe_done,
};

void
probe_init(struct probe *p, const char *type)
{
	*p = (struct probe){
		.item = { .ops = &probe_ops },
		.event = {
			.id = id_make(),
			.time_us = clock_wall_us(),
			.type = span_of(type),
			.source = SPAN_LITERAL("/test"),
			.data = SPAN_LITERAL("{\"a\":1}"),
		},
	};
}

void
probe_await(struct probe *p)
{
	pthread_mutex_lock(&lock);
	while (!p->done)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

enum journal_status
probe_run(struct journal *j, struct probe *p)
{
	p->item.urgent = true;
	p->done = 0;
	journal_post(j, &p->item);
	probe_await(p);
	return p->status;
}

int64_t
append_event(struct journal *j, const char *type, const char *subject,
	     const char *data)
{
	struct probe p;

	probe_init(&p, type);
	p.event.subject = span_of(subject);
	if (data)
		p.event.data = span_of(data);
	return probe_run(j, &p) == JOURNAL_COMMITTED ? p.sequence : -1;
}

static sqlite3 *
sql_open(void)
{
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(fixture_path, &db), SQLITE_OK);
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return db;
}

const char *
sql_text(const char *sql)
{
	static char text[512];
	sqlite3 *db = sql_open();
	sqlite3_stmt *s;
	const char *value;

	ck_assert_msg(!sqlite3_prepare_v2(db, sql, -1, &s, NULL), "%s: %s",
		      sql, sqlite3_errmsg(db));
	ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
	value = (const char *)sqlite3_column_text(s, 0);
	snprintf(text, sizeof(text), "%s", value ? value : "(null)");
	sqlite3_finalize(s);
	sqlite3_close(db);
	return text;
}

void
sql_exec(const char *sql)
{
	sqlite3 *db = sql_open();

	ck_assert_msg(!sqlite3_exec(db, sql, NULL, NULL, NULL), "%s: %s", sql,
		      sqlite3_errmsg(db));
	sqlite3_close(db);
}

static void
copy(char *to, size_t size, struct span from)
{
	snprintf(to, size, "%.*s", (int)from.len, from.at);
}

bool
seen_row(void *seen, const struct journal_row *row)
{
	struct seen *s = seen;

	ck_assert_uint_lt(s->count, 4096);
	s->sequence[s->count++] = row->sequence;
	copy(s->type, sizeof(s->type), row->type);
	copy(s->subject, sizeof(s->subject), row->subject);
	copy(s->correlation, sizeof(s->correlation), row->correlation);
	copy(s->data, sizeof(s->data), row->data);
	copy(s->extensions, sizeof(s->extensions), row->extensions);
	copy(s->partition_key, sizeof(s->partition_key), row->partition_key);
	copy(s->source, sizeof(s->source), row->source);
	s->id = row->id;
	s->time_us = row->time_us;
	s->shadow = row->shadow;
	return !s->stop_after || s->count < s->stop_after;
}
