/* SPDX-License-Identifier: Apache-2.0 */
/* The engine as a whole: start, groups, consumers, time, end. */
#include "bus/group.h"

#include <stdlib.h>

#include "base/invariant.h"
#include "base/log.h"
#include "payload/payload.h"

/* ---- start ---- */

struct start {
	struct groups *g;
	struct group *p;
	bool failed;
};

static void
on_group(void *arg, const struct journal_group *row)
{
	struct start *s = arg;
	struct group *p = group_new(s->g, row->name);
	struct cJSON *config = payload_parse(span_of(row->config), NULL);
	struct error err = { 0 };

	if (!p || groups_settings_read(config, &p->settings, &err) < 0) {
		log_error("bus.group-config", "group %s: %s", row->name,
			  p ? err.text : "no memory");
		s->failed = true;
	}
	payload_free(&config);
	if (!p)
		return;
	p->paused = row->paused;
	p->read = p->saved_cursor = row->cursor;
}

/* The wall clock may have been set back: no wait beyond a day. */
static uint64_t
due_of(const struct groups *g, int64_t not_before_us)
{
	int64_t wait_ms = (not_before_us - g->now.wall_us) / 1000;

	if (wait_ms < 0)
		wait_ms = 0;
	if (wait_ms > 86400000)
		wait_ms = 86400000;
	return g->now.mono_ms + (uint64_t)wait_ms;
}

static void
on_retry(void *arg, const struct journal_retry *row)
{
	struct start *s = arg;
	struct entry *e = entry_add(s->p, row->sequence);

	if (!e) {
		s->failed = true;
		return;
	}
	e->state = ENTRY_WAITING;
	e->attempts = row->attempts;
	e->saved = true;
	e->due = due_of(s->g, row->not_before_us);
	e->first_us = row->first_us;
	e->last_us = row->last_us;
	s->p->retrying++;
}

/* Dead letters beyond the cursor must not be delivered once more. */
static void
on_dead(void *arg, const struct journal_dead *row)
{
	struct start *s = arg;
	struct entry *e;

	s->p->dead++;
	if (row->sequence <= s->p->read || entry_any(s->p, row->sequence))
		return;
	e = entry_add(s->p, row->sequence);
	if (!e) {
		s->failed = true;
		return;
	}
	e->state = ENTRY_SETTLED;
	s->p->settled++;
}

static void
load_entries(struct groups *g, struct group *p)
{
	for (size_t i = 0; i < p->count; i++) {
		struct entry *e = &p->at[i];

		if (e->state == ENTRY_SETTLED || entry_load(g, p, e) == 0)
			continue;
		log_warn("bus.event-gone", "group %s: event %lld waits to be "
			 "tried again but cannot be read any more", p->name,
			 (long long)e->sequence);
		entry_settle(g, p, e);
	}
}

static int
load(struct groups *g, struct error *err)
{
	struct start s = { .g = g };

	if (journal_read_groups(g->reader, on_group, &s) < 0)
		s.failed = true;
	for (s.p = g->first; s.p; s.p = s.p->next) {
		if (journal_read_retries(g->reader, s.p->name, on_retry, &s) ||
		    journal_read_dead(g->reader, s.p->name, on_dead, &s))
			s.failed = true;
		load_entries(g, s.p);
	}
	if (s.failed)
		return error_set(err, "%s: the consumer groups cannot be read; "
				 "the log says why",
				 journal_path(g->env.journal));
	return 0;
}

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
	if (!g->reader || load(g, err) < 0)
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

/* ---- dead letters ---- */

struct redriving {
	int64_t id;
	struct changes *found;
	bool failed;
};

static void
on_dead_letter(void *arg, const struct journal_dead *row)
{
	struct redriving *r = arg;
	struct changes *all = r->found;
	struct change *at;

	if (r->id != 0 && row->id != r->id)
		return;
	at = realloc(all->at, (all->count + 1) * sizeof(*at));
	if (!at) {
		r->failed = true;
		return;
	}
	all->at = at;
	all->at[all->count++] = (struct change){ .sequence = row->sequence,
						 .first_us = row->id };
}

/* Ready at once and with all attempts; saved, so that the cursor, which has
 * passed it long ago, does not matter. */
