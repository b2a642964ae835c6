/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at dead letters: by the page, and one with all that is known. */
#include <stdlib.h>

#include "base/clock.h"
#include "bus/select.h"
#include "bus/server.h"
#include "journal/dead.h"
#include "payload/payload.h"

#define LIST_SCAN_ROWS 20000
#define NEWEST_SHOWN 20
#define NEWEST_SCAN 500

/* A statement of the reader runs once at a time: the page is copied before
 * the events are read. */
struct letter {
	struct journal_dead dead;	/* its texts are the three below */
	char group[GROUPS_NAME_SIZE];
	char reason[GROUPS_REASON_SIZE];
	char consumer[SERVER_TOKEN_SIZE];
};

struct letters {
	struct letter *at;
	size_t count;
	bool failed;
};

static void
copy_text(char *out, size_t size, const char *text)
{
	size_t n = strnlen(text, size - 1);

	memcpy(out, text, n);
	out[n] = '\0';
}

static void
on_letter(void *arg, const struct journal_letter *l)
{
	struct letters *all = arg;
	struct letter *at = realloc(all->at, (all->count + 1) * sizeof(*at));

	if (!at) {
		all->failed = true;
		return;
	}
	all->at = at;
	at += all->count++;
	at->dead = l->dead;
	copy_text(at->group, sizeof(at->group), l->dead.group);
	copy_text(at->reason, sizeof(at->reason), l->dead.reason);
	copy_text(at->consumer, sizeof(at->consumer), l->dead.consumer);
}

/* ---- writing ---- */

static bool
write_event(void *arg, const struct journal_row *row)
{
	struct call *c = arg;

	json_key(&c->json, "event");
	bus_write_cloudevent_within(&c->json, row, c->event_bytes);
	return true;
}

static void
write_known(struct json *j, const struct letter *l)
{
	json_key(j, "id");
	json_i64(j, l->dead.id);
	json_member_str(j, "group", l->group);
	json_key(j, "sequence");
	json_i64(j, l->dead.sequence);
	json_key(j, "attempts");
	json_u64(j, l->dead.attempts);
	json_member_time(j, "first", l->dead.first_us);
	json_member_time(j, "last", l->dead.last_us);
	json_member_str(j, "reason", l->reason);
	json_member_str(j, "consumer", l->consumer);
}

/* Inside an object. */
static void
write_letter(struct call *c, const struct letter *l)
{
	write_known(&c->json, l);
	(void)journal_read_one(c->server->reader, l->dead.sequence,
			       write_event, c);
}

/* ---- dlq_list ---- */

/* A page ends early when the answer is full. */
static void
write_page(struct call *c, const struct letters *l,
	   struct journal_dead_page *page)
{
	size_t i = 0;

	json_key(&c->json, "dead");
	json_array_begin(&c->json);
	for (; i < l->count && c->out.len < SERVER_ANSWER_SOFT; i++) {
		json_object_begin(&c->json);
		write_letter(c, &l->at[i]);
		json_object_end(&c->json);
	}
	json_array_end(&c->json);
	if (i < l->count) {
		page->after = i ? l->at[i - 1].dead.id : page->after;
		page->more = true;
	}
	json_key(&c->json, "next");
	json_i64(&c->json, page->after);
	json_key(&c->json, "more");
	json_bool(&c->json, page->more);
}

