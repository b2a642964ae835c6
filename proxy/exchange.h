/* SPDX-License-Identifier: Apache-2.0 */
/* One request and its answer on their way through the proxy. */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/message.h"
#include "bus/bus.h"
#include "proxy/chunk.h"
#include "proxy/hop.h"
#include "proxy/io.h"
#include "proxy/parse.h"
#include "proxy/problem.h"
#include "proxy/stats.h"
#include "proxy/trace.h"
#include "router/router.h"

struct client;
struct forwarded_chain;
struct later;
struct lease;
struct poll;
struct pool;
struct upstream;
struct worker;

#define EXCHANGE_ARENA_FIRST 6144u
#define EXCHANGE_ARENA_LIMIT (256u * 1024u)
#define EXCHANGE_COMMAND_BODY_MAX (1024u * 1024u)

/* The steps, in order; proxy/steps.c has a function for each. */
enum step {
#define STEP(sym, fn, where) STEP_##sym,
#include "proxy/steps.def"
#undef STEP
	STEP_COUNT
};
enum flow { FLOW_NEXT, FLOW_WAIT, FLOW_DONE };

/* A body on its way from one socket to another. */
struct body {
	enum parse_framing framing;
	uint64_t left;			/* LENGTH: bytes still to come */
	bool done;			/* all of it has been received */
	uint64_t true_bytes;
	struct chunk *chunk;		/* beyond the head's chunk, or NULL */
	char size_line[24];		/* of the chunk being sent on */
};

/* What is kept of a body for the event: the first span is borrowed from the
 * head's chunk, more bytes move everything to the heap. */
struct capture {
	struct span first;
	char *heap;
	size_t len, cap, limit;
	bool truncated;
	struct digest_stream *digest;	/* only once truncated */
};

struct exchange {
	uint32_t magic;
	struct worker *worker;
	struct client *client;
	struct exchange *next;		/* spare list, waiting table */
	struct exchange *unsent_next, **unsent_at;	/* the worker's list */
	struct arena arena;
	enum step step;
	bool running;			/* exchange_run is on the stack */

	/* request */
	struct chunk *request_head;	/* owned; the pipeline's rest too */
	size_t request_start, request_head_end;	/* offsets in it */
	struct message_request view;
	struct forwarded_chain *chain;	/* of a trusted peer, else NULL */
	struct body upload;
	struct capture upload_capture;
	struct hop hop;
	struct trace trace;
	bool keep_alive, expects_continue;
	bool secure;			/* the client's own hop has TLS */
	bool upload_slow;		/* below the least rate */
	uint64_t pace_ms, pace_bytes;	/* start of the window, or 0 */
	bool upload_replayable;		/* all of it is still at hand: */
	bool upload_collected;		/* in the capture, else in the chunk */
	bool upload_given_up;		/* not read any more */

	/* decision */
	struct lease *lease;
	struct router_decision decision;
	const struct rules_target *target;	/* who is being asked now */
	bool fell_back;

	/* upstream */
	struct upstream *upstream;
	struct chunk *response_head;
	struct body download;
	struct capture download_capture;
	bool retried;
	uint64_t tried;			/* addresses, a bit each */
	struct pool *pool;		/* the address asked, or NULL */
	unsigned endpoint;		/* its index */
	uint32_t ticket;		/* of the target's breaker, or 0 */
	struct exchange *queue_next;	/* in the gate's queue */
	bool queued, called;		/* waits there; was called from it */
	bool backlogged;		/* the server's queue is full */
	uint64_t backlog_until_ms;

	/* answer */
	int status;
	bool answer_started;		/* its head is in to_client, */
	uint64_t answer_from;		/* behind these interim bytes */
	bool answer_rechunked;
	bool held;			/* the last bytes wait for the record */
	bool aborted;			/* the answer did not arrive whole */
	bool rejected;			/* never became an exchange */
	bool answered_here;		/* the answer is matapalo's own */
	enum problem problem;		/* why, when it is a problem */
	struct message_fields answer_fields;	/* as recorded */
	struct bus_reply *reply;
	const char *own_lines;		/* more of an own answer's head */
	struct arena *own_arena;	/* set aside for it; NULL: `arena` */

	/* commands whose answer is kept */
	struct later *later;		/* this is one, or NULL */
	struct poll *poll;		/* it is asked for one, or NULL */

	/* journal */
	struct id id, opened_by;	/* the request event, if any */
	bool has_id, opened, recorded;
	bool commit_pending, commit_failed;
	bool waiting;			/* in the worker's reply table */
	bool expired, taking_back;	/* its command, to ask the legacy */
	bool reply_comes;		/* its time is over, but not in vain */

	int64_t started_wall_us;	/* 0: not asked for */
	uint64_t started_us;
	uint32_t forward_us;		/* elapsed when connecting began */
	uint32_t connect_us, first_byte_us;

	/* From here on nothing is zeroed for each exchange: heads when their
	 * first byte is here. */
	char traceparent[TRACE_PARENT_SIZE];	/* see trace */
	struct parse request, response;
	struct out to_upstream, to_client;
	char first_block[EXCHANGE_ARENA_FIRST];
};

