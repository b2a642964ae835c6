/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs that wait for the reply of a candidate on the bus. */
#ifndef SHADOW_PENDING_H
#define SHADOW_PENDING_H

#include <stdbool.h>

#include "base/id.h"
#include "base/json.h"
#include "shadow/verdict.h"

/* As many as may wait at once; more wait in the journal. */
#define SHADOW_PENDING_MAX 1024
/* As many of them one candidate may have. */
#define SHADOW_PENDING_OF_ONE 256
#define SHADOW_PENDING_SPACE "shadow.pending"

/* What is needed to judge the reply whenever it comes, also by the next
 * process: the legacy's answer stays in the journal, at `sequence`. */
struct shadow_pair {
	char correlation[ID_TEXT_SIZE];
	char rule[SHADOW_NAME_MAX], candidate[SHADOW_NAME_MAX];
	char endpoint[SHADOW_ENDPOINT_MAX];
	char source[SHADOW_VALUE_MAX];	/* CloudEvents source */
	struct id command_id;
	int64_t sequence;
	int64_t sent_us, deadline_us;	/* wall time */
	uint32_t legacy_us;
	bool sent;		/* its command is on disk; no reply before */
	bool claimed;		/* its verdict is on the way to the disk */
};

/* The caller locks. Pairs are found by their correlation id. */
struct shadow_pending;

MUST_CHECK struct shadow_pending *shadow_pending_new(void);
void shadow_pending_free(struct shadow_pending **p);
size_t shadow_pending_count(const struct shadow_pending *p);
/* shadow_pending_add copies pair: 0, or -1 when it is there already, or
 * without memory. */
MUST_CHECK int shadow_pending_add(struct shadow_pending *p,
				  const struct shadow_pair *pair);
/* Lent until it is removed. */
struct shadow_pair *shadow_pending_find(struct shadow_pending *p,
					struct span correlation);
/* shadow_pending_overdue: a sent pair whose deadline is before at_us and
 * that nobody has claimed, or NULL. */
struct shadow_pair *shadow_pending_overdue(struct shadow_pending *p,
					   int64_t at_us);
/* shadow_pending_of: how many wait for that candidate, and since when the
 * oldest of them (wall time). */
size_t shadow_pending_of(const struct shadow_pending *p,
			 const char *candidate, int64_t *oldest_us);
void shadow_pending_remove(struct shadow_pending *p, const char *correlation);

/* The durable form: the value of a state row whose key is `correlation`. */
void shadow_pair_write(const struct shadow_pair *pair, struct json *out);
MUST_CHECK int shadow_pair_read(const char *correlation, struct span value,
				struct shadow_pair *pair);

#endif
