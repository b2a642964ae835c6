/* SPDX-License-Identifier: Apache-2.0 */
/* Where rules are beyond what the file says: rows by name, put on each rule
 * set that comes in force.
 *
 * A rule's place is one atomic word in the set, so that a request sees one
 * state and a change holds for all requests that are decided after it. */
#include "proxy/promotion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/promotion_internal.h"
#include "proxy/run.h"

#define WORKERS_WAIT_MS 2000u

static void
init_wake(struct promotion *p)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &attr);
	pthread_condattr_destroy(&attr);
}

struct promotion *
promotion_new(struct run *r)
{
	struct promotion *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->run = r;
	pthread_mutex_init(&p->orders, NULL);
	pthread_mutex_init(&p->lock, NULL);
	init_wake(p);
	return p;
}

void
promotion_free(struct promotion **pp)
{
	struct promotion *p = *pp;

	*pp = NULL;
	if (!p)
		return;
	while (p->rows) {
		struct promotion_row *row = p->rows;

		p->rows = row->next;
		buf_fini(&row->unsent);
		free(row->name);
		free(row);
	}
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->orders);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

struct promotion_row *
promotion_find(struct promotion *p, const char *name)
{
	struct promotion_row *row = p->rows;

	while (row && strcmp(row->name, name) != 0)
		row = row->next;
	return row;
}

struct promotion_row *
promotion_row(struct promotion *p, const char *name)
{
	struct promotion_row *row = promotion_find(p, name);

	if (row)
		return row;
	row = calloc(1, sizeof(*row));
	if (row)
		row->name = strdup(name);
	if (!row || !row->name) {
		free(row);
		return NULL;
	}
	pthread_mutex_lock(&p->lock);
	row->next = p->rows;
	p->rows = row;
	pthread_mutex_unlock(&p->lock);
	return row;
}

void
promotion_words(const struct rules_rule *rule, char out[PROMOTION_TEXT_MAX])
{
	char place[PLACE_TEXT_SIZE];

	place_text((struct rules_place){ rule->stage, rule->share_ppm },
		   place);
	snprintf(out, PROMOTION_TEXT_MAX, "%s, target %s", place,
		 rule->target ? rule->target->name : "none");
}

bool
promotion_effect(const struct promotion *p, const struct promotion_state *s,
		 const struct rules_rule *rule, struct rules_place *out)
{
	struct rules_place file = { rule->stage, rule->share_ppm };

	*out = s && s->placed && rule->target ? s->place : file;
	if ((s && s->killed) ||
	    (p->all_killed && out->stage != RULES_STAGE_RETIRED))
		*out = place_on_legacy(*out);
	return place_compare(*out, file) != 0;
}

/* ---- putting it on a set ---- */

/* Under the lock. */
static void
move_one(struct promotion *p, struct rules_rule *rule,
	 const struct promotion_row *row)
{
	struct rules_place place;

	if (promotion_effect(p, row ? &row->state : NULL, rule, &place))
		rules_move(rule, place);
	else
		rules_move_back(rule);
}

/* Most rules were never moved. */
static void
move_all(struct promotion *p, struct rules *rules)
{
	size_t i;

	pthread_mutex_lock(&p->lock);
	for (i = 0; i < rules->rule_count; i++)
		move_one(p, &rules->rules[i],
			 promotion_find(p, rules->rules[i].name));
	pthread_mutex_unlock(&p->lock);
}

static bool
workers_are_current(struct run *r)
{
	uint64_t newest = atomic_load(&r->proxy.rules.generation);
	unsigned i;

	for (i = 0; i < r->workers_started; i++)
		if (atomic_load(&r->workers[i].rules_generation) != newest)
			return false;
	return true;
}

/* A worker that still decides by an older set does so until the end of its
 * turn. */
static void
await_workers(struct run *r)
{
	const struct timespec pause = { 0, 500000 };
	uint64_t end_ms = clock_mono_ms() + WORKERS_WAIT_MS;

	while (!workers_are_current(r)) {
		if (clock_mono_ms() > end_ms) {
			log_error("rules.worker-late", "a worker still goes "
				  "by older rules");
			return;
		}
		nanosleep(&pause, NULL);
	}
}

void
promotion_apply(struct promotion *p)
{
	struct run *r = p->run;
	struct rules *rules = rules_holder_get(&r->proxy.rules);

	move_all(p, rules);
	rules_unref(&rules);
	await_workers(r);
	if (r->shadow)
		reload_publish_shadow(r);
}

void
promotion_set(struct promotion *p, struct promotion_row *row,
	      const struct promotion_state *s)
{
	pthread_mutex_lock(&p->lock);
	row->state = *s;
	pthread_mutex_unlock(&p->lock);
	promotion_apply(p);
}

/* ---- a new file ---- */

static void
set_aside(struct promotion_row *row, const struct rules *rules)
{
	const struct rules_rule *rule = rules_find(rules, row->name);
	char words[PROMOTION_TEXT_MAX] = "";

	row->is_stale = false;
	if (!row->state.placed)
		return;
	if (rule)
		promotion_words(rule, words);
	if (strcmp(words, row->state.words) == 0)
		return;
	row->is_stale = true;
	row->stale = row->state;
	row->state.placed = false;
	row->state.held = false;
}

void
promotion_carry(struct promotion *p, struct rules *fresh)
{
	struct promotion_row *row;

	pthread_mutex_lock(&p->orders);
	pthread_mutex_lock(&p->lock);
	for (row = p->rows; row; row = row->next)
		set_aside(row, fresh);
	pthread_mutex_unlock(&p->lock);
	move_all(p, fresh);
}

/* The disk need not be asked first: the file says the same after a start. */
static void
forget_stale(struct promotion *p, struct promotion_row *row,
	     const struct rules *rules)
{
	const struct rules_rule *rule = rules_find(rules, row->name);
	struct promotion_event e = {
		.action = "file",
		.rule = row->name,
		.by = PROMOTION_BY_FILE,
		.reason = rule ? "the file was changed there" :
				 "the rule is not in the file any more",
		.moved = rule != NULL,
		.old = row->stale.place,
	};

	row->is_stale = false;
	if (rule)
		e.fresh = rules_place(rule);
	log_warn("rules.place-forgotten", "%s: %s; it is where the file says",
		 row->name, e.reason);
	if (promotion_store(p, row, &row->state, &e))
		log_warn("rules.place-unsaved", "%s: not yet on disk",
			 row->name);
}

void
promotion_settle(struct promotion *p, enum promotion_swap how)
{
	/* Before the first set there is none to hold. */
	struct rules *rules = how == PROMOTION_SWAPPED
				      ? rules_holder_get(&p->run->proxy.rules)
				      : NULL;
	struct promotion_row *row;

	for (row = p->rows; row; row = row->next) {
		if (!row->is_stale)
			continue;
		switch (how) {
		case PROMOTION_SWAPPED:
			forget_stale(p, row, rules);
			break;
		case PROMOTION_KEPT:
			pthread_mutex_lock(&p->lock);
			row->state = row->stale;
			row->is_stale = false;
			pthread_mutex_unlock(&p->lock);
			break;
		}
	}
	rules_unref(&rules);
	pthread_mutex_unlock(&p->orders);
}

/* What was moved before the start, on the set that was loaded without it. */
int
promotion_open(struct promotion *p, struct error *err)
{
	struct rules *rules;

	if (promotion_load(p, err))
		return -1;
	rules = rules_holder_get(&p->run->proxy.rules);
	promotion_carry(p, rules);
	promotion_settle(p, PROMOTION_SWAPPED);
	rules_unref(&rules);
	return 0;
}
