/* SPDX-License-Identifier: Apache-2.0 */
/* From an exchange's event to the domain events of its rule. */
#ifndef BUS_EMIT_H
#define BUS_EMIT_H

#include "base/attr.h"
#include "base/json.h"
#include "bus/record.h"

struct cJSON;

/* What placeholders are looked up in: the event's data as it is stored, so
 * that nothing secret can be found. One thread. */
struct emit_view {
	const struct bus_record *r;
	struct cJSON *exchange;
	struct cJSON *bodies[2];	/* of request and response */
	bool looked[2];
	struct buf decoded;		/* of the last path or query value */
};

/* A value lent by the view: JSON, or text when json is NULL. */
struct emit_found {
	const struct cJSON *json;
	struct span text;
};

/* emit_view_open parses data; -1 without memory. */
MUST_CHECK int emit_view_open(struct emit_view *v, const struct bus_record *r,
			      struct span data);
void emit_view_close(struct emit_view *v);
/* emit_view_find: false when the exchange has no such value. */
bool emit_view_find(struct emit_view *v, const struct emit_value *value,
		    struct emit_found *out);

/* The events that one exchange makes; zero-initialise, reused. */
struct emit_made {
	struct buf text;
	size_t count;
	struct emit_item {
		const struct emit *emit;
		/* where they begin in text */
		size_t subject, partition_key, data, extensions, end;
	} items[EMIT_PER_RULE_MAX];
};

/* emit_make fills out from the exchange's data; -1 without memory. */
MUST_CHECK int emit_make(const struct bus_record *r, struct span data,
			 struct emit_made *out);
/* emit_append writes them behind the event that caused them. */
MUST_CHECK int emit_append(const struct emit_made *made,
			   const struct journal_event *cause,
			   struct journal_tx *tx);
void emit_made_fini(struct emit_made *m);

#endif
