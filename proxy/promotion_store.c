/* SPDX-License-Identifier: Apache-2.0 */
/* Places on disk: one row of state a rule, and an audit event a change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "payload/payload.h"
#include "proxy/promotion_internal.h"
#include "proxy/run.h"

#define EVENT_TYPE "matapalo.promotion.v1"
#define EVENT_EXTENSIONS "\"dataschema\":\"urn:matapalo:schema:promotion:v1\""
#define TOKEN_NAME "admin"	/* there is one token */

const char *
promotion_by_word(enum promotion_by by)
{
	static const char *const words[] = {
		[PROMOTION_BY_OPERATOR] = "operator",
		[PROMOTION_BY_RAMP] = "ramp",
		[PROMOTION_BY_FILE] = "file",
	};

	return words[by];
}

/* ---- as text ---- */

/* The numbers of a count in the order of the file. */
#define COUNTS 10

static uint64_t *
count_at(const struct ramp_count *c, size_t i)
{
	const uint64_t *const list[COUNTS] = {
		&c->target.requests, &c->target.failures, &c->target.logs,
		&c->target.squares,  &c->legacy.requests, &c->legacy.failures,
		&c->legacy.logs,     &c->legacy.squares,  &c->pairs,
		&c->matches,
	};

	return (uint64_t *)(uintptr_t)list[i];
}

void
promotion_write_place(struct json *out, struct rules_place place)
{
	json_object_begin(out);
	json_key(out, "stage");
	json_str(out, rules_stage_name(place.stage));
	json_key(out, "share");
	json_double(out, (double)place_share(place) / RULES_SHARE_ALL);
	json_object_end(out);
}

/* The slices of the newest past are not worth the disk. */
static void
write_evidence(const struct promotion_evidence *e, struct json *out)
{
	json_key(out, "evidence");
	json_object_begin(out);
	json_key(out, "at");
	json_str(out, rules_stage_name(e->at.stage));
	json_key(out, "at_ppm");
	json_u64(out, e->at.share_ppm);
	json_key(out, "candidate");
	json_str(out, e->candidate);
	json_key(out, "there_ms");
	json_u64(out, e->there_ms);
	json_key(out, "falls");
	json_u64(out, e->falls);
	json_key(out, "fell_from");
	json_u64(out, e->fell_from);
	json_key(out, "count");
	json_array_begin(out);
	for (size_t i = 0; i < COUNTS; i++)
		json_u64(out, *count_at(&e->window.step, i));
	json_array_end(out);
	json_object_end(out);
}

static void
write_state(const struct promotion_state *s,
	    const struct promotion_evidence *e, struct buf *out)
{
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	if (s->placed) {
		json_key(&j, "stage");
		json_str(&j, rules_stage_name(s->place.stage));
		json_key(&j, "share_ppm");
		json_u64(&j, s->place.share_ppm);
		json_given_str(&j, "words", s->words);
	}
	json_given_str(&j, "by", promotion_by_word(s->by));
	json_key(&j, "held");
	json_bool(&j, s->held);
	json_key(&j, "killed");
	json_bool(&j, s->killed);
	json_key(&j, "since_us");
	json_i64(&j, s->since_us);
	json_given_str(&j, "operator", s->operator);
	json_given_str(&j, "reason", s->reason);
	if (e->begun)
		write_evidence(e, &j);
	json_object_end(&j);
}

static void
write_all(const struct promotion *p, struct buf *out)
{
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "killed");
	json_bool(&j, p->all_killed);
	json_given_str(&j, "operator", p->all_operator);
	json_given_str(&j, "reason", p->all_reason);
	json_object_end(&j);
}

static void
write_event(const struct promotion_event *e, struct buf *out)
{
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "action");
	json_str(&j, e->action);
	json_key(&j, "rule");
	json_str(&j, e->rule);
	json_key(&j, "by");
	json_str(&j, promotion_by_word(e->by));
	if (e->by == PROMOTION_BY_OPERATOR)
		json_given_str(&j, "token", TOKEN_NAME);
	json_given_str(&j, "operator", e->operator);
	json_given_str(&j, "reason", e->reason);
	if (e->moved) {
		json_key(&j, "old");
		promotion_write_place(&j, e->old);
		json_key(&j, "new");
		promotion_write_place(&j, e->fresh);
	}
	if (e->numbers.len) {
		json_key(&j, "numbers");
		json_raw(&j, e->numbers);
	}
	json_object_end(&j);
}

