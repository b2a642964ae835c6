/* SPDX-License-Identifier: Apache-2.0 */
/* Events as CloudEvents 1.0, structured JSON form. */
#include "bus/bus.h"

#include <stdio.h>

#include "base/clock.h"

static void
write_span(struct json *j, const char *name, struct span s)
{
	if (s.len == 0)
		return;
	json_key(j, name);
	json_span(j, s);
}

static void
write_required(struct json *j, const struct journal_row *row)
{
	char id[ID_TEXT_SIZE], time[CLOCK_RFC3339_SIZE];

	json_key(j, "specversion");
	json_str(j, "1.0");
	json_key(j, "id");
	json_str(j, id_text(&row->id, id));
	json_key(j, "source");
	json_span(j, row->source);
	json_key(j, "type");
	json_span(j, row->type);
	write_span(j, "subject", row->subject);
	json_key(j, "time");
	json_str(j, clock_rfc3339(row->time_us, time));
}

/* The sequence is a string whose order as text is its order as a number. */
static void
write_extensions(struct json *j, const struct journal_row *row)
{
	char sequence[24];

	if (row->extensions.len > 0)
		json_raw(j, row->extensions);
	write_span(j, "correlationid", row->correlation);
	write_span(j, "partitionkey", row->partition_key);
	snprintf(sequence, sizeof(sequence), "%019lld",
		 (long long)row->sequence);
	json_key(j, "sequence");
	json_str(j, sequence);
	if (row->shadow) {
		json_key(j, "shadow");
		json_bool(j, true);
	}
}

void
bus_write_cloudevent(struct json *out, const struct journal_row *row)
{
	json_object_begin(out);
	write_required(out, row);
	write_extensions(out, row);
	if (row->data.len > 0) {
		json_key(out, "datacontenttype");
		json_str(out, "application/json");
		json_key(out, "data");
		json_raw(out, row->data);
	}
	json_object_end(out);
}
