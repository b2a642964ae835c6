/* SPDX-License-Identifier: Apache-2.0 */
/* The command `status`: asks the admin listener of a running process. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "console/command.h"
#include "console/file.h"
#include "console/runfile.h"
#include "console/status.h"
#include "outbound/outbound.h"
#include "payload/payload.h"

#define TIMEOUT_MS 5000u
#define BODY_LIMIT_BYTES ((size_t)16 * 1024 * 1024)
#define TOKEN_LIMIT_BYTES 4096u

/* Where to ask, and with what. */
struct question {
	struct buf url, token, token_path;
	const char *unix_path;
};
struct reply {
	int status;
	struct buf body;
	struct error error;
};

static void
question_fini(struct question *q)
{
	buf_fini(&q->url);
	buf_fini(&q->token);
	buf_fini(&q->token_path);
}

static void
reply_fini(struct reply *r)
{
	buf_fini(&r->body);
}

static int
load_token(struct question *q, const struct command_call *call,
	   struct error *err)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	const char *path = call->values[OPTION_TOKEN_FILE];
	size_t len;

	if (path)
		buf_adds(&q->token_path, path);
	else
		buf_printf(&q->token_path, "%s/admin.token",
			   command_data(call));
	if (file_read(buf_str(&q->token_path), TOKEN_LIMIT_BYTES, &text, err))
		return error_context(err, "admin token");
	len = strcspn(buf_str(&text), "\r\n");
	buf_printf(&q->token, "Bearer %.*s", (int)len, buf_str(&text));
	return 0;
}

/* The listener on every address is asked on this machine's own. */
static void
set_address(struct question *q, const char *admin)
{
	if (!strncmp(admin, "unix:", 5)) {
		q->unix_path = admin + 5;
		buf_adds(&q->url, "http://localhost/status");
	} else if (!strncmp(admin, "0.0.0.0:", 8)) {
		buf_printf(&q->url, "http://127.0.0.1:%s/status", admin + 8);
	} else if (!strncmp(admin, "[::]:", 5)) {
		buf_printf(&q->url, "http://[::1]:%s/status", admin + 5);
	} else {
		buf_printf(&q->url, "http://%s/status", admin);
	}
	buf_str(&q->url); /* terminates it */
}

static void
take_reply(void *arg, struct outbound_answer *a)
{
	struct reply *r = arg;

	r->status = a->status;
	r->error = a->error;
	buf_add(&r->body, a->body.data, a->body.len);
}

static int
ask(const struct question *q, struct reply *r, struct error *err)
{
	struct outbound *o CLEANUP(outbound_close) = outbound_open(1, err);
	const struct message_field field = {
		SPAN_LITERAL("Authorization"),
		buf_span(&q->token),
	};
	const struct outbound_request req = {
		.url = q->url.data,
		.unix_path = q->unix_path,
		.method = SPAN_LITERAL("GET"),
		.fields = { &field, 1 },
		.timeout_ms = TIMEOUT_MS,
		.max_body_bytes = BODY_LIMIT_BYTES,
	};
	uint64_t end = clock_mono_ms() + 2 * TIMEOUT_MS;

	if (!o || outbound_start(o, &req, take_reply, r, err))
		return -1;
	while (outbound_run(o, 100) && clock_mono_ms() < end)
		;
	if (r->status == 0)
		return error_set(err, "no answer from the admin listener: %s",
				 *r->error.text ? r->error.text : "timed out");
	return 0;
}

static int
check_reply(const struct question *q, const struct reply *r,
	    const char *token_path, struct error *err)
{
	if (r->status == 200)
		return 0;
	if (r->status == 401)
		return error_set(err,
				 "the admin listener refused the token of %s: "
				 "is it another process's?",
				 token_path);
	return error_set(err, "%s answered with status %d", q->url.data,
			 r->status);
}

static int
print(const struct command_call *call, const struct reply *r, struct error *err)
{
	struct cJSON *tree CLEANUP(payload_free) = NULL;
	struct buf out CLEANUP(buf_fini) = { 0 };

	tree = payload_parse(buf_span(&r->body), err);
	if (!tree)
		return error_context(err, "the answer of the admin listener");
	if (call->values[OPTION_JSON])
		buf_add(&out, r->body.data, r->body.len);
	else
		status_write_board(tree, &out);
	return command_print(&out);
}

/* --admin needs no run.json: the process may be another user's. */
static int
find_process(struct question *q, const struct command_call *call,
	     struct runfile *run, struct error *err)
{
	const char *admin = call->values[OPTION_ADMIN];

	if (!admin) {
		if (runfile_read(run, command_data(call), err))
			return -1;
		admin = run->admin;
	}
	if (!admin)
		return error_set(err, "run.json names no admin listener");
	set_address(q, admin);
	return load_token(q, call, err);
}

int
command_status(const struct command_call *call)
{
	struct question q CLEANUP(question_fini) = { 0 };
	struct reply r CLEANUP(reply_fini) = { 0 };
	struct runfile run CLEANUP(runfile_fini) = { 0 };
	struct error err = { 0 };
	int result = -1;

	if (!find_process(&q, call, &run, &err) && !ask(&q, &r, &err) &&
	    !check_reply(&q, &r, buf_str(&q.token_path), &err))
		result = print(call, &r, &err);
	if (result >= 0)
		return result;
	error_context(&err, "status");
	return command_fail(COMMAND_FAILED, NULL, &err);
}
