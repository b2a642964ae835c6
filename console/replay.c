/* SPDX-License-Identifier: Apache-2.0 */
/* The command `replay`: events of the past, once more, to a group or to
 * standard output, as fast as they can be had or at a pace. */
#include "console/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "console/handler.h"
#include "console/job.h"
#include "console/value.h"

#define CHUNK 4096	/* what a pipe takes when poll says that it is ready */
#define PROGRESS_MS 1000

struct replaying {
	struct replay_source source;
	struct handler_stop stop;
	struct value_pace pace;
	int64_t base_event_us;		/* 0: no event yet */
	uint64_t base_ms;
	uint64_t written, shown_ms;
	int64_t last;			/* written in full; 0: none */
	bool progress;
};

enum outcome { OUTCOME_DONE, OUTCOME_STOPPED, OUTCOME_NOBODY, OUTCOME_FAILED };

static void
replaying_fini(struct replaying *r)
{
	replay_source_close(&r->source);
	handler_stop_close(&r->stop);
}

/* ---- standard output ---- */

static void
show_progress(struct replaying *r)
{
	uint64_t now = clock_mono_ms();

	if (!r->progress || now - r->shown_ms < PROGRESS_MS)
		return;
	r->shown_ms = now;
	fprintf(stderr, "\r%" PRIu64 " events, at %" PRId64 " of %" PRId64
		"  ", r->written, r->last, r->source.upto);
	fflush(stderr);
}

/* Waits for the output, or for a time when fd is -1; a signal ends both. */
static enum outcome
await(struct replaying *r, int fd, int timeout_ms)
{
	struct pollfd p[] = { { .fd = r->stop.fd, .events = POLLIN },
			      { .fd = fd, .events = POLLOUT } };

	if (poll(p, 2, timeout_ms) < 0 && errno != EINTR)
		return OUTCOME_FAILED;
	return handler_stop_check(&r->stop) ? OUTCOME_STOPPED : OUTCOME_DONE;
}

static enum outcome
write_out(struct replaying *r, const char *at, size_t len)
{
	while (len > 0) {
		enum outcome o = await(r, STDOUT_FILENO, -1);
		ssize_t n;

		if (o != OUTCOME_DONE)
			return o;
		n = write(STDOUT_FILENO, at, len < CHUNK ? len : CHUNK);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return errno == EPIPE ? OUTCOME_NOBODY
					      : OUTCOME_FAILED;
		at += n;
		len -= (size_t)n;
	}
	return OUTCOME_DONE;
}

/* ---- pace ---- */

/* When the event's turn is, in monotonic ms; 0: now. */
static uint64_t
due_at(struct replaying *r, int64_t time_us)
{
	double after_ms;

	if (r->base_ms == 0) {
		r->base_ms = clock_mono_ms();
		r->base_event_us = time_us;
	}
	if (r->pace.rate > 0)
		after_ms = (double)r->written / r->pace.rate * 1000;
	else if (r->pace.speed > 0)
		after_ms = (double)(time_us - r->base_event_us) / 1000 /
			   r->pace.speed;
	else
		return 0;
	return after_ms > 0 ? r->base_ms + (uint64_t)after_ms : 0;
}

static enum outcome
await_turn(struct replaying *r, uint64_t due_ms)
{
	uint64_t now = clock_mono_ms();

	while (now < due_ms) {
		uint64_t left = due_ms - now;
		enum outcome o;

		show_progress(r);
		o = await(r, -1, left < PROGRESS_MS ? (int)left : PROGRESS_MS);
		if (o != OUTCOME_DONE)
			return o;
		now = clock_mono_ms();
	}
	return OUTCOME_DONE;
}

/* ---- the loop ---- */

/* Lines whose turn has come are written together. */
static enum outcome
write_batch(struct replaying *r)
{
	const struct replay_source *s = &r->source;
	enum outcome o = OUTCOME_DONE;

	for (size_t i = 0; i < s->count && o == OUTCOME_DONE; i++) {
		const struct replay_line *line = &s->lines[i];

		o = await_turn(r, due_at(r, line->time_us));
		if (o == OUTCOME_DONE)
			o = write_out(r, s->text.data + line->at, line->len);
		if (o != OUTCOME_DONE)
			break;
		r->last = line->sequence;
		r->written++;
		show_progress(r);
	}
	return o;
}

static enum outcome
write_all(struct replaying *r, struct error *err)
{
	struct replay_source *s = &r->source;
	enum outcome o = OUTCOME_DONE;

	while (o == OUTCOME_DONE && s->after < s->upto) {
		if (replay_source_next(s, err))
			return OUTCOME_FAILED;
		o = write_batch(r);
		if (o == OUTCOME_DONE && handler_stop_check(&r->stop))
			o = OUTCOME_STOPPED;
	}
	return o;
}

