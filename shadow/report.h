/* SPDX-License-Identifier: Apache-2.0 */
/* The sums and single verdicts, read from a journal that somebody may be
 * writing to. */
#ifndef SHADOW_REPORT_H
#define SHADOW_REPORT_H

#include "journal/journal.h"
#include "shadow/exchange.h"
#include "shadow/noise.h"
#include "shadow/tally.h"

/* shadow_report_read fills an empty tally: what was saved, and the verdicts
 * since. 0, or -1 with err. */
MUST_CHECK int shadow_report_read(struct journal_reader *r,
				  struct shadow_tally *t, struct error *err);

/* shadow_report_noise fills an empty table. 0, or -1 with err. */
MUST_CHECK int shadow_report_noise(struct journal_reader *r,
				   struct shadow_noise *n, struct error *err);

/* One verdict with both answers, as far as the journal still has them. */
struct shadow_case {
	struct shadow_verdict v;
	struct cJSON *data;		/* of the verdict event */
	char correlation[ID_TEXT_SIZE];
	int64_t sequence;		/* of the verdict event */
	struct shadow_exchange *x;	/* NULL: it is gone */
	bool has_answer;
	int status;			/* the candidate's, with has_answer */
	struct shadow_side answer;
};

/* shadow_case_find looks for the newest verdict on that exchange;
 * shadow_case_at takes the one at a sequence. 0, or -1 with err.
 * shadow_case_fini either way. */
MUST_CHECK int shadow_case_find(struct journal_reader *r, const char *exchange,
				struct shadow_case *c, struct error *err);
MUST_CHECK int shadow_case_at(struct journal_reader *r, int64_t sequence,
			      struct shadow_case *c, struct error *err);
void shadow_case_fini(struct shadow_case *c);

/* A line of two answers side by side: status, `header:NAME`, a leaf of the
 * bodies by its JSON pointer, or `body`. Texts are lent for the call, NULL:
 * not there. */
enum shadow_line_kind {
	SHADOW_LINE_SAME,
	SHADOW_LINE_DIFFERENT,	/* the verdict says so */
	SHADOW_LINE_SUPPRESSED	/* unlike, but not held against it */
};
struct shadow_line {
	enum shadow_line_kind kind;
	const char *pointer, *legacy, *candidate;
};
/* shadow_case_lines calls fn for at most max lines and returns how many there
 * are. Needs x and has_answer. */
size_t shadow_case_lines(const struct shadow_case *c, size_t max,
			 void (*fn)(void *arg, const struct shadow_line *l),
			 void *arg);

#endif
