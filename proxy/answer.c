/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that matapalo makes: problems (RFC 9457) and replies. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/counter.h"
#include "base/json.h"
#include "proxy/client.h"
#include "proxy/exchange.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"


static const struct message_field problem_fields[] = {
	{ SPAN_LITERAL("content-type"),
	  SPAN_LITERAL("application/problem+json") },
};

/* Every answer of our own starts here: nothing of another answer is left. */
static void
answer_begin(struct exchange *ex, int status)
{
	exchange_leave_target(ex);
	upstream_drop(&ex->upstream);
	capture_fini(&ex->download_capture);
	ex->download_capture.limit =
		ex->decision.rule ? ex->decision.rule->record_body_bytes : 0;
	ex->download.framing = PARSE_NO_BODY;
	ex->download.done = true;
	ex->download.true_bytes = 0;
	ex->status = status;
	ex->answer_from = out_queued(&ex->to_client);
	ex->step = STEP_ANSWER;
	exchange_deadline(ex, ex->worker->proxy->client_idle_ms);
	if (!ex->upload.done || ex->worker->draining)
		ex->keep_alive = false;
}

static void
problem_body(struct exchange *ex, const struct problem_row *row,
	     struct buf *out)
{
	char id[ID_TEXT_SIZE];
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "type");
	json_str(&j, "about:blank");
	json_key(&j, "title");
	json_str(&j, row->phrase);
	json_key(&j, "status");
	json_i64(&j, row->status);
	json_key(&j, "detail");
	json_str(&j, row->text);
	json_key(&j, "code");
	json_str(&j, row->code);
	json_key(&j, "correlationid");
	json_str(&j, id_text(exchange_id(ex), id));
	json_object_end(&j);
}

static bool
is_head(const struct exchange *ex)
{
	return span_is(ex->view.method, "HEAD");
}

/* The last resort needs no memory. */
static const char bare_500[] = "HTTP/1.1 500 Internal Server Error\r\n"
			       "Content-Length: 0\r\n"
			       "Connection: close\r\n\r\n";

static void
answer_bare(struct exchange *ex)
{
	ex->keep_alive = false;
	(void)out_add(&ex->to_client, bare_500, sizeof(bare_500) - 1);
}

#define RETRY_MS 5000u		/* when nothing says how long it takes */
#define RETRY_SOON_MS 1000u

/* How long it will be before the same request may do better. */
static uint64_t
retry_ms(const struct exchange *ex, enum problem p)
{
	const struct rules_target *t = ex->target;

	if (p == PROBLEM_BREAKER_OPEN)
		return target_breaker_ms(ex->lease->targets[t->index].shared,
					 t, ex->worker->now_ms);
	if (p == PROBLEM_QUEUE_FULL || p == PROBLEM_QUEUE_TIMEOUT)
		return t->queue_wait_ms;
	if (p == PROBLEM_BACKLOG)
		return t->connect_ms;
	/* A budget holds one second; another process takes over. */
	return p == PROBLEM_RATE || ex->worker->draining ? RETRY_SOON_MS :
							   RETRY_MS;
}

static const char *
retry_after(const struct exchange *ex, enum problem p, char line[40])
{
	const struct problem_row *row = problem_row(p);
	unsigned seconds;

	if (row->status != 503 && row->status != 429)
		return "";
	seconds = (unsigned)((retry_ms(ex, p) + 999) / 1000);
	snprintf(line, 40, "Retry-After: %u\r\n", seconds ? seconds : 1);
	return line;
}

static const char *
own_lines(const struct exchange *ex)
{
	return ex->own_lines ? ex->own_lines : "";
}

/* Head and body of an own answer; lends the body's copy, NULL when only the
 * last resort was possible. */
static const char *
answer_own(struct exchange *ex, const char *phrase, const char *lines,
	   struct span body)
{
	struct arena *a = ex->own_arena ? ex->own_arena : &ex->arena;
	char *head, *copy;

	ex->answered_here = true;
	copy = arena_copy(a, body.at, body.len);
	head = arena_printf(a,
			    "HTTP/1.1 %d %s\r\n%s"
			    "Content-Type: %.*s\r\n"
			    "Content-Length: %zu\r\n%s%s%s\r\n",
			    ex->status, phrase, worker_date(ex->worker),
			    (int)ex->answer_fields.at[0].value.len,
			    ex->answer_fields.at[0].value.at, body.len, lines,
			    own_lines(ex),
			    ex->keep_alive ? "" : "Connection: close\r\n");
	if (!copy || !head) {
		answer_bare(ex);
		return NULL;
	}
	(void)out_add(&ex->to_client, head, strlen(head));
	if (!is_head(ex))
		(void)out_add(&ex->to_client, copy, body.len);
	ex->download.true_bytes = body.len;
	return copy;
}

