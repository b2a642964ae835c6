/* SPDX-License-Identifier: Apache-2.0 */
/* A trace for people, and as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "console/trace.h"
#include "payload/payload.h"

/* ---- lines ---- */

/* A caller's path must not drive the terminal. */
static void
add_safe(struct buf *out, const char *text)
{
	for (; *text; text++)
		buf_addc(out, (unsigned char)*text < ' ' || *text == 0x7f
				      ? '?' : *text);
}

static void
add_named(struct buf *out, const char *before, const char *text)
{
	if (!*text)
		return;
	buf_adds(out, before);
	add_safe(out, text);
}

static void
add_offset(const struct trace *t, int64_t us, struct buf *out)
{
	buf_printf(out, "%+.3f ms", (double)(us - t->first_us) / 1000);
}

static void
begin_line(const struct trace *t, int64_t us, int64_t sequence,
	   unsigned depth, struct buf *out)
{
	char number[24] = "";

	if (sequence)
		snprintf(number, sizeof(number), "%" PRId64, sequence);
	buf_printf(out, "%+14.3f ms %9s  ",
		   (double)(us - t->first_us) / 1000, number);
	for (unsigned i = 0; i < depth; i++)
		buf_adds(out, "  ");
}

/* ---- what is said of each kind ---- */

static void
text_route(const struct trace_event *e, struct buf *out)
{
	add_safe(out, e->subject);
	add_named(out, "  rule ", trace_word(e, "/route/rule"));
	add_named(out, " (", trace_word(e, "/route/stage"));
	add_named(out, ") to ", trace_word(e, "/route/target"));
}

static void
text_exchange(const struct trace_event *e, struct buf *out)
{
	const char *by = trace_word(e, "/answered_by");
	int64_t status = trace_number(e, "/response/status", 0);

	add_safe(out, e->subject);
	if (status)
		buf_printf(out, "  %" PRId64, status);
	add_named(out, " by ", *by ? by : trace_word(e, "/route/target"));
	if (payload_bool(payload_at(e->data, "/fell_back"), false))
		buf_adds(out, " (the target had failed)");
	buf_printf(out, " after %.3f ms",
		   (double)trace_number(e, "/timings/total_us", 0) / 1000);
	add_named(out, ", ", trace_word(e, "/error"));
	if (strcmp(trace_word(e, "/outcome"), "response"))
		add_named(out, ", outcome ", trace_word(e, "/outcome"));
}

static void
text_reply(const struct trace *t, const struct trace_event *e,
	   struct buf *out)
{
	static const char *const marks[] = { "", "  LATE", "  DUPLICATE",
					     "  FOREIGN" };
	int64_t attempt = trace_number(e, "/by/attempt", 0), given_us;

	buf_printf(out, "%" PRId64 "%s", trace_number(e, "/status", 0),
		   marks[e->lateness]);
	add_named(out, "  by group ", trace_word(e, "/by/group"));
	add_named(out, ", consumer ", trace_word(e, "/by/consumer"));
	if (attempt)
		buf_printf(out, ", attempt %" PRId64, attempt);
	if (clock_parse_rfc3339(trace_word(e, "/by/given"), &given_us))
		return;
	buf_adds(out, ", given to it at ");
	add_offset(t, given_us, out);
}

static void
text_verdict(const struct trace_event *e, struct buf *out)
{
	int64_t n = trace_number(e, "/difference_count", 0);

	add_safe(out, trace_word(e, "/verdict"));
	add_named(out, " of ", trace_word(e, "/candidate"));
	add_named(out, ", rule ", trace_word(e, "/rule"));
	if (n)
		buf_printf(out, ", %" PRId64 " differences, the first at ",
			   n);
	if (n)
		add_safe(out, trace_word(e, "/differences/0/pointer"));
	add_named(out, ", ", trace_word(e, "/reason"));
}

static void
text_what(const struct trace *t, const struct trace_event *e,
	  struct buf *out)
{
	switch (e->kind) {
	case TRACE_REQUEST:
		text_route(e, out);
		break;
	case TRACE_COMMAND:
		buf_printf(out, "%s%s  ", e->type,
			   e->is_shadow ? " (shadow)" : "");
		text_route(e, out);
		break;
	case TRACE_EXCHANGE:
		text_exchange(e, out);
		break;
	case TRACE_REPLY:
		text_reply(t, e, out);
		break;
	case TRACE_VERDICT:
		text_verdict(e, out);
		break;
	case TRACE_EVENT:
		add_safe(out, e->type);
		add_named(out, "  ", e->subject);
		break;
	}
	if (e->is_orphan)
		buf_adds(out, "  (its cause is not in the journal)");
}

static void
text_fate(const struct trace *t, const struct trace_event *e,
	  const struct trace_fate *f, struct buf *out)
{
	for (const struct trace_attempt *a = f->history; a; a = a->next) {
		begin_line(t, a->time_us, 0, e->depth + 1, out);
		if (a->attempt)
			buf_printf(out, "attempt   %u by group ", a->attempt);
		else
			buf_adds(out, "again     for group ");
		add_safe(out, f->group);
		add_named(out, ", consumer ", a->consumer);
		add_named(out, ": ", a->reason);
		buf_addc(out, '\n');
	}
	begin_line(t, f->last_us ? f->last_us : e->time_us, 0, e->depth + 1,
		   out);
	if (f->letter)
		buf_printf(out, "DEAD LETTER %" PRId64 " of group ",
			   f->letter);
	else
		buf_adds(out, "waits     for group ");
	add_safe(out, f->group);
	buf_printf(out, ", %u attempts", f->attempts);
	add_named(out, ": ", f->reason);
	if (!f->letter && f->not_before_us) {
		buf_adds(out, ", again from ");
		add_offset(t, f->not_before_us, out);
	}
	buf_addc(out, '\n');
}

