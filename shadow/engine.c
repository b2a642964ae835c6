/* SPDX-License-Identifier: Apache-2.0 */
/* What both threads of the shadow need: writing, sums, plans. */
#include "shadow/engine.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "shadow/answer.h"
#include "shadow/sieve.h"

#define TALLY_EVERY_MS 1000
#define TALLY_EVERY_VERDICTS 1000

bool
shadow_is_stopping(struct shadow *s)
{
	return atomic_load(&s->stopping);
}

struct shadow_plan_ref *
shadow_hold_plan(struct shadow *s)
{
	struct shadow_plan_ref *plan;

	pthread_mutex_lock(&s->lock);
	plan = shadow_plan_hold(s->plan);
	pthread_mutex_unlock(&s->lock);
	return plan;
}

bool
shadow_wait_plan(struct shadow *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->plan && !shadow_is_stopping(s))
		pthread_cond_wait(&s->wake, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return !shadow_is_stopping(s);
}

struct shadow_verdict *
shadow_verdict_new(const char *rule, const char *candidate,
		   uint32_t legacy_us)
{
	struct shadow_verdict *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->outcome = SHADOW_MATCH;
	snprintf(v->rule, sizeof(v->rule), "%s", rule);
	snprintf(v->candidate, sizeof(v->candidate), "%s", candidate);
	v->legacy_us = legacy_us;
	return v;
}

static bool
wants_example(struct shadow *s, const struct shadow_verdict *v)
{
	bool wanted;

	pthread_mutex_lock(&s->lock);
	wanted = shadow_tally_wants(s->tally, v);
	pthread_mutex_unlock(&s->lock);
	return wanted;
}

void
shadow_keep_answer(struct shadow *s, const struct shadow_plan *plan,
		   const struct shadow_answer *answer,
		   struct shadow_verdict *v, struct buf *text)
{
	struct json j;

	if (v->outcome != SHADOW_DIFFERENCE || !wants_example(s, v))
		return;
	json_init(&j, text);
	shadow_answer_write(plan, answer, &j);
	v->has_answer = !text->failed;
	v->answer = buf_span(text);
}

/* ---- writing ---- */

