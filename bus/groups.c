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
	pthread_mutex_init(&g->side_lock, NULL);
	pthread_mutex_init(&g->flush_lock, NULL);
	pthread_cond_init(&g->flush_ended, NULL);
	groups_refresh(g);
	g->reader = journal_reader_open(journal_path(env->journal), err);
	if (g->reader)
		g->side_reader = journal_reader_open(
			journal_path(env->journal), err);
	if (!g->side_reader || groups_load(g, err) < 0)
		groups_close(&g);
	return g;
}

static void
close_list(struct groups *g, struct group **first)
{
	while (*first) {
		struct group *p = *first;

		if (g->reader)
			group_flush_last(g, p);
		*first = p->next;
		group_free(p);
	}
}

void
groups_close(struct groups **gp)
{
	struct groups *g = *gp;

	if (!g)
		return;
	*gp = NULL;
	groups_refresh(g);
	close_list(g, &g->first);
	close_list(g, &g->dying);
	journal_reader_close(&g->reader);
	journal_reader_close(&g->side_reader);
	pthread_cond_destroy(&g->flush_ended);
	pthread_mutex_destroy(&g->flush_lock);
	pthread_mutex_destroy(&g->side_lock);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* ---- groups ---- */

static int
find_time(struct groups *g, int64_t since_us, int64_t *after)
{
	int rc;

	pthread_mutex_lock(&g->side_lock);
	rc = journal_find_time(g->side_reader, since_us, after);
	pthread_mutex_unlock(&g->side_lock);
	--*after;
	return rc;
}

int
groups_find_place(struct groups *g, const struct groups_place *p,
		  int64_t *after)
{
	*after = 0;
	switch (p->start) {
	case GROUPS_OLDEST:
		return 0;
	case GROUPS_NEWEST:
		*after = journal_last_sequence(g->env.journal);
		return 0;
	case GROUPS_AFTER:
		*after = p->after;
		return 0;
	case GROUPS_SINCE:
		return find_time(g, p->since_us, after);
	}
	return 0;
}

static bool
is_dying(const struct groups *g, const char *name)
{
	const struct group *p = g->dying;

	while (p && strcmp(p->name, name) != 0)
		p = p->next;
	return p;
}

static size_t
group_count(const struct groups *g)
{
	size_t n = 0;

	for (const struct group *p = g->first; p; p = p->next)
		n++;
	return n;
}

static int
make(struct groups *g, const char *name, const struct groups_settings *s,
     int64_t after, struct error *err)
{
	struct group *p;

	if (groups_name_check(name, err) < 0)
		return -1;
	if (is_dying(g, name))
		return error_set(err, "group %s is being deleted; try again",
				 name);
	if (group_count(g) >= GROUPS_MAX)
		return error_set(err, "there are %d groups, which is the most; "
				 "delete one that nobody needs (matapalo "
				 "groups list)", GROUPS_MAX);
	p = group_new(g, name);
	if (!p)
		return error_set(err, "no memory for group %s", name);
	p->settings = *s;
	p->read = after;
	group_dirty(g, p, 0);
	log_info("bus.group-new", "group %s starts after event %lld", name,
		 (long long)p->read);
	return 0;
}

static void
update(struct groups *g, struct group *p, const struct groups_settings *s)
{
	if (groups_settings_differ(&p->settings, s, NULL) == 0)
		return;
	(void)group_may_deliver(g, p);	/* by the old rate, until now */
	p->settings = *s;
	group_changed(g, p);
}

struct ensuring {
	const char *name;
	int (*change)(void *arg, struct groups_settings *s, bool is_new,
		      struct error *err);
	void *arg;
	struct groups_settings settings;
	bool found;	/* where a new group begins: behind `after` */
	int64_t after;
};

/* 1: a new group's place has to be found first. */
static int
ensure(struct groups *g, struct ensuring *w, struct error *err)
{
	struct group *p = group_find(g, w->name);
	int rc = 0;

	if (p)
		w->settings = p->settings;
	else
		groups_settings_default(&w->settings);
	if (w->change)
		rc = w->change(w->arg, &w->settings, !p, err);
	if (rc < 0)
		return rc;
	if (!p)
		return w->found ? make(g, w->name, &w->settings, w->after, err)
				: 1;
	update(g, p, &w->settings);
	return 0;
}

int
groups_ensure(struct groups *g, const char *name,
	      int (*change)(void *arg, struct groups_settings *s, bool is_new,
			    struct error *err),
	      void *arg, struct error *err)
{
	struct ensuring w = { .name = name, .change = change, .arg = arg };
	int rc;

	for (;;) {
		pthread_mutex_lock(&g->lock);
		groups_refresh(g);
		rc = ensure(g, &w, err);
		pthread_mutex_unlock(&g->lock);
		if (rc <= 0)
			return rc;
		if (groups_find_place(g, &w.settings.place, &w.after) < 0)
			return error_set(err, "start: the journal cannot be "
					 "read; the log says why");
		w.found = true;
	}
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

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Groups that were deleted, until the disk knows. */
static uint64_t
tick_dying(struct groups *g)
{
	uint64_t next = GROUPS_NEVER, at;

	for (struct group **link = &g->dying; *link;) {
		struct group *p = *link;

		if (group_flush_removed(g, p, &at)) {
			*link = p->next;
			group_free(p);
			continue;
		}
		next = earlier(next, at);
		link = &p->next;
	}
	return next;
}

uint64_t
groups_tick(struct groups *g)
{
	uint64_t next;

	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	next = tick_dying(g);
	for (struct group *p = g->first; p; p = p->next) {
		next = earlier(next, group_expire(g, p));
		next = earlier(next, group_flush(g, p));
		next = earlier(next, group_rate_next(g, p));
		consumers_sweep(g, p);
	}
	pthread_mutex_unlock(&g->lock);
	return next;
}

enum groups_result
groups_may_have(struct groups *g, const char *name,
		const struct journal_row *row)
{
	enum groups_result result = GROUPS_UNKNOWN;
	const struct group *p;

	pthread_mutex_lock(&g->lock);
	p = group_find(g, name);
	if (p) {
		const struct groups_settings *s = &p->settings;
		const struct journal_filter f = {
			.type = s->type[0] ? s->type : NULL,
			.subject = s->subject[0] ? s->subject : NULL,
			.shadow_only = s->shadow_only };

		result = journal_filter_takes(&f, row) ? GROUPS_DONE
						       : GROUPS_FAILED;
	}
	pthread_mutex_unlock(&g->lock);
	return result;
}
