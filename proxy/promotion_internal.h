/* SPDX-License-Identifier: Apache-2.0 */
/* Inside proxy/promotion*.c: the state of one rule and how it is kept. */
#ifndef PROXY_PROMOTION_INTERNAL_H
#define PROXY_PROMOTION_INTERNAL_H

#include <pthread.h>

#include "base/buf.h"
#include "console/console.h"
#include "proxy/promotion.h"
#include "router/place.h"
#include "router/ramp.h"

#define PROMOTION_SPACE "promotion"
#define PROMOTION_ALL "*"	/* no name of a rule */
#define PROMOTION_TEXT_MAX 256

enum promotion_by { PROMOTION_BY_OPERATOR, PROMOTION_BY_RAMP,
		    PROMOTION_BY_FILE };

/* What holds of a rule beyond the file. All zeros: nothing. */
struct promotion_state {
	bool placed;		/* at `place`, and not as the file says */
	struct rules_place place;
	enum promotion_by by;
	/* Stage, share and target of the file when it was placed: when they
	 * change there, the file has the last word. */
	char words[PROMOTION_TEXT_MAX];
	bool held;			/* the ramp goes no further up */
	bool killed;			/* on the legacy, whatever else */
	int64_t since_us;		/* wall time, for people; 0: never */
	char operator[PROMOTION_TEXT_MAX], reason[PROMOTION_TEXT_MAX];
};

#define PROMOTION_NAME_MAX 80

/* What is known of a rule at its present place. */
struct promotion_evidence {
	bool begun;
	struct rules_place at;
	char candidate[PROMOTION_NAME_MAX];
	struct ramp_window window;	/* since it is there */
	uint64_t there_ms;		/* how long, while we ran */
	bool has_seen;
	struct ramp_count seen;		/* totals at the last look */
	unsigned falls;			/* steps back since it was last up */
	uint32_t fell_from;		/* the highest of them */
	struct ramp_verdict verdict;	/* of the last look */
};

/* Named ones are never removed: there are as many as rules were moved. */
struct promotion_row {
	struct promotion_row *next;
	char *name;
	struct promotion_state state;
	struct promotion_state stale;	/* while a new set is swapped in */
	bool is_stale;
	struct promotion_evidence evidence;
	struct buf unsent;	/* data of an event that the disk refused */
	bool unsaved;
};

struct promotion {
	struct run *run;
	pthread_mutex_t orders;		/* one change at a time; outer lock */
	pthread_mutex_t lock;		/* rows and all_killed; inner lock */
	struct promotion_row *rows;
	/* the ramps' thread (promotion_ramp.c) */
	pthread_t thread;
	pthread_cond_t wake;		/* with lock */
	bool has_thread, stopping;
	uint64_t looked_ms, saved_ms;
	bool all_killed;
	char all_operator[PROMOTION_TEXT_MAX], all_reason[PROMOTION_TEXT_MAX];
};

/* One change, for the audit event. */
struct promotion_event {
	const char *action;
	const char *rule;		/* NULL: all */
	enum promotion_by by;
	const char *operator, *reason;	/* or NULL */
	bool moved;			/* old and new mean something */
	struct rules_place old, fresh;
	struct span numbers;		/* JSON, or empty */
};

/* ---- promotion.c ---- */
struct promotion_row *promotion_find(struct promotion *p, const char *name);
/* promotion_row makes one when there is none; NULL without memory. */
struct promotion_row *promotion_row(struct promotion *p, const char *name);
/* promotion_words writes what the file says of the rule's place. */
void promotion_words(const struct rules_rule *rule,
		     char out[PROMOTION_TEXT_MAX]);
/* promotion_effect: where the rule is with that state; false: as the file
 * says. */
bool promotion_effect(const struct promotion *p,
		      const struct promotion_state *s,
		      const struct rules_rule *rule, struct rules_place *out);
/* promotion_apply moves the rules in force and returns when no request is
 * decided by anything older; promotion_set changes a state, and does that. */
void promotion_apply(struct promotion *p);
void promotion_set(struct promotion *p, struct promotion_row *row,
		   const struct promotion_state *s);

/* ---- promotion_store.c ---- */
/* promotion_store writes state (NULL: of all) and event in one transaction and
 * returns when it is on disk; -1 when it cannot be. */
MUST_CHECK int promotion_store(struct promotion *p, struct promotion_row *row,
			       const struct promotion_state *s,
			       const struct promotion_event *e);
/* promotion_retry writes again what the disk refused; promotion_save the
 * evidence of all rules. */
void promotion_retry(struct promotion *p);
/* promotion_set_saved: there is nothing to write again. */
void promotion_set_saved(struct promotion *p, struct promotion_row *row);
void promotion_save(struct promotion *p);
int promotion_load(struct promotion *p, struct error *err);
const char *promotion_by_word(enum promotion_by by);
void promotion_write_place(struct json *out, struct rules_place place);

/* ---- promotion_ramp.c ---- */
/* promotion_begin: all that is known is of another place. */
void promotion_begin(struct promotion_evidence *e, struct rules_place at,
		     const char *candidate);

/* ---- promotion_status.c ---- */
void promotion_write_count(struct json *out, const struct ramp_count *c);
/* promotion_ready: how sure the legacy would answer as the target does, 0 to
 * 1, and how sure one must be. */
double promotion_ready(const struct promotion_evidence *e);
double promotion_ready_from(const struct rules_rule *rule);

#endif
