/* SPDX-License-Identifier: Apache-2.0 */
/* What a group keeps on disk: cursor, retries and dead letters, always
 * together in one item of the journal, one item at a time.
 *
 * A crash before the commit only means that events come again. */
#include "bus/group.h"

#include <stdlib.h>

#include "base/invariant.h"

#define RETRY_AFTER_FAILURE_MS 200

enum flush_status { FLUSH_RUNS, FLUSH_COMMITTED, FLUSH_FAILED };

struct flush {
	struct journal_item item;
	struct groups *groups;
	char name[GROUPS_NAME_SIZE];
	int64_t cursor;
	bool paused;
	bool remove;
	uint64_t version;
	struct buf config;
	struct changes changes;
	enum flush_status status;	/* under flush_lock */
};

void
group_dirty(struct groups *g, struct group *p, unsigned within_ms)
{
	uint64_t at = g->now.mono_ms + within_ms;

	if (at < p->flush_at)
		p->flush_at = at;
}

/* Room for what is under way, too: it may come back, and what was decided
 * must not be lost for want of memory then. */
static bool
reserve(struct changes *all, size_t count)
{
	size_t cap = all->cap ? all->cap : 16;
	struct change *at;

	while (cap < count)
		cap *= 2;
	if (all->at && cap == all->cap)
		return true;
	at = realloc(all->at, cap * sizeof(*at));
	if (!at)
		return false;
	all->at = at;
	all->cap = cap;
	return true;
}

bool
group_change(struct groups *g, struct group *p, const struct change *c)
{
	struct changes *all = &p->changes;
	size_t under_way = p->flush ? p->flush->changes.count : 0;

	if (!reserve(all, under_way + all->count + 1))
		return false;
	all->at[all->count++] = *c;
	group_dirty(g, p, GROUP_FLUSH_MS);
	return true;
}

/* Everything up to here is settled or has a row of its own. */
static int64_t
cursor_of(const struct group *p)
{
	for (size_t i = 0; i < p->count && p->at[i].sequence <= p->read; i++)
		if (p->at[i].state != ENTRY_SETTLED && !p->at[i].saved)
			return p->at[i].sequence - 1;
	return p->read;
}

/* ---- on the journal's thread ---- */

static void
apply_change(const struct flush *f, const struct change *c,
	     struct journal_tx *tx)
{
	const struct journal_retry retry = {
		.group = f->name, .sequence = c->sequence,
		.attempts = c->attempts, .not_before_us = c->not_before_us,
		.first_us = c->first_us, .last_us = c->last_us,
		.reason = c->reason, .consumer = c->consumer,
		.origin = c->origin };
	const struct journal_dead dead = {
		.group = f->name, .sequence = c->sequence,
		.attempts = c->attempts, .first_us = c->first_us,
		.last_us = c->last_us, .reason = c->reason,
		.consumer = c->consumer };

	switch (c->kind) {
	case CHANGE_RETRY:
		journal_tx_retry_put(tx, &retry);
		return;
	case CHANGE_DONE:
		journal_tx_retry_delete(tx, f->name, c->sequence);
		return;
	case CHANGE_DEAD:
		journal_tx_dead_put(tx, &dead);
		return;
	case CHANGE_RESET:
		journal_tx_retries_reset(tx, f->name);
		return;
	}
}

static int
flush_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct flush *f = (struct flush *)item;
	const struct journal_group row = { .name = f->name,
					   .cursor = f->cursor,
					   .config = buf_str(&f->config),
					   .paused = f->paused };

	if (f->remove) {
		journal_tx_group_delete(tx, f->name);
		return 0;
	}
	journal_tx_group_put(tx, &row);
	for (size_t i = 0; i < f->changes.count; i++)
		apply_change(f, &f->changes.at[i], tx);
	return 0;
}

static void
flush_done(struct journal_item *item, enum journal_status status)
{
	struct flush *f = (struct flush *)item;
	struct groups *g = f->groups;
	void (*wake)(void *arg) = g->env.wake;
	void *arg = g->env.arg;

	pthread_mutex_lock(&g->flush_lock);
	if (wake)
		wake(arg);
	f->status = status == JOURNAL_COMMITTED ? FLUSH_COMMITTED
						: FLUSH_FAILED;
	pthread_cond_broadcast(&g->flush_ended);
	pthread_mutex_unlock(&g->flush_lock);
}

/* ---- on everyone else's ---- */

static enum flush_status
flush_status(struct groups *g, const struct flush *f)
{
	enum flush_status status;

	pthread_mutex_lock(&g->flush_lock);
	status = f->status;
	pthread_mutex_unlock(&g->flush_lock);
	return status;
}

static void
flush_free(struct flush *f)
{
	buf_fini(&f->config);
	free(f->changes.at);
	free(f);
}

