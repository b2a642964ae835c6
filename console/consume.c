/* SPDX-License-Identifier: Apache-2.0 */
/* The command `consume`: a shell command as a consumer of events. */
#include "console/consume.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "console/value.h"

#define CONNECT_MS 3000u
#define CALL_MS 5000u /* beyond what a long poll waits */
#define TOUCH_MS 1000u /* far below any sensible lease */
#define BATCH_MAX 1000u
#define TIMEOUT_MS (5u * 60 * 1000)
#define DRAIN_MS TIMEOUT_MS

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

void
consume_renew_token(struct consume *c)
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

static void
read_command(struct consume *c, const struct command_call *call)
{
	const char *once = call->values[OPTION_EXEC];
	const char *lasting = call->values[OPTION_EXEC_PERSISTENT];

	c->kind = lasting ? HANDLER_LASTING : HANDLER_ONCE;
	if (!once != !lasting)
		c->command = lasting ? lasting : once;
}

static int
read_lanes(struct consume *c, const struct command_call *call,
	   struct error *err)
{
	unsigned n;

	if (command_number(call, OPTION_PARALLEL, CONSUME_LANES_MAX, 1, &n,
			   err))
		return -1;
	n = n ? n : 1;
	if (command_number(call, OPTION_BATCH, BATCH_MAX, n, &c->batch, err))
		return -1;
	c->batch = c->batch ? c->batch : 1;
	c->lanes = calloc(n, sizeof(*c->lanes));
	if (!c->lanes)
		return error_set(err, "no memory");
	c->lane_count = n;
	return 0;
}

static int
read_options(struct consume *c, const struct command_call *call,
	     struct error *err)
{
	const unsigned most = 1000000;

	read_command(c, call);
	c->is_whole = call->values[OPTION_WHOLE] != NULL;
	c->always_reply = call->values[OPTION_REPLY] != NULL;
	c->group = call->values[OPTION_GROUP];
	c->type = call->values[OPTION_TYPE];
	c->subject = call->values[OPTION_SUBJECT];
	if (!c->group || !c->command)
		return error_set(err, "consume: --group NAME and either "
				      "--exec COMMAND or --exec-persistent "
				      "COMMAND are needed");
	if (read_start(c, call->values[OPTION_FROM], err))
		return -1;
	if (read_lanes(c, call, err) ||
	    command_number(call, OPTION_LIMIT, most, 0, &c->limit, err) ||
	    command_number(call, OPTION_MAX_ATTEMPTS, most, 0,
			   &c->max_attempts, err) ||
	    command_duration(call, OPTION_TIMEOUT, TIMEOUT_MS, &c->timeout_ms,
			     err) ||
	    command_duration(call, OPTION_DRAIN, DRAIN_MS, &c->drain_ms,
			     err) ||
	    command_duration(call, OPTION_IDLE_EXIT, 0, &c->idle_exit_ms, err))
		return error_context(err, "consume");
	return 0;
}

static void
consume_fini(struct consume *c)
{
	consume_lanes_fini(c);
	consume_queue_fini(c);
	matapalo_consumer_close(&c->consumer);
	matapalo_publisher_close(&c->publisher);
	wire_close(&c->wire);
	handler_stop_close(&c->stop);
}

int
command_consume(const struct command_call *call)
{
	struct consume c CLEANUP(consume_fini) = { .stop.fd = -1 };
	struct error err = { 0 };

	consume_queue_init(&c);
	if (read_options(&c, call, &err))
		return command_fail(COMMAND_USAGE, NULL, &err);
	if (wire_find_url(&c.wire, call, &err) == 0)
		consume_export(&c);
	if (err.set || handler_stop_open(&c.stop, &err) ||
	    connect_consumer(&c, &err) || consume_loop(&c, &err)) {
		error_context(&err, "consume");
		return command_fail(COMMAND_FAILED, NULL, &err);
	}
	return COMMAND_OK;
}
