/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that end without a consumer's reply: problems (RFC 9457). */
#include "base/json.h"
#include "bus/internal.h"
#include "bus/kept.h"

static const struct {
	int status;
	enum told told;
	const char *title, *code, *detail;
} rows[] = {
	[ENDED_GIVEN_UP] = { 504, TOLD_GIVEN_UP,
		"Gateway Timeout", "operation.given_up",
		"Nobody has answered the command in its time; whether it was "
		"executed is not known." },
	[ENDED_CANCELLED] = { 409, TOLD_CANCELLED,
		"Conflict", "operation.cancelled",
		"The command was cancelled before anybody was given it." },
};

static void
write_problem(enum ended why, const struct id *exchange, struct buf *out)
{
	char id[ID_TEXT_SIZE];
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "type");
	json_str(&j, "about:blank");
	json_key(&j, "title");
	json_str(&j, rows[why].title);
	json_key(&j, "status");
	json_i64(&j, rows[why].status);
	json_key(&j, "detail");
	json_str(&j, rows[why].detail);
	json_key(&j, "code");
	json_str(&j, rows[why].code);
	json_key(&j, "correlationid");
	json_str(&j, id_text(exchange, id));
	json_object_end(&j);
}

int
ended_finish(struct bus *b, struct journal_tx *tx,
	     const struct journal_operation *o, enum ended why)
{
	struct message_field type = {
		SPAN_LITERAL("content-type"),
		SPAN_LITERAL("application/problem+json") };
	CLEANUP(buf_fini) struct buf body = { 0 }, sealed = { 0 };
	struct bus_reply r = { .exchange_id = o->exchange,
			       .status = rows[why].status, .fields = &type,
			       .field_count = 1 };

	write_problem(why, &o->exchange, &body);
	r.body = buf_span(&body);
	if (body.failed ||
	    kept_seal(b->source->key, &o->id, &r, &sealed) < 0)
		return -1;
	journal_tx_operation_finish(tx, &o->id, buf_span(&sealed),
				    journal_tx_time_us(tx) + o->keep_us);
	told_append(b, tx, o, rows[why].told, rows[why].status, NULL);
	return 0;
}
