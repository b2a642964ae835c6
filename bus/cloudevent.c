/* SPDX-License-Identifier: Apache-2.0 */
/* Events as CloudEvents 1.0, structured JSON form. */
#include "bus/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"

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

/* What the program that published an event said of it stands first in the
 * extensions, in the order of base/attributes.def, and instead of ours. */
static bool
says(const struct journal_row *row, const char *first, const char *second)
{
	struct span s = row->extensions;
	size_t n = strlen(first);
	const char *end;

	if (s.len < n || memcmp(s.at, first, n) != 0)
		return second && says(row, second, NULL);
	if (!second)
		return true;
	end = memchr(s.at + n, ',', s.len - n);
	n = strlen(second);
	return end && (size_t)(s.at + s.len - end) > n &&
	       memcmp(end + 1, second, n) == 0;
}

#define TIME "\"time\":"
#define DATACONTENTTYPE "\"datacontenttype\":"

static void
write_required(struct json *j, const struct journal_row *row)
{
	write_id(j, &row->id);
	json_key(j, "source");
	json_span(j, row->source);
	json_key(j, "type");
	json_span(j, row->type);
	write_span(j, "subject", row->subject);
	if (!says(row, TIME, NULL))
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

static void
write_attributes(struct json *out, const struct journal_row *row)
{
	json_object_begin(out);
	write_required(out, row);
	write_extensions(out, row);
	if (row->data.len > 0 && !says(row, TIME, DATACONTENTTYPE))
		json_raw(out, SPAN_LITERAL(DATACONTENTTYPE
					   "\"application/json\""));
}

void
bus_write_cloudevent(struct json *out, const struct journal_row *row)
{
	write_attributes(out, row);
	if (row->data.len > 0) {
		json_key(out, "data");
		json_raw(out, row->data);
	}
	json_object_end(out);
}

/* ---- the claim check ---- */

#define DATAREF "matapalo:data/"
#define DIGEST_NAME "blake2b-256:"

/* The id keeps a number of another journal from meaning something here. */
static void
write_reference(struct json *out, const struct journal_row *row)
{
	char text[BUS_DATAREF_SIZE], id[ID_TEXT_SIZE];

	snprintf(text, sizeof(text), DATAREF "%" PRId64 "/%s", row->sequence,
		 id_text(&row->id, id));
	json_key(out, "dataref");
	json_str(out, text);
}

static void
write_digest(struct json *out, struct span data)
{
	char text[sizeof(DIGEST_NAME) + DIGEST_HEX_SIZE] = DIGEST_NAME;
	struct digest_stream *s = digest_stream_new();

	if (!s) {
		out->out->failed = true;
		return;
	}
	digest_stream_add(s, data.at, data.len);
	digest_stream_end(s, text + sizeof(DIGEST_NAME) - 1);
	digest_stream_free(&s);
	json_key(out, "datadigest");
	json_str(out, text);
}

void
bus_write_cloudevent_within(struct json *out, const struct journal_row *row,
			    size_t limit_bytes)
{
	const struct json begun = *out;
	size_t from = out->out->len;

	bus_write_cloudevent(out, row);
	if (out->out->failed || row->data.len == 0 ||
	    out->out->len - from <= limit_bytes)
		return;
	out->out->len = from;
	*out = begun;
	write_attributes(out, row);
	write_reference(out, row);
	json_key(out, "databytes");
	json_u64(out, row->data.len);
	write_digest(out, row->data);
	json_object_end(out);
}

int
bus_dataref_parse(const char *text, int64_t *sequence, struct id *id)
{
	const size_t n = sizeof(DATAREF) - 1;
	char *end;

	if (strncmp(text, DATAREF, n) != 0 || text[n] < '1' || text[n] > '9')
		return -1;
	errno = 0;
	*sequence = strtoll(text + n, &end, 10);
	if (errno || *end != '/')
		return -1;
	return id_parse(end + 1, strlen(end + 1), id);
}
