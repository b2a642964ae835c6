/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the admin listener of a running process, for commands. */
#include "console/ask.h"

#include <string.h>

#include "base/clock.h"
#include "console/file.h"
#include "console/runfile.h"
#include "outbound/outbound.h"

#define TIMEOUT_MS 5000u
#define BODY_LIMIT_BYTES ((size_t)16 * 1024 * 1024)
#define TOKEN_LIMIT_BYTES 4096u

/* Where to ask, and with what. */
struct question {
	struct buf url, token, token_path;
	const char *unix_path;
};
struct heard {
	struct ask_reply *reply;
	struct error error;
};

static void
question_fini(struct question *q)
{
	buf_fini(&q->url);
	buf_fini(&q->token);
	buf_fini(&q->token_path);
}

void
ask_reply_fini(struct ask_reply *r)
{
	buf_fini(&r->body);
}

static int
load_token(struct question *q, const struct command_call *call,
	   const char *path, struct error *err)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
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
set_address(struct question *q, const char *admin, const char *path)
{
	if (!strncmp(admin, "unix:", 5)) {
		q->unix_path = admin + 5;
		buf_printf(&q->url, "http://localhost%s", path);
	} else if (!strncmp(admin, "0.0.0.0:", 8)) {
		buf_printf(&q->url, "http://127.0.0.1:%s%s", admin + 8, path);
	} else if (!strncmp(admin, "[::]:", 5)) {
		buf_printf(&q->url, "http://[::1]:%s%s", admin + 5, path);
	} else {
		buf_printf(&q->url, "http://%s%s", admin, path);
	}
	buf_str(&q->url); /* terminates it */
}

static void
take_reply(void *arg, struct outbound_answer *a)
{
	struct heard *h = arg;

	h->reply->status = a->status;
	h->error = a->error;
	buf_add(&h->reply->body, a->body.data, a->body.len);
}

static int
send_question(const struct question *q, const struct ask *what,
	      struct ask_reply *r, struct error *err)
{
	struct outbound *o CLEANUP(outbound_close) = outbound_open(1, err);
	const struct message_field fields[] = {
		{ SPAN_LITERAL("Authorization"), buf_span(&q->token) },
		{ SPAN_LITERAL("Content-Type"),
		  SPAN_LITERAL("application/json") },
	};
	const struct outbound_request req = {
		.url = q->url.data,
		.unix_path = q->unix_path,
		.method = what->body.len ? SPAN_LITERAL("POST")
					 : SPAN_LITERAL("GET"),
		.fields = { fields, what->body.len ? 2 : 1 },
		.body = what->body,
		.timeout_ms = TIMEOUT_MS,
		.max_body_bytes = BODY_LIMIT_BYTES,
	};
	uint64_t end = clock_mono_ms() + 2 * TIMEOUT_MS;
	struct heard h = { .reply = r };

	if (!o || outbound_start(o, &req, take_reply, &h, err))
		return -1;
	while (outbound_run(o, 100) && clock_mono_ms() < end)
		;
	if (r->status == 0)
		return error_set(err, "no answer from the admin listener: %s",
				 *h.error.text ? h.error.text : "timed out");
	return 0;
}

/* --admin needs no run.json: the process may be another user's. */
static int
find_process(struct question *q, const struct command_call *call,
	     const struct ask *what, struct runfile *run, struct error *err)
{
	const char *admin = call->values[OPTION_ADMIN];

	if (!admin) {
		if (runfile_read(run, command_data(call), err))
			return -1;
		admin = run->admin;
	}
	if (!admin)
		return error_set(err, "run.json names no admin listener");
	set_address(q, admin, what->path);
	return load_token(q, call, what->token_file, err);
}

int
ask(const struct command_call *call, const struct ask *what,
    struct ask_reply *reply, struct error *err)
{
	struct question q CLEANUP(question_fini) = { 0 };
	struct runfile run CLEANUP(runfile_fini) = { 0 };

	if (find_process(&q, call, what, &run, err) ||
	    send_question(&q, what, reply, err))
		return -1;
	if (reply->status == 401)
		return error_set(err,
				 "the admin listener refused the token of %s: "
				 "is it another process's?",
				 buf_str(&q.token_path));
	return 0;
}
