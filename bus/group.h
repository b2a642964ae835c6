/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a group: what the files of the engine share. */
#ifndef BUS_GROUP_H
#define BUS_GROUP_H

#include <pthread.h>
#include <stdatomic.h>

#include "bus/groups.h"

#define GROUPS_REQUEST_SIZE 129
#define GROUPS_CONSUMER_SIZE 129
#define GROUP_SESSION_NONE UINT32_MAX	/* not connected since the start */
#define GROUPS_MAX 1000
#define GROUP_CONSUMERS_MAX 1000
#define GROUP_KEY_BUCKETS 256
#define GROUP_FLUSH_MS 20	/* settled events are handed over by then */
#define GROUP_SKIP_MS 1000	/* ... and what a filter skipped */
#define GROUP_NO_MEMORY_MS 1000	/* a dead letter waits for memory */
#define GROUP_REASON_GONE "the consumer went away"
#define GROUP_REASON_LATE "the lease ran out"
#define GROUP_REASON_STOPPED "matapalo stopped"
#define GROUP_GIVEN_AHEAD 1024	/* beyond what is read */
#define GROUP_GIVEN_LEAST 512	/* ... then it is saved again */
#define GROUP_GRACE_MS 1000	/* a lost consumer may come back */

/* READY: may be given. LEASED: a consumer holds it until `due`. WAITING: has
 * failed, may be given from `due` on. SETTLED: done with, still in the list
 * until the next sweep. */
enum entry_state { ENTRY_READY, ENTRY_LEASED, ENTRY_WAITING, ENTRY_SETTLED };

struct consumer {
	struct consumer *next;
	char *name;
	uint32_t session;
	unsigned holding;
	uint64_t batch;		/* number of its last batch */
	char request[GROUPS_REQUEST_SIZE];	/* ... and what asked for it */
	uint64_t gone_at;	/* monotonic ms; 0: it is here */
	uint64_t seen;
};

/* A partition key: while events of it are in flight, they are one
 * consumer's. */
struct key {
	struct key *next;
	char *text;
	size_t len;
	unsigned users;		/* entries */
	unsigned in_flight;
	struct consumer *owner;
};

struct entry {
	int64_t sequence;
	enum entry_state state;
	unsigned attempts;
	enum journal_origin origin;
	bool saved;		/* has a row of its own: cursor may pass */
	bool again;		/* was given before */
	bool suspect;		/* its consumer was lost: it goes alone */
	uint64_t due;
	uint64_t batch;
	struct consumer *owner;
	struct key *key;
	int64_t time_us;	/* the event's */
	int64_t first_us, last_us;
};

/* What the next save does besides the cursor. */
enum change_kind { CHANGE_RETRY, CHANGE_DONE, CHANGE_DEAD,
		   CHANGE_RESET /* retries that are from the log */ };
struct change {
	enum change_kind kind;
	int64_t sequence;
	unsigned attempts;
	int64_t not_before_us, first_us, last_us;
	enum journal_origin origin;
	char reason[GROUPS_REASON_SIZE];
	char consumer[GROUPS_CONSUMER_SIZE];	/* of the last attempt */
};
struct changes {
	struct change *at;
	size_t count, cap;
};

struct flush;

struct group {
	struct group *next;
	char name[GROUPS_NAME_SIZE];
	struct groups_settings settings;
	bool paused;
	int64_t read;		/* everything up to here is in the list */
	struct entry *at;	/* sorted by sequence */
	size_t count, cap;
	size_t settled;		/* of them SETTLED */
	size_t retrying;	/* of them saved and not settled */
	unsigned in_flight;
	int64_t dead;
	uint64_t letters;	/* counts changes of the letters on disk */
	struct consumer *consumers;
	struct key *keys[GROUP_KEY_BUCKETS];
	struct changes changes;
	int64_t saved_cursor;	/* on disk; -1: the group must be written */
	uint64_t flush_at;	/* GROUPS_NEVER: nothing to save */
	struct flush *flush;	/* under way, or NULL */
	/* Up to here events may have been given by an earlier process, or
	 * before a seek; and the same as the disk has it of this one. */
	int64_t doubtful, given;
	int64_t disk_cursor;	/* the last that was committed */
	uint64_t version, saved_version;	/* of what an operator set */
	bool closing;
	bool dying;		/* deleted ... */
	bool removed;		/* ... and off the disk */
	double tokens;		/* of settings.rate; rate.c */
	uint64_t tokens_at;	/* ... counted then */
	uint64_t rate_at;	/* when somebody wants the next; or NEVER */
};

