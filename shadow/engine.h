/* SPDX-License-Identifier: Apache-2.0 */
/* The running shadow: what its two threads and the journal's share.
 *
 * One thread takes exchanges from the journal and gives copies to candidates
 * over HTTP or as commands; the other takes replies from the bus. Both post
 * verdicts; the sums are counted when a verdict is on disk. */
#ifndef SHADOW_ENGINE_H
#define SHADOW_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "outbound/outbound.h"
#include "shadow/compare.h"
#include "shadow/entry.h"
#include "shadow/exchange.h"
#include "shadow/lane.h"
#include "shadow/noise.h"
#include "shadow/pending.h"
#include "shadow/plan.h"
#include "shadow/settled.h"
#include "shadow/shadow.h"
#include "shadow/tally.h"

#define SHADOW_GROUP "matapalo.shadow"
#define SHADOW_REPLY_GROUP "matapalo.shadow.replies"
#define SHADOW_TALLY_SPACE "shadow.tally"
#define SHADOW_MAGIC 0x5ad00001u
#define SHADOW_FLIGHTS_MAX 64u
/* Requests that the legacy is asked again: at once, and how often. */
#define SHADOW_AGAIN_MAX 4u
#define SHADOW_AGAIN_EVERY_MS 50u

struct shadow_flight;

struct shadow {
	uint32_t magic;
	struct bus *bus;
	struct journal *journal;
	pthread_t thread, reply_thread;
	bool has_thread, has_reply_thread;
	atomic_bool stopping;
	struct shadow_settled settled;	/* read only once started */

	/* the exchange thread's own */
	struct bus_subscriber *exchanges;
	struct outbound *outbound;
	struct shadow_flight *flights;
	/* What waits for a candidate that is busy for a moment. */
	struct shadow_exchange *parked[SHADOW_FLIGHTS_MAX];
	size_t parked_count;
	size_t again_count;		/* of the flights */
	uint64_t asked_again_ms;
	uint64_t tally_saved_ms;

	/* the reply thread's own */
	struct bus_subscriber *replies;
	struct journal_reader *reader;

	pthread_mutex_t lock;		/* everything below */
	pthread_cond_t wake;		/* a plan, a commit, the end */
	struct shadow_plan_ref *plan;
	struct shadow_tally *tally;
	bool tally_posted;
	struct shadow_pending *pending;
	struct shadow_lanes *lanes;
	struct shadow_noise *noise;
	size_t posted;			/* entries with the journal */
	/* What the disk refused, oldest first: a pair before its end. */
	struct shadow_entry *unsaved, **unsaved_end;
	size_t unsaved_count;
	int64_t replies_read_us;	/* all up to then have been joined */
	uint64_t unmatched_replies;
	size_t in_flight;
};

/* shadow_post hands an entry to the journal; one that the disk refuses is
 * posted again until it is accepted. Any thread. */
void shadow_post(struct shadow *s, struct shadow_entry *e);
/* shadow_post_verdict makes the verdict event (takes v). `settles`: also
 * forgets the pending pair of this correlation id. Any thread. */
enum shadow_settles { SHADOW_SETTLES_NOTHING, SHADOW_SETTLES_PAIR };
void shadow_post_verdict(struct shadow *s, struct shadow_verdict *v,
			 const char *correlation, struct span source,
			 const struct id *cause, enum shadow_settles settles);
/* shadow_unclaim: the verdict could not be made; the deadline will. */
void shadow_unclaim(struct shadow *s, const char *correlation);
/* shadow_tick: the exchange thread's housekeeping. */
void shadow_tick(struct shadow *s);
/* shadow_wait_posted returns once the journal holds none of our entries. */
void shadow_wait_posted(struct shadow *s);
/* shadow_save_tally posts the sums that changed, if any. */
void shadow_save_tally(struct shadow *s);
struct shadow_plan_ref *shadow_hold_plan(struct shadow *s);
/* shadow_wait_plan: false when it stops before there was one. */
bool shadow_wait_plan(struct shadow *s);
bool shadow_is_stopping(struct shadow *s);
struct shadow_verdict *shadow_verdict_new(const char *rule,
					  const char *candidate,
					  uint32_t legacy_us);
/* shadow_keep_answer gives v the candidate's answer, as JSON in `text` (lent
 * until v is posted), when v is worth an example. */
void shadow_keep_answer(struct shadow *s, const struct shadow_plan *plan,
			const struct shadow_answer *answer,
			struct shadow_verdict *v, struct buf *text);

/* shadow_compare_sifted is shadow_compare less the legacy's noise; v has its
 * endpoint. Any thread, without the lock. */
void shadow_compare_sifted(struct shadow *s, const struct shadow_plan *plan,
			   const struct shadow_rule *rule,
			   const struct shadow_answer *legacy,
			   const struct shadow_answer *candidate,
			   struct shadow_verdict *v);

/* shadow_recover reads sums, waiting pairs and what was settled. */
MUST_CHECK int shadow_recover(struct shadow *s, struct error *err);

/* ---- shadow/exchanges.c ---- */
void *shadow_exchanges_main(void *s);
/* ---- shadow/flights.c: copies over HTTP, on the exchange thread ---- */
/* Takes x and the reference; the candidate's lane has said GO. */
void shadow_flight_start(struct shadow *s, struct shadow_exchange *x,
			 struct shadow_plan_ref *plan,
			 const struct shadow_rule *rule);
/* shadow_ask_again puts the request to the legacy once more, when its turn has
 * come and nothing speaks against it; holds x and plan. */
void shadow_ask_again(struct shadow *s, struct shadow_exchange *x,
		      struct shadow_plan_ref *plan,
		      const struct shadow_rule *rule);
void shadow_flights_drop(struct shadow *s);
/* ---- shadow/replies.c ---- */
void *shadow_replies_main(void *s);
void shadow_expire_pairs(struct shadow *s);

#endif
