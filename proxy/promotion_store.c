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

static void
write_text(struct json *out, const char *key, const char *text)
{
	if (!text || !*text)
		return;
	json_key_span(out, span_of(key));
	json_str(out, text);
}

static void
write_state(const struct promotion_state *s, struct buf *out)
{
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	if (s->placed) {
		json_key(&j, "stage");
		json_str(&j, rules_stage_name(s->place.stage));
		json_key(&j, "share_ppm");
		json_u64(&j, s->place.share_ppm);
		write_text(&j, "words", s->words);
	}
	write_text(&j, "by", promotion_by_word(s->by));
	json_key(&j, "held");
	json_bool(&j, s->held);
	json_key(&j, "killed");
	json_bool(&j, s->killed);
	json_key(&j, "since_us");
	json_i64(&j, s->since_us);
	write_text(&j, "operator", s->operator);
	write_text(&j, "reason", s->reason);
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
	write_text(&j, "operator", p->all_operator);
	write_text(&j, "reason", p->all_reason);
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
		write_text(&j, "token", TOKEN_NAME);
	write_text(&j, "operator", e->operator);
	write_text(&j, "reason", e->reason);
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

/* On the caller's stack: he waits for it. */
struct write {
	struct journal_item item;
	const char *key, *source;
	struct span state, event;	/* event may be empty */
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
	journal_tx_state_put(tx, PROMOTION_SPACE, w->key, w->state);
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
write_and_wait(struct promotion *p, const char *key, struct span state,
	       struct span event)
{
	const struct run *r = p->run;
	struct write w = { .item = { .ops = &write_ops, .urgent = true },
			   .key = key,
			   .source = r->settings->source,
			   .state = state,
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

int
promotion_store(struct promotion *p, struct promotion_row *row,
		const struct promotion_state *s,
		const struct promotion_event *e)
{
	struct buf state CLEANUP(buf_fini) = { 0 };
	struct buf event CLEANUP(buf_fini) = { 0 };
	int failed;

	if (row)
		write_state(s, &state);
	else
		write_all(p, &state);
	if (e)
		write_event(e, &event);
	failed = state.failed || event.failed ||
		 write_and_wait(p, row ? row->name : PROMOTION_ALL,
				buf_span(&state), buf_span(&event));
	if (!failed && row)
		row->unsaved = false;
	else if (failed && row && e) {
		row->unsaved = true;
		buf_clear(&row->unsent);
		buf_add(&row->unsent, event.data, event.len);
	}
	return failed ? -1 : 0;
}

void
promotion_retry(struct promotion *p)
{
	struct promotion_row *row;

	for (row = p->rows; row; row = row->next) {
		struct buf state CLEANUP(buf_fini) = { 0 };

		if (!row->unsaved ||
		    !journal_is_writable(p->run->proxy.journal))
			continue;
		write_state(&row->state, &state);
		if (!state.failed &&
		    !write_and_wait(p, row->name, buf_span(&state),
				    buf_span(&row->unsent)))
			row->unsaved = false;
	}
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
	struct promotion_row *row;

	if (!strcmp(key, PROMOTION_ALL)) {
		read_all(p, tree);
		return;
	}
	row = promotion_row(p, key);
	if (row)
		read_state(tree, &row->state);
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
