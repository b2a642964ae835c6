/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of --exec-persistent: an event in, a verdict out. */
#include <string.h>

#include "base/json.h"
#include "console/consume.h"
#include "payload/payload.h"

enum verdict { VERDICT_ACK, VERDICT_NAK, VERDICT_TERM, VERDICT_REPLY,
	       VERDICT_COUNT };

static const char *const names[VERDICT_COUNT] = {
	[VERDICT_ACK] = "ack",
	[VERDICT_NAK] = "nak",
	[VERDICT_TERM] = "term",
	[VERDICT_REPLY] = "reply",
};

/* ---- event ---- */

struct flag_row {
	enum matapalo_event_flag flag;
	const char *name;
};

static const struct flag_row flags[] = {
	{ MATAPALO_REDRIVEN, "redriven" },
	{ MATAPALO_REPLAYED, "replayed" },
	{ MATAPALO_COMMAND, "command" },
};

void
consume_line_write(const struct matapalo_event *e, struct buf *out)
{
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "sequence");
	json_i64(&j, matapalo_event_sequence(e));
	json_key(&j, "attempt");
	json_u64(&j, matapalo_event_attempt(e));
	json_key(&j, "redelivered");
	json_bool(&j, matapalo_event_flags(e) & MATAPALO_REDELIVERED);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (matapalo_event_flags(e) & flags[i].flag) {
			json_key(&j, flags[i].name);
			json_bool(&j, true);
		}
	json_key(&j, "event");
	json_raw(&j, span_of(matapalo_event_json(e)));
	json_object_end(&j);
	buf_addc(out, '\n');
}

/* ---- verdict ---- */

/* Which of the four it is; VERDICT_COUNT for none, or several. */
static enum verdict
find_verdict(const struct cJSON *v)
{
	enum verdict found = VERDICT_COUNT;

	for (enum verdict i = 0; i < VERDICT_COUNT; i++) {
		if (!payload_member(v, names[i]))
			continue;
		if (found != VERDICT_COUNT)
			return VERDICT_COUNT;
		found = i;
	}
	return found;
}

/* Two lines for one event would otherwise be the next one's verdict. */
static bool
is_about(const struct cJSON *v, const struct matapalo_event *e)
{
	const char *id = payload_string(payload_member(v, "id"), "");
	const char *want = matapalo_event_attribute(e, "id");

	return want && !strcmp(id, want);
}

static int
settle_nak(struct consume *c, const struct matapalo_event *e,
	   const struct cJSON *m, struct error *err)
{
	const struct cJSON *delay = payload_member(m, "delay_ms");
	const struct cJSON *reason = payload_member(m, "reason");
	int64_t delay_ms = payload_int(delay, -1);

	if (!payload_is_object(m) || (delay && delay_ms < 0) ||
	    (reason && !payload_string(reason, NULL)))
		return error_set(err, "the handler's verdict: nak is an "
				 "object with delay_ms and reason, or none of "
				 "them");
	consume_event_nak(c, e, delay ? delay_ms : MATAPALO_DELAY_GROUP,
			  payload_string(reason, NULL));
	return 0;
}

static int
settle_reply(struct consume *c, const struct matapalo_event *e,
	     const struct cJSON *m, struct error *err)
{
	struct buf text CLEANUP(buf_fini) = { 0 };

	if (!payload_is_object(m) || !consume_event_may_reply(c, e))
		return error_set(err, "the handler's verdict: reply is an "
				 "object, and for commands");
	payload_write(m, &text);
	if (text.failed)
		return error_set(err, "no memory for a reply");
	consume_event_reply(c, e, buf_str(&text));
	return 0;
}

static int
settle(struct consume *c, const struct matapalo_event *e,
       const struct cJSON *v, struct error *err)
{
	enum verdict kind = find_verdict(v);
	const struct cJSON *m =
		kind < VERDICT_COUNT ? payload_member(v, names[kind]) : NULL;

	switch (kind) {
	case VERDICT_ACK:
		if (!payload_bool(m, false))
			break;
		consume_event_ack(c, e);
		return 0;
	case VERDICT_NAK:
		return settle_nak(c, e, m, err);
	case VERDICT_TERM:
		if (!payload_string(m, NULL))
			break;
		consume_event_term(c, e, payload_string(m, NULL));
		return 0;
	case VERDICT_REPLY:
		return settle_reply(c, e, m, err);
	case VERDICT_COUNT:
		break;
	}
	return error_set(err, "the handler's verdict: one of \"ack\": true, "
			 "\"nak\": {}, \"term\": \"REASON\" and \"reply\": {} "
			 "is needed");
}

int
consume_line_settle(struct consume *c, const struct matapalo_event *e,
		    struct span line, struct error *err)
{
	struct cJSON *v CLEANUP(payload_free) = NULL;
	struct error why = { 0 };

	v = payload_parse(line, NULL);
	if (!v || !payload_is_object(v))
		return error_set(err, "the handler printed a line that is no "
				 "JSON object: %.*s",
				 line.len > 80 ? 80 : (int)line.len, line.at);
	if (!is_about(v, e))
		return error_set(err, "the handler's verdict has not the id "
				 "of the event it was given");
	if (payload_member(v, "publish") &&
	    consume_publish(c, e, payload_member(v, "publish"), &why) < 0) {
		consume_event_nak(c, e, MATAPALO_DELAY_GROUP, why.text);
		return 0;
	}
	return settle(c, e, v, err);
}