/* exchange_new takes a recycled or new one; NULL without memory. */
struct exchange *exchange_new(struct worker *w, struct client *c);
void exchange_free(struct exchange **ex);
/* exchange_free_spare gives recycled ones back to the system. */
void exchange_free_spare(struct worker *w);
/* exchange_run goes on from the present step as far as it can. May end the
 * exchange and with it the client. */
void exchange_run(struct exchange *ex);
/* exchange_sends_later, while the worker gathers: a short message waits until
 * all events have been looked at; exchange_send_all goes on with it then. */
bool exchange_sends_later(struct exchange *ex, const struct out *o);
void exchange_send_all(struct worker *w);
/* exchange_expired: the deadline of the present step has passed. */
void exchange_expired(struct exchange *ex);
const struct id *exchange_id(struct exchange *ex);
/* exchange_try_upstream makes `target` the one to ask and rewinds the
 * request; only while upload_replayable. */
void exchange_try_upstream(struct exchange *ex,
			   const struct rules_target *target);
/* exchange_elapsed_us: since the request head was complete. */
uint32_t exchange_elapsed_us(const struct exchange *ex);
/* exchange_started_wall_us is the same for all events of the exchange: asked
 * for once. */
int64_t exchange_started_wall_us(struct exchange *ex);
/* exchange_deadline moves the present deadline, ms from now; 0: none. */
void exchange_deadline(struct exchange *ex, unsigned ms);
/* exchange_progress: bytes moved, or the upstream's turn begins. */
void exchange_progress(struct exchange *ex);

/* exchange_leave_target: nothing is wanted of the target any more; how its
 * answer would have been stays unknown. */
void exchange_leave_target(struct exchange *ex);

/* ---- head.c: what goes on the wire ---- */

/* 0, or -1 when the arena or the list is full. */
int head_forward_request(struct exchange *ex);
int head_forward_response(struct exchange *ex);
int head_forward_interim(struct exchange *ex);	/* 1xx */
/* head_is_secure: has the client asked over TLS, as far as is known? */
bool head_is_secure(const struct exchange *ex);
/* head_keeps_client: may another request follow on this connection? */
bool head_keeps_client(const struct exchange *ex);

/* ---- relay.c ---- */

enum relay { RELAY_DONE, RELAY_WAIT, RELAY_HELD, RELAY_CLIENT_LOST,
	     RELAY_UPSTREAM_LOST, RELAY_BAD_REQUEST, RELAY_BAD_ANSWER };
/* relay_upload moves the request (head and body) towards the upstream. */
enum relay relay_upload(struct exchange *ex);
/* relay_download moves the answer towards the client. */
enum relay relay_download(struct exchange *ex);
/* relay_collect reads the whole request body into the capture, for a
 * command; RELAY_DONE, WAIT, CLIENT_LOST or BAD_REQUEST. */
enum relay relay_collect(struct exchange *ex);
/* relay_discard reads the whole request body for nobody but the event. */
enum relay relay_discard(struct exchange *ex);
/* relay_bad_request: why relay_upload or relay_collect said so. */
enum problem relay_bad_request(const struct exchange *ex);
/* These take what came in one buffer with the head; 0 or -1 (framing). */
int relay_first_upload(struct exchange *ex);
int relay_first_download(struct exchange *ex);

/* ---- answer.c ---- */

/* answer_problem makes an own answer; the step goes on to STEP_ANSWER. */
void answer_problem(struct exchange *ex, enum problem p);
/* answer_options: this hop is the last one that the client asks about. */
void answer_options(struct exchange *ex);
/* answer_document is an own answer in JSON that says what became of another
 * exchange; its body is not recorded. */
void answer_document(struct exchange *ex, int status, const char *phrase,
		     struct span body);
/* answer_reply makes the answer from ex->reply; -1 when it cannot be. */
int answer_reply(struct exchange *ex);

/* ---- record.c ---- */

enum record_result { RECORD_OK, RECORD_WAIT, RECORD_FAILED };
/* record_open writes the request event of a strict exchange (or its command)
 * and waits for its commit. */
enum record_result record_open(struct exchange *ex, enum bus_record_kind k);
/* record_close writes the terminal event. RECORD_WAIT for strict. */
enum record_result record_close(struct exchange *ex);

/* ---- capture.c ---- */

void capture_add(struct capture *c, const char *data, size_t n, bool stable);
/* capture_bytes lends what is kept. */
struct span capture_bytes(const struct capture *c);
void capture_fini(struct capture *c);

/* ---- command.c ---- */

enum flow command_step(struct exchange *ex);
void command_forget(struct exchange *ex);
/* command_expired: no reply in time; the legacy is asked when the rule says
 * so and no consumer has been handed the command. */
void command_expired(struct exchange *ex);
/* command_detached: no reply will come to this process any more. */
void command_detached(struct exchange *ex);

#endif
