/* SPDX-License-Identifier: Apache-2.0 */
/* Files as they are on disk and in the page cache, and what a power cut makes
 * of the difference. */
#include "tests/journal/platter.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How a cut treats what was not synced. */
enum mood {
	MOOD_NOTHING,		/* all of it is lost */
	MOOD_ALL,		/* all of it is there */
	MOOD_EACH,		/* each write is there or not */
	MOOD_EACH_TORN,		/* each sector of each write */
	MOOD_FIRST,		/* in order, until the disk stopped */
	MOOD_LAST,		/* the latest came first */
	MOODS
};

struct cut {
	enum mood mood;
	uint64_t random;
	size_t count, at;	/* writes of this file; the one at hand */
	size_t limit;
};

/* xorshift64* */
uint64_t
platter_random(uint64_t *state)
{
	uint64_t x = *state ? *state : 0x9e3779b97f4a7c15u;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return (x * 0x2545f4914f6cdd1du) >> 16;
}

static void
pending_add(struct pending *p, const struct op *op)
{
	if (p->count == p->room) {
		p->room = p->room ? p->room * 2 : 64;
		p->at = realloc(p->at, p->room * sizeof(*p->at));
		ck_assert_ptr_nonnull(p->at);
	}
	p->at[p->count++] = op;
}

static void
image_resize(struct buf *b, size_t size)
{
	if (size > b->len) {
		ck_assert_ptr_nonnull(buf_reserve(b, size - b->len));
		memset(b->data + b->len, 0, size - b->len);
	}
	b->len = size;
}

static void
image_write(struct buf *b, const struct op *op, size_t from, size_t to)
{
	size_t at = (size_t)op->at;

	if (to > b->len)
		image_resize(b, to);
	memcpy(b->data + from, op->bytes + (from - at), to - from);
}

static void
image_apply(struct buf *b, const struct op *op)
{
	size_t at = (size_t)op->at;

	if (op->kind == OP_TRUNCATE)
		image_resize(b, at);
	else
		image_write(b, op, at, at + op->len);
}

/* ---- what a loss keeps ---- */

static bool
cut_coin(struct cut *c)
{
	return platter_random(&c->random) & 1;
}

static bool
cut_keeps(struct cut *c)
{
	switch (c->mood) {
	case MOOD_NOTHING:
	case MOODS:
		return false;
	case MOOD_ALL:
		return true;
	case MOOD_EACH:
	case MOOD_EACH_TORN:
		return cut_coin(c);
	case MOOD_FIRST:
		return c->at < c->limit;
	case MOOD_LAST:
		return c->at >= c->limit;
	}
	return false;
}

static size_t
sector_end(size_t at)
{
	return (at / SECTOR + 1) * SECTOR;
}

/* The sector in which a file's new space begins holds what it may. */
static void
cut_write_torn(struct cut *c, struct buf *b, const struct op *op)
{
	size_t at = (size_t)op->at, end = at + op->len, next;

	for (; at < end; at = next) {
		next = sector_end(at) < end ? sector_end(at) : end;
		if (cut_coin(c))
			image_write(b, op, at, next);
	}
}

/* A size may reach the disk before the bytes; they are zeros then, or
 * whatever was there before. */
static void
cut_grow(struct cut *c, struct buf *b, const struct op *op)
{
	size_t i, old = b->len, end = (size_t)op->at + op->len;

	if (end <= old || c->mood == MOOD_NOTHING || !cut_coin(c))
		return;
	image_resize(b, end);
	if (cut_coin(c))
		for (i = old; i < end; i++)
			b->data[i] = (char)(i * 7 + c->random);
}

static void
cut_apply(struct cut *c, struct buf *b, const struct op *op)
{
	if (cut_keeps(c))
		image_apply(b, op);
	else if (op->kind == OP_WRITE)
		cut_grow(c, b, op);
	if (op->kind == OP_WRITE && c->mood == MOOD_EACH_TORN)
		cut_write_torn(c, b, op);
}

static void
file_lose(struct platter_file *f, struct cut *c)
{
	c->count = f->writes.count;
	c->limit = c->count ? platter_random(&c->random) % (c->count + 1) : 0;
	for (c->at = 0; c->at < c->count; c->at++)
		cut_apply(c, &f->disk, f->writes.at[c->at]);
	f->writes.count = 0;
}

static void
entries_lose(struct platter *p, struct cut *c)
{
	size_t i;

	c->count = p->entries.count;
	c->limit = c->count ? platter_random(&c->random) % (c->count + 1) : 0;
	for (i = 0; i < p->entries.count; i++) {
		const struct op *op = p->entries.at[i];

		c->at = i;
		if (cut_keeps(c))
			p->files[op->file].stable = op->kind == OP_CREATE;
	}
	p->entries.count = 0;
}

static void
image_copy(struct buf *to, const struct buf *from)
{
	buf_clear(to);
	if (from->len)
		buf_add(to, from->data, from->len);
}

