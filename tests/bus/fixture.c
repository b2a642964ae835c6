/* SPDX-License-Identifier: Apache-2.0 */
/* A journal in a directory of its own, and events in it. */
#include "tests/bus/fixture.h"

#include <check.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "bus/bus.h"

struct append {
	struct journal_item item;
	const char *type, *subject, *key, *correlation;
	int64_t sequence;
	enum journal_status status;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done;
};

static int
append_apply(struct journal_item *item, struct journal_tx *tx)
{
	static const struct span none = { "", 0 }, command = SPAN_LITERAL(
		"\"dataschema\":\"" BUS_COMMAND_SCHEMA "\"");
	struct append *a = (struct append *)item;
	struct journal_event e = {
		.id = id_make(), .time_us = clock_wall_us(),
		.type = span_of(a->type), .source = SPAN_LITERAL("//test"),
		.subject = span_of(a->subject),
		.partition_key = span_of(a->key),
		.correlation = span_of(a->correlation),
		.extensions = a->correlation ? command : none,
		.data = SPAN_LITERAL("{\"request\":{}}"),
	};

	return journal_tx_append(tx, &e, &a->sequence);
}

static void
append_done(struct journal_item *item, enum journal_status status)
{
	struct append *a = (struct append *)item;

	pthread_mutex_lock(&a->lock);
	a->status = status;
	a->done = true;
	pthread_cond_signal(&a->ended);
	pthread_mutex_unlock(&a->lock);
}

static void
append_wait(struct append *a)
{
	pthread_mutex_lock(&a->lock);
	while (!a->done)
		pthread_cond_wait(&a->ended, &a->lock);
	pthread_mutex_unlock(&a->lock);
	ck_assert_int_eq(a->status, JOURNAL_COMMITTED);
}

static const struct journal_item_ops append_ops = { append_apply,
						    append_done };

static void
append_init(struct append *a, const char *type)
{
	*a = (struct append){ .item.ops = &append_ops, .type = type };
	a->item.urgent = true;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->ended, NULL);
}

int64_t
fixture_append(struct fixture *f, const char *type, const char *subject,
	       const char *key, const char *correlation)
{
	struct append a;

	append_init(&a, type);
	a.subject = subject;
	a.key = key;
	a.correlation = correlation;
	journal_post(f->journal, &a.item);
	append_wait(&a);
	return a.sequence;
}

void
fixture_append_many(struct fixture *f, const char *type, int n, int keys)
{
	struct append *a = calloc((size_t)n, sizeof(*a));
	char (*text)[2][16] = calloc((size_t)n, sizeof(*text));

	for (int i = 0; i < n; i++) {
		snprintf(text[i][0], 16, "%d", i);
		snprintf(text[i][1], 16, "k%d", keys ? i % keys : 0);
		append_init(&a[i], type);
		a[i].subject = text[i][0];
		a[i].key = keys ? text[i][1] : NULL;
		journal_post(f->journal, &a[i].item);
	}
	for (int i = 0; i < n; i++)
		append_wait(&a[i]);
	free(text);
	free(a);
}

static void
open_journal(struct fixture *f)
{
	struct journal_options o = { .path = f->path };
	struct error err = { 0 };

	f->journal = journal_open(&o, &err);
	ck_assert_msg(f->journal != NULL, "%s", err.text);
}

void
fixture_open(struct fixture *f)
{
	static const char name[] = "/tmp/matapalo-bus-XXXXXX";

	digest_start();
	memcpy(f->dir, name, sizeof(name));
	ck_assert_ptr_nonnull(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/journal.db", f->dir);
	open_journal(f);
}

void
fixture_reopen(struct fixture *f)
{
	journal_close(&f->journal);
	open_journal(f);
}

static void
each_file(const struct fixture *f, void (*fn)(const char *path, void *arg),
	  void *arg)
{
	DIR *d = opendir(f->dir);
	struct dirent *e;
	char path[512];

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", f->dir, e->d_name);
		fn(path, arg);
	}
	closedir(d);
}

static void
remove_file(const char *path, void *arg)
{
	(void)arg;
	unlink(path);
}

void
fixture_close(struct fixture *f)
{
	journal_close(&f->journal);
	each_file(f, remove_file, NULL);
	rmdir(f->dir);
}

struct search {
	const char *bytes;
	bool found;
};

static void
search_file(const char *path, void *arg)
{
	struct search *s = arg;
	struct buf all = { 0 };
	FILE *file = fopen(path, "rb");
	char part[65536];
	size_t n;

	while (file && (n = fread(part, 1, sizeof(part), file)) > 0)
		buf_add(&all, part, n);
	if (file)
		fclose(file);
	if (all.len && memmem(all.data, all.len, s->bytes, strlen(s->bytes)))
		s->found = true;
	buf_fini(&all);
}

bool
fixture_contains(const struct fixture *f, const char *bytes)
{
	struct search s = { .bytes = bytes };

	each_file(f, search_file, &s);
	return s.found;
}

void
fixture_await(bool (*condition)(void *arg), void *arg, const char *what)
{
	uint64_t until = clock_mono_ms() + 10000;

	while (!condition(arg)) {
		ck_assert_msg(clock_mono_ms() < until, "no %s within 10 s",
			      what);
		usleep(2000);
	}
}
