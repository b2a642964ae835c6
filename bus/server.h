/* SPDX-License-Identifier: Apache-2.0 */
/* One request on the bus and how its answer is made. */
#ifndef BUS_SERVER_H
#define BUS_SERVER_H

#include <nng/nng.h>

#include "base/attribute.h"
#include "bus/access.h"
#include "bus/internal.h"

struct cJSON;

#define SERVER_CALLS 256	/* requests at one time */
#define SERVER_WAITING_MAX 192	/* of them long polls */
#define SERVER_PIPES_MAX 1000	/* unless it is said otherwise */
#define SERVER_FRAME_MAX (16u << 20)
#define SERVER_ANSWER_SOFT (512u << 10)	/* then an answer is full */
/* Answers are written into as few buffers as are in use at one time; so many
 * of at most that size are kept for the next. */
#define SERVER_SPARES 4
#define SERVER_SPARE_MAX (1u << 20)
#define SERVER_WAIT_MAX_MS 60000
#define SERVER_BATCH_MAX 1000
#define SERVER_TOKEN_SIZE 129
/* A wrong token is answered late, and no more than so many of them at one
 * time: that is 64 guesses a second, from wherever they come. */
#define SERVER_PUNISHED_MAX 16
#define SERVER_PUNISH_MS 250

/* RECEIVING, SENDING: nng has it. RUNNING: the thread of nng that received
 * it, or a publication on its way. WAITING: a long poll; whoever holds the
 * server's lock may answer it. CLOSED: never again. */
enum call_state { CALL_RECEIVING, CALL_RUNNING, CALL_WAITING, CALL_SENDING,
		  CALL_CLOSED };

/* DROPPED: nobody gets an answer. */
enum call_result { CALL_ANSWERED, CALL_LATER, CALL_DROPPED };

struct call {
	struct server *server;
	nng_ctx ctx;
	nng_aio *aio;
	enum call_state state;	/* under the server's lock */
	uint32_t session;
	struct access_question question;	/* by which it was admitted */
	bool punished;		/* waits for having guessed wrong */
	struct buf out;
	struct json json;	/* over out */
	struct span lifted;	/* publish: the frame, see payload_lifted */

	/* a long poll: again returns true once it has written an answer */
	bool (*again)(struct call *c, bool last);
	uint64_t until_ms;
	char group[GROUPS_NAME_SIZE];
	char consumer[SERVER_TOKEN_SIZE];
	char request[SERVER_TOKEN_SIZE];
	struct groups_settings settings;	/* fetch; filter of a read */
	int64_t after;
	size_t max, stale;	/* max: also events that were published */
	size_t event_bytes;	/* larger events come without data */
	bool repeat;		/* this request was answered before */
	char differs[SERVER_TOKEN_SIZE];	/* a list, or "" */
	uint64_t version;	/* of a group; to be on disk */

	struct call *next_same;	/* waits for the same publication */
};

struct server {
	struct bus *bus;
	nng_socket socket;
	bool is_open;
	char **urls;
	nng_listener *listeners;	/* of the urls */
	size_t url_count;
	struct secure_files files;	/* lent */
	/* The one before is kept: a connection that just begins may be about
	 * to take it. */
	struct nng_tls_config *tls, *tls_before;
	struct call *calls;
	struct recent *recent;
	pthread_mutex_t read_lock;	/* of reader */
	struct journal_reader *reader;
	const char *tokens_path;	/* lent; NULL: none are asked for */
	pthread_mutex_t access_lock;	/* of access; taken last */
	struct access *access;
	pthread_mutex_t spare_lock;	/* of the two below; taken last */
	struct buf spares[SERVER_SPARES];
	size_t spare_count;
	pthread_mutex_t lock;		/* of all below, and the calls' state */
	pthread_cond_t idle;
	size_t waiting;
	size_t punished;	/* of them */
	size_t handing;		/* calls that are being given to nng */
	size_t pipes, pipes_max;	/* connections */
	size_t event_bytes;		/* unless a request says more */
	size_t asked_again;	/* requests that came after the stop */
	bool stopping;
};

/* ---- ops.c ---- */

/* call_run answers the frame, or keeps the call for later. The frame is
 * lent for the call. */
enum call_result call_run(struct call *c, struct span frame);
/* call_begin starts {"ok":true, ... ; call_end closes it. */
void call_begin(struct call *c);
void call_end(struct call *c);
/* call_error replaces whatever was written. Returns CALL_ANSWERED. */
enum call_result call_error(struct call *c, const char *code, const char *fmt,
			    ...) PRINTF_LIKE(3, 4);
/* Members of a request. read_text: 0, or -1 with err when it is missing
 * (and no fallback is given), no string, or too long. */
MUST_CHECK int read_text(const struct cJSON *in, const char *name,
			 const char *fallback, char *out, size_t size,
			 struct error *err);
MUST_CHECK int read_count(const struct cJSON *in, const char *name,
			  int64_t fallback, int64_t most, int64_t *out,
			  struct error *err);

/* read_event_bytes: how large events this request takes. */
MUST_CHECK int read_event_bytes(struct call *c, const struct cJSON *in,
				struct error *err);

#define OP(name, right, scope, sentence) \
	enum call_result op_##name(struct call *c, const struct cJSON *in);
#include "bus/ops.def"
#undef OP

/* ---- admit.c ---- */

