/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes: each has a handler, or none now, and at most one event. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "console/consume.h"

#define OUTPUT_LIMIT_BYTES ((size_t)4 * 1024 * 1024)
#define RESTART_FIRST_MS 100u
#define RESTART_MOST_MS 5000u
#define CLOSE_MS 5000u /* to end by itself, once nothing comes any more */

static bool
is_up(const struct consume_lane *l)
{
	return l->handler.pid != 0;
}

static bool
is_ready(const struct consume_lane *l)
{
	return !l->held && !l->is_ending &&
	       (is_up(l) || clock_mono_ms() >= l->restart_ms);
}

/* ---- begin ---- */

/* A handler that never serves is started ever more rarely. */
static void
back_off(struct consume_lane *l)
{
	if (l->has_served)
		l->backoff_ms = 0;
	else
		l->backoff_ms = l->backoff_ms ? 2 * l->backoff_ms
					      : RESTART_FIRST_MS;
	if (l->backoff_ms > RESTART_MOST_MS)
		l->backoff_ms = RESTART_MOST_MS;
	l->restart_ms = clock_mono_ms() + l->backoff_ms;
}

static void
prepare(const struct consume *c, struct consume_lane *l)
{
	l->handler = (struct handler){ .kind = c->kind,
				       .output_limit_bytes =
					       OUTPUT_LIMIT_BYTES };
	l->has_served = l->is_ending = false;
	l->looked = 0;
	l->reason[0] = '\0';
}

static bool
start_lasting(struct consume *c, struct consume_lane *l)
{
	struct error err = { 0 };

	if (is_up(l))
		return true;
	prepare(c, l);
	if (!handler_start(&l->handler, c->command, environ, &err))
		return true;
	log_warn("consume.handler", "%s; trying again", err.text);
	handler_fini(&l->handler);
	back_off(l);
	return false;
}

/* False: the event is where it was. */
static bool
begin_lasting(struct consume *c, struct consume_lane *l)
{
	struct buf line CLEANUP(buf_fini) = { 0 };

	consume_line_write(l->held->event, &line);
	l->handler.line[0] = '\0';
	handler_deadline(&l->handler, c->timeout_ms);
	return !line.failed && !handler_give(&l->handler, buf_span(&line));
}

static void
lane_free(struct consume_lane *l)
{
	consume_held_free(&l->held);
}

static void
begin_once(struct consume *c, struct consume_lane *l)
{
	struct error err = { 0 };

	prepare(c, l);
	if (!consume_event_begin(c, &l->handler, l->held->event, &err)) {
		handler_deadline(&l->handler, c->timeout_ms);
		return;
	}
	consume_event_nak(c, l->held->event, MATAPALO_DELAY_GROUP, err.text);
	handler_fini(&l->handler);
	lane_free(l);
}

static void
lane_end(struct consume_lane *l, const char *reason)
{
	if (l->is_ending)
		return;
	l->is_ending = true;
	snprintf(l->reason, sizeof(l->reason), "%s", reason);
	handler_terminate(&l->handler);
}

static void
begin(struct consume *c, struct consume_lane *l)
{
	if (c->kind == HANDLER_LASTING && !start_lasting(c, l))
		return;
	l->held = consume_queue_take(c);
	if (!l->held)
		return;
	if (c->kind == HANDLER_ONCE)
		begin_once(c, l);
	else if (!begin_lasting(c, l))
		lane_end(l, "the consumer has no memory");
}

/* The first lanes first: with little to do the others need no handler. */
void
consume_lanes_begin(struct consume *c)
{
	for (size_t i = 0; i < c->lane_count && c->first; i++)
		if (is_ready(&c->lanes[i]))
			begin(c, &c->lanes[i]);
}

bool
consume_lanes_want(const struct consume *c)
{
	for (size_t i = 0; i < c->lane_count; i++)
		if (is_ready(&c->lanes[i]))
			return true;
	return false;
}

size_t
consume_lanes_busy(const struct consume *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->lane_count; i++)
		n += c->lanes[i].held != NULL;
	return n;
}

/* ---- lines of a handler that lasts ---- */

static void
take_line(struct consume *c, struct consume_lane *l, struct span line)
{
	struct error err = { 0 };

	if (!l->held) {
		lane_end(l, "the handler printed a line without an event");
		return;
	}
	if (consume_line_settle(c, l->held->event, line, &err)) {
		lane_end(l, err.text);
		return;
	}
	l->has_served = true;
	handler_deadline(&l->handler, 0);
	lane_free(l);
}

