/* SPDX-License-Identifier: Apache-2.0 */
/* What the shadow writes to the journal: an event, values, or both at once. */
#ifndef SHADOW_ENTRY_H
#define SHADOW_ENTRY_H

#include "base/arena.h"
#include "journal/journal.h"
#include "shadow/verdict.h"

enum shadow_entry_kind {
	SHADOW_ENTRY_VERDICT,	/* the event, and the end of a pair */
	SHADOW_ENTRY_COMMAND,	/* the event, and a new pair */
	SHADOW_ENTRY_FORGET,	/* the end of a pair without a verdict */
	SHADOW_ENTRY_TALLY	/* sums */
};

struct shadow_change;

/* One transaction's worth: all of it is written, or nothing. Copies what it
 * is given; a copy that failed makes shadow_entry_is_whole false. */
struct shadow_entry {
	struct journal_item item;	/* first */
	enum shadow_entry_kind kind;
	struct arena memory;
	bool failed;
	char correlation[ID_TEXT_SIZE];	/* of the exchange, or "" */
	bool has_event;
	struct journal_event event;
	int64_t sequence;		/* of the event, once committed */
	struct shadow_change *changes;
	struct shadow_verdict *verdict;	/* VERDICT: for the tally */
	/* On the writer's thread; owns the entry. */
	void (*done)(void *arg, struct shadow_entry *e,
		     enum journal_status status);
	void *arg;
	struct shadow_entry *next;	/* the owner's */
};

/* NULL without memory. */
MUST_CHECK struct shadow_entry *
shadow_entry_new(enum shadow_entry_kind kind, const char *correlation);
void shadow_entry_free(struct shadow_entry **e);
bool shadow_entry_is_whole(const struct shadow_entry *e);
/* shadow_entry_set_event copies every span of the event. */
void shadow_entry_set_event(struct shadow_entry *e,
			    const struct journal_event *event);
void shadow_entry_put(struct shadow_entry *e, const char *space,
		      const char *key, struct span value);
void shadow_entry_delete(struct shadow_entry *e, const char *space,
			 const char *key);

#endif