/* ---- writing ---- */

/* The state of one rule. */
struct text {
	const char *key;
	struct buf value;
};

/* On the caller's stack: he waits for it. */
struct write {
	struct journal_item item;
	const char *key, *source;
	struct span event;		/* may be empty; about `key` */
	const struct text *texts;
	size_t count;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done;
	enum journal_status status;
};

static int
write_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct write *w = (struct write *)item;
	struct journal_event e = {
		.id = id_make(),
		.time_us = clock_wall_us(),
		.type = SPAN_LITERAL(EVENT_TYPE),
		.source = span_of(w->source),
		.subject = span_of(w->key),
		.extensions = SPAN_LITERAL(EVENT_EXTENSIONS),
		.data = w->event,
	};

	if (w->event.len && journal_tx_append(tx, &e, NULL))
		return -1;
	for (size_t i = 0; i < w->count; i++)
		journal_tx_state_put(tx, PROMOTION_SPACE, w->texts[i].key,
				     buf_span(&w->texts[i].value));
	return 0;
}

static void
write_done(struct journal_item *item, enum journal_status status)
{
	struct write *w = (struct write *)item;

	pthread_mutex_lock(&w->lock);
	w->status = status;
	w->done = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

static const struct journal_item_ops write_ops = { .apply = write_apply,
						   .done = write_done };

static int
write_and_wait(struct promotion *p, const struct text *texts, size_t count,
	       struct span event)
{
	const struct run *r = p->run;
	struct write w = { .item = { .ops = &write_ops, .urgent = true },
			   .key = texts[0].key,
			   .source = r->settings->source,
			   .texts = texts,
			   .count = count,
			   .event = event };

	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.wake, NULL);
	journal_post(r->proxy.journal, &w.item);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.wake, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.wake);
	pthread_mutex_destroy(&w.lock);
	return w.status == JOURNAL_COMMITTED ? 0 : -1;
}

/* The status reads it on another thread. */
static void
set_unsaved(struct promotion *p, struct promotion_row *row, bool unsaved)
{
	pthread_mutex_lock(&p->lock);
	row->unsaved = unsaved;
	pthread_mutex_unlock(&p->lock);
}

void
promotion_set_saved(struct promotion *p, struct promotion_row *row)
{
	set_unsaved(p, row, false);
}

static void
keep_unsent(struct promotion *p, struct promotion_row *row,
	    const struct buf *event)
{
	set_unsaved(p, row, true);
	buf_clear(&row->unsent);
	buf_add(&row->unsent, event->data, event->len);
}

int
promotion_store(struct promotion *p, struct promotion_row *row,
		const struct promotion_state *s,
		const struct promotion_event *e)
{
	struct buf event CLEANUP(buf_fini) = { 0 };
	struct text text = { .key = row ? row->name : PROMOTION_ALL };
	int failed;

	if (row)
		write_state(s, &row->evidence, &text.value);
	else
		write_all(p, &text.value);
	write_event(e, &event);
	failed = text.value.failed || event.failed ||
		 write_and_wait(p, &text, 1, buf_span(&event));
	buf_fini(&text.value);
	if (failed && row)
		keep_unsent(p, row, &event);
	else if (row && row->unsaved)
		promotion_set_saved(p, row);
	return failed ? -1 : 0;
}

void
promotion_retry(struct promotion *p)
{
	struct promotion_row *row;

	for (row = p->rows; row; row = row->next) {
		struct text text = { .key = row->name };

		if (!row->unsaved ||
		    !journal_is_writable(p->run->proxy.journal))
			continue;
		write_state(&row->state, &row->evidence, &text.value);
		if (!text.value.failed &&
		    !write_and_wait(p, &text, 1, buf_span(&row->unsent)))
			row->unsaved = false;
		buf_fini(&text.value);
	}
}

/* All rules in one transaction: there may be many ramps. */
void
promotion_save(struct promotion *p)
{
	struct promotion_row *row;
	struct text *texts;
	size_t n = 0, count = 0;
	bool failed = false;

	for (row = p->rows; row; row = row->next)
		n += row->evidence.begun;
	texts = n ? calloc(n, sizeof(*texts)) : NULL;
	for (row = p->rows; texts && row; row = row->next) {
		if (!row->evidence.begun)
			continue;
		texts[count].key = row->name;
		write_state(&row->state, &row->evidence,
			    &texts[count].value);
		failed |= texts[count++].value.failed;
	}
	if (count && !failed && journal_is_writable(p->run->proxy.journal) &&
	    write_and_wait(p, texts, count, (struct span){ NULL, 0 }))
		log_warn("rules.evidence-unsaved", "what is known of %zu "
			 "rules is not on disk", count);
	while (count > 0)
		buf_fini(&texts[--count].value);
	free(texts);
}

