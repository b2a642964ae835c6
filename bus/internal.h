/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of bus/ share. Not for other folders. */
#ifndef BUS_INTERNAL_H
#define BUS_INTERNAL_H

#include <pthread.h>

#include "bus/bus.h"
#include "bus/commands.h"
#include "bus/encode.h"
#include "bus/groups.h"
#include "journal/operation.h"

#define BUS_MAGIC 0x42555321u
#define BUS_SESSIONS_GONE 64
#define BUS_SOON_MS 20

struct jobs;
struct operations;
struct server;

struct bus {
	uint32_t magic;
	struct journal *journal;
	const struct bus_source *source;
	struct groups *groups;
	struct commands *commands;
	struct jobs *jobs;
	struct operations *operations;
	struct server *server;
	size_t answer_max;		/* bytes of one that is kept; 0: any */
	pthread_mutex_t taken_lock;	/* of the two below */
	struct taken_back *taken;	/* marks on disk */
	uint64_t taken_look_at;
	pthread_t pump;
	bool pump_runs;
	unsigned subscribers;		/* names of consumers in this process */

	pthread_mutex_t redact_lock;
	struct redact redact;		/* copies, for replies */

	/* The bell: something happened, whoever waits should look again. */
	pthread_mutex_t bell;		/* of all below */
	pthread_cond_t rung;
	uint64_t rings;
	uint64_t pump_at;		/* when it runs by itself */
	bool stopping;
	uint32_t gone[BUS_SESSIONS_GONE];
	size_t gone_count;
};

/* bus_ring wakes the pump and every waiting fetch; any thread, short. */
void bus_ring(struct bus *b);
/* bus_ring_by rings unless the pump runs by that time (monotonic ms) anyway:
 * a bell for every acknowledgement would cost more than the rest of it. */
void bus_ring_by(struct bus *b, uint64_t by_ms);
/* bus_after_settle rings as the effect asks for. */
void bus_after_settle(struct bus *b, enum groups_effect effect);
/* bus_session_gone is bus_ring for a connection that ended. */
void bus_session_gone(struct bus *b, uint32_t session);
/* bus_bell_wait returns when the bell has rung since `seen` or at until_ms
 * (monotonic, GROUPS_NEVER: no limit), with the new count. */
uint64_t bus_bell_wait(struct bus *b, uint64_t seen, uint64_t until_ms);
uint64_t bus_bell_count(struct bus *b);
bool bus_is_stopping(struct bus *b);

/* ---- publish.c ---- */

/* An event on its way, with memory of its own. */
struct publication {
	struct journal_item item;
	struct journal_event event;
	int64_t sequence;
	/* Both on the writer's thread, and may be NULL. before may read, and
	 * change the event or withdraw it; after it was appended, after may
	 * write. */
	void (*before)(struct publication *p, struct journal_tx *tx);
	void (*after)(struct publication *p, struct journal_tx *tx);
	/* ended: once; the publication is freed after it. Or NULL. */
	void (*ended)(struct publication *p, enum journal_status status);
	void (*done)(void *arg, enum journal_status status);
	void *arg;
	bool withdrawn;
	char memory[];
};

/* publication_new copies everything the event points to. extra bytes are
 * left for the caller, zeroed and aligned, at publication_extra. */
MUST_CHECK struct publication *
publication_new(const struct journal_event *e, size_t extra);
void *publication_extra(struct publication *p);
void publication_post(struct bus *b, struct publication *p);

/* ---- recover.c ---- */

/* recover_open_exchanges writes one `unknown` event for each and waits. */
MUST_CHECK int recover_open_exchanges(struct bus *b, struct error *err);

/* ---- taken_back.c ---- */

/* taken_back_recover tells the commands what an earlier process took back. */
MUST_CHECK int taken_back_recover(struct bus *b, struct error *err);
/* taken_back_trim forgets the marks of commands that are out of the log; the
 * pump calls it often, it looks seldom. */
void taken_back_trim(struct bus *b);
void taken_back_close(struct bus *b);
/* The durable mark of a command that was taken back; post gives it to the
 * journal, which frees it. */
struct taken_back;
struct taken_back *taken_back_new(const struct id *id,
				  void (*done)(void *arg,
					       enum journal_status status),
				  void *arg);
void taken_back_post(struct bus *b, struct taken_back *t);
void taken_back_free(struct taken_back **t);
/* Instead of taken_back_post, as part of another item: taken_back_mark inside
 * its apply; once that is on disk, taken_back_marked, which takes it. */
void taken_back_mark(struct taken_back *t, struct journal_tx *tx);
void taken_back_marked(struct bus *b, struct taken_back *t);

/* ---- operations.c ---- */

MUST_CHECK struct operations *operations_open(struct bus *b,
					      struct error *err);
/* operations_close answers what was asked; nobody may ask any more. */
void operations_close(struct operations **o);
/* operations_finished: its answer is on disk. The journal's thread. */
void operations_finished(struct operations *o, const struct id *operation);
/* operations_is_own: was its command made since this process started? */
bool operations_is_own(const struct operations *o,
		       const struct journal_operation *op);

/* ---- ended.c ---- */

enum ended { ENDED_GIVEN_UP, ENDED_CANCELLED };
/* ended_finish gives a pending operation its last answer, inside apply; -1
 * without memory. */
MUST_CHECK int ended_finish(struct bus *b, struct journal_tx *tx,
			    const struct journal_operation *o,
			    enum ended why);

/* ---- told.c ---- */

enum told { TOLD_DONE, TOLD_GIVEN_UP, TOLD_CANCELLED };
/* told_append writes that an operation has ended, if its rule wants that, in
 * the transaction that ends it: inside apply, after the reply. cause is its
 * event, or NULL. */
void told_append(struct bus *b, struct journal_tx *tx,
		 const struct journal_operation *o, enum told how, int status,
		 const struct id *cause);

/* ---- server.c ---- */

MUST_CHECK struct server *server_open(struct bus *b,
				      const struct bus_options *o,
				      struct error *err);
/* server_close answers what waits, and blocks for a few seconds at most. */
void server_close(struct server **s);
const char *server_url(const struct server *s, size_t i);
/* server_reload_tokens: -1 with err, the old tokens stay in force. */
MUST_CHECK int server_reload_tokens(struct server *s, struct error *err);
/* server_reload_tls: -1 with err, the old certificates stay. */
MUST_CHECK int server_reload_tls(struct server *s, struct error *err);
/* server_serve tries waiting calls again; returns when (monotonic ms) the
 * first of them is over. */
uint64_t server_serve(struct server *s);
void server_session_gone(struct server *s, uint32_t session);
/* server_write_newest_letters writes objects, oldest first (ops_dlq.c). */
void server_write_newest_letters(struct server *s, struct json *j);

#endif
