/* SPDX-License-Identifier: Apache-2.0 */
/* Events that belong together, and what became of one at its groups. */
#ifndef JOURNAL_FIND_H
#define JOURNAL_FIND_H

#include "journal/journal.h"

/* The beginning of an id must be so long: it is the id's time to a minute. */
#define JOURNAL_FIND_LEAST 8

/* What the beginning of an id leads to. */
struct journal_found {
	char correlation[ID_TEXT_SIZE];	/* or "": the event has none ... */
	int64_t sequence;		/* ... else 0 */
};
/* journal_find: correlation ids that begin so; if there is none, events whose
 * id does. A whole id is looked for everywhere, the beginning of an event's
 * id at its time only. Text in lower case, at least JOURNAL_FIND_LEAST
 * characters of an id. Each once, at most max; returns how many, or -1. */
int journal_find(struct journal_reader *r, const char *text, size_t max,
		 struct journal_found *out);
/* journal_read_correlated lends the events of one correlation id to fn, in
 * order, at most max. Returns how many there were, or -1. */
int journal_read_correlated(struct journal_reader *r, const char *correlation,
			    size_t max,
			    bool (*fn)(void *arg,
				       const struct journal_row *row),
			    void *arg);
/* journal_is_open: an exchange whose terminal event is still to come; 1, 0
 * or -1. */
int journal_is_open(struct journal_reader *r, const char *correlation);

/* An event that waits for another attempt, or a dead letter. */
struct journal_fate {
	int64_t letter;		/* id of the dead letter; 0: a retry */
	const char *group, *reason, *consumer;
	unsigned attempts;
	int64_t first_us, last_us, not_before_us;
	enum journal_origin origin;
};
/* journal_read_fates: one for each group that has not settled the event by
 * itself. */
int journal_read_fates(struct journal_reader *r, int64_t sequence,
		       void (*fn)(void *arg, const struct journal_fate *f),
		       void *arg);

#endif
