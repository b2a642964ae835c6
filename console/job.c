/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of the server: begun, followed, listed, cancelled over the bus.
 *
 * The server does the work; what is lost here is only the view of it. */
#include "console/job.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "console/handler.h"
#include "console/table.h"
#include "console/value.h"
#include "console/wire.h"
#include "payload/payload.h"

#define LOOK_MS 500u	/* how late a signal is seen */
#define RETRY_MS 500

struct following {
	struct wire wire;
	struct handler_stop stop;
	struct cJSON *answer;	/* the newest */
	int64_t id;
	const char *what;
	bool cancelled, progress, lost;
};

static void
following_fini(struct following *f)
{
	payload_free(&f->answer);
	wire_close(&f->wire);
	handler_stop_close(&f->stop);
}

/* ---- requests ---- */

void
job_begin(struct json *j, struct buf *out, const char *op)
{
	struct id id = id_make();
	char text[ID_TEXT_SIZE];

	json_init(j, out);
	json_object_begin(j);
	json_key(j, "op");
	json_str(j, op);
	json_key(j, "request");
	json_str(j, id_text(&id, text));
}

static void
add_text(struct json *j, const char *key, const char *text)
{
	if (!text)
		return;
	json_key(j, key);
	json_str(j, text);
}

static int
add_time(struct json *j, const char *key, const char *option,
	 const char *text, struct error *err)
{
	char rfc3339[CLOCK_RFC3339_SIZE];
	int64_t us;

	if (!text)
		return 0;
	if (value_time(text, &us, err))
		return error_context(err, "%s", option);
	add_text(j, key, clock_rfc3339(us, rfc3339));
	return 0;
}

int
job_filter(struct json *j, const struct command_call *call, struct error *err)
{
	const char *const *v = call->values;

	if (!v[OPTION_TYPE] && !v[OPTION_SUBJECT] && !v[OPTION_REASON] &&
	    !v[OPTION_SINCE] && !v[OPTION_UNTIL])
		return 0;
	json_key(j, "filter");
	json_object_begin(j);
	add_text(j, "type", v[OPTION_TYPE]);
	add_text(j, "subject", v[OPTION_SUBJECT]);
	add_text(j, "reason", v[OPTION_REASON]);
	if (add_time(j, "since", "--since", v[OPTION_SINCE], err) ||
	    add_time(j, "until", "--until", v[OPTION_UNTIL], err))
		return -1;
	json_object_end(j);
	return 1;
}

static int
ask(struct following *f, struct span request, unsigned wait_ms,
    struct error *err)
{
	struct cJSON *answer = NULL;

	if (wire_connect(&f->wire, err) ||
	    wire_ask(&f->wire, request, wait_ms, &answer, err)) {
		if (!f->wire.refused)
			wire_disconnect(&f->wire);
		return -1;
	}
	payload_free(&f->answer);
	f->answer = answer;
	return 0;
}

static int
ask_about(struct following *f, const char *op, unsigned wait_ms,
	  struct error *err)
{
	char text[128];

	snprintf(text, sizeof(text),
		 "{\"op\":\"%s\",\"id\":%" PRId64 ",\"wait_ms\":%u}", op,
		 f->id, wait_ms);
	return ask(f, span_of(text), wait_ms, err);
}

/* ---- following ---- */

static int64_t
number(const struct following *f, const char *pointer, int64_t fallback)
{
	return payload_int(payload_at(f->answer, pointer), fallback);
}

static bool
is_in_state(const struct following *f, const char *state)
{
	return !strcmp(payload_string(payload_at(f->answer, "/job/state"), ""),
		       state);
}

static void
show_progress(const struct following *f)
{
	int64_t total = number(f, "/job/total", -1);

	if (!f->progress)
		return;
	fprintf(stderr, "\rjob %" PRId64 ": %" PRId64, f->id,
		number(f, "/job/moved", 0));
	if (total >= 0)
		fprintf(stderr, " of %" PRId64, total);
	fprintf(stderr, " %s, at %" PRId64 " of %" PRId64 "  ", f->what,
		number(f, "/job/after", 0), number(f, "/job/upto", 0));
	fflush(stderr);
}

/* A server that went away comes back and goes on with the job. */
static int
lost(struct following *f, struct error *err)
{
	struct pollfd p = { .fd = f->stop.fd, .events = POLLIN };

	if (f->wire.refused)
		return -1;
	if (!f->lost)
		fprintf(stderr, "matapalo: %s; job %" PRId64 " goes on when "
			"the server does, waiting\n", err->text, f->id);
	f->lost = true;
	*err = (struct error){ 0 };
	if (handler_stop_check(&f->stop) > 1)
		return error_set(err, "job %" PRId64 " could not be cancelled; "
				 "it goes on with the server", f->id);
	poll(&p, 1, RETRY_MS);
	return 0;
}