void
platter_lose(struct platter *p, uint64_t variant)
{
	struct cut c = { .random = variant ^ 0x5851f42d4c957f2du };
	int i;

	(void)platter_random(&c.random);
	c.mood = (enum mood)(variant % MOODS);
	entries_lose(p, &c);
	for (i = 0; i < p->count; i++) {
		struct platter_file *f = &p->files[i];

		/* Its own numbers: a file that is gone changes no other. */
		c.random = variant + (uint64_t)(i + 1) * 0x9e3779b97f4a7c15u;
		(void)platter_random(&c.random);
		file_lose(f, &c);
		f->cached = f->stable;
		image_copy(&f->cache, &f->disk);
	}
}

/* ---- carrying out ---- */

static void
file_sync(struct platter_file *f)
{
	size_t i;

	for (i = 0; i < f->writes.count; i++)
		image_apply(&f->disk, f->writes.at[i]);
	f->writes.count = 0;
}

static void
entries_sync(struct platter *p)
{
	size_t i;

	for (i = 0; i < p->entries.count; i++) {
		const struct op *op = p->entries.at[i];

		p->files[op->file].stable = op->kind == OP_CREATE;
	}
	p->entries.count = 0;
}

void
platter_apply(struct platter *p, const struct op *op)
{
	struct platter_file *f = &p->files[op->file];
	struct cut c = { .random = op->variant };

	switch (op->kind) {
	case OP_CREATE:
		f->name = op->name;
		f->cached = true;
		if (op->file >= p->count)
			p->count = op->file + 1;
		pending_add(&p->entries, op);
		break;
	case OP_DELETE:
		f->cached = false;
		pending_add(&p->entries, op);
		break;
	case OP_WRITE:
	case OP_TRUNCATE:
		image_apply(&f->cache, op);
		pending_add(&f->writes, op);
		break;
	case OP_SYNC:
		file_sync(f);
		break;
	case OP_SYNC_LOST:
		c.mood = (enum mood)(op->variant % MOODS);
		file_lose(f, &c);
		break;
	case OP_SYNC_DIR:
		entries_sync(p);
		break;
	case OP_POWER:
		platter_lose(p, op->variant);
		break;
	}
	p->position++;
}

void
platter_reset(struct platter *p)
{
	int i;

	for (i = 0; i < p->count; i++) {
		buf_fini(&p->files[i].cache);
		buf_fini(&p->files[i].disk);
		free(p->files[i].writes.at);
		p->files[i] = (struct platter_file){0};
	}
	free(p->entries.at);
	p->entries = (struct pending){0};
	p->count = 0;
	p->position = 0;
}

static void
pending_copy(struct pending *to, const struct pending *from)
{
	size_t i;

	to->count = 0;
	for (i = 0; i < from->count; i++)
		pending_add(to, from->at[i]);
}

/* Files without an entry anywhere are gone for good. */
void
platter_copy(struct platter *to, const struct platter *from)
{
	int i;

	for (i = 0; i < from->count; i++) {
		const struct platter_file *f = &from->files[i];
		struct platter_file *t = &to->files[i];

		t->name = f->name;
		t->cached = f->cached;
		t->stable = f->stable;
		buf_clear(&t->cache);
		buf_clear(&t->disk);
		t->writes.count = 0;
		if (!f->cached && !f->stable && !from->entries.count)
			continue;
		image_copy(&t->cache, &f->cache);
		image_copy(&t->disk, &f->disk);
		pending_copy(&t->writes, &f->writes);
	}
	for (; i < to->count; i++)
		to->files[i].cached = to->files[i].stable = false;
	to->count = from->count;
	pending_copy(&to->entries, &from->entries);
	to->position = from->position;
}

/* ---- into a directory ---- */

static void
directory_empty(const char *dir)
{
	struct dirent *e;
	char path[512];
	DIR *d = opendir(dir);

	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (e->d_name[0] != '.')
			unlink(path);
	}
	closedir(d);
}

static void
store_bytes(const char *dir, const char *name, const char *data, size_t len)
{
	char path[512];
	size_t at = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_ge(fd, 0);
	while (at < len) {
		ssize_t n = write(fd, data + at, len - at);

		ck_assert_int_gt(n, 0);
		at += (size_t)n;
	}
	close(fd);
}

/* The shared memory beside the log is never synced: after a power cut it is
 * missing, or anything. */
static void
store_shm(const char *dir, uint64_t random)
{
	static char junk[32768];
	size_t i;

	if (platter_random(&random) & 1)
		return;
	for (i = 0; i < sizeof(junk); i++)
		junk[i] = (char)platter_random(&random);
	store_bytes(dir, "journal.db-shm", junk, sizeof(junk));
}

void
platter_store(const struct platter *p, const char *dir, uint64_t variant)
{
	int i;

	directory_empty(dir);
	for (i = 0; i < p->count; i++) {
		const struct platter_file *f = &p->files[i];

		if (f->cached)
			store_bytes(dir, f->name, f->cache.data, f->cache.len);
	}
	store_shm(dir, variant);
}
