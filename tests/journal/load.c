/* SPDX-License-Identifier: Apache-2.0 */
/* Numbered transactions and what must come of them. */
#include "tests/journal/load.h"

#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "journal/dead.h"
#include "tests/journal/disk.h"
#include "tests/journal/platter.h"

#define GROUPS 3
#define NUMBERS (LOAD_BATCHES * LOAD_ENTRIES)
#define BODY_MAX 40000
#define UNSETTLED SIZE_MAX

enum effect {
	EFFECT_NONE,
	EFFECT_OPEN,
	EFFECT_CLOSE,
	EFFECT_CURSOR,
	EFFECT_RETRY,
	EFFECT_RETRY_DONE,
	EFFECT_DEAD,
	EFFECT_PURGE,
	EFFECT_REDRIVE,
	EFFECTS
};

/* All that an entry is follows from its number and the seed. */
struct entry {
	int64_t number, other;	/* other: an earlier one */
	enum effect effect;
	unsigned group;
	size_t len;
	char subject[24], type[24], correlation[24], group_name[8];
};

/* What the transactions that are there add up to. */
struct model {
	bool open[NUMBERS], retry[GROUPS][NUMBERS];
	int64_t cursor[GROUPS];
	bool has_cursor[GROUPS];
	int64_t dead[NUMBERS];	/* by id: the number, 0 when purged */
	int64_t last_dead, max_number;
};

static char body[BODY_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static struct entry
entry_make(uint64_t seed, int64_t number)
{
	uint64_t r = seed + (uint64_t)number * 0x9e3779b97f4a7c15u;
	struct entry e = { .number = number };

	(void)platter_random(&r);
	e.effect = (enum effect)(platter_random(&r) % EFFECTS);
	e.group = (unsigned)(platter_random(&r) % GROUPS);
	e.other = number - (int64_t)(platter_random(&r) % 12);
	if (e.other < 1)
		e.other = 1;
	e.len = 20 + platter_random(&r) % 900;
	if (platter_random(&r) % 12 == 0)
		e.len = BODY_MAX - e.len;
	snprintf(e.subject, sizeof(e.subject), "%lld", (long long)number);
	snprintf(e.type, sizeof(e.type), "load.%u.v1",
		 (unsigned)(platter_random(&r) % 20));
	snprintf(e.correlation, sizeof(e.correlation), "x%lld",
		 (long long)(e.effect == EFFECT_CLOSE ? e.other : number));
	snprintf(e.group_name, sizeof(e.group_name), "g%u", e.group);
	return e;
}

/* Lends the text until the next call; different for each number. */
static struct span
entry_body(const struct entry *e)
{
	size_t i, step = (size_t)(e->number % 61) + 1;

	for (i = 0; i < e->len; i++)
		body[i] = (char)('!' + (i / 7 * step + (size_t)e->number) % 90);
	return (struct span){ body, e->len };
}

/* ---- writing ---- */

static enum journal_mark
entry_mark(const struct entry *e)
{
	if (e->effect == EFFECT_OPEN)
		return JOURNAL_MARK_OPENS;
	return e->effect == EFFECT_CLOSE ? JOURNAL_MARK_CLOSES
					 : JOURNAL_MARK_NONE;
}

static void
entry_cursor(struct journal_tx *tx, const struct entry *e)
{
	struct journal_group g = { .name = e->group_name, .config = "{}",
				   .cursor = e->number };

	journal_tx_group_put(tx, &g);
}

static void
entry_retry(struct journal_tx *tx, const struct entry *e)
{
	struct journal_retry r = { .group = e->group_name, .attempts = 1,
				   .sequence = e->number, .reason = "no" };

	journal_tx_retry_put(tx, &r);
}

static void
entry_dead(struct journal_tx *tx, const struct entry *e)
{
	struct journal_dead d = { .group = e->group_name, .attempts = 3,
				  .sequence = e->number, .reason = "no" };

	journal_tx_dead_put(tx, &d);
	entry_cursor(tx, e);
}

static void
entry_effect(struct journal_tx *tx, const struct entry *e)
{
	switch (e->effect) {
	case EFFECT_NONE:
	case EFFECT_OPEN:
	case EFFECT_CLOSE:
	case EFFECTS:
		return;
	case EFFECT_CURSOR:
		entry_cursor(tx, e);
		return;
	case EFFECT_RETRY:
		entry_retry(tx, e);
		return;
	case EFFECT_RETRY_DONE:
		journal_tx_retry_delete(tx, e->group_name, e->other);
		return;
	case EFFECT_DEAD:
		entry_dead(tx, e);
		return;
	case EFFECT_PURGE:
		(void)journal_tx_purge(tx, e->other % 16);
		return;
	case EFFECT_REDRIVE:
		(void)journal_tx_redrive(tx, e->other % 16, clock_wall_us());
		return;
	}
}

static int
entry_apply(struct journal_tx *tx, const struct entry *e, const struct id *id,
	    int64_t *sequence)
{
	struct journal_event event = {
		.id = *id,
		.time_us = clock_wall_us(),
		.type = span_of(e->type),
		.source = SPAN_LITERAL("/load"),
		.subject = span_of(e->subject),
		.correlation = span_of(e->correlation),
		.data = entry_body(e),
		.mark = entry_mark(e),
	};

	if (journal_tx_append(tx, &event, sequence) < 0)
		return -1;
	entry_effect(tx, e);
	return 0;
}

static int
batch_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct load_batch *b = (struct load_batch *)item;
	struct entry e;
	unsigned i;

	for (i = 0; i < b->entries; i++) {
		e = entry_make(b->seed, b->number + i);
		if (entry_apply(tx, &e, &b->id[i], &b->sequence[i]) < 0)
			return -1;
	}
	return 0;
}