/* What failed goes before what came since; group_change left room for it. */
static void
put_back(struct group *p, struct flush *f)
{
	struct changes *newer = &p->changes, *older = &f->changes;

	p->saved_cursor = -1;
	if (newer->count == 0) {
		free(newer->at);
		*newer = *older;
		*older = (struct changes){ 0 };
		return;
	}
	INVARIANT(older->count + newer->count <= newer->cap);
	memmove(newer->at + older->count, newer->at,
		newer->count * sizeof(*newer->at));
	memcpy(newer->at, older->at, older->count * sizeof(*newer->at));
	newer->count += older->count;
}

static bool
has_letters(const struct flush *f)
{
	for (size_t i = 0; i < f->changes.count; i++)
		if (f->changes.at[i].kind == CHANGE_DEAD)
			return true;
	return false;
}

/* false while the last save is under way. */
static bool
flush_reap(struct groups *g, struct group *p)
{
	struct flush *f = p->flush;
	enum flush_status status;

	if (!f)
		return true;
	status = flush_status(g, f);
	if (status == FLUSH_RUNS)
		return false;
	if (status == FLUSH_FAILED) {
		put_back(p, f);
		p->flush_at = g->now.mono_ms + RETRY_AFTER_FAILURE_MS;
	} else {
		p->letters += has_letters(f);
		p->disk_cursor = f->cursor;
		p->saved_version = f->version;
		p->removed = f->remove;
	}
	p->flush = NULL;
	flush_free(f);
	return true;
}

/* Events up to this mark may have been given when a crash comes; the mark
 * runs ahead so that it need not be saved for each. */
static void
mark_given(struct group *p)
{
	if (p->closing)
		p->given = p->read;
	else if (group_given_is_short(p))
		p->given = p->read + GROUP_GIVEN_AHEAD;
	if (p->given < p->doubtful)
		p->given = p->doubtful;
}

static void
write_config(const struct group *p, struct buf *out)
{
	struct json j;

	json_init(&j, out);
	groups_settings_write(&j, &p->settings);
	/* A member more, before the brace. */
	if (out->failed || out->len == 0)
		return;
	out->len--;
	buf_printf(out, ",\"given\":%lld}", (long long)p->given);
}

/* The item is urgent because the journal reports a lost item that is not
 * as a gap in the record, which this would not be. */
static void
flush_start(struct groups *g, struct group *p)
{
	static const struct journal_item_ops ops = { .apply = flush_apply,
						     .done = flush_done };
	struct flush *f = calloc(1, sizeof(*f));

	if (!f)
		return;
	f->item.ops = &ops;
	f->item.urgent = true;
	f->groups = g;
	memcpy(f->name, p->name, sizeof(f->name));
	f->cursor = cursor_of(p);
	f->paused = p->paused;
	f->version = p->version;
	f->remove = p->dying;
	mark_given(p);
	write_config(p, &f->config);
	f->changes = p->changes;
	p->changes = (struct changes){ 0 };
	p->saved_cursor = f->cursor;
	p->flush = f;
	p->flush_at = GROUPS_NEVER;
	journal_post(g->env.journal, &f->item);
}

static bool
is_unsaved(const struct group *p)
{
	if (p->dying)
		return !p->removed;
	return p->changes.count > 0 || p->saved_cursor != cursor_of(p) ||
	       group_given_is_short(p);
}

uint64_t
group_flush(struct groups *g, struct group *p)
{
	if (!flush_reap(g, p))
		return GROUPS_NEVER;	/* its end wakes us */
	if (p->settled > 0)
		entries_sweep(p);
	if (p->flush_at > g->now.mono_ms)
		return p->flush_at;
	p->flush_at = GROUPS_NEVER;
	if (is_unsaved(p))
		flush_start(g, p);
	return p->flush_at;
}

bool
group_flush_removed(struct groups *g, struct group *p, uint64_t *next)
{
	*next = GROUPS_NEVER;
	if (!flush_reap(g, p) || p->removed)
		return p->removed;
	if (p->flush_at == GROUPS_NEVER || p->flush_at <= g->now.mono_ms)
		flush_start(g, p);
	*next = p->flush_at;
	return false;
}

static void
flush_wait(struct groups *g, struct group *p)
{
	pthread_mutex_lock(&g->flush_lock);
	while (p->flush && p->flush->status == FLUSH_RUNS)
		pthread_cond_wait(&g->flush_ended, &g->flush_lock);
	pthread_mutex_unlock(&g->flush_lock);
}

const struct changes *
group_flush_changes(const struct group *p)
{
	return p->flush ? &p->flush->changes : NULL;
}

void
group_flush_last(struct groups *g, struct group *p)
{
	flush_wait(g, p);
	(void)flush_reap(g, p);
	p->closing = true;
	for (size_t i = 0; i < p->count; i++)
		if (p->at[i].state == ENTRY_LEASED)
			entry_keep(g, p, &p->at[i]);
	if (is_unsaved(p) || p->given != p->read)
		flush_start(g, p);
	flush_wait(g, p);
	if (p->flush)
		flush_free(p->flush);
	p->flush = NULL;
}
