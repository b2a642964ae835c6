/* SPDX-License-Identifier: Apache-2.0 */
/* The command `consume`: a shell command as a consumer of events.
 *
 * One loop: fetch (which carries the verdicts on the last events), run the
 * handler for each, and again. A lost connection changes nothing: verdicts
 * are kept, and every operation is idempotent. */
#include "console/consume.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "console/value.h"

#define WAIT_MS 1000u /* a long poll; how late a signal is seen */
#define CONNECT_MS 3000u
#define CALL_MS 5000u /* beyond what a long poll waits */
#define TOUCH_MS 1000u /* far below any sensible lease */
#define RETRY_FIRST_MS 100u
#define RETRY_MOST_MS 5000u
#define BATCH_MAX 1000u
#define TIMEOUT_MS (5u * 60 * 1000)

static bool
is_stopped(struct consume *c)
{
	return handler_stop_check(&c->stop) > 0;
}

/* Sleeps, but not through a signal. */
static void
wait_stop(struct consume *c, unsigned ms)
{
	struct pollfd p = { .fd = c->stop.fd, .events = POLLIN };

	poll(&p, 1, (int)ms);
}

/* ---- one batch ---- */

static void
handle_batch(struct consume *c, const struct matapalo_batch *b)
{
	for (size_t i = 0; i < matapalo_batch_count(b); i++) {
		c->idle_since_ms = 0;
		/* What is left comes again: we are gone then. */
		if (is_stopped(c) || c->no_memory)
			return;
		consume_event(c, matapalo_batch_event(b, i));
		c->handled++;
	}
}

/* The group is older than this call's options. */
static void
tell_differences(struct consume *c, const struct matapalo_batch *b)
{
	const char *differs = matapalo_batch_differs(b);

	if (!differs || c->told)
		return;
	c->told = true;
	log_warn("consume.settings", "group %s was made with other settings, "
		 "which it keeps: %s; `matapalo groups set' changes them",
		 c->group, differs);
}

static unsigned
next_batch(const struct consume *c)
{
	unsigned left = c->limit ? c->limit - c->handled : c->batch;

	return left < c->batch ? left : c->batch;
}

/* ---- the connection ---- */

static int
failed(struct error *err, const struct matapalo_error *why)
{
	return error_set(err, "%s", why->text);
}

static int
connect_consumer(struct consume *c, struct error *err)
{
	struct matapalo_consumer_options o = MATAPALO_CONSUMER_OPTIONS;
	struct buf text CLEANUP(wire_wipe) = { 0 };
	struct matapalo_error why;

	if (wire_read_token(&c->wire, &text, &o.token, err))
		return -1;
	o.url = c->wire.url;
	o.ca = c->wire.files.ca;
	o.certificate = c->wire.files.certificate;
	o.key = c->wire.files.key;
	o.server_name = c->wire.files.name;
	o.group = c->group;
	o.type = c->type;
	o.subject = c->subject;
	o.start = *c->start ? c->start : NULL;
	o.max_attempts = c->max_attempts;
	o.connect_ms = CONNECT_MS;
	o.call_ms = CALL_MS;
	o.touch_ms = TOUCH_MS;
	o.event_bytes = c->is_whole ? MATAPALO_WHOLE : 0;
	if (matapalo_consumer_open(&o, &c->consumer, &why))
		return failed(err, &why);
	return 0;
}

/* What was refused for an old token is not tried again; a bus that comes back
 * may have a new one. */
static void
renew_token(struct consume *c)
{
	struct buf text CLEANUP(wire_wipe) = { 0 };
	struct error err = { 0 };
	const char *token;

	if (wire_read_token(&c->wire, &text, &token, &err))
		log_warn("consume.token", "%s; the old one is used",
			 err.text);
	else if (token)
		(void)matapalo_consumer_set_token(c->consumer, token, NULL);
}

/* The connection comes back by itself, and the verdicts are kept. */
static void
report_lost(struct consume *c, const struct matapalo_error *why)
{
	if (!c->retry_ms)
		log_warn("consume.lost", "%s; trying again", why->text);
	c->retry_ms = c->retry_ms ? 2 * c->retry_ms : RETRY_FIRST_MS;
	if (c->retry_ms > RETRY_MOST_MS)
		c->retry_ms = RETRY_MOST_MS;
	wait_stop(c, c->retry_ms);
	renew_token(c);
}