struct groups {
	struct groups_env env;
	struct journal_reader *reader;
	pthread_mutex_t lock;
	/* For reading that takes its time: never both locks. */
	struct journal_reader *side_reader;
	pthread_mutex_t side_lock;
	struct group *first;
	struct group *dying;	/* deleted, until that is on disk */
	uint64_t versions;
	struct groups_time now;	/* as of the current call */
	pthread_mutex_t flush_lock;	/* of the flushes' status */
	pthread_cond_t flush_ended;
	_Atomic int64_t damaged_first, damaged_last;	/* 0: none */
};

/* group.c */
void groups_refresh(struct groups *g);
/* groups_note_damage: what the reader has just met, or got past. */
void groups_note_damage(struct groups *g);
struct group *group_find(struct groups *g, const char *name);
struct group *group_new(struct groups *g, const char *name);
void group_free(struct group *p);
/* group_clear forgets all events, and so every lease; group_clear_but keeps
 * those that stay, and their keys. */
void group_clear(struct group *p);
void group_clear_but(struct group *p, bool (*stays)(const struct entry *e));
/* group_changed: something that must be on disk soon. */
void group_changed(struct groups *g, struct group *p);
struct consumer *consumer_find(struct group *p, const char *name);
struct consumer *consumer_seen(struct groups *g, struct group *p,
			       const struct groups_who *who);
void consumers_sweep(struct groups *g, struct group *p);
static inline bool
group_given_is_short(const struct group *p)
{
	return p->read + GROUP_GIVEN_LEAST > p->given;
}
/* consumer_restore: one of an earlier process, that may come back. */
struct consumer *consumer_restore(struct groups *g, struct group *p,
				  const char *name);
/* entry_index: of the first entry at or after the sequence, or count. */
size_t entry_index(const struct group *p, int64_t sequence);
struct entry *entry_find(struct group *p, int64_t sequence);
/* entry_any: settled ones, too. */
struct entry *entry_any(struct group *p, int64_t sequence);
/* entry_add keeps the order by sequence. NULL without memory. */
struct entry *entry_add(struct group *p, int64_t sequence);
void entries_sweep(struct group *p);
/* entry_renew: a settled event begins anew. */
void entry_renew(struct group *p, struct entry *e);
/* entry_set_key: 0 or -1 without memory. */
MUST_CHECK int entry_set_key(struct group *p, struct entry *e,
			     struct span key);

/* groups.c: the sequence before the place. Without the lock, as it may read.
 * -1: the journal fails. */
MUST_CHECK int groups_find_place(struct groups *g,
				 const struct groups_place *p, int64_t *after);

/* rate.c: may the next event go now? If not, the time is noted. */
bool group_may_deliver(struct groups *g, struct group *p);
void group_delivered(struct group *p);
uint64_t group_rate_next(struct groups *g, struct group *p);

/* load.c */
/* group_skip_dead: dead letters beyond the cursor do not come again. */
MUST_CHECK int group_skip_dead(struct groups *g, struct group *p);
MUST_CHECK int groups_load(struct groups *g, struct error *err);

/* lease.c: the only place where an entry changes its state */
bool entry_is_free(const struct groups *g, const struct entry *e,
		   const struct consumer *c);
void entry_lease(struct groups *g, struct group *p, struct entry *e,
		 struct consumer *c);
/* entry_keep saves a lease that outlives this process; entry_regain takes it
 * up in the next. */
void entry_keep(struct groups *g, struct group *p, struct entry *e);
void entry_regain(struct group *p, struct entry *e, struct consumer *c);
void entry_settle(struct groups *g, struct group *p, struct entry *e);
void entry_fail(struct groups *g, struct group *p, struct entry *e,
		unsigned delay_ms, const char *reason);
void entry_bury(struct groups *g, struct group *p, struct entry *e,
		const char *reason);
void entry_hand_back(struct groups *g, struct group *p, struct entry *e);
/* group_expire ends leases that are over; returns the next time to look. */
uint64_t group_expire(struct groups *g, struct group *p);

/* flush.c */
void group_dirty(struct groups *g, struct group *p, unsigned within_ms);
/* group_change: false without memory. Losing a RETRY or DONE costs a repeated
 * delivery after a crash; a DEAD must not be lost, the cursor passes it. */
bool group_change(struct groups *g, struct group *p, const struct change *c);
/* group_flush starts a save when one is due; returns the next time. */
uint64_t group_flush(struct groups *g, struct group *p);
/* group_flush_last saves everything and waits for the commit. */
void group_flush_last(struct groups *g, struct group *p);

/* group_flush_changes: of the save that is under way, or NULL. */
const struct changes *group_flush_changes(const struct group *p);
/* group_flush_removed: false until the group is off the disk. */
bool group_flush_removed(struct groups *g, struct group *p, uint64_t *next);

/* take.c: fills e from its event; 0, or -1 when the event is gone. */
MUST_CHECK int entry_load(struct groups *g, struct group *p,
			  struct entry *e);

#endif