/* ---- reading ---- */

static const char *
text_of(const struct cJSON *tree, const char *name)
{
	return payload_string(payload_member(tree, name), "");
}

static bool
flag_of(const struct cJSON *tree, const char *name)
{
	return payload_bool(payload_member(tree, name), false);
}

static bool
stage_of(const char *word, enum rules_stage *out)
{
	unsigned i;

	for (i = 0; i < RULES_STAGE_COUNT; i++)
		if (!strcmp(word, rules_stage_name((enum rules_stage)i))) {
			*out = (enum rules_stage)i;
			return true;
		}
	return false;
}

static void
read_state(const struct cJSON *tree, struct promotion_state *s)
{
	int64_t ppm = payload_int(payload_member(tree, "share_ppm"), 0);

	*s = (struct promotion_state){
		.by = !strcmp(text_of(tree, "by"), "ramp") ?
			      PROMOTION_BY_RAMP : PROMOTION_BY_OPERATOR,
		.held = flag_of(tree, "held"),
		.killed = flag_of(tree, "killed"),
		.since_us = payload_int(payload_member(tree, "since_us"), 0),
	};
	s->placed = stage_of(text_of(tree, "stage"), &s->place.stage) &&
		    ppm >= 0 && ppm <= RULES_SHARE_ALL;
	s->place.share_ppm = (uint32_t)ppm;
	snprintf(s->words, sizeof(s->words), "%s", text_of(tree, "words"));
	snprintf(s->operator, sizeof(s->operator), "%s",
		 text_of(tree, "operator"));
	snprintf(s->reason, sizeof(s->reason), "%s", text_of(tree, "reason"));
}

static void
read_evidence(const struct cJSON *tree, struct promotion_evidence *e)
{
	const struct cJSON *at = payload_first(payload_member(tree, "count"));

	e->begun = stage_of(text_of(tree, "at"), &e->at.stage);
	e->at.share_ppm = (uint32_t)payload_int(
		payload_member(tree, "at_ppm"), 0);
	e->there_ms = (uint64_t)payload_int(
		payload_member(tree, "there_ms"), 0);
	e->falls = (unsigned)payload_int(payload_member(tree, "falls"), 0);
	e->fell_from = (uint32_t)payload_int(
		payload_member(tree, "fell_from"), 0);
	snprintf(e->candidate, sizeof(e->candidate), "%s",
		 text_of(tree, "candidate"));
	for (size_t i = 0; at && i < COUNTS; at = payload_next(at))
		*count_at(&e->window.step, i++) =
			(uint64_t)payload_int(at, 0);
}

static void
read_all(struct promotion *p, const struct cJSON *tree)
{
	p->all_killed = flag_of(tree, "killed");
	snprintf(p->all_operator, sizeof(p->all_operator), "%s",
		 text_of(tree, "operator"));
	snprintf(p->all_reason, sizeof(p->all_reason), "%s",
		 text_of(tree, "reason"));
}

static void
take_value(void *arg, const char *key, struct span value)
{
	struct promotion *p = arg;
	struct cJSON *tree CLEANUP(payload_free) = payload_parse(value, NULL);
	const struct cJSON *tree_evidence;
	struct promotion_row *row;

	if (!strcmp(key, PROMOTION_ALL)) {
		read_all(p, tree);
		return;
	}
	row = promotion_row(p, key);
	if (!row)
		return;
	read_state(tree, &row->state);
	tree_evidence = payload_member(tree, "evidence");
	if (tree_evidence)
		read_evidence(tree_evidence, &row->evidence);
}

int
promotion_load(struct promotion *p, struct error *err)
{
	struct journal_reader *reader =
		journal_reader_open(journal_path(p->run->proxy.journal), err);
	int failed;

	if (!reader)
		return -1;
	failed = journal_read_state(reader, PROMOTION_SPACE, take_value, p);
	journal_reader_close(&reader);
	return failed ? error_set(err, "the places of rules cannot be read "
				  "from the journal") : 0;
}
