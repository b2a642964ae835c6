/* SPDX-License-Identifier: Apache-2.0 */
/* What a shadow found, as text and as a page; the report is that of
 * shadow_tally_report, parsed. */
#ifndef CONSOLE_DIFF_H
#define CONSOLE_DIFF_H

#include "base/buf.h"
#include "payload/payload.h"
#include "shadow/noise.h"
#include "shadow/report.h"

/* NULL: all. */
struct diff_filter {
	const char *rule, *path;	/* path: part of an endpoint's name */
};
/* diff_takes_rule, diff_takes_endpoint: is it among what was asked for? */
bool diff_takes_rule(const struct diff_filter *f, const struct cJSON *rule);
bool diff_takes_endpoint(const struct diff_filter *f,
			 const struct cJSON *endpoint);

/* diff_write_table appends rules, endpoints and clusters for a terminal. */
void diff_write_table(const struct cJSON *report,
		      const struct diff_filter *f, struct buf *out);
/* diff_noise_rows is what was learned of the legacy as a tree, the caller's;
 * NULL without memory. diff_write_noise appends it as a table; nothing when
 * there is nothing. */
MUST_CHECK struct cJSON *diff_noise_rows(const struct shadow_noise *n);
void diff_write_noise(const struct shadow_noise *n,
		      const struct diff_filter *f, struct buf *out);
/* Parts of it: what it is about, the differences of its verdict; and a value
 * on one line (NULL: none) for a table. */
void diff_write_head(const struct shadow_case *c, struct buf *out);
void diff_write_differences(const struct shadow_verdict *v, struct buf *out);
struct table;
void diff_value_cell(struct table *t, const char *value);
/* diff_blank_controls: the terminal is not the candidate's. */
void diff_blank_controls(struct buf *out, size_t from);
/* diff_write_case appends one exchange, both answers side by side. */
void diff_write_case(const struct shadow_case *c, struct buf *out);
/* diff_write_html appends one page that needs nothing else; examples are
 * read by r (NULL: without their answers). */
void diff_write_html(const struct cJSON *report, const struct diff_filter *f,
		     struct journal_reader *r, struct buf *out);

#endif