void
answer_problem(struct exchange *ex, enum problem p)
{
	const struct problem_row *row = problem_row(p);
	CLEANUP(buf_fini) struct buf body = { 0 };
	const char *copy;
	char line[40];

	answer_begin(ex, row->status);
	ex->problem = p;
	ex->answer_fields = (struct message_fields){ problem_fields, 1 };
	problem_body(ex, row, &body);
	copy = answer_own(ex, row->phrase, retry_after(ex, p, line),
			  buf_span(&body));
	if (copy && ex->decision.record)
		capture_add(&ex->download_capture, copy, body.len, true);
}

static const struct message_field document_fields[] = {
	{ SPAN_LITERAL("content-type"), SPAN_LITERAL("application/json") },
};

void
answer_document(struct exchange *ex, int status, const char *phrase,
		struct span body)
{
	answer_begin(ex, status);
	ex->answer_fields = (struct message_fields){ document_fields, 1 };
	(void)answer_own(ex, phrase, "", body);
}

void
answer_options(struct exchange *ex)
{
	char *head;

	answer_begin(ex, 200);
	ex->answered_here = true;
	head = arena_printf(&ex->arena, "HTTP/1.1 200 OK\r\n%s"
			    "Content-Length: 0\r\n%s\r\n",
			    worker_date(ex->worker),
			    ex->keep_alive ? "" : "Connection: close\r\n");
	if (head)
		(void)out_add(&ex->to_client, head, strlen(head));
	else
		answer_bare(ex);
}

/* ---- replies of commands ---- */

static const char *const reply_withheld[] = { "content-length", "date",
					      "trailer" };

static bool
reply_field_is_ours(struct message_fields f, struct span name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(reply_withheld); i++)
		if (span_is_nocase(name, reply_withheld[i]))
			return true;
	return parse_is_hop_by_hop(f, name, true);
}

static bool
is_token(struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!parse_is_token_char(s.at[i]))
			return false;
	return s.len > 0;
}

/* Nothing that a consumer says may add a line (RFC 9110 5.5). */
static bool
is_field_value(struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (((unsigned char)s.at[i] < ' ' && s.at[i] != '\t') ||
		    s.at[i] == 0x7f)
			return false;
	return true;
}

static int
reply_fields(struct exchange *ex, struct buf *head)
{
	struct message_fields f = { ex->reply->fields,
				    ex->reply->field_count };
	size_t i;

	for (i = 0; i < f.count; i++) {
		const struct message_field *m = &f.at[i];

		if (!is_token(m->name) || !is_field_value(m->value))
			return -1;
		if (reply_field_is_ours(f, m->name))
			continue;
		buf_printf(head, "%.*s: %.*s\r\n", (int)m->name.len,
			   m->name.at, (int)m->value.len, m->value.at);
	}
	ex->answer_fields = f;
	return 0;
}

static bool
status_has_body(int status)
{
	return status >= 200 && status != 204 && status != 304;
}

int
answer_reply(struct exchange *ex)
{
	CLEANUP(buf_fini) struct buf head = { 0 };
	const struct bus_reply *r = ex->reply;
	bool body = status_has_body(r->status);
	/* RFC 9110 15.3.6: of a 205 there is none, and its length says so. */
	struct span content = r->status == 205 ? (struct span){ "", 0 } :
						 r->body;
	char *copy;

	if (r->status < 200 || r->status > 599)
		return -1;
	answer_begin(ex, r->status);
	buf_printf(&head, "HTTP/1.1 %d \r\n%s", r->status,
		   worker_date(ex->worker));
	if (reply_fields(ex, &head))
		return -1;
	if (body)
		buf_printf(&head, "Content-Length: %zu\r\n", content.len);
	buf_adds(&head, own_lines(ex));
	buf_adds(&head, ex->keep_alive ? "\r\n" : "Connection: close\r\n\r\n");
	copy = arena_copy(&ex->arena, buf_str(&head), head.len);
	if (head.failed || !copy)
		return -1;
	(void)out_add(&ex->to_client, copy, head.len);
	if (body && !is_head(ex))
		(void)out_add(&ex->to_client, content.at, content.len);
	ex->download.true_bytes = r->body.len;
	capture_add(&ex->download_capture, r->body.at, r->body.len, true);
	return 0;
}