enum call_result
op_dlq_list(struct call *c, const struct cJSON *in)
{
	struct server *s = c->server;
	struct journal_dead_page page = { .scan_limit = LIST_SCAN_ROWS };
	struct journal_dead_filter f;
	struct job_record r = { .id = 0 };
	struct letters l = { 0 };
	struct error err = { 0 };
	int64_t max = 0;
	int n;

	if (read_event_bytes(c, in, &err) < 0 ||
	    read_text(in, "group", "", r.group, sizeof(r.group), &err) < 0 ||
	    select_read_filter(in, &r, &err) < 0 ||
	    read_count(in, "after", 0, INT64_MAX, &page.after, &err) < 0 ||
	    read_count(in, "max", 100, SERVER_BATCH_MAX, &max, &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	page.max = (size_t)max;
	select_filter(&r, &f);
	call_begin(c);
	pthread_mutex_lock(&s->read_lock);
	n = journal_read_letters(s->reader, &f, &page, on_letter, &l);
	write_page(c, &l, &page);
	pthread_mutex_unlock(&s->read_lock);
	call_end(c);
	free(l.at);
	if (l.failed || n < 0)
		return call_error(c, "unavailable", "the dead letters cannot "
				  "be read; the log of matapalo says why");
	return CALL_ANSWERED;
}

/* ---- dlq_show ---- */

static void
on_attempt(void *arg, const struct journal_attempt *a)
{
	struct json *j = arg;

	json_object_begin(j);
	json_key(j, "attempt");
	json_u64(j, a->attempt);
	json_member_time(j, "time", a->time_us);
	json_member_str(j, "consumer", a->consumer);
	json_member_str(j, "reason", a->reason);
	json_object_end(j);
}

static void
write_whole(struct call *c, const struct letter *l)
{
	json_key(&c->json, "letter");
	json_object_begin(&c->json);
	write_letter(c, l);
	json_key(&c->json, "history");
	json_array_begin(&c->json);
	(void)journal_read_attempts(c->server->reader, l->group,
				    l->dead.sequence, on_attempt, &c->json);
	json_array_end(&c->json);
	json_object_end(&c->json);
}

enum call_result
op_dlq_show(struct call *c, const struct cJSON *in)
{
	struct server *s = c->server;
	struct journal_dead_filter f = { .group = c->group };
	struct journal_dead_page page = { .max = 1, .scan_limit = 1 };
	struct letters l = { 0 };
	struct error err = { 0 };
	int64_t id = payload_int(payload_member(in, "id"), 0);
	int n;

	if (read_event_bytes(c, in, &err) < 0 ||
	    read_text(in, "group", "", c->group, sizeof(c->group), &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	if (!c->group[0])
		f.group = NULL;
	if (id <= 0)
		return call_error(c, "bad_request", "id must be the number of "
				  "a dead letter; dlq_list has it");
	page.after = id - 1;
	page.upto = id;
	call_begin(c);
	pthread_mutex_lock(&s->read_lock);
	n = journal_read_letters(s->reader, &f, &page, on_letter, &l);
	if (l.count == 1)
		write_whole(c, l.at);
	pthread_mutex_unlock(&s->read_lock);
	call_end(c);
	free(l.at);
	if (l.failed || n < 0)
		return call_error(c, "unavailable", "the dead letters cannot "
				  "be read; the log of matapalo says why");
	if (n == 0)
		return call_error(c, "unknown_letter", "there is no dead "
				  "letter %lld (any more); dlq_list has those "
				  "that are there", (long long)id);
	return CALL_ANSWERED;
}

/* ---- for the status ---- */

/* Numbers have gaps, where letters were redriven or purged. */
void
server_write_newest_letters(struct server *s, struct json *j)
{
	static const struct journal_dead_filter all;
	struct journal_dead_page page = { .max = NEWEST_SCAN,
					  .scan_limit = NEWEST_SCAN };
	struct letters l = { 0 };
	int64_t newest = 0;

	pthread_mutex_lock(&s->read_lock);
	if (journal_read_newest_letter(s->reader, &newest) == 0) {
		page.after = newest > NEWEST_SCAN ? newest - NEWEST_SCAN : 0;
		(void)journal_read_letters(s->reader, &all, &page, on_letter,
					   &l);
	}
	pthread_mutex_unlock(&s->read_lock);
	for (size_t i = l.count > NEWEST_SHOWN ? l.count - NEWEST_SHOWN : 0;
	     i < l.count; i++) {
		json_object_begin(j);
		write_known(j, &l.at[i]);
		json_object_end(j);
	}
	free(l.at);
}
