/* SPDX-License-Identifier: Apache-2.0 */
/* Reading on without a group. */
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
	bus_write_cloudevent_within(j, row, c->event_bytes);
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

	if (c->max == 0 ||
	    c->after >= journal_last_sequence(s->bus->journal))
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
	    read_event_bytes(c, in, &err) < 0 ||
	    read_count(in, "max", 100, SERVER_BATCH_MAX, &max, &err) < 0 ||
	    read_count(in, "wait_ms", 0, SERVER_WAIT_MAX_MS, &wait_ms,
		       &err) < 0)
		return call_error(c, "bad_request", "%s", err.text);
	c->max = (size_t)max;
	if (read_again(c, c->max == 0))
		return CALL_ANSWERED;
	return call_wait(c, wait_ms, read_again);
}
