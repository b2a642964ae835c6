/* SPDX-License-Identifier: Apache-2.0 */
/* Appends text to memory that was sized beforehand. */
#ifndef PROXY_WRITER_H
#define PROXY_WRITER_H

#include <string.h>

#include "base/invariant.h"
#include "base/span.h"

struct writer {
	char *at, *end;
};

static inline void
put(struct writer *w, struct span s)
{
	INVARIANT((size_t)(w->end - w->at) >= s.len);
	memcpy(w->at, s.at, s.len);
	w->at += s.len;
}

/* Inline, so that a literal's length is known when compiling. */
static inline void
put_str(struct writer *w, const char *s)
{
	put(w, span_of(s));
}

#endif
