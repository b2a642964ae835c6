/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher: events that are on disk when it returns. */
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "lib/internal.h"

/* Of one request: the bus takes 1000 events, and frames of 16 MiB; one event
 * may have data of 4 MiB. */
#define LIST_MAX 1000
#define LIST_BYTES (4u << 20)

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

enum matapalo_code
matapalo_publish(struct matapalo_publisher *p,
		 const struct matapalo_message *m, int64_t *sequence,
		 struct matapalo_error *err)
{
	struct buf request CLEANUP(buf_fini) = { 0 };
	struct cJSON *tree CLEANUP(payload_free) = NULL;
	enum matapalo_code code = message_check(m, err);
	struct json j;

	if (sequence)
		*sequence = 0;
	if (code)
		return code;
	link_begin(&j, &request, "publish");
	message_write(m, &j);
	code = link_call(&p->link, &j, 0, &tree, err);
	if (!code && sequence)
		*sequence = payload_int(payload_member(tree, "sequence"), 0);
	return code;
}

/* ---- lists ---- */

/* A part of the messages that goes with one request. */
struct part {
	const struct matapalo_message *at;
	size_t from, count;	/* of all messages */
	int64_t *sequences;	/* of all, or NULL */
};

/* The list's own id: nng may send the request again while it is stored. */
static void
write_list(struct part *part, size_t all, struct json *j, struct buf *request)
{
	char id[MATAPALO_ID_SIZE];

	matapalo_id(id);
	link_begin(j, request, "publish");
	link_text(j, "id", id);
	json_key(j, "each");
	json_bool(j, true);
	json_key(j, "events");
	json_array_begin(j);
	part->count = 0;
	while (part->from + part->count < all && part->count < LIST_MAX &&
	       request->len < LIST_BYTES) {
		json_object_begin(j);
		message_write(&part->at[part->from + part->count++], j);
		json_object_end(j);
	}
	json_array_end(j);
}

/* The first of those that were refused, in the order of the messages. */
static enum matapalo_code
take_errors(const struct part *part, const struct cJSON *errors,
	    struct matapalo_error *err)
{
	const struct cJSON *first = NULL;
	int64_t least = INT64_MAX;

	for (const struct cJSON *i = payload_first(errors); i;
	     i = payload_next(i)) {
		int64_t at = payload_int(payload_member(i, "index"), 0);

		if (at < least) {
			least = at;
			first = i;
		}
	}
	if (!first)
		return MATAPALO_OK;
	return link_refusal(payload_string(payload_member(first, "code"), ""),
			    err, "message %zu: the bus refuses: %s",
			    part->from + (size_t)least,
			    payload_string(payload_member(first, "message"),
					   ""));
}

static enum matapalo_code
take_answers(const struct part *part, const struct cJSON *tree,
	     struct matapalo_error *err)
{
	const struct cJSON *list = payload_member(tree, "sequences");
	size_t n = 0;

	for (const struct cJSON *i = payload_first(list); i;
	     i = payload_next(i), n++)
		if (n < part->count && part->sequences)
			part->sequences[part->from + n] = payload_int(i, 0);
	if (n != part->count)
		return fail(err, MATAPALO_PROTOCOL, "the answer is not one of "
			    "a bus as new as this library");
	return take_errors(part, payload_member(tree, "errors"), err);
}

static enum matapalo_code
publish_part(struct matapalo_publisher *p, struct part *part, size_t all,
	     struct matapalo_error *err)
{
	struct buf request CLEANUP(buf_fini) = { 0 };
	struct cJSON *tree CLEANUP(payload_free) = NULL;
	enum matapalo_code code;
	struct json j;

	write_list(part, all, &j, &request);
	code = link_call(&p->link, &j, 0, &tree, err);
	return code ? code : take_answers(part, tree, err);
}

enum matapalo_code
matapalo_publish_many(struct matapalo_publisher *p,
		      const struct matapalo_message *m, size_t count,
		      int64_t *sequences, struct matapalo_error *err)
{
	struct part part = { .at = m, .sequences = sequences };
	enum matapalo_code code = MATAPALO_OK;

	if (sequences)
		memset(sequences, 0, count * sizeof(*sequences));
	for (size_t i = 0; i < count && !code; i++)
		code = message_check(&m[i], err);
	for (; part.from < count && !code; part.from += part.count)
		code = publish_part(p, &part, count, err);
	return code;
}
