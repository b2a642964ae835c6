/* SPDX-License-Identifier: Apache-2.0 */
/* What a program says of its event, as the bus takes it. The bus judges what
 * attributes say; here is only what would not reach it as it was meant. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/internal.h"

/* Members of a request, or of the message. */
static bool
is_taken(const char *name)
{
	static const char *const names[] = { "op", "token", "events", "each",
					     "data", "data_base64" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static bool
is_integer(const char *text)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	return end != text && !*end && !errno && v >= INT32_MIN &&
	       v <= INT32_MAX;
}

static enum matapalo_code
check_attribute(const struct matapalo_attribute *a,
		struct matapalo_error *err)
{
	if (is_taken(a->name))
		return fail(err, MATAPALO_USAGE, "message: %s is no attribute",
			    a->name);
	if (!a->value)
		return MATAPALO_OK;
	switch (a->type) {
	case MATAPALO_STRING:
		return MATAPALO_OK;
	case MATAPALO_INTEGER:
		if (is_integer(a->value))
			return MATAPALO_OK;
		return fail(err, MATAPALO_USAGE, "message: %s must be an "
			    "integer of 32 bits", a->name);
	case MATAPALO_BOOLEAN:
		if (!strcmp(a->value, "true") || !strcmp(a->value, "false"))
			return MATAPALO_OK;
		return fail(err, MATAPALO_USAGE, "message: %s must be \"true\" "
			    "or \"false\"", a->name);
	}
	return fail(err, MATAPALO_USAGE, "message: %s has no type of "
		    "attributes", a->name);
}

enum matapalo_code
message_check(const struct matapalo_message *m, struct matapalo_error *err)
{
	const struct matapalo_attribute *a = m->attributes;
	enum matapalo_code code = MATAPALO_OK;
	struct error bad = { 0 };

	if (!m->type || !*m->type)
		return fail(err, MATAPALO_USAGE, "message: type is missing");
	for (size_t i = 0; i < ARRAY_SIZE(m->reserved); i++)
		if (m->reserved[i])
			return fail(err, MATAPALO_USAGE, "message: begin with "
				    "zeroes");
	if (m->data && m->data_base64)
		return fail(err, MATAPALO_USAGE, "message: data and "
			    "data_base64: give only one");
	if (m->data && payload_check(span_of(m->data), 1000, &bad))
		return fail(err, MATAPALO_USAGE, "message: data is not JSON: "
			    "%s", bad.text);
	for (; a && a->name && !code; a++)
		code = check_attribute(a, err);
	return code;
}

static void
write_attribute(struct json *j, const struct matapalo_attribute *a)
{
	if (!a->value)
		return;
	json_key(j, a->name);
	switch (a->type) {
	case MATAPALO_STRING:
		json_str(j, a->value);
		return;
	case MATAPALO_INTEGER:
		json_i64(j, strtoll(a->value, NULL, 10));
		return;
	case MATAPALO_BOOLEAN:
		json_bool(j, strcmp(a->value, "true") == 0);
		return;
	}
}

static const char *
first_of(const char *given, const char *other)
{
	return given ? given : other;
}

static bool
has_attribute(const struct matapalo_message *m, const char *name)
{
	const struct matapalo_attribute *a = m->attributes;

	for (; a && a->name; a++)
		if (a->value && strcmp(a->name, name) == 0)
			return true;
	return false;
}

/* Everything that follows from one request has its correlation id. */
static void
write_cause(const struct matapalo_message *m, struct json *j)
{
	const struct matapalo_event *e = m->cause;
	const char *id = e ? matapalo_event_attribute(e, "id") : NULL;
	const char *correlation =
		e ? matapalo_event_attribute(e, "correlationid") : NULL;

	link_text(j, "correlationid",
		  first_of(m->correlationid, first_of(correlation, id)));
	link_text(j, "causationid", first_of(m->causationid, id));
	if (!e || has_attribute(m, "traceparent"))
		return;
	link_text(j, "traceparent",
		  matapalo_event_attribute(e, "traceparent"));
	link_text(j, "tracestate",
		  matapalo_event_attribute(e, "tracestate"));
}

/* The id is made here, so that a request that nng sends twice is one event. */
void
message_write(const struct matapalo_message *m, struct json *j)
{
	const struct matapalo_attribute *a = m->attributes;
	char id[MATAPALO_ID_SIZE];

	if (!m->id)
		matapalo_id(id);
	link_text(j, "type", m->type);
	link_text(j, "id", m->id ? m->id : id);
	link_text(j, "subject", m->subject);
	link_text(j, "partitionkey", m->partitionkey);
	write_cause(m, j);
	for (; a && a->name; a++)
		write_attribute(j, a);
	link_text(j, "data_base64", m->data_base64);
	if (m->data) {
		json_key(j, "data");
		json_raw(j, span_of(m->data));
	}
}
