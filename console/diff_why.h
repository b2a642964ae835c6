/* SPDX-License-Identifier: Apache-2.0 */
/* `diff --why` and `diff --replay`: one exchange by the rules that are in the
 * file now. */
#ifndef CONSOLE_DIFF_WHY_H
#define CONSOLE_DIFF_WHY_H

#include "base/attr.h"
#include "base/digest.h"
#include "console/command.h"
#include "console/shadowed.h"
#include "journal/journal.h"
#include "shadow/exchange.h"
#include "shadow/why.h"

/* The rules in the file, zero-initialised. */
struct diff_rules {
	struct rules *rules;
	struct buf text;		/* of the file, for its lines */
	struct shadow_plan plan;	/* of no rules: how to redact */
	struct digest_key key;
	struct shadow_noise *noise;	/* of the journal */
};
/* diff_rules_open: COMMAND_OK, or what the command ends with: it has said
 * why. diff_rules_fini either way. */
MUST_CHECK int diff_rules_open(struct diff_rules *r,
			       const struct command_call *call,
			       struct journal_reader *reader);
void diff_rules_fini(struct diff_rules *r);

/* diff_find_rule: false when the file has no such rule (any more); then `note`
 * says so, and *out compares status and bodies. found may be NULL. */
bool diff_find_rule(const struct diff_rules *r, const char *name,
		    struct shadow_rule *out, const struct rules_rule **found,
		    struct buf *note);
/* diff_write_reasons appends a table of what was looked at. */
void diff_write_reasons(const struct diff_rules *r,
			const struct shadow_rule *rule,
			const struct shadow_why *w,
			const struct shadow_noise_row *noise, struct buf *out);
/* diff_why_pair is shadow_why with what was learned at that endpoint; `row` is
 * memory for it, as long as `w`. */
void diff_why_pair(const struct diff_rules *r, const struct shadow_plan *plan,
		   const struct shadow_rule *rule, const char *endpoint,
		   const struct shadow_answer *legacy,
		   const struct shadow_answer *candidate,
		   struct shadow_noise_row *row, struct shadow_why *w);
/* diff_legacy_of: the recorded answer, lent. */
struct shadow_answer diff_legacy_of(const struct shadow_exchange *x);

/* Both print and return an exit status. diff_why: of one exchange, or of all
 * kept examples of a rule, which differences count and what took the others
 * away. diff_replay sends one recorded request again and compares. */
int diff_why(const struct command_call *call, struct journal_reader *reader,
	     const struct cJSON *report, struct buf *out);
int diff_replay(const struct command_call *call,
		struct journal_reader *reader, struct buf *out);

#endif
