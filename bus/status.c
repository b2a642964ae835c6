/* SPDX-License-Identifier: Apache-2.0 */
/* What operators see of the groups: how one stands is copied under the lock,
 * what the journal has to say of it is read without. */
#include <stdlib.h>

#include "bus/group.h"
#include "journal/dead.h"

#define SCAN_ROWS 10000

struct oldest {
	int64_t time_us;
	bool found;
};

struct standing {
	char name[GROUPS_NAME_SIZE];
	struct groups_settings settings;
	bool paused;
	int64_t read, cursor, last, listed, dead, consumers;
	unsigned in_flight;
	size_t retrying;
	struct oldest oldest;	/* that is not settled */
	double letter_seconds;	/* since the oldest's last attempt */
	int64_t now_us;
};

/* ---- under the lock ---- */

static struct oldest
oldest_listed(const struct group *p)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->at[i].state != ENTRY_SETTLED)
			return (struct oldest){ p->at[i].time_us, true };
	return (struct oldest){ 0 };
}

static void
copy(const struct groups *g, const struct group *p, struct standing *s)
{
	*s = (struct standing){
		.settings = p->settings, .paused = p->paused,
		.read = p->read, .cursor = p->disk_cursor,
		.last = journal_last_sequence(g->env.journal),
		.listed = (int64_t)(p->count - p->settled), .dead = p->dead,
		.in_flight = p->in_flight, .retrying = p->retrying,
		.oldest = oldest_listed(p), .now_us = g->now.wall_us };
	memcpy(s->name, p->name, sizeof(s->name));
	for (const struct consumer *c = p->consumers; c; c = c->next)
		s->consumers += !c->gone_at;
}

static bool
standing_take(struct groups *g, const char *name, struct standing *s)
{
	const struct group *p;

	pthread_mutex_lock(&g->lock);
	groups_refresh(g);
	p = group_find(g, name);
	if (p)
		copy(g, p, s);
	pthread_mutex_unlock(&g->lock);
	return p;
}

/* ---- without ---- */

static bool
on_oldest(void *arg, const struct journal_row *row)
{
	struct standing *s = arg;

	s->oldest.time_us = row->time_us;
	s->oldest.found = row->sequence <= s->last;
	return false;
}

/* The next that the journal has for this group. */
static void
find_oldest(struct journal_reader *r, struct standing *s)
{
	const struct journal_filter f = {
		.type = s->settings.type[0] ? s->settings.type : NULL,
		.subject = s->settings.subject[0] ? s->settings.subject : NULL,
		.shadow_only = s->settings.shadow_only };

	if (!s->oldest.found && s->read < s->last)
		(void)journal_read(r, s->read, &f, 1, SCAN_ROWS, on_oldest, s,
				   NULL);
}

static void
find_letter(struct journal_reader *r, struct standing *s)
{
	int64_t died_us;

	if (s->dead > 0 &&
	    journal_read_oldest_letter(r, s->name, &died_us) == 1 &&
	    s->now_us > died_us)
		s->letter_seconds = (double)(s->now_us - died_us) / 1e6;
}

static void
standing_complete(struct groups *g, struct standing *s)
{
	pthread_mutex_lock(&g->side_lock);
	find_oldest(g->side_reader, s);
	find_letter(g->side_reader, s);
	pthread_mutex_unlock(&g->side_lock);
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

/* Events that are read but not settled, and all beyond: an upper bound
 * where the filter leaves some out. */
static int64_t
lag_of(const struct standing *s)
{
	int64_t beyond = s->last - s->read;

	return s->oldest.found ? s->listed + (beyond > 0 ? beyond : 0) : 0;
}

static void
write_standing(const struct standing *s, struct json *j)
{
	int64_t age_us = s->now_us - s->oldest.time_us;

	json_object_begin(j);
	json_key(j, "name");
	json_str(j, s->name);
	json_member_i64(j, "cursor", s->cursor);
	json_member_i64(j, "last", s->last);
	json_member_i64(j, "lag_events", lag_of(s));
	json_key(j, "lag_seconds");
	json_double(j, s->oldest.found && age_us > 0 ? (double)age_us / 1e6
						     : 0);
	json_key(j, "paused");
	json_bool(j, s->paused);
	json_member_i64(j, "in_flight", s->in_flight);
	json_member_i64(j, "retrying", (int64_t)s->retrying);
	json_member_i64(j, "dead", s->dead);
	json_key(j, "dead_oldest_seconds");
	json_double(j, s->letter_seconds);
	json_member_i64(j, "consumers", s->consumers);
	json_key(j, "settings");
	groups_settings_write(j, &s->settings);
	json_object_end(j);
}

bool
groups_status_one(struct groups *g, const char *name, struct json *out)
{
	struct standing s;

	if (!standing_take(g, name, &s))
		return false;
	standing_complete(g, &s);
	write_standing(&s, out);
	return true;
}

typedef char group_name[GROUPS_NAME_SIZE];

/* NULL without memory. */
static group_name *
list_names(struct groups *g, size_t *count)
{
	group_name *names = calloc(GROUPS_MAX, sizeof(*names));

	*count = 0;
	if (!names)
		return NULL;
	pthread_mutex_lock(&g->lock);
	for (const struct group *p = g->first; p && *count < GROUPS_MAX;
	     p = p->next)
		memcpy(names[(*count)++], p->name, sizeof(*names));
	pthread_mutex_unlock(&g->lock);
	return names;
}

void
groups_status(struct groups *g, struct json *out)
{
	size_t count;
	group_name *names = list_names(g, &count);

	if (!names)
		out->out->failed = true;
	json_array_begin(out);
	for (size_t i = 0; i < count; i++)
		(void)groups_status_one(g, names[i], out);
	json_array_end(out);
	free(names);
}
