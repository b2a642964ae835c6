/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on legal holds. Each is answered once it is on disk. */
#include <stdlib.h>

#include "base/clock.h"
#include "bus/server.h"
#include "payload/payload.h"

#define NAME_SIZE 129
#define TEXT_SIZE 513

struct hold_request {
	struct journal_item item;	/* first */
	struct call *call;
	struct journal_hold hold;	/* lends the texts below */
	char name[NAME_SIZE];
	char type[TEXT_SIZE], subject[TEXT_SIZE], reason[TEXT_SIZE];
	/* what to say when it is refused */
	const char *refused_code, *refused_words;
};

/* ---- on the journal's thread ---- */

static int
add_apply(struct journal_item *item, struct journal_tx *tx)
{
	const struct hold_request *r = (const struct hold_request *)item;

	return journal_tx_hold_add(tx, &r->hold);
}

static int
remove_apply(struct journal_item *item, struct journal_tx *tx)
{
	const struct hold_request *r = (const struct hold_request *)item;

	return journal_tx_hold_remove(tx, r->name);
}

static void
request_done(struct journal_item *item, enum journal_status status)
{
	struct hold_request *r = (struct hold_request *)item;
	struct call *c = r->call;

	if (item->refused) {
		call_error(c, r->refused_code, r->refused_words, r->name);
	} else if (status == JOURNAL_COMMITTED) {
		call_begin(c);
		json_key(&c->json, "name");
		json_str(&c->json, r->name);
		call_end(c);
	} else {
		call_error(c, "unavailable", "the journal cannot write now; "
			   "send the request again later");
	}
	free(r);
	call_send(c);
}

static const struct journal_item_ops add_ops = {
	.apply = add_apply, .done = request_done };
static const struct journal_item_ops remove_ops = {
	.apply = remove_apply, .done = request_done };

/* ---- members ---- */

static int
read_time(const struct cJSON *in, const char *name, int64_t *us,
	  struct error *err)
{
	const struct cJSON *m = payload_member(in, name);

	*us = 0;
	if (!m)
		return 0;
	if (clock_parse_rfc3339(payload_string(m, ""), us) == 0)
		return 0;
	return error_set(err, "%s must be a time, such as "
			 "2026-01-02T03:04:05Z", name);
}

static int
read_hold(const struct cJSON *in, struct hold_request *r, struct error *err)
{
	struct journal_hold *h = &r->hold;

	*h = (struct journal_hold){ .name = r->name, .type = r->type,
				    .subject = r->subject,
				    .reason = r->reason };
	if (read_count(in, "from", 0, INT64_MAX, &h->first, err) < 0 ||
	    read_count(in, "to", 0, INT64_MAX, &h->last, err) < 0 ||
	    read_time(in, "since", &h->since_us, err) < 0 ||
	    read_time(in, "until", &h->until_us, err) < 0 ||
	    read_text(in, "type", "", r->type, sizeof(r->type), err) < 0 ||
	    read_text(in, "subject", "", r->subject, sizeof(r->subject),
		      err) < 0 ||
	    read_text(in, "reason", "", r->reason, sizeof(r->reason),
		      err) < 0)
		return -1;
	if (h->last && h->last < h->first)
		return error_set(err, "to is before from");
	if (h->until_us && h->until_us < h->since_us)
		return error_set(err, "until is before since");
	return 0;
}

static int
read_name(const struct cJSON *in, struct hold_request *r, struct error *err)
{
	if (read_text(in, "name", NULL, r->name, sizeof(r->name), err) < 0)
		return -1;
	return r->name[0] ? 0 : error_set(err, "name is empty");
}

/* ---- the operations ---- */

/* The last thing that touches the call: its answer may be under way before
 * this returns. */
static enum call_result
post(struct call *c, struct hold_request *r,
     const struct journal_item_ops *ops)
{
	r->item.ops = ops;
	r->item.urgent = true;
	r->call = c;
	journal_post(c->server->bus->journal, &r->item);
	return CALL_LATER;
}

static enum call_result
bad(struct call *c, struct hold_request *r, const struct error *err)
{
	free(r);
	return call_error(c, "bad_request", "%s", err->text);
}

enum call_result
op_hold_add(struct call *c, const struct cJSON *in)
{
	struct hold_request *r = calloc(1, sizeof(*r));
	struct error err = { 0 };

	if (!r)
		return call_error(c, "no_memory", "the bus is out of memory");
	if (read_name(in, r, &err) < 0 || read_hold(in, r, &err) < 0)
		return bad(c, r, &err);
	r->refused_code = "exists";
	r->refused_words = "there is another hold \"%s\"; holds are not "
			   "changed: choose another name, or remove it";
	return post(c, r, &add_ops);
}

enum call_result
op_hold_remove(struct call *c, const struct cJSON *in)
{
	struct hold_request *r = calloc(1, sizeof(*r));
	struct error err = { 0 };

	if (!r)
		return call_error(c, "no_memory", "the bus is out of memory");
	if (read_name(in, r, &err) < 0)
		return bad(c, r, &err);
	r->refused_code = "unknown_hold";
	r->refused_words = "there is no hold \"%s\"";
	return post(c, r, &remove_ops);
}
