/* SPDX-License-Identifier: Apache-2.0 */
/* The event that a program publishes: CloudEvents in JSON, member by member.
 * What has a column of its own in the journal goes there; the other
 * attributes are kept as text, those of base/attributes.def first. */
#include "base/base64.h"
#include "base/clock.h"
#include "bus/server.h"
#include "payload/payload.h"

#define DATA_BYTES_MAX (4u << 20)
/* Binary data and what programs name themselves stay with the event, which
 * has 64 KiB. */
#define BINARY_BYTES_MAX (32u << 10)
#define EXTENSIONS_MAX 32
#define EXTENSION_BYTES_MAX (8u << 10)
#define INTEGER_MAX 2147483647.0

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

/* ---- kinds of values ---- */

static bool
is_number(const struct cJSON *v)
{
	return !(payload_number(v, 0) < payload_number(v, 1));
}

static bool
is_bool(const struct cJSON *v)
{
	return payload_bool(v, false) == payload_bool(v, true);
}

static bool
is_null(const struct cJSON *v)
{
	return !payload_string(v, NULL) && !is_number(v) && !is_bool(v) &&
	       !payload_is_object(v) && !payload_is_array(v);
}

/* ---- what is in the table ---- */

static int
read_known(struct published *p, enum attribute a, const struct cJSON *value,
	   struct error *err)
{
	const struct attribute_row *row = attribute_row(a);
	const char *text = payload_string(value, NULL);

	if (row->giver == ATTRIBUTE_OWN)
		return error_set(err, "%s is set by matapalo: leave it out",
				 row->name);
	if (p->given[a].at)
		return error_set(err, "%s is there twice", row->name);
	if (!text)
		return error_set(err, "%s must be a string", row->name);
	p->given[a] = span_of(text);
	return attribute_check(a, p->given[a], err);
}

static int
check_type(const struct published *p, struct error *err)
{
	struct span type = p->given[ATTRIBUTE_TYPE];

	if (!type.at)
		return error_set(err, "type is missing");
	if (strncmp(type.at, "matapalo.", 9) == 0)
		return error_set(err, "types that begin with \"matapalo.\" "
				 "are reserved");
	return 0;
}

static void
write_known(struct published *p, struct json *j)
{
	for (int a = 0; a <= ATTRIBUTE_RECORDEDTIME; a++) {
		if (!p->given[a].at)
			continue;
		json_key(j, attribute_row((enum attribute)a)->name);
		json_span(j, p->given[a]);
	}
}

/* ---- what programs name themselves ---- */

static bool
is_before(const struct cJSON *in, const struct cJSON *end, const char *name)
{
	for (const struct cJSON *m = payload_first(in); m != end;
	     m = payload_next(m))
		if (strcmp(payload_name(m), name) == 0)
			return true;
	return false;
}

static bool
is_integer(double n)
{
	double rest;

	if (!(n >= -INTEGER_MAX - 1 && n <= INTEGER_MAX))
		return false;
	rest = n - (double)(int64_t)n;
	return !(rest < 0) && !(rest > 0);
}

static int
check_extension(const struct cJSON *in, const struct cJSON *m,
		struct error *err)
{
	const char *name = payload_name(m), *text = payload_string(m, NULL);
	double n = payload_number(m, 0.5);

	if (attribute_check_name(span_of(name), err) < 0)
		return -1;
	if (is_before(in, m, name))
		return error_set(err, "%s is there twice", name);
	if (text)
		return attribute_check_text(name, span_of(text), err);
	if (is_bool(m))
		return 0;
	if (is_integer(n))
		return 0;
	return error_set(err, "%s must be a string, a boolean or an integer "
			 "of 32 bits", name);
}

static void
write_extension(const struct cJSON *m, struct json *j)
{
	const char *text = payload_string(m, NULL);

	json_key(j, payload_name(m));
	if (text)
		json_str(j, text);
	else if (is_bool(m))
		json_bool(j, payload_bool(m, false));
	else
		json_i64(j, (int64_t)payload_number(m, 0));
}

/* ---- data ---- */

