/* SPDX-License-Identifier: Apache-2.0 */
/* Events to consumers: durable groups, leases, retries, dead letters,
 * commands. Sole home of nng. */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "base/message.h"
#include "bus/record.h"
#include "bus/secure.h"
#include "journal/journal.h"

struct bus;

/* What intermediaries of CloudEvents must forward (1.0, size limits). */
#define BUS_EVENT_BYTES ((size_t)64 << 10)
#define BUS_EVENT_ANY SIZE_MAX

/* By this a command is known, even one that comes without its data. */
#define BUS_COMMAND_SCHEMA "urn:matapalo:schema:command:v1"

struct bus_options {
	/* ipc://, tcp://, tls+tcp://; NULL-terminated */
	const char *const *urls;
	const struct bus_source *source;
	/* Who may do what, a file of tokens (bus/access.h); lent until
	 * bus_close. NULL: whoever can connect may do everything. */
	const char *tokens;
	unsigned connections;		/* at one time; 0: 1000 */
	struct secure_files files;	/* of tls+tcp://; lent likewise */
	/* Larger events come without their data, unless a consumer asks for
	 * more. 0: BUS_EVENT_BYTES. */
	size_t event_bytes;
	size_t answer_bytes;	/* of an answer that is kept; 0: any */
};

/* bus_open loads groups from the journal, writes `unknown` terminal events
 * for exchanges that a crash left open, and starts serving the urls. Sets the
 * journal's doorbell. bus_close answers waiting fetches and stops. */
MUST_CHECK struct bus *bus_open(struct journal *j, const struct bus_options *o,
				struct error *err);
void bus_close(struct bus **bus);
/* bus_reload_tokens reads the file of tokens again. Long polls whose token is
 * not good any more end. -1 with err: the old tokens stay in force. */
MUST_CHECK int bus_reload_tokens(struct bus *bus, struct error *err);
/* bus_reload_tls reads certificates again, for connections from now on; those
 * that are there go on. -1 with err: the old ones stay. */
MUST_CHECK int bus_reload_tls(struct bus *bus, struct error *err);
/* bus_set_redact: what to replace in replies before they are stored, until
 * the next call. Copies; NULL for Authorization and cookies only. Any
 * thread. */
void bus_set_redact(struct bus *bus, const struct redact *r);
/* bus_url returns the i-th address as bound (a port of 0 resolved), NULL
 * past the end. */
const char *bus_url(const struct bus *bus, size_t i);
/* bus_is_held_up: some events of the journal cannot be read, and groups stand
 * before them. Any thread; two atomic loads. */
bool bus_is_held_up(struct bus *bus);
/* bus_journal lends the journal given to bus_open; any thread. */
struct journal *bus_journal(const struct bus *bus);

/* ---- groups in this process: adapters, shadow ---- */

struct bus_group_options {
	const char *name;
	const char *type_filter;	/* as in journal_filter; NULL: all */
	const char *subject_filter;
	bool shadow_only;
	bool start_newest;		/* a new group starts at the end */
	unsigned max_in_flight;		/* 0: 1000 */
	unsigned lease_ms;		/* 0: 30000 */
	unsigned max_attempts;		/* 0: 5 */
	const unsigned *backoff_ms;	/* 0-terminated; NULL: 1s 5s 30s 5min */
};

struct bus_event {
	struct journal_row row;		/* lent until the batch is freed */
	unsigned attempt;		/* 1 for the first delivery */
};
struct bus_batch {
	struct bus_event *events;
	size_t count;
	void *memory;
};

struct bus_subscriber;
MUST_CHECK struct bus_subscriber *
bus_subscribe(struct bus *bus, const struct bus_group_options *o,
	      struct error *err);
/* bus_fetch blocks up to wait_ms; 0 with batch->count >= 0, or -1 once the
 * subscriber or the bus is stopped. One thread a subscriber. */
int bus_fetch(struct bus_subscriber *s, size_t max, unsigned wait_ms,
	      struct bus_batch *batch);
void bus_batch_fini(struct bus_batch *batch);
void bus_ack(struct bus_subscriber *s, int64_t sequence);
/* bus_nak: again later; delay_ms 0 means the group's backoff list. Counts as
 * an attempt. bus_term: a dead letter at once. */
void bus_nak(struct bus_subscriber *s, int64_t sequence, unsigned delay_ms,
	     const char *reason);
void bus_term(struct bus_subscriber *s, int64_t sequence, const char *reason);
/* bus_stop wakes a blocked bus_fetch for good; any thread. */
void bus_stop(struct bus_subscriber *s);
void bus_unsubscribe(struct bus_subscriber **s);

/* ---- commands: a waiting HTTP request and the reply ---- */

/* A reply event as the waiting request needs it; malloc'd as one block. */
struct bus_reply {
	struct id exchange_id;
	int status;			/* 100..599; 200 when not given */
	struct message_field *fields;
	size_t field_count;
	struct span body;		/* bytes, decoded from base64 if so */
};
void bus_reply_free(struct bus_reply **r);
/* bus_expect registers a waiter before the command is published. deliver is
 * called at most once, on a bus thread, and owns the reply; it must not
 * block. 0, or -1 without memory. */
MUST_CHECK int bus_expect(struct bus *bus, const struct id *exchange_id,
			  void (*deliver)(void *arg, struct bus_reply *reply),
			  void *arg);
/* bus_forget: true when the waiter was removed before any reply, so deliver
 * will not be called. A reply that comes later is recorded as late. */
bool bus_forget(struct bus *bus, const struct id *exchange_id);
/* bus_command_was_given: true once some consumer has been handed the command
 * of this exchange (falling back to the legacy is then forbidden). */
bool bus_command_was_given(struct bus *bus, const struct id *exchange_id);
/* bus_take_back: true when no consumer has been handed the command and, from
 * now on, none will be. `done` is then called once on the journal's thread:
 * only after JOURNAL_COMMITTED does that hold after a restart too, and only
 * then may the legacy answer. NULL: nobody waits. */
bool bus_take_back(struct bus *bus, const struct id *exchange_id,
		   void (*done)(void *arg, enum journal_status status),
		   void *arg);

/* ---- publishing from this process ---- */

/* bus_publish appends an event; NULL `done` for nobody. Copies everything. */
void bus_publish(struct bus *bus, const struct journal_event *e,
		 void (*done)(void *arg, enum journal_status st), void *arg);

/* ---- operator ---- */

/* bus_status writes one JSON object: groups with cursor, lag in events and
 * seconds, in flight, retrying, dead letters, consumers. */
void bus_status(struct bus *bus, struct json *out);

/* event_write_cloudevent writes one event as CloudEvents JSON (structured
 * form, specversion 1.0). */
void bus_write_cloudevent(struct json *out, const struct journal_row *row);
/* bus_write_cloudevent_within leaves out the data of an event that would be
 * larger than the limit: `dataref`, `databytes` and `datadigest` stand for
 * it. */
void bus_write_cloudevent_within(struct json *out,
				 const struct journal_row *row,
				 size_t limit_bytes);
/* bus_dataref_parse takes a dataref apart; 0, or -1 when it is none of ours.
 * Any thread. */
#define BUS_DATAREF_SIZE 96
MUST_CHECK int bus_dataref_parse(const char *text, int64_t *sequence,
				 struct id *id);

#endif
