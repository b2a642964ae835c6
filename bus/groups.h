/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of consumers over the journal: who has which event, until when.
 *
 * A state machine without threads or sockets of its own; its clock can be
 * replaced. Every function may be called from any thread (one mutex), but
 * for callbacks: they must not call back. */
#ifndef BUS_GROUPS_H
#define BUS_GROUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/json.h"
#include "journal/journal.h"

/* Well below what overflows; an event a nanosecond takes thirty years. */
#define GROUPS_SEQUENCE_MAX 999999999999999999ll
#define GROUPS_NAME_SIZE 129
#define GROUPS_FILTER_SIZE 513
#define GROUPS_BACKOFF_MAX 16
#define GROUPS_REASON_SIZE 256
#define GROUPS_NEVER UINT64_MAX

struct cJSON;
struct groups;

struct groups_time {
	uint64_t mono_ms;
	int64_t wall_us;
};

struct groups_env {
	struct journal *journal;
	/* now: NULL for the real clocks. */
	void (*now)(void *arg, struct groups_time *t);
	/* hand_out: asked right before an event goes to a consumer; false
	 * settles it unseen (a command taken back). NULL: always true. */
	bool (*hand_out)(void *arg, const struct journal_row *row);
	/* wake: a flush ended, groups_tick should run. Any thread. */
	void (*wake)(void *arg);
	void *arg;
};

/* groups_open loads groups and retries; groups_close writes what is unsaved
 * (waits for the commit) and frees. */
MUST_CHECK struct groups *groups_open(const struct groups_env *env,
				      struct error *err);
void groups_close(struct groups **g);

/* ---- settings.c ---- */

enum groups_start { GROUPS_OLDEST, GROUPS_NEWEST, GROUPS_AFTER,
		    GROUPS_SINCE };

/* A place in the log. */
struct groups_place {
	enum groups_start start;
	int64_t after;		/* AFTER: this sequence */
	int64_t since_us;	/* SINCE: wall time */
};

struct groups_settings {
	char type[GROUPS_FILTER_SIZE];		/* "": all */
	char subject[GROUPS_FILTER_SIZE];
	bool shadow_only;
	unsigned lease_ms, max_in_flight, max_attempts;
	unsigned rate;		/* deliveries a second; 0: any */
	unsigned backoff_ms[GROUPS_BACKOFF_MAX];
	size_t backoff_count;
	struct groups_place place;	/* of a new group; not kept */
};

void groups_settings_default(struct groups_settings *s);
/* groups_settings_read takes the members that are present: filter{type,
 * subject, shadow}, start, lease_ms, max_in_flight, max_attempts, rate,
 * backoff_ms. */
MUST_CHECK int groups_settings_read(const struct cJSON *o,
				    struct groups_settings *s,
				    struct error *err);
void groups_settings_write(struct json *j, const struct groups_settings *s);
/* groups_settings_differ writes the names of the limits that `asked` has
 * otherwise than `s`, or of the filter, as strings of an array. Returns how
 * many; j may be NULL. */
size_t groups_settings_differ(const struct groups_settings *s,
			      const struct groups_settings *asked,
			      struct json *j);
bool groups_filter_differs(const struct groups_settings *s,
			   const struct groups_settings *asked);
/* groups_place_read takes "oldest", "newest", a sequence, or a time as in
 * RFC 3339; name is the member's, for the error. */
MUST_CHECK int groups_place_read(const struct cJSON *m, const char *name,
				 struct groups_place *p, struct error *err);
MUST_CHECK int groups_name_check(const char *name, struct error *err);

/* ---- use ---- */

struct groups_who {
	const char *group, *consumer;
	uint32_t session;	/* of a connection; 0: this process */
};

/* groups_ensure makes the group when it is new. Limits of an old one are
 * replaced by change(arg, settings) if it is given; 0, or -1 with err. */
MUST_CHECK int groups_ensure(struct groups *g, const char *name,
			     int (*change)(void *arg,
					   struct groups_settings *s,
					   bool is_new, struct error *err),
			     void *arg, struct error *err);

/* Which delivery of an event this is. */
struct groups_delivery {
	unsigned attempt;	/* 1 for the first */
	enum journal_origin origin;
	bool again;		/* it was given before, or may have been */
};
/* The consumer may have seen the event before. */
static inline bool
groups_is_redelivery(const struct groups_delivery *d)
{
	return d->attempt > 1 || d->again || d->origin != JOURNAL_FROM_LOG;
}

/* groups_take leases up to max events to the consumer. emit gets each (lent
 * for the call) and returns false to stop after it. request (NULL: none) is
 * remembered when there were events. Returns the number, or -1 when there is
 * no such group. */