static int
revive(struct groups *g, struct group *p, int64_t sequence, int64_t id)
{
	struct change retry = { .kind = CHANGE_RETRY, .sequence = sequence,
				.not_before_us = g->now.wall_us,
				.reason = "redriven" };
	struct change done = { .kind = CHANGE_REDRIVEN, .sequence = id };
	struct entry *e;

	entries_sweep(p);
	if (entry_any(p, sequence) || !(e = entry_add(p, sequence)))
		return 0;
	e->saved = true;
	p->retrying++;
	if (entry_load(g, p, e) < 0) {
		entry_settle(g, p, e);
		return 0;
	}
	group_change(g, p, &done);
	group_change(g, p, &retry);
	p->dead--;
	return 1;
}

static int
redrive(struct groups *g, struct group *p, int64_t id)
{
	struct changes found = { 0 };
	struct redriving r = { .id = id, .found = &found };
	int n = 0;

	if (journal_read_dead(g->reader, p->name, on_dead_letter, &r) < 0)
		r.failed = true;
	for (size_t i = 0; i < found.count; i++)
		n += revive(g, p, found.at[i].sequence, found.at[i].first_us);
	free(found.at);
	return r.failed ? -1 : n;
}

int
groups_redrive(struct groups *g, const char *group, int64_t id)
{
	struct group *p;
	int n = -1;

	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	p = group_find(g, group);
	if (p)
		n = redrive(g, p, id);
	pthread_mutex_unlock(&g->lock);
	return n;
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

/* ---- what operators see ---- */

struct oldest {
	int64_t time_us;
	bool found;
};

static bool
on_oldest(void *arg, const struct journal_row *row)
{
	struct oldest *o = arg;

	o->time_us = row->time_us;
	o->found = true;
	return false;
}

/* The oldest event that is not settled: in the list, or the next that the
 * journal has for this group. */
static struct oldest
oldest_of(struct groups *g, const struct group *p)
{
	const struct journal_filter f = {
		.type = p->settings.type[0] ? p->settings.type : NULL,
		.subject = p->settings.subject[0] ? p->settings.subject : NULL,
		.shadow_only = p->settings.shadow_only };
	struct oldest o = { 0 };

	for (size_t i = 0; i < p->count && !o.found; i++) {
		o.found = p->at[i].state != ENTRY_SETTLED;
		o.time_us = p->at[i].time_us;
	}
	if (!o.found && p->read < journal_last_sequence(g->env.journal))
		(void)journal_read(g->reader, p->read, &f, 1, 10000,
				   on_oldest, &o, NULL);
	return o;
}

static void
write_number(struct json *j, const char *name, int64_t v)
{
	json_key(j, name);
	json_i64(j, v);
}

/* Events that are read but not settled, and all beyond: an upper bound
 * where the filter leaves some out. */
static int64_t
lag_of(struct groups *g, const struct group *p, const struct oldest *o)
{
	int64_t beyond = journal_last_sequence(g->env.journal) - p->read;

	return o->found ? (int64_t)(p->count - p->settled) +
				  (beyond > 0 ? beyond : 0)
			: 0;
}

static void
write_group(struct groups *g, struct group *p, struct json *j)
{
	const struct oldest o = oldest_of(g, p);
	int64_t age_us = g->now.wall_us - o.time_us, consumers = 0;

	for (struct consumer *c = p->consumers; c; c = c->next)
		consumers += !c->gone_at;
	json_object_begin(j);
	json_key(j, "name");
	json_str(j, p->name);
	write_number(j, "cursor", p->saved_cursor < 0 ? 0 : p->saved_cursor);
	write_number(j, "last", journal_last_sequence(g->env.journal));
	write_number(j, "lag_events", lag_of(g, p, &o));
	json_key(j, "lag_seconds");
	json_double(j, o.found && age_us > 0 ? (double)age_us / 1e6 : 0);
	write_number(j, "in_flight", p->in_flight);
	write_number(j, "retrying", (int64_t)p->retrying);
	write_number(j, "dead", p->dead);
	write_number(j, "consumers", consumers);
	json_key(j, "settings");
	groups_settings_write(j, &p->settings);
	json_object_end(j);
}

void
groups_status(struct groups *g, struct json *out)
{
	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	json_object_begin(out);
	json_key(out, "groups");
	json_array_begin(out);
	for (struct group *p = g->first; p; p = p->next)
		write_group(g, p, out);
	json_array_end(out);
	json_object_end(out);
	pthread_mutex_unlock(&g->lock);
}
