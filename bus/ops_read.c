/* SPDX-License-Identifier: Apache-2.0 */
/* Operations without a group: reading on, and dead letters. */
#include <stdlib.h>

#include "base/clock.h"
#include "bus/server.h"
#include "payload/payload.h"

#define READ_SCAN_ROWS 5000

/* ---- read ---- */

static bool
write_row(void *arg, const struct journal_row *row)
{
	struct call *c = arg;
	struct json *j = &c->json;

	json_object_begin(j);
	json_key(j, "sequence");
	json_i64(j, row->sequence);
	json_key(j, "event");
	bus_write_cloudevent(j, row);
	json_object_end(j);
	return c->out.len < SERVER_ANSWER_SOFT;
}

static int
read_rows(struct call *c)
{
	struct server *s = c->server;
	const struct groups_settings *f = &c->settings;
	const struct journal_filter filter = {
		.type = f->type[0] ? f->type : NULL,
		.subject = f->subject[0] ? f->subject : NULL,
		.shadow_only = f->shadow_only };
	int n;

	if (c->after >= journal_last_sequence(s->bus->journal))
		return 0;
	pthread_mutex_lock(&s->read_lock);
	do {
		n = journal_read(s->reader, c->after, &filter, c->max,
				 READ_SCAN_ROWS, write_row, c, &c->after);
	} while (n == 0 && c->after < journal_last_sequence(s->bus->journal));
	pthread_mutex_unlock(&s->read_lock);
	return n;
}

static bool
read_again(struct call *c, bool last)
{
	int n;

	call_begin(c);
	json_key(&c->json, "events");
	json_array_begin(&c->json);
	n = read_rows(c);
	if (n == 0 && !last)
		return false;
	json_array_end(&c->json);
	json_key(&c->json, "next");
	json_i64(&c->json, c->after);
	call_end(c);
	if (n < 0)
		call_error(c, "unavailable", "the journal cannot be read; the "
			   "log of matapalo says why");
	return true;
}

static int
read_after(struct call *c, const struct cJSON *in, struct error *err)
{
	const struct cJSON *m = payload_member(in, "after");

	if (strcmp(payload_string(m, ""), "newest") == 0) {
		c->after = journal_last_sequence(c->server->bus->journal);
		return 0;
	}
	return read_count(in, "after", 0, INT64_MAX, &c->after, err);
}

enum call_result
op_read(struct call *c, const struct cJSON *in)
{
	struct error err = { 0 };
	int64_t max = 0, wait_ms = 0;

	groups_settings_default(&c->settings);
	if (read_after(c, in, &err) < 0 ||
	    groups_settings_read(in, &c->settings, &err) < 0 ||
	    read_count(in, "max", 100, SERVER_BATCH_MAX, &max, &err) < 0 ||
	    read_count(in, "wait_ms", 0, SERVER_WAIT_MAX_MS, &wait_ms,
		       &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	c->max = (size_t)max;
	if (read_again(c, c->max == 0))
		return CALL_ANSWERED;
	return call_wait(c, wait_ms, read_again);
}

/* ---- dead letters ---- */

struct letter {
	struct journal_dead dead;	/* its texts are in the two below */
	char group[GROUPS_NAME_SIZE];
	char reason[GROUPS_REASON_SIZE];
};

struct letters {
	struct letter *at;
	size_t count, max;
	int64_t after;
	bool failed;
};

static void
copy_text(char *out, size_t size, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	n = n < size ? n : size - 1;
	if (n > 0)
		memcpy(out, text, n);
	out[n] = '\0';
}

static void
on_letter(void *arg, const struct journal_dead *d)
{
	struct letters *l = arg;
	struct letter *at;

	if (d->id <= l->after || l->count == l->max)
		return;
	at = realloc(l->at, (l->count + 1) * sizeof(*at));
	if (!at) {
		l->failed = true;
		return;
	}
	l->at = at;
	at += l->count++;
	at->dead = *d;
	copy_text(at->group, sizeof(at->group), d->group);
	copy_text(at->reason, sizeof(at->reason), d->reason);
}

static bool
write_letter_event(void *arg, const struct journal_row *row)
{
	struct call *c = arg;

	json_key(&c->json, "event");
	bus_write_cloudevent(&c->json, row);
	return true;
}

static void
write_time(struct json *j, const char *name, int64_t us)
{
	char text[CLOCK_RFC3339_SIZE];

	json_key(j, name);
	json_str(j, clock_rfc3339(us, text));
}

static void
write_letter(struct call *c, const struct letter *l)
{
	struct json *j = &c->json;

	json_object_begin(j);
	json_key(j, "id");
	json_i64(j, l->dead.id);
	json_key(j, "group");
	json_str(j, l->group);
	json_key(j, "sequence");
	json_i64(j, l->dead.sequence);
	json_key(j, "attempts");
	json_u64(j, l->dead.attempts);
	write_time(j, "first", l->dead.first_us);
	write_time(j, "last", l->dead.last_us);
	json_key(j, "reason");
	json_str(j, l->reason);
	(void)journal_read_one(c->server->reader, l->dead.sequence,
			       write_letter_event, c);
	json_object_end(j);
}

/* The reader's lock is held. Returns the id to go on after. */
static int64_t
write_letters(struct call *c, const struct letters *l)
{
	int64_t next = l->after;

	json_key(&c->json, "dead");
	json_array_begin(&c->json);
	for (size_t i = 0; i < l->count && c->out.len < SERVER_ANSWER_SOFT;
	     i++) {
		write_letter(c, &l->at[i]);
		next = l->at[i].dead.id;
	}
	json_array_end(&c->json);
	return next;
}

enum call_result
op_dlq_list(struct call *c, const struct cJSON *in)
{
	struct server *s = c->server;
	struct letters l = { 0 };
	struct error err = { 0 };
	int64_t max = 0, next;

	if (read_text(in, "group", "", c->group, sizeof(c->group), &err) < 0 ||
	    read_count(in, "after", 0, INT64_MAX, &l.after, &err) < 0 ||
	    read_count(in, "max", 100, SERVER_BATCH_MAX, &max, &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	l.max = (size_t)max;
	call_begin(c);
	pthread_mutex_lock(&s->read_lock);
	if (journal_read_dead(s->reader, c->group[0] ? c->group : NULL,
			      on_letter, &l) < 0)
		l.failed = true;
	next = write_letters(c, &l);
	pthread_mutex_unlock(&s->read_lock);
	json_key(&c->json, "next");
	json_i64(&c->json, next);
	call_end(c);
	free(l.at);
	if (l.failed)
		return call_error(c, "unavailable", "the dead letters cannot "
				  "be read; the log of matapalo says why");
	return CALL_ANSWERED;
}

enum call_result
op_dlq_redrive(struct call *c, const struct cJSON *in)
{
	const struct cJSON *id = payload_member(in, "id");
	bool all = payload_bool(payload_member(in, "all"), false);
	struct error err = { 0 };
	int n;

	if (read_text(in, "group", NULL, c->group, sizeof(c->group), &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	if (all == (payload_int(id, 0) > 0))
		return call_error(c, "bad_request", "either id (from dlq_list) "
				  "or \"all\": true");
	n = groups_redrive(c->server->bus->groups, c->group,
			   payload_int(id, 0));
	if (n < 0)
		return call_error(c, "unknown_group", "there is no group "
				  "\"%s\", or its dead letters cannot be read",
				  c->group);
	bus_ring(c->server->bus);
	call_begin(c);
	json_key(&c->json, "redriven");
	json_i64(&c->json, n);
	call_end(c);
	return CALL_ANSWERED;
}
