/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded exchanges of a part of the journal, in their order. */
#include "console/recorded.h"

#include <string.h>

#include "console/reading.h"
#include "console/value.h"

#define SCAN_ROWS 20000

static int
find_range(struct recorded *r, const struct command_call *call,
	   struct error *err)
{
	struct value_place from = { .sequence = 1 }, to = { 0 };
	const char *begin = call->values[OPTION_FROM];
	const char *end = call->values[OPTION_TO];
	int64_t last = 0;

	if (begin && value_place(begin, &from, err))
		return error_context(err, "--from");
	if (end && value_place(end, &to, err))
		return error_context(err, "--to");
	if (journal_read_last_sequence(r->reader, &last) < 0 ||
	    (from.time_us && journal_find_time(r->reader, from.time_us,
					       &from.sequence) < 0))
		return error_set(err, "the journal cannot be read");
	r->since_us = from.time_us;
	r->until_us = to.time_us;
	r->after = from.is_newest ? last - 1 : from.sequence - 1;
	if (r->after < 0)
		r->after = 0;
	r->upto = to.sequence > 0 && to.sequence < last ? to.sequence : last;
	return 0;
}

int
recorded_open(struct recorded *r, const struct command_call *call,
	      struct error *err)
{
	r->reader = reading_open(call, err);
	return r->reader ? find_range(r, call, err) : -1;
}

void
recorded_close(struct recorded *r)
{
	journal_reader_close(&r->reader);
}

struct taking {
	struct recorded *r;
	void (*fn)(void *arg, struct shadow_exchange *x);
	void *arg;
	size_t left;
};

static bool
on_row(void *arg, const struct journal_row *row)
{
	struct taking *t = arg;
	struct recorded *r = t->r;
	struct shadow_exchange *x;

	if (row->sequence > r->upto)
		return false;
	if ((r->since_us && row->time_us < r->since_us) ||
	    (r->until_us && row->time_us >= r->until_us))
		return true;
	x = shadow_exchange_decode(row, NULL);
	r->unreadable += !x;
	if (x) {
		t->fn(t->arg, x);
		t->left--;
	}
	return t->left > 0;
}

int
recorded_next(struct recorded *r, size_t max,
	      void (*fn)(void *arg, struct shadow_exchange *x), void *arg,
	      struct error *err)
{
	static const struct journal_filter filter = {
		.type = "matapalo.exchange.v1"
	};
	struct taking t = { r, fn, arg, max };

	if (r->after >= r->upto || max == 0)
		return r->after < r->upto;
	if (journal_read(r->reader, r->after, &filter, SCAN_ROWS, SCAN_ROWS,
			 on_row, &t, &r->after) < 0)
		return error_set(err, "the journal cannot be read after event "
				 "%lld", (long long)r->after);
	return r->after < r->upto;
}

void
recorded_request(const struct shadow_exchange *x, struct message_request *req)
{
	const char *path = x->target, *query;

	if (*path != '/' && strstr(path, "://")) {
		path = strstr(path, "://") + 3;
		path += strcspn(path, "/?");
	}
	query = strchr(path, '?');
	*req = (struct message_request){
		.method = span_of(x->method),
		.target = span_of(x->target),
		.path = { path, strcspn(path, "?") },
		.query = query ? span_of(query + 1) : SPAN_LITERAL(""),
		.host = span_of(x->host),
		.client = span_of(x->client),
		.fields = shadow_side_fields(&x->request),
	};
}
