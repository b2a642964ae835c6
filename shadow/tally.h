/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of verdicts per rule, candidate and endpoint; they outlive the
 * process. */
#ifndef SHADOW_TALLY_H
#define SHADOW_TALLY_H

#include "base/buf.h"
#include "shadow/latency.h"
#include "shadow/verdict.h"

#define SHADOW_REPORT_SCHEMA "urn:matapalo:schema:diff:v1"

/* Rows as of one verdict event's sequence. Written to the journal's state now
 * and then; after a restart the verdicts after that sequence are added from
 * their events, so that the sums are exact. The caller locks. */
struct shadow_tally;

MUST_CHECK struct shadow_tally *shadow_tally_new(void);
void shadow_tally_free(struct shadow_tally **t);
/* shadow_tally_add counts one verdict; sequence is its event's. A sequence
 * at or before the newest counted is ignored. */
void shadow_tally_add(struct shadow_tally *t, const struct shadow_verdict *v,
		      const char *correlation, int64_t sequence);
int64_t shadow_tally_sequence(const struct shadow_tally *t);
/* shadow_tally_wants: is the candidate's answer worth keeping with v? */
bool shadow_tally_wants(struct shadow_tally *t,
			const struct shadow_verdict *v);
/* What a rule's candidate has come to; all of it only grows, so that the
 * difference of two of them is what was in between. */
struct shadow_sums {
	uint64_t samples, matches, differences, failures;
	struct shadow_latency latency;
};
/* False, and zeroes, when nothing was compared yet. */
bool shadow_tally_sums(struct shadow_tally *t, const char *rule,
		       const char *candidate, struct shadow_sums *out);
/* shadow_tally_unsaved: verdicts since the last save. */
size_t shadow_tally_unsaved(const struct shadow_tally *t);
/* shadow_tally_save lends each row that changed, then the sequence, as
 * (key, JSON text), and calls them saved; -1 without memory, and what was lent
 * is not to be used. shadow_tally_unsave undoes that, also when the write
 * failed. */
MUST_CHECK int shadow_tally_save(struct shadow_tally *t,
				 void (*fn)(void *arg, const char *key,
					    struct span value),
				 void *arg);
void shadow_tally_unsave(struct shadow_tally *t);
/* shadow_tally_load takes one (key, text) that save has lent. */
void shadow_tally_load(struct shadow_tally *t, const char *key,
		       struct span value);
/* shadow_tally_is_short: there was no memory for something that was loaded. */
bool shadow_tally_is_short(const struct shadow_tally *t);
/* shadow_tally_counts: zeros for a pair that was never compared. */
void shadow_tally_counts(const struct shadow_tally *t, const char *rule,
			 const char *candidate, uint64_t *samples,
			 uint64_t *matches);
/* shadow_tally_status writes an array of one object a row. */
void shadow_tally_status(const struct shadow_tally *t, struct json *out);

/* shadow_tally_report writes all there is as one object: rules, their
 * endpoints, clusters of differences with examples (docs/shadow.md). */
void shadow_tally_report(const struct shadow_tally *t, struct json *out);

#endif
