/* SPDX-License-Identifier: Apache-2.0 */
/* Events that come again: into the list of a group that is past them.
 *
 * The order is the journal first, then the list: a consumer can only get what
 * a crash would bring back, and what a crash brings back it gets. */
#include "bus/revive.h"

#include "base/log.h"
#include "bus/group.h"

int
groups_look(struct groups *g, const char *group, struct groups_view *v)
{
	struct group *p;

	pthread_mutex_lock(&g->lock);
	p = group_find(g, group);
	if (p) {
		memcpy(v->type, p->settings.type, sizeof(v->type));
		memcpy(v->subject, p->settings.subject, sizeof(v->subject));
		v->shadow_only = p->settings.shadow_only;
		v->read = p->read;
		v->room = p->retrying < GROUPS_REVIVED_MAX
				  ? GROUPS_REVIVED_MAX - p->retrying
				  : 0;
	}
	pthread_mutex_unlock(&g->lock);
	return p ? 0 : -1;
}

bool
groups_holds(struct groups *g, const char *group, int64_t sequence)
{
	struct group *p;
	bool holds;

	pthread_mutex_lock(&g->lock);
	p = group_find(g, group);
	holds = p && entry_find(p, sequence);
	pthread_mutex_unlock(&g->lock);
	return holds;
}

/* A new entry, or the settled one that kept a dead letter beyond the cursor
 * from being read. One that lives (its group was set back) stays as it is,
 * but for the row that it has now. */
static struct entry *
entry_revive(struct group *p, int64_t sequence)
{
	struct entry *e;

	entries_sweep(p);
	e = entry_any(p, sequence);
	if (!e)
		return entry_add(p, sequence);
	if (e->state != ENTRY_SETTLED)
		return e;
	entry_renew(p, e);
	return e;
}

static void
revive(struct groups *g, struct group *p, int64_t sequence,
       enum journal_origin origin)
{
	struct entry *e = entry_revive(p, sequence);

	if (!e) {
		log_error("bus.no-memory", "group %s: no memory for event "
			  "%lld; it comes after a restart", p->name,
			  (long long)sequence);
		return;
	}
	p->retrying += !e->saved;
	e->saved = true;
	e->origin = origin;
	if (e->state == ENTRY_READY && !e->key && entry_load(g, p, e) < 0)
		entry_settle(g, p, e);
}

void
groups_revive(struct groups *g, const char *group, int64_t sequence,
	      enum journal_origin origin)
{
	struct group *p;

	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	p = group_find(g, group);
	if (p)
		revive(g, p, sequence, origin);
	pthread_mutex_unlock(&g->lock);
}

void
groups_letter_gone(struct groups *g, const char *group)
{
	struct group *p;

	pthread_mutex_lock(&g->lock);
	p = group_find(g, group);
	if (p)
		p->letters++;
	if (p && p->dead > 0)
		p->dead--;
	pthread_mutex_unlock(&g->lock);
}
