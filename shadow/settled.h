/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges that were dealt with before a crash took their ack. */
#ifndef SHADOW_SETTLED_H
#define SHADOW_SETTLED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/id.h"
#include "base/span.h"

/* A set of correlation ids: filled at the start, only read afterwards. */
struct shadow_settled {
	struct id *ids;
	size_t count, capacity;
	bool failed;		/* no memory: do not rely on it */
};

void shadow_settled_add(struct shadow_settled *s, struct span correlation);
/* shadow_settled_end sorts; before it nothing is found. */
void shadow_settled_end(struct shadow_settled *s);
bool shadow_settled_has(const struct shadow_settled *s, const char *text);
void shadow_settled_fini(struct shadow_settled *s);

#endif
