/* SPDX-License-Identifier: Apache-2.0 */
/* The command `trace`: the whole tree of one correlation id.
 *
 * It reads the journal's file itself, so that it works with and without a
 * running process and costs that process nothing. */
#include "console/trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "console/command.h"
#include "console/reading.h"
#include "outbound/outbound.h"

#define EVENTS_DEFAULT 10000u
#define EVENTS_MAX 1000000u
#define COLLECTOR_MS 10000u
#define ANSWER_BYTES (64u << 10)

/* ---- to a collector ---- */

struct answer {
	int status;
	struct error *err;
};

static void
on_answer(void *arg, struct outbound_answer *a)
{
	struct answer *to = arg;

	to->status = a->status;
	if (!a->status)
		error_set(to->err, "%s", a->error.text);
	else if (a->status >= 300)
		error_set(to->err, "answered %d: %.200s", a->status,
			  buf_str(&a->body));
}

static int
post(const char *url, const struct buf *body, struct error *err)
{
	static const struct message_field fields[] = {
		{ SPAN_LITERAL("Content-Type"),
		  SPAN_LITERAL("application/json") },
	};
	const struct outbound_request request = {
		.url = url,
		.method = SPAN_LITERAL("POST"),
		.fields = { fields, ARRAY_SIZE(fields) },
		.body = buf_span(body),
		.timeout_ms = COLLECTOR_MS,
		.max_body_bytes = ANSWER_BYTES,
	};
	struct outbound *o CLEANUP(outbound_close) = outbound_open(1, err);
	struct answer answer = { 0, err };

	if (!o || outbound_start(o, &request, on_answer, &answer, err) < 0)
		return -1;
	while (outbound_run(o, COLLECTOR_MS) > 0)
		;
	return answer.status >= 200 && answer.status < 300 ? 0 : -1;
}

/* ---- to a file ---- */

static int
write_file(const char *path, struct buf *text, struct error *err)
{
	FILE *f = fopen(path, "we");
	bool bad;

	if (!f)
		return error_set(err, "%s: %s", path, strerror(errno));
	bad = fwrite(buf_str(text), 1, text->len, f) != text->len;
	bad |= fclose(f) != 0;
	return bad ? error_set(err, "%s: %s", path, strerror(errno)) : 0;
}

/* ---- the command ---- */

static int
send_otlp(const struct command_call *call, const struct trace *t,
	  struct error *err)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	const char *file = call->values[OPTION_OTLP];
	const char *url = call->values[OPTION_OTLP_TO];

	trace_write_otlp(t, &text);
	if (text.failed)
		return error_set(err, "no memory for the spans");
	if (url && post(url, &text, err) < 0)
		return error_context(err, "%s", url);
	if (!file)
		return 0;
	if (strcmp(file, "-") == 0)
		return command_print(&text) ? -1 : 0;
	return write_file(file, &text, err);
}

static int
show(const struct command_call *call, const struct trace *t)
{
	struct buf text CLEANUP(buf_fini) = { 0 };

	if (call->values[OPTION_JSON])
		trace_write_json(t, &text);
	else
		trace_write_text(t, &text);
	return command_print(&text);
}

static int
trace(const struct command_call *call, const struct trace *t)
{
	struct error err = { 0 };

	if (call->values[OPTION_OTLP] || call->values[OPTION_OTLP_TO]) {
		if (send_otlp(call, t, &err) == 0)
			return COMMAND_OK;
		error_context(&err, "trace");
		return command_fail(COMMAND_FAILED, NULL, &err);
	}
	return show(call, t);
}

int
command_trace(const struct command_call *call)
{
	struct journal_reader *r CLEANUP(journal_reader_close) = NULL;
	struct trace t CLEANUP(trace_fini) = { 0 };
	struct error err = { 0 };
	unsigned limit;
	int found;

	if (command_number(call, OPTION_LIMIT, EVENTS_MAX, EVENTS_DEFAULT,
			   &limit, &err)) {
		error_context(&err, "trace");
		return command_fail(COMMAND_USAGE, NULL, &err);
	}
	r = reading_open(call, &err);
	if (!r) {
		error_context(&err, "trace");
		return command_fail(COMMAND_USAGE, NULL, &err);
	}
	found = trace_read(&t, r, call->args[0],
			   limit ? limit : EVENTS_DEFAULT, &err);
	if (found == 1)
		return trace(call, &t);
	error_context(&err, "trace");
	return command_fail(COMMAND_FAILED, NULL, &err);
}
