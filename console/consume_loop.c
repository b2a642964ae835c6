/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of `consume`: a fetch, the lanes, and how it ends.
 *
 * Verdicts ride on the next fetch, or on a request of their own where that
 * would be late. A lost connection changes nothing: verdicts are kept, and
 * every operation is idempotent. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "console/consume.h"

#define WAIT_MS 1000u /* a long poll */
#define TICK_MS 1000
#define FLUSH_MS 20u /* how long a verdict waits for a fetch to ride on */
#define RETRY_FIRST_MS 100u
#define RETRY_MOST_MS 5000u

enum { POLL_STOP, POLL_FETCH, POLL_LANES };

static int
failed(struct consume *c, struct error *err, const char *text)
{
	c->has_failed = true;
	return error_set(err, "%s", text);
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

/* ---- the connection ---- */

static void
report_lost(struct consume *c, const struct matapalo_error *why)
{
	if (!c->backoff_ms)
		log_warn("consume.lost", "%s; trying again", why->text);
	c->backoff_ms = c->backoff_ms ? 2 * c->backoff_ms : RETRY_FIRST_MS;
	if (c->backoff_ms > RETRY_MOST_MS)
		c->backoff_ms = RETRY_MOST_MS;
	c->retry_ms = clock_mono_ms() + c->backoff_ms;
	consume_renew_token(c);
}

static void
report_back(struct consume *c)
{
	if (c->backoff_ms)
		log_info("consume.back", "connected to %s again", c->wire.url);
	c->backoff_ms = 0;
	c->retry_ms = 0;
}

/* A bus that cannot be reached may come back; one that refuses will not
 * change its mind. */
static void
take_failure(struct consume *c, enum matapalo_code code,
	     const struct matapalo_error *why, struct error *err)
{
	switch (code) {
	case MATAPALO_OK:
	case MATAPALO_CANCELLED:
		return;
	case MATAPALO_UNREACHABLE:
	case MATAPALO_BUSY:
	case MATAPALO_NO_MEMORY:
		report_lost(c, why);
		return;
	case MATAPALO_USAGE:
	case MATAPALO_REFUSED:
	case MATAPALO_PROTOCOL:
		failed(c, err, why->text);
		return;
	}
}

/* ---- fetch ---- */

static unsigned
next_batch(const struct consume *c)
{
	unsigned left = c->limit ? c->limit - c->fetched : c->batch;

	return left < c->batch ? left : c->batch;
}

/* Events that are held up by their keys must not keep others away, and not
 * pile up either. */
static bool
wants_fetch(const struct consume *c)
{
	return !c->is_fetching && !c->is_draining && next_batch(c) > 0 &&
	       c->queued < c->batch + c->lane_count &&
	       clock_mono_ms() >= c->retry_ms && consume_lanes_want(c);
}

static void
begin_fetch(struct consume *c, struct error *err)
{
	struct matapalo_error why;
	enum matapalo_code code = matapalo_fetch_begin(
		c->consumer, next_batch(c), WAIT_MS, &why);

	take_failure(c, code, &why, err);
	c->is_fetching = !code;
	if (!code)
		c->pending_since_ms = 0;
}

static void
take_batch(struct consume *c, struct matapalo_batch **b, struct error *err)
{
	int added;

	report_back(c);
	tell_differences(c, *b);
	added = consume_queue_add(c, b);
	if (added < 0)
		failed(c, err, "no memory for events");
	else
		c->fetched += (unsigned)added;
	if (added > 0)
		c->idle_since_ms = 0;
}

static void
end_fetch(struct consume *c, struct error *err)
{
	struct matapalo_batch *b;
	struct matapalo_error why;
	enum matapalo_code code = matapalo_fetch_end(c->consumer, &b, &why);

	c->is_fetching = false;
	take_failure(c, code, &why, err);
	if (!code)
		take_batch(c, &b, err);
}

/* ---- verdicts ---- */

static void
flush_soon(struct consume *c, struct error *err)
{
	uint64_t now = clock_mono_ms();
	struct matapalo_error why;

	if (!matapalo_pending(c->consumer) || now < c->retry_ms)
		return;
	if (!c->pending_since_ms)
		c->pending_since_ms = now;
	if (now - c->pending_since_ms < FLUSH_MS)
		return;
	c->pending_since_ms = 0;
	take_failure(c, matapalo_flush(c->consumer, &why), &why, err);
}

/* ---- the end ---- */

/* A fetch that is cancelled may have been given events: the next one has
 * them, and ends the long poll. */
static void
collect(struct consume *c, struct error *err)
{
	struct matapalo_batch *b;
	struct matapalo_error why;
	enum matapalo_code code;

	if (!c->is_fetching)
		return;
	matapalo_cancel(c->consumer);
	end_fetch(c, err);
	if (c->backoff_ms)
		return;
	code = matapalo_fetch(c->consumer, 0, 0, &b, &why);
	if (code == MATAPALO_CANCELLED)	/* the first had been answered */
		code = matapalo_fetch(c->consumer, 0, 0, &b, &why);
	take_failure(c, code, &why, err);
	if (!code)
		take_batch(c, &b, err);
}

static void
begin_drain(struct consume *c, struct error *err)
{
	c->is_draining = true;
	c->drain_until_ms = clock_mono_ms() + c->drain_ms;
	collect(c, err);
}

static bool
is_idle(struct consume *c)
{
	uint64_t now = clock_mono_ms();

	if (c->queued || consume_lanes_busy(c)) {
		c->idle_since_ms = 0;
		return false;
	}
	if (!c->idle_since_ms)
		c->idle_since_ms = now;
	return c->idle_exit_ms && now - c->idle_since_ms >= c->idle_exit_ms;
}

static void
check_end(struct consume *c, struct error *err)
{
	unsigned signals = handler_stop_check(&c->stop);
	bool is_full = c->limit && c->fetched >= c->limit && !c->queued &&
		       !consume_lanes_busy(c);

	if (c->no_memory)
		failed(c, err, "no memory for a verdict; the event comes "
			       "again");
	if (!c->is_draining &&
	    (signals > 0 || c->has_failed || is_full || is_idle(c)))
		begin_drain(c, err);
	if (c->is_draining)
		consume_queue_release(c);
	if (signals > 1)
		consume_lanes_kill(c);
	else if (c->is_draining && clock_mono_ms() >= c->drain_until_ms)
		consume_lanes_end(c, "the consumer was stopped before the "
				     "handler had ended");
}

/* ---- the loop ---- */

static int
patience_ms(const struct consume *c)
{
	if (matapalo_pending(c->consumer))
		return FLUSH_MS;
	return c->queued || c->idle_exit_ms || c->retry_ms ||
	       c->is_draining || consume_lanes_busy(c) ? HANDLER_POLL_MS
						       : TICK_MS;
}

static void
step(struct consume *c, struct pollfd *p, struct error *err)
{
	const struct pollfd none = { .fd = -1 };

	p[POLL_STOP] = (struct pollfd){ .fd = c->stop.fd, .events = POLLIN };
	p[POLL_FETCH] = none;
	if (c->is_fetching)
		p[POLL_FETCH] = (struct pollfd){
			.fd = matapalo_fetch_fd(c->consumer),
			.events = POLLIN };
	for (size_t i = 0; i < c->lane_count; i++) {
		struct pollfd *own = p + POLL_LANES + i * HANDLER_POLLS;

		for (int k = 0; k < HANDLER_POLLS; k++)
			own[k] = none;
		if (c->lanes[i].handler.pid)
			handler_polls(&c->lanes[i].handler, own);
	}
	poll(p, POLL_LANES + c->lane_count * HANDLER_POLLS, patience_ms(c));
	for (size_t i = 0; i < c->lane_count; i++)
		consume_lane_step(c, &c->lanes[i],
				  p + POLL_LANES + i * HANDLER_POLLS);
	if (c->is_fetching && p[POLL_FETCH].revents)
		end_fetch(c, err);
}

static bool
is_over(const struct consume *c)
{
	return c->is_draining && !c->queued && !consume_lanes_busy(c);
}

int
consume_loop(struct consume *c, struct error *err)
{
	struct pollfd polls[POLL_LANES + CONSUME_LANES_MAX * HANDLER_POLLS];
	struct matapalo_error why;

	while (!is_over(c)) {
		if (!c->is_draining)
			consume_lanes_begin(c);
		if (wants_fetch(c))
			begin_fetch(c, err);
		step(c, polls, err);
		flush_soon(c, err);
		check_end(c, err);
	}
	if (matapalo_flush(c->consumer, &why) && !c->has_failed)
		failed(c, err, why.text);
	consume_lanes_close(c);
	return c->has_failed ? -1 : 0;
}
