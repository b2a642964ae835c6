/* SPDX-License-Identifier: Apache-2.0 */
/* Events that a group gets once more: a redrive or a replay has given each a
 * row of its own in the journal, and tells the engine after the commit.
 * Any thread, like the rest of bus/groups.h. */
#ifndef BUS_REVIVE_H
#define BUS_REVIVE_H

#include "bus/groups.h"

/* So many may wait to be tried (again); the rest of a redrive or replay stays
 * where it is, so that new events are not held up and memory is bounded. */
#define GROUPS_REVIVED_MAX 1000

/* What a replay has to know of its group. */
struct groups_view {
	char type[GROUPS_FILTER_SIZE];	/* "": all */
	char subject[GROUPS_FILTER_SIZE];
	bool shadow_only;
	int64_t read;	/* what comes after it comes by itself */
	size_t room;	/* how many may be revived now */
};
/* groups_look: 0, or -1 when there is no such group. */
MUST_CHECK int groups_look(struct groups *g, const char *group,
			   struct groups_view *v);
/* groups_holds: is the event waiting or at a consumer? */
bool groups_holds(struct groups *g, const char *group, int64_t sequence);
/* groups_revive makes the event ready, with no attempt made. */
void groups_revive(struct groups *g, const char *group, int64_t sequence,
		   enum journal_origin origin);
/* groups_letter_gone: one dead letter less. */
void groups_letter_gone(struct groups *g, const char *group);

#endif