static int
follow(struct following *f, struct error *err)
{
	while (is_in_state(f, "running")) {
		bool stop = handler_stop_check(&f->stop) > 0;

		show_progress(f);
		if (ask_about(f, stop ? "job_cancel" : "jobs", LOOK_MS, err) ==
		    0)
			f->lost = false;
		else if (lost(f, err))
			return -1;
	}
	show_progress(f);
	if (f->progress)
		fputc('\n', stderr);
	return 0;
}

static int
report(const struct following *f)
{
	const char *group =
		payload_string(payload_at(f->answer, "/job/group"), NULL);
	int64_t moved = number(f, "/job/moved", 0);
	int64_t skipped = number(f, "/job/skipped", 0);

	printf("%" PRId64 " %s", moved, f->what);
	if (group)
		printf(" of group %s", group);
	if (skipped)
		printf(", %" PRId64 " left out", skipped);
	putchar('\n');
	fflush(stdout);
	if (is_in_state(f, "done"))
		return COMMAND_OK;
	fprintf(stderr, "matapalo: job %" PRId64 " was cancelled after %"
		PRId64 " of %" PRId64 "\n", f->id, number(f, "/job/after", 0),
		number(f, "/job/upto", 0));
	return COMMAND_FAILED;
}

static int
run(struct following *f, const struct command_call *call, struct span request,
    struct error *err)
{
	if (wire_find_url(&f->wire, call, err) ||
	    handler_stop_open(&f->stop, err) ||
	    ask(f, request, 10 * LOOK_MS, err))
		return -1;
	f->id = number(f, "/job/id", 0);
	if (call->values[OPTION_DETACH]) {
		printf("job %" PRId64 "; `matapalo dlq redrives' shows it\n",
		       f->id);
		return COMMAND_OK;
	}
	if (follow(f, err))
		return -1;
	return report(f);
}

int
job_run(const struct command_call *call, struct json *j, const char *what)
{
	struct following f CLEANUP(following_fini) = { .what = what,
						       .stop.fd = -1 };
	struct error err = { 0 };
	int status;

	f.progress = isatty(STDERR_FILENO);
	json_object_end(j);
	if (j->out->failed)
		status = error_set(&err, "no memory for a request");
	else
		status = run(&f, call, buf_span(j->out), &err);
	if (status >= 0)
		return status;
	return command_fail(COMMAND_FAILED, NULL, &err);
}

/* ---- the list ---- */

static void
list_one(struct table *t, const struct cJSON *job)
{
	static const char *const texts[] = { "verb", "state", "group" };
	static const char *const numbers[] = { "moved", "total", "skipped",
					       "after", "upto" };

	table_cell(t, "%" PRId64, payload_int(payload_member(job, "id"), 0));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		table_cell(t, "%s",
			   payload_string(payload_member(job, texts[i]), "-"));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const struct cJSON *n = payload_member(job, numbers[i]);

		if (n)
			table_cell(t, "%" PRId64, payload_int(n, 0));
		else
			table_cell(t, "-");
	}
	table_cell(t, "%s", payload_string(payload_member(job, "began"), ""));
}

static void
write_list(const struct following *f, const struct command_call *call,
	   struct buf *out)
{
	static const char *const heads[] = { ">JOB",   "<VERB",  "<STATE",
					     "<GROUP", ">MOVED", ">TOTAL",
					     ">SKIPPED", ">AT",  ">UPTO",
					     "<BEGAN" };
	const struct cJSON *job = payload_at(f->answer, "/jobs/0");
	struct table t CLEANUP(table_fini) = { 0 };

	table_init(&t, heads, ARRAY_SIZE(heads));
	for (; job; job = payload_next(job)) {
		if (!call->values[OPTION_JSON]) {
			list_one(&t, job);
			continue;
		}
		payload_write(job, out);
		buf_addc(out, '\n');
	}
	if (!call->values[OPTION_JSON])
		table_write(&t, out);
}

int
job_list(const struct command_call *call)
{
	struct following f CLEANUP(following_fini) = { .stop.fd = -1 };
	struct buf out CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };

	if (wire_find_url(&f.wire, call, &err) ||
	    ask(&f, SPAN_LITERAL("{\"op\":\"jobs\"}"), 0, &err))
		return command_fail(COMMAND_FAILED, NULL, &err);
	write_list(&f, call, &out);
	return command_print(&out);
}

int
job_cancel(const struct command_call *call, const char *id, struct error *err)
{
	struct following f CLEANUP(following_fini) = { .stop.fd = -1 };
	struct error failed = { 0 };

	if (!id || value_sequence(id, &f.id, err))
		return error_set(err, "which job? `matapalo dlq redrives' "
				 "has their numbers");
	if (wire_find_url(&f.wire, call, &failed) ||
	    ask_about(&f, "job_cancel", 0, &failed))
		return command_fail(COMMAND_FAILED, NULL, &failed);
	printf("job %" PRId64 ": %s, %" PRId64 " moved\n", f.id,
	       payload_string(payload_at(f.answer, "/job/state"), ""),
	       number(&f, "/job/moved", 0));
	return COMMAND_OK;
}