static void
take_lines(struct consume *c, struct consume_lane *l)
{
	struct buf *out = &l->handler.out;
	size_t used = 0, from = l->looked;

	while (from < out->len) {
		const char *at = out->data + used;
		const char *end = memchr(out->data + from, '\n',
					 out->len - from);

		if (!end)
			break;
		if (!l->is_ending && l->handler.end == HANDLER_EXITED)
			take_line(c, l, (struct span){ at,
						       (size_t)(end - at) });
		used = from = (size_t)(end + 1 - out->data);
	}
	if (used)
		memmove(out->data, out->data + used, out->len - used);
	out->len -= used;
	l->looked = out->len;
}

/* ---- end ---- */

static const char *
reason_of(const struct consume_lane *l, char *out, size_t size)
{
	return *l->reason ? l->reason : handler_reason(&l->handler, out, size);
}

/* A handler that went without having read anything of its event has not begun
 * it: nobody has tried. */
static bool
is_unread(const struct consume_lane *l)
{
	struct buf line CLEANUP(buf_fini) = { 0 };

	if (l->is_ending || l->handler.end == HANDLER_TIMED_OUT)
		return false;
	consume_line_write(l->held->event, &line);
	return handler_unread(&l->handler) >= line.len;
}

static void
end_lasting(struct consume *c, struct consume_lane *l)
{
	char text[CONSUME_REASON_SIZE];
	const char *reason = reason_of(l, text, sizeof(text));

	if (l->held || l->handler.end != HANDLER_EXITED || l->handler.code)
		log_warn("consume.handler", "a handler ended: %s", reason);
	if (l->held && is_unread(l)) {
		consume_queue_return(c, l->held);
		l->held = NULL;
	} else if (l->held) {
		consume_event_nak(c, l->held->event, MATAPALO_DELAY_GROUP,
				  reason);
	}
	back_off(l);
}

static void
end_once(struct consume *c, struct consume_lane *l)
{
	if (*l->reason)
		consume_event_nak(c, l->held->event, MATAPALO_DELAY_GROUP,
				  l->reason);
	else
		consume_event_settle(c, l->held->event, &l->handler);
}

void
consume_lane_step(struct consume *c, struct consume_lane *l,
		  const struct pollfd *p)
{
	if (!is_up(l))
		return;
	handler_step(&l->handler, p);
	if (c->kind == HANDLER_LASTING)
		take_lines(c, l);
	if (!l->handler.has_ended)
		return;
	if (c->kind == HANDLER_LASTING)
		end_lasting(c, l);
	else
		end_once(c, l);
	handler_fini(&l->handler);
	l->is_ending = false;
	lane_free(l);
}

/* ---- all ---- */

void
consume_lanes_end(struct consume *c, const char *reason)
{
	for (size_t i = 0; i < c->lane_count; i++)
		if (c->lanes[i].held && is_up(&c->lanes[i]))
			lane_end(&c->lanes[i], reason);
}

void
consume_lanes_kill(struct consume *c)
{
	for (size_t i = 0; i < c->lane_count; i++)
		if (is_up(&c->lanes[i]))
			handler_kill(&c->lanes[i].handler);
}

static struct consume_lane *
next_up(struct consume *c)
{
	for (size_t i = 0; i < c->lane_count; i++)
		if (is_up(&c->lanes[i]))
			return &c->lanes[i];
	return NULL;
}

void
consume_lanes_close(struct consume *c)
{
	struct consume_lane *l;

	for (size_t i = 0; i < c->lane_count; i++)
		if (is_up(&c->lanes[i])) {
			handler_close_input(&c->lanes[i].handler);
			handler_deadline(&c->lanes[i].handler, CLOSE_MS);
		}
	while ((l = next_up(c)) != NULL) {
		struct pollfd p[HANDLER_POLLS];

		handler_polls(&l->handler, p);
		poll(p, ARRAY_SIZE(p), HANDLER_POLL_MS);
		if (handler_stop_check(&c->stop) > 1)
			consume_lanes_kill(c);
		handler_step(&l->handler, p);
		l->handler.out.len = 0;
		if (l->handler.has_ended)
			handler_fini(&l->handler);
	}
}

void
consume_lanes_fini(struct consume *c)
{
	for (size_t i = 0; i < c->lane_count; i++) {
		handler_fini(&c->lanes[i].handler);
		lane_free(&c->lanes[i]);
	}
	free(c->lanes);
	c->lanes = NULL;
	c->lane_count = 0;
}
