/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator does to a group while its consumers are at work. */
#include "base/log.h"
#include "bus/group.h"

/* ---- seek ---- */

/* Letters that are not on disk yet stay dead, too. */
static int
skip_unsaved_dead(struct group *p)
{
	for (size_t i = 0; i < p->changes.count; i++) {
		const struct change *c = &p->changes.at[i];
		struct entry *e;

		if (c->kind != CHANGE_DEAD)
			continue;
		p->dead++;
		if (c->sequence <= p->read || entry_any(p, c->sequence))
			continue;
		e = entry_add(p, c->sequence);
		if (!e)
			return -1;
		e->state = ENTRY_SETTLED;
		p->settled++;
	}
	return 0;
}

static struct entry
revived_anew(const struct groups *g, const struct entry *e)
{
	struct entry kept = *e;

	if (e->state == ENTRY_LEASED)
		kept.attempts--;
	if (e->state != ENTRY_WAITING)
		kept.due = g->now.mono_ms;
	kept.state = ENTRY_WAITING;
	kept.owner = NULL;
	kept.key = NULL;
	return kept;
}

/* What an operator wanted to come again is no part of the log's order: it
 * comes wherever the group goes. Its row is on disk and stays there. */
static void
clear_but_revived(struct groups *g, struct group *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->count; i++)
		if (p->at[i].origin != JOURNAL_FROM_LOG &&
		    p->at[i].state != ENTRY_SETTLED)
			p->at[kept++] = revived_anew(g, &p->at[i]);
	group_clear(p);
	p->count = p->retrying = kept;
	for (size_t i = 0; i < kept; i++)
		if (entry_load(g, p, &p->at[i]) < 0)
			log_warn("bus.group-seek", "group %s: event %lld comes "
				 "again, but cannot be read now", p->name,
				 (long long)p->at[i].sequence);
}

static enum groups_result
seek(struct groups *g, struct group *p, const struct groups_place *to)
{
	const struct change reset = { .kind = CHANGE_RESET };
	int64_t after, was = p->read;

	/* A save that is under way may hold letters of its own. */
	group_flush_settle(g, p);
	if (group_place(g, to, &after) < 0)
		return GROUPS_FAILED;
	clear_but_revived(g, p);
	if (was > p->doubtful)
		p->doubtful = was;
	p->read = after;
	if (group_skip_dead(g, p) < 0 || skip_unsaved_dead(p) < 0)
		log_warn("bus.group-seek", "group %s: dead letters cannot be "
			 "read; some may come again", p->name);
	if (!group_change(g, p, &reset))
		return GROUPS_FAILED;
	group_changed(g, p);
	log_info("bus.group-seek", "group %s goes on after event %lld; it was "
		 "at %lld", p->name, (long long)after, (long long)was);
	return GROUPS_DONE;
}

enum groups_result
groups_seek(struct groups *g, const char *name,
	    const struct groups_place *to, uint64_t *version)
{
	enum groups_result result = GROUPS_UNKNOWN;
	struct group *p;

	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	p = group_find(g, name);
	if (p) {
		result = seek(g, p, to);
		*version = p->version;
	}
	pthread_mutex_unlock(&g->lock);
	return result;
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
