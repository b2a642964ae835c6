/* SPDX-License-Identifier: Apache-2.0 */
/* The event that an operation has ended, for web hooks and whoever else wants
 * to know. It has neither the answer nor the operation's id. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "bus/internal.h"

#define RULE_SIZE 256

static const char *const states[] = {
	[TOLD_DONE] = "done",
	[TOLD_GIVEN_UP] = "given_up",
	[TOLD_CANCELLED] = "cancelled",
};

/* Times are the journal's; whoever is told has a clock on the wall. */
static void
write_data(struct buf *out, const struct journal_operation *o, enum told how,
	   int status, int64_t now_us)
{
	int64_t ahead_us = clock_wall_us() - now_us;
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "state");
	json_str(&j, states[how]);
	json_key(&j, "status");
	json_i64(&j, status);
	json_member_time(&j, "created", o->created_us + ahead_us);
	json_member_time(&j, "expires", now_us + ahead_us + o->keep_us);
	json_object_end(&j);
}

static void
write_extensions(struct buf *out, const struct id *cause)
{
	char text[ID_TEXT_SIZE];

	buf_adds(out, "\"dataschema\":\"" ENCODE_SCHEMA "operation:v1\"");
	if (cause)
		buf_printf(out, ",\"causationid\":\"%s\"",
			   id_text(cause, text));
}

void
told_append(struct bus *b, struct journal_tx *tx,
	    const struct journal_operation *o, enum told how, int status,
	    const struct id *cause)
{
	CLEANUP(buf_fini) struct buf data = { 0 };
	CLEANUP(buf_fini) struct buf extensions = { 0 };
	char rule[RULE_SIZE], exchange[ID_TEXT_SIZE];
	struct journal_event e = {
		.id = id_make(), .time_us = clock_wall_us(),
		.type = SPAN_LITERAL(ENCODE_TYPE_OPERATION),
		.source = span_of(b->source->source),
		.correlation = span_of(id_text(&o->exchange, exchange)),
	};

	if (!(o->when_done & BUS_OPERATION_TELLS))
		return;
	journal_tx_operation_rule(tx, &o->id, rule, sizeof(rule));
	write_data(&data, o, how, status, journal_tx_time_us(tx));
	write_extensions(&extensions, cause);
	e.subject = span_of(rule);
	e.data = buf_span(&data);
	e.extensions = buf_span(&extensions);
	if (data.failed || extensions.failed ||
	    journal_tx_append(tx, &e, NULL) < 0)
		log_error("bus.told", "the end of exchange %s is told nobody: "
			  "no memory, or the journal failed", exchange);
}
