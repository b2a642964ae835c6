/* SPDX-License-Identifier: Apache-2.0 */
/* Where a replay gets its events: the journal's file, or a process over the
 * bus. Either way a batch of lines, so that nothing is held open in a pause. */
#include "console/replay.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "bus/bus.h"
#include "console/reading.h"
#include "payload/payload.h"

#define SCAN_ROWS 20000
#define BATCH_BYTES (1u << 20)

int
replay_source_open(struct replay_source *s, const struct command_call *call,
		   struct error *err)
{
	s->filter.type = call->values[OPTION_TYPE];
	s->filter.subject = call->values[OPTION_SUBJECT];
	if (!call->values[OPTION_BUS]) {
		s->reader = reading_open(call, err);
		return s->reader ? 0 : -1;
	}
	if (wire_find_url(&s->wire, call, err))
		return -1;
	return wire_connect(&s->wire, err);
}

void
replay_source_close(struct replay_source *s)
{
	journal_reader_close(&s->reader);
	wire_close(&s->wire);
	buf_fini(&s->text);
}

int
replay_source_last(struct replay_source *s, int64_t *last, struct error *err)
{
	struct cJSON *answer CLEANUP(payload_free) = NULL;

	if (s->reader) {
		if (journal_read_last_sequence(s->reader, last) == 0)
			return 0;
		return error_set(err, "the journal cannot be read");
	}
	if (wire_ask(&s->wire, SPAN_LITERAL("{\"op\":\"hello\"}"), 0, &answer,
		     err))
		return -1;
	*last = payload_int(payload_member(answer, "last"), 0);
	return 0;
}

/* ---- lines ---- */

static bool
is_wanted(const struct replay_source *s, int64_t sequence, int64_t time_us)
{
	return sequence <= s->upto &&
	       (!s->since_us || time_us >= s->since_us) &&
	       (!s->until_us || time_us < s->until_us);
}

static void
end_line(struct replay_source *s, size_t at, int64_t sequence,
	 int64_t time_us)
{
	buf_addc(&s->text, '\n');
	s->lines[s->count++] = (struct replay_line){
		.at = at, .len = s->text.len - at, .sequence = sequence,
		.time_us = time_us };
}

static bool
on_row(void *arg, const struct journal_row *row)
{
	struct replay_source *s = arg;
	size_t at = s->text.len;
	struct json j;

	if (row->sequence > s->upto)
		return false;
	if (!is_wanted(s, row->sequence, row->time_us))
		return true;
	json_init(&j, &s->text);
	bus_write_cloudevent(&j, row);
	end_line(s, at, row->sequence, row->time_us);
	return s->count < REPLAY_BATCH && s->text.len < BATCH_BYTES;
}

static int
next_from_file(struct replay_source *s, struct error *err)
{
	if (journal_read(s->reader, s->after, &s->filter, SCAN_ROWS, SCAN_ROWS,
			 on_row, s, &s->after) < 0)
		return error_set(err, "the journal cannot be read after event "
				 "%" PRId64, s->after);
	return 0;
}

/* ---- over the bus ---- */

/* The end of the JSON value that begins here. The text has been parsed, so
 * it is well formed; a number is never asked for. */
static const char *
value_end(const char *p, const char *end)
{
	int depth = 0;
	bool in_string = false;

	for (; p < end; p++) {
		if (in_string && *p == '\\')
			p++;
		else if (*p == '"')
			in_string = !in_string;
		else if (!in_string && (*p == '{' || *p == '['))
			depth++;
		else if (!in_string && (*p == '}' || *p == ']') && !--depth)
			return p + 1;
	}
	return end;
}

/* The next event's own bytes: a parser would make doubles of its numbers.
 * The answer's items are {"sequence":N,"event":{...}}. */
static struct span
cut_event(const char **p, const char *end)
{
	static const char mark[] = ",\"event\":";
	const char *at = memmem(*p, (size_t)(end - *p), mark, strlen(mark));

	if (!at) {
		*p = end;
		return (struct span){ "", 0 };
	}
	at += strlen(mark);
	*p = value_end(at, end);
	return (struct span){ at, (size_t)(*p - at) };
}

static void
take_events(struct replay_source *s, const struct cJSON *answer)
{
	const char *p = s->wire.answer.data, *end = p + s->wire.answer.len;
	const struct cJSON *item = payload_at(answer, "/events/0");

	for (; item; item = payload_next(item)) {
		const struct cJSON *event = payload_member(item, "event");
		int64_t sequence = payload_int(
			payload_member(item, "sequence"), 0);
		struct span bytes = cut_event(&p, end);
		size_t at = s->text.len;
		int64_t time_us = 0;

		(void)clock_parse_rfc3339(
			payload_string(payload_member(event, "time"), ""),
			&time_us);
		if (!is_wanted(s, sequence, time_us))
			continue;
		buf_add(&s->text, bytes.at, bytes.len);
		end_line(s, at, sequence, time_us);
	}
}

static void
add_filter(const struct replay_source *s, struct json *j)
{
	json_key(j, "filter");
	json_object_begin(j);
	if (s->filter.type) {
		json_key(j, "type");
		json_str(j, s->filter.type);
	}
	if (s->filter.subject) {
		json_key(j, "subject");
		json_str(j, s->filter.subject);
	}
	json_object_end(j);
}

static int
next_from_bus(struct replay_source *s, struct error *err)
{
	struct cJSON *answer CLEANUP(payload_free) = NULL;
	struct buf request CLEANUP(buf_fini) = { 0 };
	struct json j;

	json_init(&j, &request);
	json_object_begin(&j);
	json_key(&j, "op");
	json_str(&j, "read");
	json_key(&j, "after");
	json_i64(&j, s->after);
	json_key(&j, "max");
	json_i64(&j, REPLAY_BATCH);
	add_filter(s, &j);
	json_object_end(&j);
	if (wire_ask(&s->wire, buf_span(&request), 0, &answer, err))
		return -1;
	take_events(s, answer);
	s->after = payload_int(payload_member(answer, "next"), s->upto);
	return 0;
}

int
replay_source_next(struct replay_source *s, struct error *err)
{
	int rc;

	s->count = 0;
	buf_clear(&s->text);
	if (s->after >= s->upto)
		return 0;
	rc = s->reader ? next_from_file(s, err) : next_from_bus(s, err);
	if (s->after > s->upto)
		s->after = s->upto;
	if (rc == 0 && s->text.failed)
		return error_set(err, "no memory for the events");
	return rc;
}