static void
count_verdict(enum shadow_outcome o)
{
	switch (o) {
#define X(symbol, word, counter)                   \
	case SHADOW_##symbol:                      \
		counter_inc(COUNTER_SHADOW_##counter); \
		break;
	SHADOW_OUTCOMES(X)
#undef X
	}
}

static void
mark_sent(struct shadow *s, const char *correlation)
{
	struct shadow_pair *pair = shadow_pending_find(s->pending,
						       span_of(correlation));

	if (pair)
		pair->sent = true;
}

/* Under the lock. */
static void
settle_entry(struct shadow *s, const struct shadow_entry *e)
{
	switch (e->kind) {
	case SHADOW_ENTRY_VERDICT:
		count_verdict(e->verdict->outcome);
		shadow_tally_add(s->tally, e->verdict, e->correlation,
				 e->sequence);
		shadow_pending_remove(s->pending, e->correlation);
		break;
	case SHADOW_ENTRY_FORGET:
		shadow_pending_remove(s->pending, e->correlation);
		break;
	case SHADOW_ENTRY_COMMAND:
		counter_inc(COUNTER_SHADOW_SENT);
		mark_sent(s, e->correlation);
		break;
	case SHADOW_ENTRY_TALLY:
		s->tally_posted = false;
		break;
	}
}

/* Under the lock. */
static void
unsave(struct shadow *s)
{
	s->tally_posted = false;
	shadow_tally_unsave(s->tally);
	shadow_noise_unsave(s->noise);
}

/* Under the lock. True when the entry is to be kept and posted again. */
static bool
keep_unsaved(struct shadow *s, struct shadow_entry *e)
{
	if (e->kind == SHADOW_ENTRY_TALLY) {
		unsave(s);
		return false;
	}
	if (e->item.refused) {
		log_error("shadow.refused", "the journal refused an event of "
			  "exchange %s", e->correlation);
		shadow_pending_remove(s->pending, e->correlation);
		return false;
	}
	e->next = NULL;
	*s->unsaved_end = e;
	s->unsaved_end = &e->next;
	s->unsaved_count++;
	return true;
}

/* On the writer's thread. */
static void
on_done(void *arg, struct shadow_entry *e, enum journal_status status)
{
	struct shadow *s = arg;
	bool kept = false;

	pthread_mutex_lock(&s->lock);
	if (status == JOURNAL_COMMITTED)
		settle_entry(s, e);
	else
		kept = keep_unsaved(s, e);
	if (!kept)
		shadow_entry_free(&e);
	s->posted--;
	pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void
shadow_post(struct shadow *s, struct shadow_entry *e)
{
	e->done = on_done;
	e->arg = s;
	pthread_mutex_lock(&s->lock);
	s->posted++;
	pthread_mutex_unlock(&s->lock);
	journal_post(s->journal, &e->item);
}

void
shadow_wait_posted(struct shadow *s)
{
	pthread_mutex_lock(&s->lock);
	while (s->posted > 0)
		pthread_cond_wait(&s->wake, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void
post_unsaved(struct shadow *s)
{
	struct shadow_entry *list;

	if (!journal_is_writable(s->journal))
		return;
	pthread_mutex_lock(&s->lock);
	list = s->unsaved;
	s->unsaved = NULL;
	s->unsaved_end = &s->unsaved;
	s->unsaved_count = 0;
	pthread_mutex_unlock(&s->lock);
	while (list) {
		struct shadow_entry *e = list;

		list = e->next;
		shadow_post(s, e);
	}
}

static struct shadow_entry *
make_verdict(struct shadow_verdict *v, const char *correlation,
	     struct span source, const struct id *cause)
{
	struct shadow_entry *e = shadow_entry_new(SHADOW_ENTRY_VERDICT,
						  correlation);
	struct buf data = { 0 };
	char id[ID_TEXT_SIZE], extensions[128];
	struct json j;

	if (!e) {
		free(v);
		return NULL;
	}
	e->verdict = v;
	v->time_us = clock_wall_us();
	json_init(&j, &data);
	shadow_verdict_write(v, &j);
	v->answer = (struct span){ 0 };
	snprintf(extensions, sizeof(extensions),
		 "\"dataschema\":\"" SHADOW_VERDICT_SCHEMA "\","
		 "\"causationid\":\"%s\"", id_text(cause, id));
	shadow_entry_set_event(e, &(struct journal_event){
		.id = id_make(),
		.time_us = v->time_us,
		.type = SPAN_LITERAL(SHADOW_VERDICT_TYPE),
		.source = source,
		.subject = span_of(v->rule),
		.correlation = span_of(correlation),
		.extensions = span_of(extensions),
		.data = buf_span(&data),
	});
	e->failed |= data.failed;
	buf_fini(&data);
	return e;
}

void
shadow_post_verdict(struct shadow *s, struct shadow_verdict *v,
		    const char *correlation, struct span source,
		    const struct id *cause, enum shadow_settles settles)
{
	struct shadow_entry *e = make_verdict(v, correlation, source, cause);

	if (e && settles == SHADOW_SETTLES_PAIR)
		shadow_entry_delete(e, SHADOW_PENDING_SPACE, correlation);
	if (e && shadow_entry_is_whole(e)) {
		shadow_post(s, e);
		return;
	}
	log_error("shadow.no-memory", "no memory for the verdict on exchange "
		  "%s", correlation);
	shadow_entry_free(&e);
	shadow_unclaim(s, correlation);
}

void
shadow_unclaim(struct shadow *s, const char *correlation)
{
	struct shadow_pair *pair;

	pthread_mutex_lock(&s->lock);
	pair = shadow_pending_find(s->pending, span_of(correlation));
	if (pair)
		pair->claimed = false;
	pthread_mutex_unlock(&s->lock);
}

/* ---- noise ---- */

static struct shadow_noise_row *
noise_of(struct shadow *s, const struct shadow_rule *rule,
	 const struct shadow_verdict *v)
{
	struct shadow_noise_row *row = malloc(sizeof(*row));
	bool found = false;

	pthread_mutex_lock(&s->lock);
	if (row)
		found = shadow_noise_get(s->noise, rule->name,
					 rule->fingerprint, v->endpoint, row);
	pthread_mutex_unlock(&s->lock);
	if (!found) {
		free(row);
		return NULL;
	}
	return row;
}

/* Without memory differences count as if there were no noise. */
void
shadow_compare_sifted(struct shadow *s, const struct shadow_plan *plan,
		      const struct shadow_rule *rule,
		      const struct shadow_answer *legacy,
		      const struct shadow_answer *candidate,
		      struct shadow_verdict *v)
{
	struct shadow_noise_row *row = rule->noise_ppm ? noise_of(s, rule, v)
						       : NULL;
	struct shadow_noise_seen seen;

	if (shadow_sieve_compare(plan, rule, legacy, candidate, row, v,
				 &seen)) {
		counter_add(COUNTER_SHADOW_SUPPRESSED,
			    (int64_t)v->suppressed_total);
		pthread_mutex_lock(&s->lock);
		shadow_noise_met(s->noise, rule->name, rule->fingerprint,
				 v->endpoint, &seen);
		pthread_mutex_unlock(&s->lock);
	}
	free(row);
}

/* ---- sums ---- */

static void
put_noise(void *arg, const char *key, struct span value)
{
	shadow_entry_put(arg, SHADOW_NOISE_SPACE, key, value);
}

/* Under the lock. */
static bool
is_unsaved(const struct shadow *s)
{
	return shadow_tally_unsaved(s->tally) > 0 ||
	       shadow_noise_is_unsaved(s->noise);
}

static void
put_row(void *arg, const char *key, struct span value)
{
	shadow_entry_put(arg, SHADOW_TALLY_SPACE, key, value);
}

void
shadow_save_tally(struct shadow *s)
{
	struct shadow_entry *e = shadow_entry_new(SHADOW_ENTRY_TALLY, "");
	bool ready;

	if (!e)
		return;
	pthread_mutex_lock(&s->lock);
	ready = !s->tally_posted && is_unsaved(s);
	if (ready) {
		s->tally_posted =
			!shadow_tally_save(s->tally, put_row, e) &&
			!shadow_noise_save(s->noise, put_noise, e) &&
			shadow_entry_is_whole(e);
		if (!s->tally_posted)
			unsave(s);
		ready = s->tally_posted;
	}
	pthread_mutex_unlock(&s->lock);
	if (ready)
		shadow_post(s, e);
	else
		shadow_entry_free(&e);
}

static bool
tally_is_due(struct shadow *s)
{
	size_t unsaved;
	bool any;

	pthread_mutex_lock(&s->lock);
	unsaved = shadow_tally_unsaved(s->tally);
	any = is_unsaved(s);
	pthread_mutex_unlock(&s->lock);
	return unsaved >= TALLY_EVERY_VERDICTS ||
	       (any && clock_mono_ms() >= s->tally_saved_ms +
						  TALLY_EVERY_MS);
}

void
shadow_tick(struct shadow *s)
{
	post_unsaved(s);
	shadow_expire_pairs(s);
	if (!tally_is_due(s) || !journal_is_writable(s->journal))
		return;
	s->tally_saved_ms = clock_mono_ms();
	shadow_save_tally(s);
}