static void
batch_done(struct journal_item *item, enum journal_status status)
{
	struct load_batch *b = (struct load_batch *)item;

	pthread_mutex_lock(&lock);
	b->told = disk_position();
	b->status = status;
	b->done = 1;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static const struct journal_item_ops batch_ops = {
	.apply = batch_apply,
	.done = batch_done,
};

static struct load_batch *
batch_new(struct load *l)
{
	struct load_batch *b = calloc(1, sizeof(*b));
	uint64_t r = l->seed ^ (uint64_t)l->next_number << 20;
	unsigned i;

	ck_assert_ptr_nonnull(b);
	(void)platter_random(&r);
	b->item = (struct journal_item){ .ops = &batch_ops, .urgent = true };
	b->seed = l->seed;
	b->number = l->next_number;
	b->entries = 1 + (unsigned)(platter_random(&r) % LOAD_ENTRIES);
	for (i = 0; i < b->entries; i++)
		b->id[i] = id_make();
	l->next_number += b->entries;
	ck_assert_int_lt(l->next_number, NUMBERS);
	return b;
}

/* One at a time: the order of the writes follows from the seed alone. */
void
load_step(struct load *l, struct journal *j)
{
	struct load_batch *b = batch_new(l);

	ck_assert_uint_lt(l->count, LOAD_BATCHES);
	l->at[l->count++] = b;
	b->posted = disk_position();
	journal_post(j, &b->item);
	pthread_mutex_lock(&lock);
	while (!b->done)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

void
load_init(struct load *l, uint64_t seed)
{
	*l = (struct load){ .seed = seed, .next_number = 1 };
}

void
load_fini(struct load *l)
{
	while (l->count)
		free(l->at[--l->count]);
}

/* ---- the model ---- */

static void
model_redrive(struct model *m, int64_t id)
{
	int64_t letter = m->dead[id];

	if (letter)
		m->retry[letter % 10][letter / 10] = true;
	m->dead[id] = 0;
}

static void
model_add(struct model *m, const struct entry *e)
{
	m->max_number = e->number;
	switch (e->effect) {
	case EFFECT_NONE:
	case EFFECTS:
		break;
	case EFFECT_OPEN:
		m->open[e->number] = true;
		break;
	case EFFECT_CLOSE:
		m->open[e->other] = false;
		break;
	case EFFECT_DEAD:
		m->dead[++m->last_dead] = e->number * 10 + e->group;
		m->cursor[e->group] = e->number;
		m->has_cursor[e->group] = true;
		break;
	case EFFECT_CURSOR:
		m->cursor[e->group] = e->number;
		m->has_cursor[e->group] = true;
		break;
	case EFFECT_RETRY:
		m->retry[e->group][e->number] = true;
		break;
	case EFFECT_RETRY_DONE:
		m->retry[e->group][e->other] = false;
		break;
	case EFFECT_PURGE:
		m->dead[e->other % 16] = 0;
		break;
	case EFFECT_REDRIVE:
		model_redrive(m, e->other % 16);
		break;
	}
}

static void
model_print(const struct model *m, struct buf *out)
{
	int64_t n;
	int g;

	for (g = 0; g < GROUPS; g++)
		if (m->has_cursor[g])
			buf_printf(out, "g%d at %lld\n", g,
				   (long long)m->cursor[g]);
	for (g = 0; g < GROUPS; g++)
		for (n = 1; n <= m->max_number; n++)
			if (m->retry[g][n])
				buf_printf(out, "g%d retries %lld\n", g,
					   (long long)n);
	for (n = 1; n <= m->last_dead; n++)
		if (m->dead[n])
			buf_printf(out, "dead %lld: g%lld %lld\n",
				   (long long)n, (long long)m->dead[n] % 10,
				   (long long)m->dead[n] / 10);
	for (n = 1; n <= m->max_number; n++)
		if (m->open[n])
			buf_printf(out, "open x%lld\n", (long long)n);
}

/* ---- reading ---- */

static void
print_group(void *out, const struct journal_group *g)
{
	buf_printf(out, "%s at %lld\n", g->name, (long long)g->cursor);
}

static void
print_retry(void *out, const struct journal_retry *r)
{
	buf_printf(out, "%s retries %lld\n", r->group, (long long)r->sequence);
}

static void
print_dead(void *out, const struct journal_dead *d)
{
	buf_printf(out, "dead %lld: %s %lld\n", (long long)d->id, d->group,
		   (long long)d->sequence);
}

static void
print_open(void *out, struct span correlation, int64_t sequence)
{
	(void)sequence;
	buf_printf(out, "open %.*s\n", (int)correlation.len, correlation.at);
}

static void
journal_print(struct journal_reader *r, struct buf *out)
{
	char name[8];
	int g;

	ck_assert_int_eq(journal_read_groups(r, print_group, out), 0);
	for (g = 0; g < GROUPS; g++) {
		snprintf(name, sizeof(name), "g%d", g);
		ck_assert_int_eq(journal_read_retries(r, name, print_retry,
						      out), 0);
	}
	ck_assert_int_eq(journal_read_dead(r, NULL, print_dead, out), 0);
	ck_assert_int_eq(journal_read_open_exchanges(r, print_open, out), 0);
}

struct removed {
	int64_t first, last;
};

struct reading {
	struct load *load;
	size_t batch;		/* where the next row lies, or later */
	int64_t last;
	struct removed removed[256];
	size_t removals;
	struct model *model;
};

static void
row_equals(const struct journal_row *row, const struct entry *e,
	   const struct load_batch *b)
{
	size_t i = (size_t)(e->number - b->number);

	ck_assert_int_eq(row->sequence, b->sequence[i]);
	ck_assert(id_equal(&row->id, &b->id[i]));
	ck_assert(span_equal(row->type, span_of(e->type)));
	ck_assert(span_equal(row->subject, span_of(e->subject)));
	ck_assert(span_equal(row->correlation, span_of(e->correlation)));
	ck_assert(span_equal(row->data, entry_body(e)));
}

/* Rows come in the order of the load. */
static bool
reading_row(void *arg, const struct journal_row *row)
{
	struct reading *r = arg;
	int64_t number = atoll(row->subject.at);
	struct load_batch *b = NULL;
	struct entry e;

	ck_assert_int_gt(row->sequence, r->last);
	r->last = row->sequence;
	if (span_equal(row->type, SPAN_LITERAL("matapalo.gap.v1")))
		return true;
	for (; r->batch < r->load->count; r->batch++) {
		b = r->load->at[r->batch];
		if (number < b->number + b->entries)
			break;
	}
	ck_assert_msg(r->batch < r->load->count && number >= b->number,
		      "event %lld: %lld is not the load's",
		      (long long)row->sequence, (long long)number);
	e = entry_make(r->load->seed, number);
	row_equals(row, &e, b);
	b->seen++;
	return true;
}

static void
read_removed(struct reading *r, const char *path)
{
	sqlite3 *db;
	sqlite3_stmt *s;

	ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY,
					 NULL), SQLITE_OK);
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT first, last FROM"
					    " removed", -1, &s, NULL),
			 SQLITE_OK);
	while (sqlite3_step(s) == SQLITE_ROW) {
		ck_assert_uint_lt(r->removals, ARRAY_SIZE(r->removed));
		r->removed[r->removals++] =
			(struct removed){ sqlite3_column_int64(s, 0),
					  sqlite3_column_int64(s, 1) };
	}
	sqlite3_finalize(s);
	sqlite3_close(db);
}

