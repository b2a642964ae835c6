/* SPDX-License-Identifier: Apache-2.0 */
/* An exchange on its way from a worker to the journal. */
#ifndef BUS_RECORD_H
#define BUS_RECORD_H

#include <stdint.h>

#include "base/digest.h"
#include "base/emit.h"
#include "base/id.h"
#include "base/message.h"
#include "base/redact.h"
#include "journal/journal.h"
#include "journal/operation.h"

enum bus_record_kind {
	BUS_RECORD_REQUEST,	/* matapalo.request.v1: strict, before */
	BUS_RECORD_EXCHANGE,	/* matapalo.exchange.v1: terminal */
	BUS_RECORD_COMMAND	/* the target's command type, data = request */
};

enum bus_outcome { BUS_OUTCOME_RESPONSE, BUS_OUTCOME_ABORTED,
		   BUS_OUTCOME_UNKNOWN };

/* One side's body as captured: a prefix of the true body. */
struct bus_body {
	struct span bytes;
	uint64_t true_bytes;
	bool truncated;
	char digest[DIGEST_HEX_SIZE];	/* of the whole body when truncated */
};

/* Shared by all records of one process; outlives them. */
struct bus_source {
	const char *source;		/* CloudEvents source */
	const struct digest_key *key;	/* for redaction */
};

/* Of a command whose answer is kept. */
enum bus_found { BUS_FOUND_NONE, BUS_FOUND_PENDING, BUS_FOUND_DONE,
		 BUS_FOUND_OTHER };
struct bus_operation {
	struct id id;			/* random, whole */
	int64_t keep_us;		/* from the answer on */
	int when_done;			/* the caller's own, below */
#define BUS_OPERATION_TELLS 0x100	/* its end is an event, too */
	bool tells;
	char caller[JOURNAL_OPERATION_CALLER_SIZE];	/* or "": any */
	/* Digests in hex, or "". */
	char key[DIGEST_HEX_SIZE];	/* of an idempotency key */
	char fingerprint[DIGEST_HEX_SIZE];	/* of what was asked */
	/* Set when the record is applied. Not NONE: another command has the
	 * key, `id` is now that one's, and nothing was written. OTHER: it had
	 * another fingerprint. */
	enum bus_found found;
};

/* A flat record: every span points into memory that `release` gives back.
 * The worker fills it and pushes &record->item; it never encodes.
 * On a commit `committed` is called on the writer's thread (NULL: nobody
 * waits); then, always last, `release`. */
struct bus_record {
	struct journal_item item;	/* bus_record_init sets ops */
	enum bus_record_kind kind;
	const struct bus_source *source;
	const struct redact *redact;	/* valid until release */
	const struct emit_list *emits;	/* likewise; NULL: none */
	size_t emitted;			/* set when it is applied */
	struct id event_id, exchange_id;
	int64_t started_us;		/* wall time */
	uint32_t connect_us, first_byte_us, total_us;	/* from the start */
	struct message_request request;
	struct bus_body request_body;
	int status;			/* 0: no answer */
	struct message_fields response;
	struct bus_body response_body;
	/* Lines behind a chunked body, each with its CRLF, or "". */
	struct span request_trailers, response_trailers;
	/* Of the client's certificate: SHA-256 in hex, RFC 4514 name. */
	struct span certificate_hash, certificate_subject;
	struct span rule, stage, target, upstream, path_template;
	struct span proto;		/* of the client's hop, or "" */
	struct span command;		/* COMMAND: event type */
	struct bus_operation *operation;	/* COMMAND: lent, or NULL */
	struct span error;		/* why matapalo answered, or "" */
	struct span traceparent, tracestate;
	struct span shadow;		/* name of the candidate, or "" */
	bool strict;
	bool opened;			/* a request event was written */
	struct id opened_by;		/* EXCHANGE: event_id of that request
					 * or command event (causationid) */
	bool answered_by_proxy;
	bool fell_back;
	enum bus_outcome outcome;
	void (*committed)(struct bus_record *r, enum journal_status status);
	void (*release)(struct bus_record *r);
};

/* bus_record_init sets kind and the journal's ops; the rest is the
 * caller's. Any thread. */
void bus_record_init(struct bus_record *r, enum bus_record_kind kind,
		     const struct bus_source *source);

#endif
