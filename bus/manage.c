/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator does to a group while its consumers are at work. */
#include <stdlib.h>

#include "base/log.h"
#include "bus/group.h"
#include "journal/dead.h"

/* ---- seek ---- */

/* A letter that changes its state while it is read makes the reading void;
 * after so many times it is done under the lock. */
#define LETTERS_READINGS 5

/* Dead letters beyond a place, by sequence. */
struct letters {
	int64_t *at;
	size_t count, cap;
	bool failed;
};

static void
on_letter(void *arg, int64_t sequence)
{
	struct letters *l = arg;
	size_t cap = l->cap ? l->cap * 2 : 64;
	int64_t *at;

	if (l->count == l->cap) {
		at = realloc(l->at, cap * sizeof(*at));
		if (!at) {
			l->failed = true;
			return;
		}
		l->at = at;
		l->cap = cap;
	}
	l->at[l->count++] = sequence;
}

static void
read_letters(struct journal_reader *r, const char *group, int64_t after,
	     struct letters *l)
{
	l->count = 0;
	l->failed = false;
	if (journal_read_dead_after(r, group, after, on_letter, l) < 0)
		l->failed = true;
}

static void
skip_one(struct group *p, int64_t sequence, struct letters *l)
{
	struct entry *e;

	if (sequence <= p->read || entry_any(p, sequence))
		return;
	e = entry_add(p, sequence);
	if (!e) {
		l->failed = true;
		return;
	}
	e->state = ENTRY_SETTLED;
	p->settled++;
}

/* Letters that are not on disk yet stay dead, too. */
static void
skip_unsaved(struct group *p, const struct changes *changes,
	     struct letters *l)
{
	for (size_t i = 0; changes && i < changes->count; i++)
		if (changes->at[i].kind == CHANGE_DEAD)
			skip_one(p, changes->at[i].sequence, l);
}

static void
skip_letters(struct group *p, struct letters *l)
{
	for (size_t i = 0; i < l->count; i++)
		skip_one(p, l->at[i], l);
	skip_unsaved(p, group_flush_changes(p), l);
	skip_unsaved(p, &p->changes, l);
	if (l->failed)
		log_warn("bus.group-seek", "group %s: dead letters cannot be "
			 "read; some may come again", p->name);
}

/* What an operator wanted to come again is no part of the log's order: it
 * comes wherever the group goes. Its row is on disk and stays there. */
static bool
is_revived(const struct entry *e)
{
	return e->origin != JOURNAL_FROM_LOG && e->state != ENTRY_SETTLED;
}

static void
clear_but_revived(struct groups *g, struct group *p)
{
	group_clear_but(p, is_revived);
	p->retrying = p->count;
	for (size_t i = 0; i < p->count; i++) {
		struct entry *e = &p->at[i];

		if (e->state == ENTRY_LEASED)
			e->attempts--;
		if (e->state != ENTRY_WAITING)
			e->due = g->now.mono_ms;
		e->state = ENTRY_WAITING;
		e->owner = NULL;
	}
}

static enum groups_result
seek(struct groups *g, struct group *p, int64_t after, struct letters *l)
{
	const struct change reset = { .kind = CHANGE_RESET };
	int64_t was = p->read;

	clear_but_revived(g, p);
	if (was > p->doubtful)
		p->doubtful = was;
	p->read = after;
	skip_letters(p, l);
	if (!group_change(g, p, &reset))
		return GROUPS_FAILED;
	group_changed(g, p);
	log_info("bus.group-seek", "group %s goes on after event %lld; it was "
		 "at %lld", p->name, (long long)after, (long long)was);
	return GROUPS_DONE;
}

struct seeking {
	const char *name;
	int64_t after;
	struct letters letters;
	uint64_t known;		/* of letters, when they were read */
	unsigned readings;
	uint64_t *version;
	enum groups_result result;
};

/* False: the letters have to be read (again) first. */
static bool
seek_locked(struct groups *g, struct seeking *s)
{
	struct group *p = group_find(g, s->name);

	s->result = GROUPS_UNKNOWN;
	if (!p)
		return true;
	if (s->readings == LETTERS_READINGS) {
		read_letters(g->reader, s->name, s->after, &s->letters);
	} else if (s->readings == 0 || p->letters != s->known) {
		s->known = p->letters;
		return false;
	}
	s->result = seek(g, p, s->after, &s->letters);
	*s->version = p->version;
	return true;
}

static bool
seek_once(struct groups *g, struct seeking *s)
{
	bool done;

	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	done = seek_locked(g, s);
	pthread_mutex_unlock(&g->lock);
	if (done)
		return true;
	pthread_mutex_lock(&g->side_lock);
	read_letters(g->side_reader, s->name, s->after, &s->letters);
	pthread_mutex_unlock(&g->side_lock);
	s->readings++;
	return false;
}

enum groups_result
groups_seek(struct groups *g, const char *name,
	    const struct groups_place *to, uint64_t *version)
{
	struct seeking s = { .name = name, .version = version };

	if (groups_find_place(g, to, &s.after) < 0)
		return GROUPS_FAILED;
	while (!seek_once(g, &s))
		;
	free(s.letters.at);
	return s.result;
}

/* ---- pause ---- */

enum groups_result
groups_set_flow(struct groups *g, const char *name, enum groups_flow flow,
		uint64_t *version)
{
	bool paused = flow == GROUPS_PAUSED;
	struct group *p;

	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	p = group_find(g, name);
	if (p && p->paused != paused) {
		p->paused = paused;
		group_changed(g, p);
		log_info("bus.group-flow", "group %s %s", name,
			 paused ? "pauses" : "goes on");
	}
	if (p)
		*version = p->version;
	pthread_mutex_unlock(&g->lock);
	return p ? GROUPS_DONE : GROUPS_UNKNOWN;
}

/* ---- delete ---- */

static bool
is_used(const struct group *p, enum groups_force force)
{
	for (const struct consumer *c = p->consumers; c; c = c->next)
		if (c->session == 0 ||
		    (force == GROUPS_IF_UNUSED && !c->gone_at))
			return true;
	return false;
}

static void
condemn(struct groups *g, struct group *p)
{
	struct group **link = &g->first;

	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	p->next = g->dying;
	g->dying = p;
	p->dying = true;
	group_clear(p);
	group_changed(g, p);
	log_info("bus.group-delete", "group %s is deleted", p->name);
}

enum groups_result
groups_delete(struct groups *g, const char *name, enum groups_force force,
	      uint64_t *version)
{
	enum groups_result result = GROUPS_UNKNOWN;
	struct group *p;

	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	p = group_find(g, name);
	if (p)
		result = is_used(p, force) ? GROUPS_IN_USE : GROUPS_DONE;
	if (result == GROUPS_DONE) {
		condemn(g, p);
		*version = p->version;
	}
	pthread_mutex_unlock(&g->lock);
	return result;
}

/* ---- on disk? ---- */

uint64_t
groups_version(struct groups *g, const char *name)
{
	const struct group *p;
	uint64_t version;

	pthread_mutex_lock(&g->lock);
	p = group_find(g, name);
	version = p ? p->version : 0;
	pthread_mutex_unlock(&g->lock);
	return version;
}

bool
groups_is_saved(struct groups *g, const char *name, uint64_t version)
{
	const struct group *p;
	bool saved;

	pthread_mutex_lock(&g->lock);
	p = group_find(g, name);
	saved = !p || p->saved_version >= version;
	for (p = g->dying; p; p = p->next)
		saved &= strcmp(p->name, name) != 0;
	pthread_mutex_unlock(&g->lock);
	return saved;
}