int groups_take(struct groups *g, const struct groups_who *who, size_t max,
		const char *request,
		bool (*emit)(void *arg, const struct journal_row *row,
			     const struct groups_delivery *d),
		void *arg);
/* groups_is_repeat: was the consumer's last batch for this very request? */
bool groups_is_repeat(struct groups *g, const struct groups_who *who,
		      const char *request);
/* groups_repeat emits again what the consumer's last groups_take gave and
 * what it still holds. */
int groups_repeat(struct groups *g, const struct groups_who *who,
		  bool (*emit)(void *arg, const struct journal_row *row,
			       const struct groups_delivery *d),
		  void *arg);

/* RELEASE: not begun, so the delivery is no attempt. */
enum groups_verdict { GROUPS_ACK, GROUPS_NAK, GROUPS_TERM, GROUPS_TOUCH,
		      GROUPS_RELEASE };
struct groups_answer {
	enum groups_verdict verdict;
	int64_t sequence;
	unsigned delay_ms;	/* NAK: 0 means the backoff list */
	const char *reason;	/* NAK, TERM; may be NULL */
};
/* STALE: the consumer does not hold the event (any more), which is harmless.
 * UNBLOCKED: others may now get what they could not get before. */
enum groups_effect { GROUPS_STALE, GROUPS_SETTLED, GROUPS_UNBLOCKED };
enum groups_effect groups_settle(struct groups *g,
				 const struct groups_who *who,
				 const struct groups_answer *a);
/* groups_settle_range does so with what the consumer holds from first to
 * last, whatever a->sequence is, and returns how many that was. */
struct groups_range {
	int64_t first, last;
};
size_t groups_settle_range(struct groups *g, const struct groups_who *who,
			   const struct groups_range *r,
			   const struct groups_answer *a,
			   enum groups_effect *effect);

/* groups_lease: does the consumer hold the event, and since when? */
struct groups_lease {
	unsigned attempt;
	int64_t given_us;	/* wall time */
};
bool groups_lease(struct groups *g, const struct groups_who *who,
		  int64_t sequence, struct groups_lease *lease);

/* groups_session_gone: leases of consumers of that connection run out after
 * a second, unless they are seen on another one before. groups_leave hands
 * back at once what a consumer holds; it does not count as an attempt. */
void groups_session_gone(struct groups *g, uint32_t session);
void groups_leave(struct groups *g, const struct groups_who *who);

/* ---- manage.c: an operator's decisions ---- */

enum groups_result { GROUPS_DONE, GROUPS_UNKNOWN, GROUPS_IN_USE,
		     GROUPS_FAILED };
/* Each sets *version; groups_is_saved(version) tells when the change is on
 * disk. The group's events in flight become nobody's with groups_seek (what
 * comes for them later is stale), its retries are forgotten, and exactly the
 * events from the place on come, but for dead letters, and what was redriven
 * or replayed and is not settled yet. */
enum groups_result groups_seek(struct groups *g, const char *name,
			       const struct groups_place *to,
			       uint64_t *version);
enum groups_flow { GROUPS_PAUSED, GROUPS_RUNNING };
enum groups_result groups_set_flow(struct groups *g, const char *name,
				   enum groups_flow flow, uint64_t *version);
/* groups_delete: IN_USE while a consumer is connected, unless it is forced;
 * always for a group of this process. Dead letters stay. */
enum groups_force { GROUPS_IF_UNUSED, GROUPS_BY_FORCE };
enum groups_result groups_delete(struct groups *g, const char *name,
				 enum groups_force force, uint64_t *version);
/* groups_version: of what was changed last; 0 for no such group. */
uint64_t groups_version(struct groups *g, const char *name);
bool groups_is_saved(struct groups *g, const char *name, uint64_t version);

/* groups_may_have: would the group's filter take the event, whenever it came?
 * GROUPS_DONE: yes; GROUPS_UNKNOWN: no such group; GROUPS_FAILED: no. */
enum groups_result groups_may_have(struct groups *g, const char *name,
				   const struct journal_row *row);

/* groups_tick ends leases that ran out and saves what changed. Returns when
 * (monotonic ms) it wants to be called again. */
uint64_t groups_tick(struct groups *g);
/* groups_status writes an array; groups_status_one an object, or returns
 * false when there is no such group. */
void groups_status(struct groups *g, struct json *out);
/* groups_damage: events before which groups stand, because the journal cannot
 * be read there. Any thread, without a lock. */
bool groups_damage(struct groups *g, int64_t *first, int64_t *last);
bool groups_status_one(struct groups *g, const char *name, struct json *out);

#endif
