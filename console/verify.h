/* SPDX-License-Identifier: Apache-2.0 */
/* Findings about a journal as text or JSON. */
#ifndef CONSOLE_VERIFY_H
#define CONSOLE_VERIFY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/json.h"
#include "journal/verify.h"

/* begin, then finding for each fault, then end; the text is in out. */
struct verify_output {
	bool as_json;
	enum journal_depth depth;
	const char *path;
	struct json json;
	struct buf out;
};
void verify_begin(struct verify_output *o);
void verify_finding(void *o, const struct journal_finding *f);
void verify_end(struct verify_output *o, const struct journal_report *r);
void verify_output_fini(struct verify_output *o);

#endif