static bool
is_removed(const struct reading *r, int64_t sequence)
{
	size_t i;

	for (i = 0; i < r->removals; i++)
		if (sequence >= r->removed[i].first &&
		    sequence <= r->removed[i].last)
			return true;
	return false;
}

/* Retention only touches what has been committed and told. */
static void
batch_judge(struct reading *r, struct load_batch *b)
{
	unsigned i, removed = 0;

	for (i = 0; i < b->entries; i++)
		removed += b->status == JOURNAL_COMMITTED &&
			   is_removed(r, b->sequence[i]);
	b->found = b->seen > 0 || removed == b->entries;
	ck_assert_msg(!b->found || b->seen + removed == b->entries,
		      "half a transaction: %lld, %u of %u, %u removed",
		      (long long)b->number, b->seen, b->entries, removed);
	if (!b->found)
		return;
	for (i = 0; i < b->entries; i++) {
		struct entry e = entry_make(r->load->seed, b->number + i);

		model_add(r->model, &e);
	}
}

/* Nothing that a group had not settled; groups never go back here. */
static void
removed_rightly(const struct reading *r)
{
	const struct model *m = r->model;
	size_t i;
	int g;

	for (i = 0; i < r->removals; i++)
		for (g = 0; g < GROUPS; g++)
			ck_assert(!m->has_cursor[g] ||
				  r->removed[i].last <= m->cursor[g]);
}

