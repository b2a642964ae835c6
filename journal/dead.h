/* SPDX-License-Identifier: Apache-2.0 */
/* Dead letters: what becomes of them, in one transaction each, and reading
 * them by the page. */
#ifndef JOURNAL_DEAD_H
#define JOURNAL_DEAD_H

#include "journal/journal.h"

/* How many attempts of an event are remembered, the last ones. */
#define JOURNAL_ATTEMPTS_KEPT 20

/* ---- writing, inside apply only ---- */

/* journal_tx_redrive moves a dead letter back into its group, with no attempt
 * made: 1, or 0 when it is not there (any more), its group is gone, or the
 * transaction has failed. */
int journal_tx_redrive(struct journal_tx *tx, int64_t id, int64_t now_us);
/* journal_tx_purge removes a dead letter and its history: 1 or 0. */
int journal_tx_purge(struct journal_tx *tx, int64_t id);

enum journal_replayed {
	JOURNAL_REPLAY_NONE,	/* it waits there already, or no such group */
	JOURNAL_REPLAY_DONE,
	JOURNAL_REPLAY_LETTER	/* done, and it is no dead letter any more */
};
/* journal_tx_replay has a group get an event of its past again. */
enum journal_replayed journal_tx_replay(struct journal_tx *tx,
					const char *group, int64_t sequence,
					int64_t now_us);

/* ---- reading ---- */

struct journal_dead_filter {
	const char *group;		/* NULL: all */
	const char *type, *subject;	/* as in journal_filter */
	const char *reason;	/* a part of it, without case; NULL: any */
	int64_t since_us, until_us;	/* last attempt in [since, until);
					 * 0: any */
};
struct journal_letter {
	struct journal_dead dead;
	struct span type, subject;	/* empty when the event is gone */
	int64_t time_us;		/* the event's, 0 when it is gone */
};
struct journal_dead_page {
	int64_t after;		/* in and out: the last id looked at */
	int64_t upto;		/* the last id to look at; 0: any */
	size_t max;		/* dead letters to give */
	size_t scan_limit;	/* ... and to look at */
	bool more;		/* out: there may be more after it */
};
/* journal_read_letters gives one page, in the order in which they died. The
 * letter is lent for the call. Returns how many, or -1. */
int journal_read_letters(struct journal_reader *r,
			 const struct journal_dead_filter *f,
			 struct journal_dead_page *page,
			 void (*fn)(void *arg, const struct journal_letter *l),
			 void *arg);
/* journal_read_newest_letter: 0 when there is none. */
int journal_read_newest_letter(struct journal_reader *r, int64_t *id);
/* journal_read_dead_after gives the sequences beyond `after` that are dead
 * letters of the group, purged ones, too, in order. 0 or -1. */
int journal_read_dead_after(struct journal_reader *r, const char *group,
			    int64_t after,
			    void (*fn)(void *arg, int64_t sequence),
			    void *arg);
/* journal_read_oldest_letter: when the group's oldest dead letter died; 1, 0
 * (it has none) or -1. */
int journal_read_oldest_letter(struct journal_reader *r, const char *group,
			       int64_t *last_us);

struct journal_attempt {
	unsigned attempt;	/* 0: an operator gave it back */
	int64_t time_us;	/* when it began */
	const char *consumer, *reason;
};
/* journal_read_attempts: the newest JOURNAL_ATTEMPTS_KEPT, oldest first. */
int journal_read_attempts(struct journal_reader *r, const char *group,
			  int64_t sequence,
			  void (*fn)(void *arg,
				     const struct journal_attempt *a),
			  void *arg);

#endif