struct reading {
	enum published_in where;
	const struct cJSON *in, *data, *binary;
	struct span lifted;	/* see payload_lifted */
	struct span copied;	/* the text of data, or empty */
	struct json extensions;	/* those that are not in the table */
	struct buf text;
	unsigned count;
};

static int
refuse(struct published *p, const char *code)
{
	p->code = code;
	return -1;
}

static bool
is_text(const struct reading *r)
{
	return r->copied.len ? r->copied.at[0] == '"'
			     : payload_string(r->data, NULL) != NULL;
}

static int
check_data(const struct reading *r, struct published *p, struct error *err)
{
	struct span type = p->given[ATTRIBUTE_DATACONTENTTYPE];

	if (p->given[ATTRIBUTE_DATAREF].at)
		return error_set(err, "data and dataref: give only one");
	if (type.at && !attribute_is_json(type) && !is_text(r))
		return error_set(err, "data must be a string, as "
				 "datacontenttype is not JSON");
	return 0;
}

static int
write_data(const struct reading *r, struct published *p, struct error *err)
{
	p->data = r->copied;
	if (p->data.len == 0) {
		payload_write(r->data, &p->written);
		p->data = buf_span(&p->written);
	}
	if (p->data.len <= DATA_BYTES_MAX)
		return 0;
	error_set(err, "data has %zu bytes, the limit is %u: store it "
		  "elsewhere and send its address", p->data.len,
		  DATA_BYTES_MAX);
	return refuse(p, "too_large");
}

/* As text it stays beside the attributes: data is JSON everywhere else. */
static int
write_binary(struct published *p, const struct cJSON *value, struct json *j,
	     struct error *err)
{
	const char *text = payload_string(value, NULL);
	struct buf bytes = { 0 };
	size_t len = text ? strlen(text) : 0;
	char *to = buf_reserve(&bytes, len + 1);
	long n = text && to ? base64_decode(span_of(text), to) : -1;

	buf_fini(&bytes);
	if (n < 0)
		return error_set(err, "data_base64 must be a string of "
				 "base64");
	if (p->given[ATTRIBUTE_DATAREF].at)
		return error_set(err, "data_base64 and dataref: give only "
				 "one");
	if (n > BINARY_BYTES_MAX) {
		error_set(err, "data_base64 has %ld bytes, the limit is %u: "
			  "store it elsewhere and send its address as dataref",
			  n, BINARY_BYTES_MAX);
		return refuse(p, "too_large");
	}
	json_key(j, "data_base64");
	json_str(j, text);
	return 0;
}

/* ---- the whole ---- */

/* A request has members of its own around those of its event. */
static bool
is_request_member(enum published_in where, const char *name)
{
	return where == PUBLISHED_IN_REQUEST &&
	       (strcmp(name, "op") == 0 || strcmp(name, "token") == 0);
}

static int
read_data_member(struct reading *r, const struct cJSON *m, struct error *err)
{
	bool binary = strcmp(payload_name(m), "data_base64") == 0;
	const struct cJSON **to = binary ? &r->binary : &r->data;

	if (binary && is_null(m))
		return 0;
	if (r->binary || r->data)
		return error_set(err, "data and data_base64: give only one");
	*to = m;
	if (!binary && r->lifted.len > 0)
		r->copied = payload_lifted(m, r->lifted);
	return 0;
}

static int
read_member(struct reading *r, struct published *p, const struct cJSON *m,
	    struct error *err)
{
	const char *name = payload_name(m);
	enum attribute a = attribute_find(span_of(name));

	if (is_request_member(r->where, name))
		return 0;
	if (strcmp(name, "data") == 0 || strcmp(name, "data_base64") == 0)
		return read_data_member(r, m, err);
	if (r->where == PUBLISHED_IN_LIST && strcmp(name, "token") == 0)
		return error_set(err, "token belongs to the request, not to "
				 "an event");
	if (is_null(m))
		return 0;	/* as if it were not there */
	if (a != ATTRIBUTE_COUNT)
		return read_known(p, a, m, err);
	if (check_extension(r->in, m, err) < 0)
		return -1;
	if (++r->count > EXTENSIONS_MAX)
		return error_set(err, "more than %d extension attributes",
				 EXTENSIONS_MAX);
	write_extension(m, &r->extensions);
	return 0;
}

