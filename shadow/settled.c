/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges that were dealt with before a crash took their ack. */
#include "shadow/settled.h"

#include <stdlib.h>

static int
by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct id));
}

void
shadow_settled_add(struct shadow_settled *s, struct span correlation)
{
	struct id id;

	if (id_parse(correlation.at, correlation.len, &id) != 0 || s->failed)
		return;
	if (s->count == s->capacity) {
		size_t capacity = s->capacity ? 2 * s->capacity : 256;
		struct id *more = realloc(s->ids, capacity * sizeof(*more));

		if (!more) {
			s->failed = true;
			return;
		}
		s->ids = more;
		s->capacity = capacity;
	}
	s->ids[s->count++] = id;
}

void
shadow_settled_end(struct shadow_settled *s)
{
	if (s->count)
		qsort(s->ids, s->count, sizeof(*s->ids), by_bytes);
}

bool
shadow_settled_has(const struct shadow_settled *s, const char *text)
{
	struct id id;

	return s->count && id_parse(text, strlen(text), &id) == 0 &&
	       bsearch(&id, s->ids, s->count, sizeof(id), by_bytes);
}

void
shadow_settled_fini(struct shadow_settled *s)
{
	free(s->ids);
	memset(s, 0, sizeof(*s));
}
