/* SPDX-License-Identifier: Apache-2.0 */
/* The record of what could not be recorded: matapalo.gap.v1. */
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "journal/internal.h"

void
journal_gap_count(struct gap *g, const char *reason)
{
	int64_t now = clock_wall_us();

	if (g->count++ == 0) {
		g->first_us = now;
		snprintf(g->reason, sizeof(g->reason), "%s", reason);
	}
	g->last_us = now;
}

static void
gap_write(const struct gap *g, struct buf *out)
{
	char time[CLOCK_RFC3339_SIZE];
	struct json js;

	json_init(&js, out);
	json_object_begin(&js);
	json_key(&js, "first");
	json_str(&js, clock_rfc3339(g->first_us, time));
	json_key(&js, "last");
	json_str(&js, clock_rfc3339(g->last_us, time));
	json_key(&js, "count");
	json_u64(&js, g->count);
	json_key(&js, "reason");
	json_str(&js, g->reason);
	json_object_end(&js);
}

/* The caller clears the gap after the commit, not before. */
void
journal_gap_append(struct gap *g, struct journal_tx *tx)
{
	CLEANUP(buf_fini) struct buf data = {0};
	struct journal_event e;

	if (!g->count)
		return;
	gap_write(g, &data);
	e = (struct journal_event){
		.id = id_make(),
		.time_us = clock_wall_us(),
		.type = SPAN_LITERAL("matapalo.gap.v1"),
		.source = SPAN_LITERAL("/matapalo/journal"),
		.extensions = SPAN_LITERAL(
			"\"dataschema\":\"urn:matapalo:schema:gap:v1\""),
		.data = buf_span(&data),
	};
	if (data.failed || journal_tx_append(tx, &e, NULL) < 0)
		journal_tx_fail(tx, "append the gap");
}
