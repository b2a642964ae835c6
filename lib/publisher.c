/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher: events that are on disk when it returns. */
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "lib/internal.h"

/* Requests under way at one time: a commit of the journal takes them
 * together. The bus has 256 places for all its clients. */
#define UNDER_WAY 64

struct matapalo_publisher {
	struct link link;
};

enum matapalo_code
matapalo_publisher_open(const struct matapalo_publisher_options *options,
			struct matapalo_publisher **out,
			struct matapalo_error *err)
{
	struct matapalo_publisher_options o = MATAPALO_PUBLISHER_OPTIONS;
	struct link_options link;
	struct matapalo_publisher *p;
	enum matapalo_code code;

	*out = NULL;
	if (!options || options->size < sizeof(options->size))
		return fail(err, MATAPALO_USAGE, "options: begin with "
			    "MATAPALO_PUBLISHER_OPTIONS");
	memcpy(&o, options, options->size < sizeof(o) ? options->size
						      : sizeof(o));
	p = calloc(1, sizeof(*p));
	if (!p)
		return fail(err, MATAPALO_NO_MEMORY, "no memory");
	link = (struct link_options){
		o.url, o.token,
		{ o.certificate, o.key, o.ca, o.server_name },
		o.connect_ms, o.call_ms
	};
	code = link_open(&p->link, &link, err);
	if (code)
		matapalo_publisher_close(&p);
	*out = p;
	return code;
}

void
matapalo_publisher_close(struct matapalo_publisher **pp)
{
	struct matapalo_publisher *p = *pp;

	if (!p)
		return;
	*pp = NULL;
	link_close(&p->link);
	free(p);
}

void
matapalo_id(char out[MATAPALO_ID_SIZE])
{
	struct id id = id_make();

	id_text(&id, out);
}

static enum matapalo_code
check(const struct matapalo_message *m, struct matapalo_error *err)
{
	struct error bad = { 0 };

	if (!m->type || !*m->type)
		return fail(err, MATAPALO_USAGE, "message: type is missing");
	for (size_t i = 0; i < ARRAY_SIZE(m->reserved); i++)
		if (m->reserved[i])
			return fail(err, MATAPALO_USAGE, "message: begin with "
				    "zeroes");
	if (m->data && payload_check(span_of(m->data), 1000, &bad))
		return fail(err, MATAPALO_USAGE, "message: data is not JSON: "
			    "%s", bad.text);
	return MATAPALO_OK;
}

/* The id is made here, so that a request that nng sends twice is one event. */
static enum matapalo_code
write_request(const struct matapalo_message *m, struct buf *request,
	      struct matapalo_error *err)
{
	char id[MATAPALO_ID_SIZE];
	enum matapalo_code code = check(m, err);
	struct json j;

	if (code)
		return code;
	matapalo_id(id);
	link_begin(&j, request, "publish");
	link_text(&j, "type", m->type);
	link_text(&j, "id", m->id ? m->id : id);
	link_text(&j, "subject", m->subject);
	link_text(&j, "partitionkey", m->partitionkey);
	link_text(&j, "correlationid", m->correlationid);
	link_text(&j, "causationid", m->causationid);
	if (m->data) {
		json_key(&j, "data");
		json_raw(&j, span_of(m->data));
	}
	json_object_end(&j);
	return request->failed ? fail(err, MATAPALO_NO_MEMORY, "no memory for "
				      "a request") : MATAPALO_OK;
}

/* One message of many on its way. */
struct flight {
	uint32_t ticket;
	size_t index;
};

struct flights {
	struct matapalo_publisher *p;
	struct flight ring[UNDER_WAY];
	size_t first, count;
	int64_t *sequences;
	struct matapalo_error *err;
	enum matapalo_code code;	/* the first that went wrong */
};

static void
note(struct flights *f, enum matapalo_code code,
     const struct matapalo_error *err)
{
	if (!code || f->code)
		return;
	f->code = code;
	if (f->err)
		*f->err = *err;
}

static void
take_off(struct flights *f, const struct matapalo_message *m, size_t index)
{
	struct buf request CLEANUP(buf_fini) = { 0 };
	struct matapalo_error err = { 0 };
	struct error failed = { 0 };
	struct flight *to = &f->ring[(f->first + f->count) % UNDER_WAY];

	note(f, write_request(m, &request, &err), &err);
	if (f->code)
		return;
	to->index = index;
	if (bus_client_send(f->p->link.client, buf_span(&request),
			    f->p->link.call_ms, &to->ticket, &failed))
		note(f, fail(&err, MATAPALO_UNREACHABLE, "%s", failed.text),
		     &err);
	else
		f->count++;
}

static void
land(struct flights *f)
{
	struct buf answer CLEANUP(buf_fini) = { 0 };
	struct cJSON *tree CLEANUP(payload_free) = NULL;
	struct matapalo_error err = { 0 };
	struct error failed = { 0 };
	struct flight from = f->ring[f->first];
	enum matapalo_code code;
	int rc;

	f->first = (f->first + 1) % UNDER_WAY;
	f->count--;
	rc = bus_client_receive(f->p->link.client, from.ticket,
				f->p->link.call_ms, &answer, &failed);
	code = link_answer(&answer, rc, &failed, &tree, &err);
	note(f, code, &err);
	if (!code && f->sequences)
		f->sequences[from.index] =
			payload_int(payload_member(tree, "sequence"), 0);
}

/* After the first failure nothing more is sent; what is under way is waited
 * for, so that the caller knows of each. */
enum matapalo_code
matapalo_publish_many(struct matapalo_publisher *p,
		      const struct matapalo_message *m, size_t count,
		      int64_t *sequences, struct matapalo_error *err)
{
	struct flights f = { .p = p, .sequences = sequences, .err = err };

	if (sequences)
		memset(sequences, 0, count * sizeof(*sequences));
	for (size_t i = 0; i < count && !f.code; i++) {
		if (f.count == UNDER_WAY)
			land(&f);
		if (!f.code)
			take_off(&f, &m[i], i);
	}
	while (f.count > 0)
		land(&f);
	return f.code;
}

enum matapalo_code
matapalo_publish(struct matapalo_publisher *p,
		 const struct matapalo_message *m, int64_t *sequence,
		 struct matapalo_error *err)
{
	return matapalo_publish_many(p, m, 1, sequence, err);
}
