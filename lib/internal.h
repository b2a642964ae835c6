/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of libmatapalo share. */
#ifndef LIB_INTERNAL_H
#define LIB_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "bus/client.h"
#include "lib/matapalo.h"
#include "payload/payload.h"

#define LIB_CONNECT_MS 5000u
#define LIB_CALL_MS 10000u
#define LIB_NAME_SIZE 80

/* ---- link.c: requests and answers, any thread ---- */

struct link {
	struct bus_client *client;
	unsigned call_ms;
};

struct link_options {
	const char *url, *token;
	struct secure_files files;
	unsigned connect_ms, call_ms;	/* 0: as defined above */
};

enum matapalo_code link_open(struct link *l, const struct link_options *o,
			     struct matapalo_error *err);
enum matapalo_code link_set_token(struct link *l, const char *token,
				  struct matapalo_error *err);
void link_close(struct link *l);
/* link_begin starts {"op": op in an empty buf; the caller adds members. */
void link_begin(struct json *j, struct buf *request, const char *op);
/* link_call ends the request, sends it and parses the answer, which is the
 * caller's (payload_free); blocks up to call_ms and wait_ms. */
enum matapalo_code link_call(struct link *l, struct json *j, unsigned wait_ms,
			     struct cJSON **answer,
			     struct matapalo_error *err);
/* link_end ends the request: MATAPALO_OK when it may be sent. */
enum matapalo_code link_end(struct json *j, struct matapalo_error *err);
/* link_answer is the second half of it, for an answer (or none) that has come
 * by itself: rc and failed are the client's. */
enum matapalo_code link_answer(const struct buf *answer, int rc,
			       const struct error *failed,
			       struct cJSON **tree,
			       struct matapalo_error *err);
void link_text(struct json *j, const char *key, const char *value);
void link_number(struct json *j, const char *key, uint64_t v);

/* link_refusal fills err for a code of the bus, and returns what it means. */
enum matapalo_code link_refusal(const char *name, struct matapalo_error *err,
				const char *fmt, ...) PRINTF_LIKE(3, 4);

/* ---- message.c ---- */

/* message_check: MATAPALO_OK when message_write may write its members. */
enum matapalo_code message_check(const struct matapalo_message *m,
				 struct matapalo_error *err);
void message_write(const struct matapalo_message *m, struct json *j);

/* fail fills err and returns code. */
enum matapalo_code fail(struct matapalo_error *err, enum matapalo_code code,
			const char *fmt, ...) PRINTF_LIKE(3, 4);

/* ---- event.c ---- */

struct matapalo_event {
	const struct cJSON *event;	/* lent from the batch's tree */
	int64_t sequence;
	unsigned attempt, flags;
	char *json, *data;
};

struct matapalo_batch {
	struct cJSON *tree;
	struct matapalo_event *events;
	size_t count, stale;
	char *differs;
};

/* batch_make takes the answer, also when it fails (NULL). */
struct matapalo_batch *batch_make(struct cJSON **answer);

/* ---- consumer.c, fetch.c, verdict.c, touch.c ---- */

/* Items of two JSON lists. A request takes a link of the chain along, and
 * gives it back when it fails. */
struct verdicts {
	struct verdicts *next;
	struct buf acks, naks;
	size_t count;		/* of both */
};

struct fetch {
	struct bus_call *call;	/* NULL: none is under way */
	struct verdicts *taken;
	int over_fd;		/* readable: the answer is there */
	int cancel_fd;		/* readable: it is not wanted any more */
};

struct matapalo_consumer {
	struct link link;
	char *group, *type, *subject, *start;
	char name[LIB_NAME_SIZE];
	unsigned max_attempts, lease_ms;
	uint64_t serial;	/* of fetches: a repeated one is known by it */
	struct fetch fetch;

	pthread_mutex_t lock;	/* of what follows */
	struct verdicts now;	/* what is noted goes here */
	struct verdicts *returned;	/* by requests that failed */
	size_t pending;		/* of all, also those under way */
	int64_t *held;	/* to be touched: fetched and not settled */
	size_t held_count, held_room;

	unsigned touch_ms, event_bytes;
	bool is_touching, is_closing;
	pthread_t toucher;
	pthread_cond_t closing;
};

void consumer_who(const struct matapalo_consumer *c, struct json *j);
void consumer_settings(const struct matapalo_consumer *c, struct json *j);
enum matapalo_code fetch_open(struct matapalo_consumer *c,
			      struct matapalo_error *err);
void fetch_close(struct matapalo_consumer *c);
/* verdicts_take moves all that is pending into the request's lists; NULL when
 * there is nothing, or no memory for it now. The bus has it: verdicts_done.
 * It may not: verdicts_return. */
struct verdicts *verdicts_take(struct matapalo_consumer *c, struct json *j);
void verdicts_done(struct matapalo_consumer *c, struct verdicts **taken);
void verdicts_return(struct matapalo_consumer *c, struct verdicts **taken);
void verdicts_fini(struct matapalo_consumer *c);
/* held_add notes a batch; held_write is a JSON list, with the number. */
int held_add(struct matapalo_consumer *c, const struct matapalo_batch *b);
size_t held_write(struct matapalo_consumer *c, struct json *j);
enum matapalo_code toucher_start(struct matapalo_consumer *c,
				 struct matapalo_error *err);
void toucher_stop(struct matapalo_consumer *c);

#endif
