/* SPDX-License-Identifier: Apache-2.0 */
/* Two answers to one request: what differs. */
#ifndef SHADOW_COMPARE_H
#define SHADOW_COMPARE_H

#include "shadow/shadow.h"
#include "shadow/verdict.h"

struct shadow_answer {
	int status;
	struct message_fields fields;
	struct span body;
	bool redacted;		/* comes from the journal */
};

/* shadow_compare adds the differences to v (MATCH before the call). The
 * legacy's answer is the recorded, redacted one; the candidate's is redacted
 * here unless it is already, before anything is compared or kept. Any
 * thread. */
void shadow_compare(const struct shadow_plan *plan,
		    const struct shadow_rule *rule,
		    const struct shadow_answer *legacy,
		    const struct shadow_answer *candidate,
		    struct shadow_verdict *v);

/* shadow_field_write appends a field's value as verdicts may show it. */
void shadow_field_write(const struct shadow_plan *plan,
			const struct shadow_answer *a,
			const struct message_field *f, struct buf *out);

#endif
