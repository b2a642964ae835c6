/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal knows of the groups, read once at start. */
#include "bus/group.h"

#include "base/log.h"
#include "payload/payload.h"

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
	if (p)
		p->given = payload_int(payload_member(config, "given"),
				       row->cursor);
	payload_free(&config);
	if (!p)
		return;
	p->paused = row->paused;
	p->read = p->saved_cursor = p->disk_cursor = row->cursor;
	p->saved_version = p->version;
	p->doubtful = p->given;
}

/* The wall clock may have been set back: never longer than from the last
 * attempt, which is what the wait was at most, nor for an operator. */
static uint64_t
due_of(const struct groups *g, const struct journal_retry *row)
{
	int64_t wait_ms = (row->not_before_us - g->now.wall_us) / 1000;
	int64_t most_ms = row->last_us ? (row->not_before_us - row->last_us) /
						 1000
				       : 0;

	if (wait_ms > most_ms)
		wait_ms = most_ms;
	return g->now.mono_ms + (uint64_t)(wait_ms > 0 ? wait_ms : 0);
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
	e->origin = row->origin;
	e->suspect = strcmp(row->reason, GROUP_REASON_GONE) == 0 ||
		     strcmp(row->reason, GROUP_REASON_LATE) == 0;
	e->again = true;
	e->saved = true;
	if (strcmp(row->reason, GROUP_REASON_STOPPED) == 0)
		e->owner = consumer_restore(s->g, s->p, row->consumer);
	e->due = due_of(s->g, row);
	e->first_us = row->first_us;
	e->last_us = row->last_us;
	s->p->retrying++;
}

/* Dead letters beyond the cursor must not be delivered once more, nor those
 * that were purged. */
static void
on_dead(void *arg, const struct journal_dead *row)
{
	struct start *s = arg;
	struct entry *e;

	s->p->dead += !row->purged;
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

int
group_skip_dead(struct groups *g, struct group *p)
{
	struct start s = { .g = g, .p = p };

	p->dead = 0;
	if (journal_read_dead(g->reader, p->name, on_dead, &s) < 0)
		return -1;
	return s.failed ? -1 : 0;
}

static void
load_entries(struct groups *g, struct group *p)
{
	for (size_t i = 0; i < p->count; i++) {
		struct entry *e = &p->at[i];
		struct consumer *holder = e->owner;

		e->owner = NULL;
		if (e->state == ENTRY_SETTLED)
			continue;
		if (entry_load(g, p, e) == 0) {
			if (holder)
				entry_regain(p, e, holder);
			continue;
		}
		log_warn("bus.event-gone", "group %s: event %lld waits to be "
			 "tried again but cannot be read any more", p->name,
			 (long long)e->sequence);
		entry_settle(g, p, e);
	}
}

int
groups_load(struct groups *g, struct error *err)
{
	struct start s = { .g = g };

	if (journal_read_groups(g->reader, on_group, &s) < 0)
		s.failed = true;
	for (s.p = g->first; s.p; s.p = s.p->next) {
		if (journal_read_retries(g->reader, s.p->name, on_retry, &s) ||
		    group_skip_dead(g, s.p) < 0)
			s.failed = true;
		load_entries(g, s.p);
	}
	if (s.failed)
		return error_set(err, "%s: the consumer groups cannot be read; "
				 "the log says why",
				 journal_path(g->env.journal));
	return 0;
}