static void
all_found(const struct load *l, size_t position)
{
	size_t i, committed = 0;

	for (i = 0; i < l->count; i++)
		if (l->at[i]->done && l->at[i]->told <= position &&
		    l->at[i]->status == JOURNAL_COMMITTED)
			committed = i;
	for (i = 0; i < l->count; i++) {
		const struct load_batch *b = l->at[i];
		bool told = b->done && b->told <= position;

		if (b->lost) {
			ck_assert_msg(!b->found || position < b->lost,
				      "REVIVED: %lld", (long long)b->number);
			continue;
		}
		if (told && b->status == JOURNAL_COMMITTED)
			ck_assert_msg(b->found, "LOST: %lld, acknowledged at "
				      "%zu, loss at %zu",
				      (long long)b->number, b->told, position);
		if (told && b->status == JOURNAL_FAILED && i < committed)
			ck_assert_msg(!b->found, "%lld was refused and is "
				      "there", (long long)b->number);
		if (b->posted > position)
			ck_assert_msg(!b->found, "INVENTED: %lld",
				      (long long)b->number);
	}
}

static void
integrity(const char *path)
{
	sqlite3 *db;
	sqlite3_stmt *s;

	ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY,
					 NULL), SQLITE_OK);
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	ck_assert_int_eq(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1,
					    &s, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
	ck_assert_str_eq((const char *)sqlite3_column_text(s, 0), "ok");
	sqlite3_finalize(s);
	sqlite3_close(db);
}

static void
read_all(struct load *l, struct journal_reader *r, struct reading *reading)
{
	const struct journal_filter all = {0};
	int64_t scanned;
	size_t i;

	for (i = 0; i < l->count; i++)
		l->at[i]->seen = 0;
	ck_assert_int_ge(journal_read(r, 0, &all, SIZE_MAX, SIZE_MAX,
				      reading_row, reading, &scanned), 0);
	for (i = 0; i < l->count; i++)
		batch_judge(reading, l->at[i]);
}

void
load_verify(struct load *l, const char *path, size_t position)
{
	CLEANUP(buf_fini) struct buf want = {0}, have = {0};
	struct journal_reader *r = journal_reader_open(path, NULL);
	static struct model model;
	struct reading reading = { .load = l, .model = &model };

	ck_assert_ptr_nonnull(r);
	model = (struct model){0};
	read_removed(&reading, path);
	read_all(l, r, &reading);
	all_found(l, position);
	removed_rightly(&reading);
	model_print(&model, &want);
	journal_print(r, &have);
	ck_assert_str_eq(buf_str(&have), buf_str(&want));
	journal_reader_close(&r);
	integrity(path);
}

/* A transaction of which only the end was overwritten may be there again
 * after the next loss, until a start has made durable what it found. */
static void
batch_keep(struct load_batch *b, size_t position)
{
	if (!b->found) {
		b->status = JOURNAL_FAILED;
		b->lost = UNSETTLED;
		return;
	}
	if (b->lost || b->status != JOURNAL_COMMITTED || b->told > position) {
		b->status = JOURNAL_COMMITTED;
		b->told = UNSETTLED;
	}
	b->lost = 0;
}

void
load_keep_found(struct load *l, size_t position)
{
	size_t i, kept = 0;

	for (i = 0; i < l->count; i++) {
		struct load_batch *b = l->at[i];

		if (!b->found && b->lost && b->lost <= position) {
			free(b);
			continue;
		}
		batch_keep(b, position);
		l->at[kept++] = b;
	}
	l->count = kept;
}

void
load_settle(struct load *l, size_t position)
{
	size_t i;

	for (i = 0; i < l->count; i++) {
		if (l->at[i]->told == UNSETTLED)
			l->at[i]->told = position;
		if (l->at[i]->lost == UNSETTLED)
			l->at[i]->lost = position;
	}
}
