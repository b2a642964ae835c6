/* SPDX-License-Identifier: Apache-2.0 */
/* The members of an event that a program publishes. */
#include "base/clock.h"
#include "bus/server.h"
#include "payload/payload.h"

#define DATA_BYTES_MAX (4u << 20)

int
published_read_id(const struct cJSON *in, const char *name, struct id *id,
		  struct error *err)
{
	const struct cJSON *m = payload_member(in, name);
	const char *text = payload_string(m, "");

	if (!m)
		return 0;
	if (id_parse(text, strlen(text), id) == 0)
		return 1;
	return error_set(err, "%s must be a UUID of 36 characters", name);
}

void
published_write_causation(struct buf *out, const struct id *cause)
{
	char text[ID_TEXT_SIZE];

	buf_printf(out, "\"causationid\":\"%s\"", id_text(cause, text));
}

static int
read_type(const struct cJSON *in, char *out, struct error *err)
{
	if (read_text(in, "type", NULL, out, PUBLISHED_NAME_SIZE, err) < 0)
		return -1;
	if (!out[0])
		return error_set(err, "type is empty");
	if (strncmp(out, "matapalo.", 9) == 0)
		return error_set(err, "types that begin with \"matapalo.\" "
				 "are reserved");
	return 0;
}

static int
read_members(const struct cJSON *in, struct published *p, struct error *err)
{
	if (read_type(in, p->type, err) < 0 ||
	    read_text(in, "subject", "", p->subject, sizeof(p->subject),
		      err) < 0 ||
	    read_text(in, "partitionkey", "", p->key, sizeof(p->key),
		      err) < 0)
		return -1;
	p->has_id = published_read_id(in, "id", &p->id, err);
	p->has_correlation = published_read_id(in, "correlationid",
					       &p->correlation_id, err);
	p->has_cause = published_read_id(in, "causationid", &p->cause, err);
	return p->has_id < 0 || p->has_correlation < 0 || p->has_cause < 0
		       ? -1
		       : 0;
}

static int
refuse(struct published *p, const char *code)
{
	p->code = code;
	return -1;
}

int
published_read(const struct cJSON *in, struct published *p, struct error *err)
{
	const struct cJSON *data = payload_member(in, "data");

	if (read_members(in, p, err) < 0)
		return refuse(p, "bad_request");
	if (data)
		payload_write(data, &p->data);
	if (p->has_cause)
		published_write_causation(&p->extensions, &p->cause);
	if (p->has_correlation)
		id_text(&p->correlation_id, p->correlation);
	if (p->data.failed || p->extensions.failed) {
		error_set(err, "the bus is out of memory");
		return refuse(p, "no_memory");
	}
	if (p->data.len <= DATA_BYTES_MAX)
		return 0;
	error_set(err, "data has %zu bytes, the limit is %u: store it "
		  "elsewhere and send its address", p->data.len,
		  DATA_BYTES_MAX);
	return refuse(p, "too_large");
}

void
published_fini(struct published *p)
{
	buf_fini(&p->data);
	buf_fini(&p->extensions);
}

void
published_event(const struct published *p, const struct bus_source *source,
		struct journal_event *e)
{
	*e = (struct journal_event){
		.id = p->has_id ? p->id : id_make(),
		.time_us = clock_wall_us(),
		.type = span_of(p->type),
		.source = span_of(source->source),
		.subject = span_of(p->subject),
		.correlation = span_of(p->correlation),
		.partition_key = span_of(p->key),
		.extensions = buf_span(&p->extensions),
		.data = buf_span(&p->data),
	};
}
