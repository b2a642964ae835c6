/* SPDX-License-Identifier: Apache-2.0 */
/* The engine as a whole: start, groups, consumers, time, end. */
#include "bus/groups.h"

#include <stdlib.h>

#include "base/log.h"
#include "bus/group.h"

/* ---- start and end ---- */

struct groups *
groups_open(const struct groups_env *env, struct error *err)
{
	struct groups *g = calloc(1, sizeof(*g));

	if (!g) {
		error_set(err, "no memory for the consumer groups");
		return NULL;
	}
	g->env = *env;
	pthread_mutex_init(&g->lock, NULL);
	pthread_mutex_init(&g->flush_lock, NULL);
	pthread_cond_init(&g->flush_ended, NULL);
	groups_refresh(g);
	g->reader = journal_reader_open(journal_path(env->journal), err);
	if (!g->reader || groups_load(g, err) < 0)
		groups_close(&g);
	return g;
}

void
groups_close(struct groups **gp)
{
	struct groups *g = *gp;

	if (!g)
		return;
	*gp = NULL;
	groups_refresh(g);
	while (g->first) {
		struct group *p = g->first;

		if (g->reader)
			group_flush_last(g, p);
		g->first = p->next;
		group_free(p);
	}
	journal_reader_close(&g->reader);
	pthread_cond_destroy(&g->flush_ended);
	pthread_mutex_destroy(&g->flush_lock);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* ---- groups ---- */

static int64_t
start_of(const struct groups *g, const struct groups_settings *s)
{
	switch (s->start) {
	case GROUPS_OLDEST:
		return 0;
	case GROUPS_NEWEST:
		return journal_last_sequence(g->env.journal);
	case GROUPS_AFTER:
		return s->after;
	}
	return 0;
}

static int
make(struct groups *g, const char *name, const struct groups_settings *s,
     struct error *err)
{
	struct group *p;

	if (groups_name_check(name, err) < 0)
		return -1;
	p = group_new(g, name);
	if (!p)
		return error_set(err, "no memory for group %s", name);
	p->settings = *s;
	p->read = start_of(g, s);
	group_dirty(g, p, 0);
	log_info("bus.group-new", "group %s starts after event %lld", name,
		 (long long)p->read);
	return 0;
}

static void
update(struct groups *g, struct group *p, const struct groups_settings *s)
{
	if (memcmp(&p->settings, s, sizeof(*s)) == 0)
		return;
	p->settings = *s;
	p->saved_cursor = -1;
	group_dirty(g, p, 0);
}

int
groups_ensure(struct groups *g, const char *name,
	      int (*change)(void *arg, struct groups_settings *s, bool is_new,
			    struct error *err),
	      void *arg, struct error *err)
{
	struct groups_settings s;
	struct group *p;
	int rc = 0;

	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	p = group_find(g, name);
	if (p)
		s = p->settings;
	else
		groups_settings_default(&s);
	if (change)
		rc = change(arg, &s, !p, err);
	if (rc == 0 && p)
		update(g, p, &s);
	else if (rc == 0)
		rc = make(g, name, &s, err);
	pthread_mutex_unlock(&g->lock);
	return rc;
}

/* ---- consumers that go ---- */

void
groups_session_gone(struct groups *g, uint32_t session)
{
	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	for (struct group *p = g->first; p; p = p->next)
		for (struct consumer *c = p->consumers; c; c = c->next)
			if (c->session == session && !c->gone_at)
				c->gone_at = g->now.mono_ms + GROUP_GRACE_MS;
	pthread_mutex_unlock(&g->lock);
}

void
groups_leave(struct groups *g, const struct groups_who *who)
{
	struct consumer *c = NULL;
	struct group *p;

	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	p = group_find(g, who->group);
	if (p)
		c = consumer_find(p, who->consumer);
	for (size_t i = 0; c && i < p->count; i++)
		if (p->at[i].state == ENTRY_LEASED && p->at[i].owner == c)
			entry_hand_back(g, p, &p->at[i]);
	if (c)
		c->gone_at = g->now.mono_ms;
	if (p)
		consumers_sweep(g, p);
	pthread_mutex_unlock(&g->lock);
}

/* ---- time ---- */

uint64_t
groups_tick(struct groups *g)
{
	uint64_t next = GROUPS_NEVER;

	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	for (struct group *p = g->first; p; p = p->next) {
		uint64_t leases = group_expire(g, p);
		uint64_t flush = group_flush(g, p);

		consumers_sweep(g, p);
		next = leases < next ? leases : next;
		next = flush < next ? flush : next;
	}
	pthread_mutex_unlock(&g->lock);
	return next;
}