static int
finish(struct replaying *r, enum outcome o, int64_t begin, struct error *err)
{
	int64_t next = r->last ? r->last + 1 : begin;

	if (r->progress)
		fprintf(stderr, "\r%" PRIu64 " events written%20s\n",
			r->written, "");
	switch (o) {
	case OUTCOME_DONE:
	case OUTCOME_NOBODY:	/* as of `head`: it has what it wants */
		return COMMAND_OK;
	case OUTCOME_STOPPED:
		error_set(err, "stopped after %" PRIu64 " events; go on with "
			  "--from %" PRId64, r->written, next);
		break;
	case OUTCOME_FAILED:
		if (!*err->text)
			error_set(err, "the output cannot be written: %s",
				  strerror(errno));
		fprintf(stderr, "matapalo: replay: go on with --from %" PRId64
			"\n", next);
		break;
	}
	return command_fail(COMMAND_FAILED, NULL, err);
}

/* ---- options ---- */

static int
read_range(struct replaying *r, const struct command_call *call,
	   struct error *err)
{
	struct replay_source *s = &r->source;
	struct value_place from = { 0 }, to = { 0 };
	const char *end = call->values[OPTION_TO];
	int64_t last = 0;

	if (replay_source_last(s, &last, err))
		return -1;
	if (value_place(call->values[OPTION_FROM], &from, err))
		return error_context(err, "--from");
	if (end && value_place(end, &to, err))
		return error_context(err, "--to");
	if (from.sequence > last)
		return error_set(err, "--from: there is no event %" PRId64
				 " yet, the newest is %" PRId64,
				 from.sequence, last);
	s->since_us = from.time_us;
	s->until_us = to.time_us;
	if (from.time_us && s->reader &&
	    journal_find_time(s->reader, from.time_us, &from.sequence) < 0)
		return error_set(err, "the journal cannot be read");
	s->after = from.is_newest ? last - 1 : from.sequence - 1;
	if (s->after < 0)
		s->after = 0;
	s->upto = to.sequence > 0 && to.sequence < last ? to.sequence : last;
	return 0;
}

static int
to_stdout(struct replaying *r, const struct command_call *call,
	  struct error *err)
{
	int64_t begin;

	if (replay_source_open(&r->source, call, err) ||
	    read_range(r, call, err) || handler_stop_open(&r->stop, err)) {
		error_context(err, "replay");
		return command_fail(COMMAND_USAGE, NULL, err);
	}
	begin = r->source.after + 1;
	r->progress = isatty(STDERR_FILENO);
	return finish(r, write_all(r, err), begin, err);
}

/* ---- to a group ---- */

static int
add_place(struct json *j, const char *key, const char *text,
	  struct error *err)
{
	char time[CLOCK_RFC3339_SIZE];
	struct value_place p;

	if (!text)
		return 0;
	if (value_place(text, &p, err))
		return -1;
	json_key(j, key);
	if (p.time_us)
		json_str(j, clock_rfc3339(p.time_us, time));
	else if (p.is_newest)
		json_str(j, "newest");
	else
		json_i64(j, p.sequence);
	return 0;
}

static int
to_group(const struct replaying *r, const struct command_call *call,
	 struct error *err)
{
	struct buf request CLEANUP(buf_fini) = { 0 };
	struct json j;

	job_begin(&j, &request, "replay");
	json_key(&j, "group");
	json_str(&j, call->values[OPTION_GROUP]);
	if (add_place(&j, "from", call->values[OPTION_FROM], err) ||
	    add_place(&j, "to", call->values[OPTION_TO], err) ||
	    job_filter(&j, call, err) < 0) {
		error_context(err, "replay");
		return command_fail(COMMAND_USAGE, NULL, err);
	}
	if (r->pace.speed > 0) {
		json_key(&j, "speed");
		json_double(&j, r->pace.speed);
	}
	if (r->pace.rate > 0) {
		json_key(&j, "rate");
		json_double(&j, r->pace.rate);
	}
	return job_run(call, &j, "replayed");
}

int
command_replay(const struct command_call *call)
{
	struct replaying r CLEANUP(replaying_fini) = { .stop.fd = -1 };
	const char *pace = call->values[OPTION_PACE];
	struct error err = { 0 };

	if (!call->values[OPTION_FROM])
		error_set(&err, "from where? --from SEQUENCE, --from TIME or "
			  "--from oldest");
	else if (!pace || !value_pace(pace, &r.pace, &err))
		return call->values[OPTION_GROUP] ? to_group(&r, call, &err)
						  : to_stdout(&r, call, &err);
	error_context(&err, "replay");
	return command_fail(COMMAND_USAGE, NULL, &err);
}
