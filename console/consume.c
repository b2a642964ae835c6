/* SPDX-License-Identifier: Apache-2.0 */
/* The command `consume`: a shell command as a consumer of events.
 *
 * One loop: fetch (which carries the verdicts on the last events), run the
 * handler for each, and again. A lost connection changes nothing: verdicts
 * are kept, and every operation is idempotent. */
#include "console/consume.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "console/value.h"
#include "payload/payload.h"

#define WAIT_MS 1000u /* a long poll; how late a signal is seen */
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
handle_batch(struct consume *c, const struct cJSON *answer)
{
	struct wire_event e;

	for (wire_first(answer, &e); e.item; wire_next(&e)) {
		c->idle_since_ms = 0;
		/* What is left comes again when our leases run out. */
		if (is_stopped(c))
			return;
		consume_event(c, &e);
		c->handled++;
	}
}

static unsigned
next_batch(const struct consume *c)
{
	unsigned left = c->limit ? c->limit - c->handled : c->batch;

	return left < c->batch ? left : c->batch;
}

/* ---- the connection ---- */

static void
report_lost(struct consume *c, struct error *err)
{
	if (!c->retry_ms)
		log_warn("consume.lost", "%s; trying again", err->text);
	*err = (struct error){ 0 };
	c->retry_ms = c->retry_ms ? 2 * c->retry_ms : RETRY_FIRST_MS;
	if (c->retry_ms > RETRY_MOST_MS)
		c->retry_ms = RETRY_MOST_MS;
	wire_disconnect(&c->wire);
	wait_stop(c, c->retry_ms);
}

/* A bus that cannot be reached may come back; one that refuses will not
 * change its mind: -1 with err. */
static int
fetch_once(struct consume *c, struct error *err)
{
	struct cJSON *answer CLEANUP(payload_free) = NULL;

	if (wire_connect(&c->wire, err) ||
	    wire_fetch(&c->wire, next_batch(c), WAIT_MS, &answer, err)) {
		if (c->wire.refused)
			return -1;
		report_lost(c, err);
		return 0;
	}
	if (c->retry_ms)
		log_info("consume.back", "connected to %s again", c->wire.url);
	c->retry_ms = 0;
	handle_batch(c, answer);
	return 0;
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
	while (!is_done(c))
		if (fetch_once(c, err))
			return -1;
	if (!wire_has_verdicts(&c->wire))
		return 0;
	if (wire_connect(&c->wire, err))
		return -1;
	return wire_flush(&c->wire, err);
}

/* ---- options ---- */

static int
read_options(struct consume *c, const struct command_call *call,
	     struct error *err)
{
	const char *from = call->values[OPTION_FROM];
	const unsigned most = 1000000;

	c->command = call->values[OPTION_EXEC];
	c->always_reply = call->values[OPTION_REPLY] != NULL;
	c->wire.group = call->values[OPTION_GROUP];
	c->wire.type = call->values[OPTION_TYPE];
	c->wire.subject = call->values[OPTION_SUBJECT];
	if (!c->wire.group || !c->command)
		return error_set(err, "consume: --group NAME and --exec "
				      "COMMAND are needed");
	if (from && value_position(from, &c->wire.start, err))
		return error_context(err, "consume: --from");
	if (command_number(call, OPTION_BATCH, BATCH_MAX, 1, &c->batch, err) ||
	    command_number(call, OPTION_LIMIT, most, 0, &c->limit, err) ||
	    command_number(call, OPTION_MAX_ATTEMPTS, most, 0,
			   &c->wire.max_attempts, err) ||
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
	    handler_stop_open(&c.stop, &err) || wire_connect(&c.wire, &err) ||
	    loop(&c, &err)) {
		error_context(&err, "consume");
		return command_fail(COMMAND_FAILED, NULL, &err);
	}
	return COMMAND_OK;
}
