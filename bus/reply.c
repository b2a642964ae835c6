/* SPDX-License-Identifier: Apache-2.0 */
/* Replies: as the waiting request needs them, and as the event is stored. */
#include <stdlib.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/invariant.h"
#include "bus/server.h"
#include "payload/payload.h"

/* As much of a body as is kept of any exchange. */
#define STORED_BYTES_MAX (64u << 10)
/* Of a head, as from an upstream. */
#define FIELDS_MAX 256u
#define FIELD_BYTES_MAX (64u << 10)

/* Framing and connection are the proxy's own business. */
static const char *const dropped[] = {
	"connection", "content-length", "keep-alive", "proxy-connection", "te",
	"trailer", "transfer-encoding", "upgrade",
};

static bool
is_listed(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (*list) {
		list += strspn(list, ", \t");
		if (strncasecmp(list, name, n) == 0 &&
		    strchr(", \t", list[n]))
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

/* RFC 9110 7.6.1: what Connection names was meant for the hop to us. */
static bool
is_named_by(const struct cJSON *connection, const char *name)
{
	if (!payload_is_array(connection))
		return is_listed(payload_string(connection, ""), name);
	for (const struct cJSON *v = payload_first(connection); v;
	     v = payload_next(v))
		if (is_listed(payload_string(v, ""), name))
			return true;
	return false;
}

static bool
is_dropped(const struct cJSON *headers, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
		if (strcasecmp(name, dropped[i]) == 0)
			return true;
	for (const struct cJSON *h = payload_first(headers); h;
	     h = payload_next(h))
		if (strcasecmp(payload_name(h), "connection") == 0 &&
		    is_named_by(h, name))
			return true;
	return false;
}

/* RFC 9110 5.6.2. */
static bool
is_token(const char *s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	if (!*s)
		return false;
	for (; *s; s++)
		if (!(*s >= '0' && *s <= '9') && !(*s >= 'A' && *s <= 'Z') &&
		    !(*s >= 'a' && *s <= 'z') && !strchr(others, *s))
			return false;
	return true;
}

/* RFC 9110 5.5: a line end in a value would be a header of its own. */
static bool
is_field_value(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' && *s != '\t')
			return false;
		else if (*s == 0x7f)
			return false;
	return true;
}

/* ---- headers: visited twice, to measure and to copy ---- */

struct fields {
	struct message_field *at;	/* NULL: only measure */
	char *text;
	size_t count, bytes;
	bool has_type;
};

static struct span
copy(struct fields *f, struct span s)
{
	f->bytes += s.len;
	if (!f->at)
		return s;
	memcpy(f->text, s.at, s.len);
	f->text += s.len;
	return (struct span){ f->text - s.len, s.len };
}

static void
add_field(struct fields *f, const char *name, const char *value)
{
	struct span n = copy(f, span_of(name));
	struct span v = copy(f, span_trim(span_of(value)));

	if (f->at)
		f->at[f->count] = (struct message_field){ n, v };
	f->count++;
	f->has_type |= strcasecmp(name, "content-type") == 0;
}

static int
add_value(struct fields *f, const char *name, const struct cJSON *value,
	  struct error *err)
{
	const char *text = payload_string(value, NULL);

	if (!text || !is_field_value(text))
		return error_set(err, "headers.%s must be a string without "
				 "control characters, or a list of such",
				 name);
	add_field(f, name, text);
	return 0;
}

static int
add_header(struct fields *f, const struct cJSON *headers,
	   const struct cJSON *header, struct error *err)
{
	const char *name = payload_name(header);

	if (!is_token(name))
		return error_set(err, "headers: \"%.60s\" is no field name",
				 name);
	if (is_dropped(headers, name))
		return 0;
	if (!payload_is_array(header))
		return add_value(f, name, header, err);
	for (const struct cJSON *v = payload_first(header); v;
	     v = payload_next(v))
		if (add_value(f, name, v, err) < 0)
			return -1;
	return 0;
}

static int
visit_headers(struct fields *f, const struct cJSON *in, bool is_json,
	      struct error *err)
{
	const struct cJSON *headers = payload_member(in, "headers");

	if (headers && !payload_is_object(headers))
		return error_set(err, "headers must be an object");
	for (const struct cJSON *h = payload_first(headers); h;
	     h = payload_next(h))
		if (add_header(f, headers, h, err) < 0)
			return -1;
	if (is_json && !f->has_type)
		add_field(f, "content-type", "application/json");
	if (f->count > FIELDS_MAX || f->bytes > FIELD_BYTES_MAX)
		return error_set(err, "headers has %zu lines and %zu bytes, "
				 "the limits are %u and %u", f->count,
				 f->bytes, FIELDS_MAX, FIELD_BYTES_MAX);
	return 0;
}

/* ---- body ---- */

static int
decode_body(const char *text, struct buf *out, struct error *err)
{
	struct span s = span_of(text);
	char *to = buf_reserve(out, s.len / 4 * 3 + 3);
	long n = to ? base64_decode(s, to) : -1;

	if (n < 0)
		return error_set(err, "body_base64 is not base64 (RFC 4648 "
				 "section 4, with padding)");
	out->len += (size_t)n;
	return 0;
}

/* One of body, body_base64 and json, or none. */
static int
read_body(const struct cJSON *in, struct buf *out, bool *is_json,
	  struct error *err)
{
	const struct cJSON *text = payload_member(in, "body");
	const struct cJSON *bytes = payload_member(in, "body_base64");
	const struct cJSON *json = payload_member(in, "json");

	*is_json = json;
	if (!!text + !!bytes + !!json > 1)
		return error_set(err, "only one of body, body_base64 and json "
				 "may be given");
	if (text && !payload_string(text, NULL))
		return error_set(err, "body must be a string");
	if (bytes && !payload_string(bytes, NULL))
		return error_set(err, "body_base64 must be a string");
	if (text)
		buf_adds(out, payload_string(text, ""));
	if (json)
		payload_write(json, out);
	if (bytes && decode_body(payload_string(bytes, ""), out, err) < 0)
		return -1;
	return out->failed ? error_set(err, "no memory for the body") : 0;
}

/* ---- the whole ---- */

static struct bus_reply *
build(const struct cJSON *in, const struct fields *size, struct span body,
      bool is_json)
{
	size_t list = size->count * sizeof(struct message_field);
	struct bus_reply *r = malloc(sizeof(*r) + list + size->bytes +
				     body.len + 1);
	struct fields f = { 0 };

	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	r->fields = f.at = (struct message_field *)(void *)(r + 1);
	f.text = (char *)(r + 1) + list;
	(void)visit_headers(&f, in, is_json, NULL);
	r->field_count = f.count;
	if (body.len > 0)
		memcpy(f.text, body.at, body.len);
	r->body = (struct span){ f.text, body.len };
	return r;
}

static int
read_status(const struct cJSON *in, int *status, struct error *err)
{
	const struct cJSON *m = payload_member(in, "status");
	int64_t v = payload_int(m, m ? -1 : 200);

	/* An interim response cannot be the end of an exchange. */
	if (v < 200 || v > 599)
		return error_set(err, "status must be a number from 200 to "
				 "599");
	*status = (int)v;
	return 0;
}

struct bus_reply *
reply_parse(const struct cJSON *in, struct error *err)
{
	CLEANUP(buf_fini) struct buf body = { 0 };
	struct fields size = { 0 };
	struct bus_reply *r;
	bool is_json;
	int status = 0;

	if (read_status(in, &status, err) < 0 ||
	    read_body(in, &body, &is_json, err) < 0 ||
	    visit_headers(&size, in, is_json, err) < 0)
		return NULL;
	r = build(in, &size, buf_span(&body), is_json);
	if (r)
		r->status = status;
	else
		error_set(err, "no memory for the reply");
	return r;
}

void
bus_reply_free(struct bus_reply **r)
{
	free(*r);
	*r = NULL;
}

/* ---- as an event ---- */

static void
digest_body(struct bus_body *body, struct span all)
{
	struct digest_stream *s = digest_stream_new();

	if (!s)
		return;
	digest_stream_add(s, all.at, all.len);
	digest_stream_end(s, body->digest);
	digest_stream_free(&s);
}

static struct bus_body
body_of(const struct bus_reply *r)
{
	struct bus_body b = { .bytes = r->body, .true_bytes = r->body.len };

	if (b.bytes.len <= STORED_BYTES_MAX)
		return b;
	b.bytes.len = STORED_BYTES_MAX;
	b.truncated = true;
	digest_body(&b, r->body);
	return b;
}

static void
write_by(struct json *j, const struct reply_by *by)
{
	char given[CLOCK_RFC3339_SIZE];

	if (!by->group)
		return;
	json_key(j, "by");
	json_object_begin(j);
	json_key(j, "group");
	json_str(j, by->group);
	json_key(j, "consumer");
	json_str(j, by->consumer);
	json_key(j, "attempt");
	json_u64(j, by->lease.attempt);
	json_key(j, "given");
	json_str(j, clock_rfc3339(by->lease.given_us, given));
	json_object_end(j);
}

int
reply_write_data(struct bus *b, const struct bus_reply *r,
		 const struct reply_by *by, struct buf *out)
{
	CLEANUP(buf_fini) struct buf work = { 0 };
	struct message_fields fields = { r->fields, r->field_count };
	struct bus_body body = body_of(r);
	struct encode_secrets how = { .key = b->source->key, .work = &work };
	struct json j;

	buf_printf(out, "%*s", REPLY_ROOM, "");
	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "status");
	json_i64(&j, r->status);
	write_by(&j, by);
	json_key(&j, "headers");
	pthread_mutex_lock(&b->redact_lock);
	how.redact = &b->redact;
	encode_headers(&j, &how, fields);
	encode_body(&j, &how, fields, &body, ENCODE_BODY_ONLY);
	pthread_mutex_unlock(&b->redact_lock);
	json_object_end(&j);
	return out->failed ? -1 : 0;
}

size_t
reply_bytes(const struct bus_reply *r)
{
	size_t n = r->body.len;

	for (size_t i = 0; i < r->field_count; i++)
		n += r->fields[i].name.len + r->fields[i].value.len;
	return n;
}

/* ---- what to replace ---- */

static void
list_free(const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((void *)(uintptr_t)list[i]);
	free((void *)(uintptr_t)list);
}

/* Without memory the list is shorter, so a failure is an invariant: secrets
 * must not slip through. */
static const char *const *
list_copy(const char *const *list, size_t n)
{
	char **out = calloc(n + 1, sizeof(*out));

	INVARIANT(out);
	for (size_t i = 0; i < n; i++) {
		out[i] = strdup(list[i]);
		INVARIANT(out[i]);
	}
	return (const char *const *)out;
}

void
bus_set_redact(struct bus *bus, const struct redact *r)
{
	struct redact old, copy = { 0 };

	if (r)
		copy = (struct redact){
			list_copy(r->headers, r->header_count),
			r->header_count,
			list_copy(r->query, r->query_count), r->query_count,
			list_copy(r->json, r->json_count), r->json_count };
	pthread_mutex_lock(&bus->redact_lock);
	old = bus->redact;
	bus->redact = copy;
	pthread_mutex_unlock(&bus->redact_lock);
	list_free(old.headers, old.header_count);
	list_free(old.query, old.query_count);
	list_free(old.json, old.json_count);
}
