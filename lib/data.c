/* SPDX-License-Identifier: Apache-2.0 */
/* Data that was too large to come with its event. */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "lib/internal.h"

static enum matapalo_code
ask(struct matapalo_consumer *c, const char *reference, size_t offset,
    struct cJSON **answer, struct matapalo_error *err)
{
	struct buf request CLEANUP(buf_fini) = { 0 };
	struct json j;

	link_begin(&j, &request, "data");
	consumer_who(c, &j);
	link_text(&j, "dataref", reference);
	json_key(&j, "offset");
	json_u64(&j, offset);
	return link_call(&c->link, &j, 0, answer, err);
}

/* 1: there is more; 0: that was all; -1: no answer of a bus. */
static int
add_part(struct buf *all, const struct cJSON *answer)
{
	struct span part = span_of(payload_string(
		payload_member(answer, "part_base64"), ""));
	int64_t total = payload_int(payload_member(answer, "total"), -1);
	char *to = buf_reserve(all, part.len + 1);
	long n;

	if (!to)
		return 0;	/* the buf says why */
	n = base64_decode(part, to);
	if (n < 0 || total < (int64_t)all->len + n ||
	    (n == 0 && total > (int64_t)all->len))
		return -1;
	all->len += (size_t)n;
	return total > (int64_t)all->len;
}

static enum matapalo_code
fetch_parts(struct matapalo_consumer *c, const char *reference,
	    struct buf *all, struct matapalo_error *err)
{
	enum matapalo_code code;
	int more;

	do {
		struct cJSON *answer CLEANUP(payload_free) = NULL;

		code = ask(c, reference, all->len, &answer, err);
		if (code)
			return code;
		more = add_part(all, answer);
	} while (more > 0);
	if (more < 0)
		return fail(err, MATAPALO_PROTOCOL, "data: the answer has no "
			    "part of it");
	return MATAPALO_OK;
}

enum matapalo_code
matapalo_data(struct matapalo_consumer *c, const struct matapalo_event *e,
	      char **out, struct matapalo_error *err)
{
	const char *reference = matapalo_event_attribute(e, "dataref");
	struct buf all CLEANUP(buf_fini) = { 0 };
	enum matapalo_code code = MATAPALO_OK;

	*out = NULL;
	if (matapalo_event_data(e))
		buf_adds(&all, matapalo_event_data(e));
	else if (!reference)
		return fail(err, MATAPALO_USAGE, "the event has no data");
	else
		code = fetch_parts(c, reference, &all, err);
	if (code)
		return code;
	buf_addc(&all, '\0');
	if (all.failed)
		return fail(err, MATAPALO_NO_MEMORY, "no memory for the data");
	*out = buf_steal(&all, NULL);
	return MATAPALO_OK;
}