static int
read_members(struct reading *r, struct published *p, struct error *err)
{
	json_init(&r->extensions, &r->text);
	json_object_begin(&r->extensions);
	for (const struct cJSON *m = payload_first(r->in); m;
	     m = payload_next(m))
		if (read_member(r, p, m, err) < 0)
			return -1;
	json_object_end(&r->extensions);
	if (check_type(p, err) < 0)
		return -1;
	if (p->given[ATTRIBUTE_TRACESTATE].at &&
	    !p->given[ATTRIBUTE_TRACEPARENT].at)
		return error_set(err, "tracestate needs a traceparent");
	if (r->text.len > EXTENSION_BYTES_MAX)
		return error_set(err, "extension attributes have %zu bytes, "
				 "the limit is %u", r->text.len,
				 EXTENSION_BYTES_MAX);
	return r->data ? check_data(r, p, err) : 0;
}

static int
write_parts(struct reading *r, struct published *p, struct error *err)
{
	struct span more = encode_members(&r->text);
	struct json j;

	json_init(&j, &p->extensions);
	json_object_begin(&j);
	write_known(p, &j);
	if (more.len > 0)
		json_raw(&j, more);
	if (r->binary && write_binary(p, r->binary, &j, err) < 0)
		return -1;
	json_object_end(&j);
	return r->data ? write_data(r, p, err) : 0;
}

/* Texts that have been checked, as ids; in small letters from here on. */
static bool
take_id(struct span given, struct id *id)
{
	return given.at && id_parse(given.at, given.len, id) == 0;
}

int
published_read(const struct cJSON *in, enum published_in where,
	       struct span lifted, struct published *p, struct error *err)
{
	struct reading r = { .where = where, .in = in, .lifted = lifted };
	int rc = read_members(&r, p, err);

	if (rc == 0 && take_id(p->given[ATTRIBUTE_CAUSATIONID], &p->cause))
		p->given[ATTRIBUTE_CAUSATIONID] =
			span_of(id_text(&p->cause, p->causation));
	if (rc == 0 && take_id(p->given[ATTRIBUTE_CORRELATIONID],
			       &p->correlation_id))
		id_text(&p->correlation_id, p->correlation);
	p->has_id = rc == 0 && take_id(p->given[ATTRIBUTE_ID], &p->id);
	if (rc == 0)
		rc = write_parts(&r, p, err);
	if (rc < 0 && !p->code)
		p->code = "bad_request";
	if (rc == 0 &&
	    (p->written.failed || p->extensions.failed || r.text.failed)) {
		error_set(err, "the bus is out of memory");
		rc = refuse(p, "no_memory");
	}
	buf_fini(&r.text);
	return rc;
}

void
published_fini(struct published *p)
{
	buf_fini(&p->written);
	buf_fini(&p->extensions);
}

/* An event is told from others by its source and its id together. */
struct id
published_key(const struct published *p)
{
	static const uint8_t no_secret[16];
	struct span source = p->given[ATTRIBUTE_SOURCE];
	struct id key = p->id;
	uint64_t h;

	if (!source.at)
		return key;
	h = digest_hash64(no_secret, source.at, source.len);
	for (size_t i = 0; i < sizeof(key.bytes); i++)
		key.bytes[i] ^= (uint8_t)(h >> i % 8 * 8);
	return key;
}

static struct span
or_nothing(struct span given)
{
	return given.at ? given : (struct span){ "", 0 };
}

void
published_event(const struct published *p, const struct bus_source *source,
		struct journal_event *e)
{
	const struct span *given = p->given;

	*e = (struct journal_event){
		.id = p->has_id ? p->id : id_make(),
		.time_us = clock_wall_us(),
		.type = given[ATTRIBUTE_TYPE],
		.source = given[ATTRIBUTE_SOURCE].at
				  ? given[ATTRIBUTE_SOURCE]
				  : span_of(source->source),
		.subject = or_nothing(given[ATTRIBUTE_SUBJECT]),
		.correlation = span_of(p->correlation),
		.partition_key = or_nothing(given[ATTRIBUTE_PARTITIONKEY]),
		.extensions = encode_members(&p->extensions),
		.data = p->data,
	};
}
