/* SPDX-License-Identifier: Apache-2.0 */
/* What operators see of the groups. */
#include "bus/group.h"
#include "journal/dead.h"

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

/* Since its last attempt; 0 when there is none. */
static double
oldest_letter_seconds(struct groups *g, const struct group *p)
{
	int64_t died_us, age_us;

	if (p->dead == 0 ||
	    journal_read_oldest_letter(g->reader, p->name, &died_us) != 1)
		return 0;
	age_us = g->now.wall_us - died_us;
	return age_us > 0 ? (double)age_us / 1e6 : 0;
}

void
groups_note_damage(struct groups *g)
{
	int64_t first, last;

	(void)journal_reader_damage(g->reader, &first, &last);
	atomic_store(&g->damaged_last, last);
	atomic_store(&g->damaged_first, first);
}

bool
groups_damage(struct groups *g, int64_t *first, int64_t *last)
{
	*first = atomic_load(&g->damaged_first);
	*last = atomic_load(&g->damaged_last);
	return *first;
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
	write_number(j, "cursor", p->disk_cursor);
	write_number(j, "last", journal_last_sequence(g->env.journal));
	write_number(j, "lag_events", lag_of(g, p, &o));
	json_key(j, "lag_seconds");
	json_double(j, o.found && age_us > 0 ? (double)age_us / 1e6 : 0);
	json_key(j, "paused");
	json_bool(j, p->paused);
	write_number(j, "in_flight", p->in_flight);
	write_number(j, "retrying", (int64_t)p->retrying);
	write_number(j, "dead", p->dead);
	json_key(j, "dead_oldest_seconds");
	json_double(j, oldest_letter_seconds(g, p));
	write_number(j, "consumers", consumers);
	json_key(j, "settings");
	groups_settings_write(j, &p->settings);
	json_object_end(j);
}

bool
groups_status_one(struct groups *g, const char *name, struct json *out)
{
	struct group *p;

	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	p = group_find(g, name);
	if (p)
		write_group(g, p, out);
	pthread_mutex_unlock(&g->lock);
	return p;
}

void
groups_status(struct groups *g, struct json *out)
{
	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	json_array_begin(out);
	for (struct group *p = g->first; p; p = p->next)
		write_group(g, p, out);
	json_array_end(out);
	pthread_mutex_unlock(&g->lock);
}