/* call_admit asks for the token of a request. GRANTED: the call goes on; else
 * *result says what becomes of it. */
enum access_verdict call_admit(struct call *c, const struct cJSON *in,
			       enum access_right right,
			       enum access_scope scope,
			       enum call_result *result);
/* call_refuse writes why not, and counts. */
void call_refuse(struct call *c, enum access_verdict verdict);
enum access_verdict server_ask(struct server *s,
			       const struct access_question *q);
MUST_CHECK int server_load_tokens(struct server *s, struct error *err);

/* ---- spare.c ---- */

/* server_lend_buffer gives the call a buffer, if a spare one is there;
 * server_return_buffer takes what it has. Any thread. */
void server_lend_buffer(struct call *c);
void server_return_buffer(struct call *c);
void server_free_buffers(struct server *s);

/* ---- listen.c ---- */

MUST_CHECK int server_listen(struct server *s, const char *url,
			     struct error *err);
/* server_failed sets err to what nng says; returns -1. */
int server_failed(struct error *err, const char *url, const char *what,
		  int rc);

/* ---- server.c ---- */

/* call_punish keeps a call that brought a wrong token for a moment. */
enum call_result call_punish(struct call *c);

/* call_wait keeps the call as a long poll. When too many wait already, or
 * there is nothing to wait for, it is answered as it is. */
enum call_result call_wait(struct call *c, int64_t wait_ms,
			   bool (*again)(struct call *c, bool last));
/* call_send ends a call that was kept; any thread, never blocks. */
void call_send(struct call *c);
/* server_drop_same lets go of an older long poll of the same consumer and
 * request: nng has sent the request twice. */
void server_drop_same(struct server *s, const struct call *newer);

/* server_answer_all begins the stop: long polls are answered as they are. */
void server_answer_all(struct server *s);

/* ---- recent.c: what was published lately, by its id ---- */

struct recent_key {
	uint8_t kind;		/* publish and reply do not meet */
	struct id id;
};
enum recent_kind { RECENT_PUBLISH, RECENT_PUBLISH_MANY, RECENT_REPLY };
enum recent_state { RECENT_NEW, RECENT_PENDING, RECENT_DONE };

struct recent *recent_new(void);
void recent_free(struct recent **r);
/* recent_begin: NEW: the caller publishes, and calls recent_end; PENDING:
 * the call was put to those that recent_end returns; DONE: *sequence. Without
 * a call nobody is put there, and PENDING may also mean that too many are. */
enum recent_state recent_begin(struct recent *r, const struct recent_key *k,
			       struct call *c, int64_t *sequence);
/* recent_end returns the calls (by next_same) that wait for it. sequence
 * 0: it failed and may be tried again. */
struct call *recent_end(struct recent *r, const struct recent_key *k,
			int64_t sequence);

/* ---- published.c: what a program says of its event ---- */

/* Among the members of a request, or in its list of events. */
enum published_in { PUBLISHED_IN_REQUEST, PUBLISHED_IN_LIST };

struct published {
	struct span given[ATTRIBUTE_COUNT];	/* lent by the request */
	char correlation[ID_TEXT_SIZE], causation[ID_TEXT_SIZE];
	struct id id, correlation_id, cause;
	bool has_id;
	struct span data;	/* in the frame, or in written */
	struct buf written, extensions;
	const char *code;	/* of a refusal */
};

/* published_read: 0, or -1 with err and p->code. `lifted` is the call's, and p
 * lends from it. In both cases the caller calls published_fini. */
MUST_CHECK int published_read(const struct cJSON *in, enum published_in where,
			      struct span lifted, struct published *p,
			      struct error *err);
void published_fini(struct published *p);
/* published_key is what it is known by when it is sent again. */
struct id published_key(const struct published *p);
/* published_event fills e with what p holds. */
void published_event(const struct published *p,
		     const struct bus_source *source, struct journal_event *e);
/* published_read_id: 1: there is one, 0: none, -1: not an id. */
MUST_CHECK int published_read_id(const struct cJSON *in, const char *name,
				 struct id *id, struct error *err);
void published_write_causation(struct buf *out, const struct id *cause);

/* ---- publish_many.c ---- */

enum call_result publish_many(struct call *c, const struct cJSON *in,
			      const struct cJSON *events);

/* ---- publish_each.c ---- */

/* publish_each takes the items of the list, `count` of them; id is the list's
 * own, or NULL. */
enum call_result publish_each(struct call *c, const struct cJSON *events,
			      size_t count, const struct id *id);

/* ---- ops_publish.c ---- */

/* publish_answer_all answers calls that waited for one event (by next_same);
 * sequence 0: it failed. */
void publish_answer_all(struct call *same, int64_t sequence);

/* ---- reply.c ---- */

/* reply_parse reads status, headers and body. NULL with err. */
MUST_CHECK struct bus_reply *reply_parse(const struct cJSON *in,
					 struct error *err);
/* reply_write_data writes the event's data behind so much room for members
 * that only the writer's thread knows. -1 without memory. */
#define REPLY_ROOM 48
struct reply_by {
	const char *group, *consumer;	/* NULL: it did not say */
	struct groups_lease lease;
};
MUST_CHECK int reply_write_data(struct bus *b, const struct bus_reply *r,
				const struct reply_by *by, struct buf *out);
/* reply_bytes: what of it would be kept. */
size_t reply_bytes(const struct bus_reply *r);


#endif
