/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions (PCRE2) whose cost is bounded. Sole home of pcre2. */
#ifndef BASE_PATTERN_H
#define BASE_PATTERN_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

struct pattern;

/* pattern_compile: what matches `text` becomes `with`, in which $1 to $9 are
 * groups and $$ is a dollar. NULL with err (and the place in the text). The
 * result may be used by any thread. */
MUST_CHECK struct pattern *pattern_compile(const char *text, const char *with,
					   struct error *err);
void pattern_free(struct pattern **p);
/* pattern_rewrite appends `in`, line by line, with all matches replaced. It
 * takes what it costs from *steps (some ten nanoseconds each); false when
 * they do not suffice, or when a line is not UTF-8: what `out` has is then of
 * no use. */
bool pattern_rewrite(const struct pattern *p, struct span in, size_t *steps,
		     struct buf *out);

#endif
