/* SPDX-License-Identifier: Apache-2.0 */
/* libmatapalo: consumers and publishers of matapalo's bus. libmatapalo(3). */
#ifndef LIB_MATAPALO_H
#define LIB_MATAPALO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MATAPALO_API __attribute__((visibility("default")))
#else
#define MATAPALO_API
#endif

/* What a function returns. Only MATAPALO_UNREACHABLE and MATAPALO_BUSY are
 * worth the same call again; a verdict or an id that was given stays good. */
enum matapalo_code {
	MATAPALO_OK = 0,
	MATAPALO_USAGE = 1,	/* an argument is missing or wrong */
	MATAPALO_NO_MEMORY = 2,
	MATAPALO_UNREACHABLE = 3, /* no connection, or no answer in time */
	MATAPALO_BUSY = 4,	/* the bus cannot do it now */
	MATAPALO_REFUSED = 5,	/* the bus says no, and will again */
	MATAPALO_PROTOCOL = 6,	/* the answer is not one of a bus */
	MATAPALO_CANCELLED = 7	/* by matapalo_cancel */
};

/* On the caller's stack; NULL is allowed wherever one is taken. Written by a
 * call that fails, left alone by one that does not. */
struct matapalo_error {
	enum matapalo_code code;
	char name[32];	/* the bus's own code, such as "unknown_group", or "" */
	char text[512];	/* what, where, and what to do */
};

struct matapalo_consumer;
struct matapalo_publisher;
struct matapalo_batch;
struct matapalo_event;

/* ---- consumer: matapalo_consumer(3) ---- */

/* Begin with MATAPALO_CONSUMER_OPTIONS. Strings are copied; NULL and 0 mean
 * the default. */
struct matapalo_consumer_options {
	size_t size;		/* of this struct, as it was compiled */
	const char *url;	/* ipc://PATH, tcp:// or tls+tcp://HOST:PORT */
	const char *token;	/* default: none */
	const char *group;
	const char *consumer;	/* default: a name that is nobody else's */
	const char *type, *subject;	/* patterns; default: all */
	const char *start;	/* of a new group; default: "oldest" */
	unsigned max_attempts, lease_ms;	/* default: the group's */
	unsigned connect_ms;	/* default: 5000 */
	unsigned call_ms;	/* patience beyond a wait; default: 10000 */
	unsigned touch_ms;	/* 0: leases are not renewed by themselves */
	/* tls+tcp://, files of PEM: ca, who signs the bus's certificate, is
	 * needed; our own certificate and its key where the bus asks. */
	const char *ca, *certificate, *key;
	const char *server_name; /* in the certificate; default: url's host */
	unsigned event_bytes;	/* larger ones come without data; default: as
				 * the bus has it; MATAPALO_WHOLE: none */
};
#define MATAPALO_WHOLE (~0u)
#define MATAPALO_CONSUMER_OPTIONS \
	{ .size = sizeof(struct matapalo_consumer_options) }

MATAPALO_API enum matapalo_code
matapalo_consumer_open(const struct matapalo_consumer_options *options,
		       struct matapalo_consumer **out,
		       struct matapalo_error *err);
/* From the next request on; NULL: none. */
MATAPALO_API enum matapalo_code
matapalo_consumer_set_token(struct matapalo_consumer *c, const char *token,
			    struct matapalo_error *err);
MATAPALO_API void matapalo_consumer_close(struct matapalo_consumer **c);

MATAPALO_API enum matapalo_code
matapalo_fetch(struct matapalo_consumer *c, unsigned max, unsigned wait_ms,
	       struct matapalo_batch **out, struct matapalo_error *err);
/* The same without blocking: matapalo_fetch_fd is readable when
 * matapalo_fetch_end will return at once. */
MATAPALO_API enum matapalo_code
matapalo_fetch_begin(struct matapalo_consumer *c, unsigned max,
		     unsigned wait_ms, struct matapalo_error *err);
MATAPALO_API int matapalo_fetch_fd(const struct matapalo_consumer *c);
MATAPALO_API enum matapalo_code
matapalo_fetch_end(struct matapalo_consumer *c, struct matapalo_batch **out,
		   struct matapalo_error *err);
/* Any thread, and a signal's handler: the fetch that waits, or else the next
 * one, returns MATAPALO_CANCELLED. */
MATAPALO_API void matapalo_cancel(struct matapalo_consumer *c);
MATAPALO_API void matapalo_batch_free(struct matapalo_batch **b);
MATAPALO_API size_t matapalo_batch_count(const struct matapalo_batch *b);
MATAPALO_API const struct matapalo_event *
matapalo_batch_event(const struct matapalo_batch *b, size_t i);
MATAPALO_API size_t matapalo_batch_stale(const struct matapalo_batch *b);
MATAPALO_API const char *
matapalo_batch_differs(const struct matapalo_batch *b);

