/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of `consume` share: one loop over one fetch and N lanes.
 *
 * An event is fetched, waits in the queue until a lane is idle and no other
 * lane has its key, is at that lane's handler, and is settled. */
#ifndef CONSOLE_CONSUME_H
#define CONSOLE_CONSUME_H

#include <stdbool.h>
#include <stdint.h>

#include "console/handler.h"
#include "console/wire.h"
#include "lib/matapalo.h"

#define CONSUME_REASON_SIZE ERROR_TEXT_MAX
#define CONSUME_LANES_MAX 256

struct cJSON;
struct consume_batch;

/* An event that is ours and not settled. */
struct consume_held {
	struct consume_held *next;	/* in the queue */
	struct consume_batch *batch;	/* keeps the event */
	const struct matapalo_event *event;
};

struct consume_lane {
	struct handler handler;
	struct consume_held *held;	/* what it works on; NULL: idle */
	size_t looked;		/* so much of its output has no line's end */
	bool is_ending;		/* its handler is not to go on ... */
	char reason[CONSUME_REASON_SIZE];	/* ... why, if not "" */
	bool has_served;	/* this handler has settled an event */
	unsigned backoff_ms;
	uint64_t restart_ms;	/* not before */
};

struct consume {
	struct wire wire;		/* where the bus is; not connected */
	struct matapalo_consumer *consumer;
	struct matapalo_publisher *publisher;	/* NULL: not needed yet */
	struct handler_stop stop;
	const char *command;
	const char *group, *type, *subject;
	char start[24];			/* "": of no matter */
	enum handler_kind kind;		/* LASTING: --exec-persistent */
	bool always_reply, is_whole;
	unsigned batch, limit, timeout_ms, idle_exit_ms, max_attempts;
	unsigned drain_ms;

	struct consume_lane *lanes;
	size_t lane_count;
	struct consume_held *first, **end;	/* the queue */
	size_t queued;
	unsigned fetched;		/* events, of limit */
	bool told;			/* that the group has other settings */
	bool no_memory;			/* for a verdict: not to be gone on */
	bool is_fetching, is_draining;
	bool has_failed;		/* err of the loop says why */
	uint64_t drain_until_ms;
	unsigned backoff_ms;		/* 0: connected */
	uint64_t retry_ms;		/* not before */
	uint64_t pending_since_ms;	/* verdicts; 0: none */
	uint64_t idle_since_ms;		/* 0: not idle */
};

/* ---- consume_queue.c ---- */

void consume_queue_init(struct consume *c);
/* consume_queue_add takes the batch and adds its events, but for those that
 * are here already: their lease is a new one, the event is not. Returns how
 * many, -1 without memory. */
MUST_CHECK int consume_queue_add(struct consume *c,
				 struct matapalo_batch **batch);
/* consume_queue_take: the first event whose key is at no lane, or NULL. */
struct consume_held *consume_queue_take(struct consume *c);
/* consume_queue_return puts an event that was not begun where it was. */
void consume_queue_return(struct consume *c, struct consume_held *h);
/* consume_queue_release gives the bus back all that wait. */
void consume_queue_release(struct consume *c);
void consume_queue_fini(struct consume *c);
void consume_held_free(struct consume_held **h);

/* ---- consume_lane.c ---- */

/* consume_lanes_begin gives waiting events to idle lanes. */
void consume_lanes_begin(struct consume *c);
/* consume_lanes_want: would another event find a lane? */
bool consume_lanes_want(const struct consume *c);
size_t consume_lanes_busy(const struct consume *c);
void consume_lane_step(struct consume *c, struct consume_lane *l,
		       const struct pollfd *p);
/* consume_lanes_end ends handlers that have events, which are then refused
 * for the reason; consume_lanes_kill does not ask them. */
void consume_lanes_end(struct consume *c, const char *reason);
void consume_lanes_kill(struct consume *c);
/* consume_lanes_close lets idle handlers end, and waits for it. */
void consume_lanes_close(struct consume *c);
void consume_lanes_fini(struct consume *c);

/* ---- consume_event.c: one event ---- */

/* consume_event_begin runs the handler of --exec for it; -1 with err. */
MUST_CHECK int consume_event_begin(struct consume *c, struct handler *h,
				   const struct matapalo_event *e,
				   struct error *err);
/* consume_event_settle leaves the verdict of its end with the consumer. */
void consume_event_settle(struct consume *c, const struct matapalo_event *e,
			  struct handler *h);
void consume_event_nak(struct consume *c, const struct matapalo_event *e,
		       int64_t delay_ms, const char *reason);
void consume_event_ack(struct consume *c, const struct matapalo_event *e);
void consume_event_term(struct consume *c, const struct matapalo_event *e,
			const char *reason);
/* consume_event_reply sends the reply and settles. */
void consume_event_reply(struct consume *c, const struct matapalo_event *e,
			 const char *reply);
bool consume_event_may_reply(const struct consume *c,
			     const struct matapalo_event *e);

/* ---- consume_publish.c: what a handler wants published ---- */

/* consume_publish appends the events of the list, which follow from e; they
 * are on disk when it returns 0. -1 with err. */
MUST_CHECK int consume_publish(struct consume *c,
			       const struct matapalo_event *e,
			       const struct cJSON *list, struct error *err);
/* consume_export: handlers find the bus by their environment. Before any
 * other thread. */
void consume_export(const struct consume *c);

/* ---- consume_line.c: the lines of --exec-persistent ---- */

/* consume_line_write adds the line of an event. */
void consume_line_write(const struct matapalo_event *e, struct buf *out);
/* consume_line_settle reads a verdict on the event and settles; -1 with err
 * when it is none. */
MUST_CHECK int consume_line_settle(struct consume *c,
				   const struct matapalo_event *e,
				   struct span line, struct error *err);

/* ---- consume_loop.c ---- */

/* consume_loop fetches and handles until it is to end; -1 with err. */
MUST_CHECK int consume_loop(struct consume *c, struct error *err);

/* ---- consume.c ---- */

/* consume_renew_token: what was refused for an old token is not tried again;
 * a bus that comes back may have a new one. */
void consume_renew_token(struct consume *c);

#endif
