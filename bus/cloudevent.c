/* SPDX-License-Identifier: Apache-2.0 */
/* Events as CloudEvents 1.0, structured JSON form. */
#include "bus/bus.h"

#include "base/clock.h"

static void
write_span(struct json *j, const char *name, struct span s)
{
	if (s.len == 0)
		return;
	json_key(j, name);
	json_span(j, s);
}

/* Members that are known to need no escaping are written as they are: half of
 * what a consumer's event costs here was the small ones. */
static void
write_id(struct json *j, const struct id *id)
{
	char text[] = "\"specversion\":\"1.0\",\"id\":\""
		      "12345678-1234-1234-1234-123456789012\"";
	const size_t at = sizeof(text) - 1 - ID_TEXT_SIZE;

	id_text(id, text + at);
	text[at + ID_TEXT_SIZE - 1] = '"';
	json_raw(j, (struct span){ text, sizeof(text) - 1 });
}

static void
write_time(struct json *j, int64_t time_us)
{
	char text[sizeof("\"time\":\"") + CLOCK_RFC3339_SIZE] = "\"time\":\"";
	size_t n = sizeof("\"time\":\"") - 1;

	clock_rfc3339(time_us, text + n);
	n += strlen(text + n);
	text[n++] = '"';
	json_raw(j, (struct span){ text, n });
}

static void
write_required(struct json *j, const struct journal_row *row)
{
	write_id(j, &row->id);
	json_key(j, "source");
	json_span(j, row->source);
	json_key(j, "type");
	json_span(j, row->type);
	write_span(j, "subject", row->subject);
	write_time(j, row->time_us);
}

/* A string whose order as text is its order as a number. */
static void
write_sequence(struct json *j, int64_t sequence)
{
	char text[] = "\"sequence\":\"0000000000000000000\"";

	for (size_t i = sizeof(text) - 3; sequence > 0; i--) {
		text[i] = (char)('0' + sequence % 10);
		sequence /= 10;
	}
	json_raw(j, (struct span){ text, sizeof(text) - 1 });
}

static void
write_extensions(struct json *j, const struct journal_row *row)
{
	if (row->extensions.len > 0)
		json_raw(j, row->extensions);
	write_span(j, "correlationid", row->correlation);
	write_span(j, "partitionkey", row->partition_key);
	write_sequence(j, row->sequence);
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
		json_raw(out, SPAN_LITERAL("\"datacontenttype\":"
					   "\"application/json\""));
		json_key(out, "data");
		json_raw(out, row->data);
	}
	json_object_end(out);
}