MATAPALO_API int64_t matapalo_event_sequence(const struct matapalo_event *e);
MATAPALO_API unsigned matapalo_event_attempt(const struct matapalo_event *e);
enum matapalo_event_flag {
	MATAPALO_REDELIVERED = 1,
	MATAPALO_REDRIVEN = 2,
	MATAPALO_REPLAYED = 4,
	MATAPALO_COMMAND = 8	/* matapalo_reply answers it */
};
MATAPALO_API unsigned matapalo_event_flags(const struct matapalo_event *e);
MATAPALO_API const char *
matapalo_event_attribute(const struct matapalo_event *e, const char *name);
MATAPALO_API const char *
matapalo_event_attribute_at(const struct matapalo_event *e, size_t i,
			    const char **name);
MATAPALO_API const char *
matapalo_event_string(const struct matapalo_event *e, const char *pointer);
MATAPALO_API const char *matapalo_event_json(const struct matapalo_event *e);
MATAPALO_API const char *matapalo_event_data(const struct matapalo_event *e);

/* The data of an event, whether it came with it or is fetched from the bus now;
 * freed by the caller (free). */
MATAPALO_API enum matapalo_code
matapalo_data(struct matapalo_consumer *c, const struct matapalo_event *e,
	      char **out, struct matapalo_error *err);

#define MATAPALO_DELAY_GROUP (-1)	/* the group's backoff */
MATAPALO_API enum matapalo_code
matapalo_ack(struct matapalo_consumer *c, int64_t sequence);
MATAPALO_API enum matapalo_code
matapalo_nak(struct matapalo_consumer *c, int64_t sequence, int64_t delay_ms,
	     const char *reason);
MATAPALO_API enum matapalo_code
matapalo_term(struct matapalo_consumer *c, int64_t sequence,
	      const char *reason, struct matapalo_error *err);
MATAPALO_API enum matapalo_code
matapalo_touch(struct matapalo_consumer *c, int64_t sequence,
	       struct matapalo_error *err);
/* Not begun: it is given anew at once, and the attempt is not counted. */
MATAPALO_API enum matapalo_code
matapalo_release(struct matapalo_consumer *c, int64_t sequence,
		 struct matapalo_error *err);
MATAPALO_API enum matapalo_code
matapalo_flush(struct matapalo_consumer *c, struct matapalo_error *err);
MATAPALO_API size_t matapalo_pending(struct matapalo_consumer *c);

/* Answers a command: reply is a JSON object with the members status, headers
 * and one of json, body and body_base64. */
MATAPALO_API enum matapalo_code
matapalo_reply(struct matapalo_consumer *c, const struct matapalo_event *e,
	       const char *reply, int *is_late, struct matapalo_error *err);

/* ---- publisher: matapalo_publisher(3) ---- */

struct matapalo_publisher_options {
	size_t size;
	const char *url;
	const char *token;
	unsigned connect_ms, call_ms;	/* default: 5000 and 10000 */
	const char *ca, *certificate, *key;	/* as a consumer's */
	const char *server_name;
};
#define MATAPALO_PUBLISHER_OPTIONS \
	{ .size = sizeof(struct matapalo_publisher_options) }

/* Of an event, as CloudEvents has them: time, dataschema, traceparent and what
 * else there is, and extensions of any name. NULL: it is left out. */
enum matapalo_attribute_type {
	MATAPALO_STRING = 0,
	MATAPALO_INTEGER = 1,	/* of 32 bits, in decimal */
	MATAPALO_BOOLEAN = 2	/* "true" or "false" */
};
struct matapalo_attribute {
	const char *name, *value;
	enum matapalo_attribute_type type;
};

/* Zero-initialise. data is JSON text; NULL members are left out. */
struct matapalo_message {
	const char *type;
	const char *id;		/* a UUID; NULL: one is made */
	const char *subject, *partitionkey, *correlationid, *causationid;
	const char *data;
	const char *data_base64;	/* bytes, instead of data */
	/* Ends with a name of NULL; or NULL. */
	const struct matapalo_attribute *attributes;
	/* The event that this one answers or follows from, or NULL: it gives
	 * correlationid, causationid and trace where they are NULL above. */
	const struct matapalo_event *cause;
	const void *reserved[1];	/* NULL */
};

MATAPALO_API enum matapalo_code
matapalo_publisher_open(const struct matapalo_publisher_options *options,
			struct matapalo_publisher **out,
			struct matapalo_error *err);
MATAPALO_API void matapalo_publisher_close(struct matapalo_publisher **p);
MATAPALO_API enum matapalo_code
matapalo_publish(struct matapalo_publisher *p,
		 const struct matapalo_message *m, int64_t *sequence,
		 struct matapalo_error *err);
MATAPALO_API enum matapalo_code
matapalo_publish_many(struct matapalo_publisher *p,
		      const struct matapalo_message *m, size_t count,
		      int64_t *sequences, struct matapalo_error *err);

/* ---- both ---- */

#define MATAPALO_ID_SIZE 37
MATAPALO_API void matapalo_id(char out[MATAPALO_ID_SIZE]);
MATAPALO_API const char *matapalo_code_name(enum matapalo_code code);
MATAPALO_API const char *matapalo_version(void);

#ifdef __cplusplus
}
#endif

#endif