static void
text_notes(const struct trace *t, struct buf *out)
{
	char oldest[CLOCK_RFC3339_SIZE];

	if (t->is_open)
		buf_adds(out, "note: the exchange has not ended\n");
	if (t->oldest_us)
		buf_printf(out, "note: retention has deleted a part: the id "
			   "is older than the oldest event that is kept (%"
			   PRId64 " of %s)\n", t->oldest_sequence,
			   clock_rfc3339(t->oldest_us, oldest));
	else if (t->orphans)
		buf_adds(out, "note: a cause that is not in the journal is "
			 "that of another journal, or has another "
			 "correlation id\n");
	if (t->is_cut)
		buf_printf(out, "note: there are more than these %zu events "
			   "(--limit)\n", t->count);
}

void
trace_write_text(const struct trace *t, struct buf *out)
{
	char first[CLOCK_RFC3339_SIZE];

	buf_printf(out, "%s: %zu events from %s on, %.3f ms\n",
		   *t->correlation ? t->correlation : "no correlation id",
		   t->count, clock_rfc3339(t->first_us, first),
		   (double)(t->last_us - t->first_us) / 1000);
	for (size_t i = 0; i < t->count; i++) {
		const struct trace_event *e = &t->at[i];

		begin_line(t, e->time_us, e->sequence, e->depth, out);
		buf_printf(out, "%-9s ", trace_kind_name(e->kind));
		text_what(t, e, out);
		buf_addc(out, '\n');
		for (const struct trace_fate *f = e->fates; f; f = f->next)
			text_fate(t, e, f, out);
	}
	text_notes(t, out);
}

/* ---- JSON ---- */

static void
put_history(struct json *j, const struct trace_fate *f)
{
	json_key(j, "history");
	json_array_begin(j);
	for (const struct trace_attempt *a = f->history; a; a = a->next) {
		json_object_begin(j);
		json_member_i64(j, "attempt", a->attempt);
		json_given_time(j, "time", a->time_us);
		json_given_str(j, "consumer", a->consumer);
		json_given_str(j, "reason", a->reason);
		json_object_end(j);
	}
	json_array_end(j);
}

static void
put_fates(struct json *j, const struct trace_event *e)
{
	json_key(j, "groups");
	json_array_begin(j);
	for (const struct trace_fate *f = e->fates; f; f = f->next) {
		json_object_begin(j);
		json_given_str(j, "group", f->group);
		json_given_str(j, "state", f->letter ? "dead" : "waiting");
		if (f->letter)
			json_member_i64(j, "dead_letter", f->letter);
		json_member_i64(j, "attempts", f->attempts);
		json_given_time(j, "first", f->first_us);
		json_given_time(j, "last", f->last_us);
		json_given_time(j, "not_before", f->not_before_us);
		json_given_str(j, "consumer", f->consumer);
		json_given_str(j, "reason", f->reason);
		put_history(j, f);
		json_object_end(j);
	}
	json_array_end(j);
}

static void
put_data(struct json *j, const struct trace_event *e)
{
	static const char *const words[] = { "/route/rule", "/route/stage",
					     "/route/target", "/outcome",
					     "/answered_by", "/error",
					     "/verdict", "/candidate",
					     "/by/group", "/by/consumer",
					     "/by/given" };
	static const char *const numbers[] = { "/response/status", "/status",
					       "/timings/total_us",
					       "/difference_count",
					       "/by/attempt" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		json_given_str(j, strrchr(words[i], '/') + 1,
			       trace_word(e, words[i]));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (payload_at(e->data, numbers[i]))
			json_member_i64(j, strrchr(numbers[i], '/') + 1,
					trace_number(e, numbers[i], 0));
}

static void
put_event(const struct trace *t, struct json *j, const struct trace_event *e)
{
	static const char *const marks[] = { "", "late", "duplicate",
					     "foreign" };
	char id[ID_TEXT_SIZE];

	json_object_begin(j);
	json_member_i64(j, "sequence", e->sequence);
	json_given_str(j, "id", id_text(&e->id, id));
	json_given_str(j, "kind", trace_kind_name(e->kind));
	json_given_str(j, "type", e->type);
	json_given_str(j, "subject", e->subject);
	json_given_str(j, "source", e->source);
	json_given_time(j, "time", e->time_us);
	json_member_i64(j, "offset_us", e->time_us - t->first_us);
	json_member_i64(j, "depth", e->depth);
	if (e->has_cause)
		json_given_str(j, "causationid", id_text(&e->cause, id));
	if (e->parent != TRACE_NONE)
		json_member_i64(j, "parent", t->at[e->parent].sequence);
	json_given_str(j, "traceparent", e->traceparent);
	json_given_str(j, "mark", marks[e->lateness]);
	if (e->is_shadow)
		json_member_bool(j, "shadow", true);
	put_data(j, e);
	put_fates(j, e);
	json_object_end(j);
}

void
trace_write_json(const struct trace *t, struct buf *out)
{
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "correlationid");
	json_str(&j, *t->correlation ? t->correlation : NULL);
	json_given_time(&j, "first", t->first_us);
	json_given_time(&j, "last", t->last_us);
	json_member_bool(&j, "open", t->is_open);
	json_member_bool(&j, "cut", t->is_cut);
	json_member_i64(&j, "causes_missing", (int64_t)t->orphans);
	json_given_time(&j, "deleted_before", t->oldest_us);
	json_key(&j, "events");
	json_array_begin(&j);
	for (size_t i = 0; i < t->count; i++)
		put_event(t, &j, &t->at[i]);
	json_array_end(&j);
	json_object_end(&j);
	buf_addc(out, '\n');
}
