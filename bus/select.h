/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator means by a request: which dead letters, which events.
 * Pure, any thread, but for the two that read the journal. */
#ifndef BUS_SELECT_H
#define BUS_SELECT_H

#include "bus/job.h"
#include "journal/dead.h"

/* select_read_filter reads filter{type, subject, reason, since, until}. */
MUST_CHECK int select_read_filter(const struct cJSON *in,
				  struct job_record *r, struct error *err);
/* select_filter lends r's texts. */
void select_filter(const struct job_record *r, struct journal_dead_filter *f);
/* select_letters reads id, "all" or filter, and counts what is there now. */
MUST_CHECK int select_letters(const struct cJSON *in,
			      struct journal_reader *reader,
			      struct job_record *r, struct error *err);
/* select_events reads from and to; last: the newest to be replayed. */
MUST_CHECK int select_events(const struct cJSON *in,
			     struct journal_reader *reader, int64_t last,
			     struct job_record *r, struct error *err);
/* select_pace reads rate and speed. */
MUST_CHECK int select_pace(const struct cJSON *in, struct job_record *r,
			   struct error *err);

#endif