static bool
may_come_back(enum matapalo_code code)
{
	return code == MATAPALO_UNREACHABLE || code == MATAPALO_BUSY ||
	       code == MATAPALO_NO_MEMORY;
}

/* A bus that cannot be reached may come back; one that refuses will not
 * change its mind: -1 with err. */
static int
fetch_once(struct consume *c, struct error *err)
{
	struct matapalo_batch *b CLEANUP(matapalo_batch_free) = NULL;
	struct matapalo_error why;
	enum matapalo_code code = matapalo_fetch(c->consumer, next_batch(c),
						 WAIT_MS, &b, &why);

	if (code && !may_come_back(code))
		return failed(err, &why);
	if (code) {
		report_lost(c, &why);
		return 0;
	}
	if (c->retry_ms)
		log_info("consume.back", "connected to %s again", c->wire.url);
	c->retry_ms = 0;
	tell_differences(c, b);
	handle_batch(c, b);
	return c->no_memory ? error_set(err, "no memory for a verdict; the "
					"event comes again") : 0;
}

static bool
is_idle(struct consume *c)
{
	uint64_t now = clock_mono_ms();

	if (!c->idle_since_ms)
		c->idle_since_ms = now;
	return c->idle_exit_ms && now - c->idle_since_ms >= c->idle_exit_ms;
}

static bool
is_done(struct consume *c)
{
	return is_stopped(c) || (c->limit && c->handled >= c->limit) ||
	       is_idle(c);
}

static int
loop(struct consume *c, struct error *err)
{
	struct matapalo_error why;

	while (!is_done(c))
		if (fetch_once(c, err))
			return -1;
	return matapalo_flush(c->consumer, &why) ? failed(err, &why) : 0;
}

/* ---- options ---- */

static int
read_start(struct consume *c, const char *from, struct error *err)
{
	int64_t at;

	if (!from)
		return 0;
	if (value_position(from, &at, err))
		return error_context(err, "consume: --from");
	if (at == VALUE_OLDEST)
		snprintf(c->start, sizeof(c->start), "oldest");
	else if (at == VALUE_NOW)
		snprintf(c->start, sizeof(c->start), "newest");
	else
		snprintf(c->start, sizeof(c->start), "%" PRId64, at);
	return 0;
}

static int
read_options(struct consume *c, const struct command_call *call,
	     struct error *err)
{
	const unsigned most = 1000000;

	c->command = call->values[OPTION_EXEC];
	c->is_whole = call->values[OPTION_WHOLE] != NULL;
	c->always_reply = call->values[OPTION_REPLY] != NULL;
	c->group = call->values[OPTION_GROUP];
	c->type = call->values[OPTION_TYPE];
	c->subject = call->values[OPTION_SUBJECT];
	if (!c->group || !c->command)
		return error_set(err, "consume: --group NAME and --exec "
				      "COMMAND are needed");
	if (read_start(c, call->values[OPTION_FROM], err))
		return -1;
	if (command_number(call, OPTION_BATCH, BATCH_MAX, 1, &c->batch, err) ||
	    command_number(call, OPTION_LIMIT, most, 0, &c->limit, err) ||
	    command_number(call, OPTION_MAX_ATTEMPTS, most, 0,
			   &c->max_attempts, err) ||
	    command_duration(call, OPTION_TIMEOUT, TIMEOUT_MS, &c->timeout_ms,
			     err) ||
	    command_duration(call, OPTION_IDLE_EXIT, 0, &c->idle_exit_ms, err))
		return error_context(err, "consume");
	c->batch = c->batch ? c->batch : 1;
	return 0;
}

static void
consume_fini(struct consume *c)
{
	matapalo_consumer_close(&c->consumer);
	wire_close(&c->wire);
	handler_stop_close(&c->stop);
}

int
command_consume(const struct command_call *call)
{
	struct consume c CLEANUP(consume_fini) = { .stop.fd = -1 };
	struct error err = { 0 };

	if (read_options(&c, call, &err))
		return command_fail(COMMAND_USAGE, NULL, &err);
	if (wire_find_url(&c.wire, call, &err) ||
	    handler_stop_open(&c.stop, &err) || connect_consumer(&c, &err) ||
	    loop(&c, &err)) {
		error_context(&err, "consume");
		return command_fail(COMMAND_FAILED, NULL, &err);
	}
	return COMMAND_OK;
}
