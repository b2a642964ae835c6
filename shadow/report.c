/* SPDX-License-Identifier: Apache-2.0 */
/* The sums and single verdicts, read from a journal that somebody may be
 * writing to. */
#include "shadow/report.h"

#include <stdio.h>
#include <stdlib.h>

#define TALLY_SPACE "shadow.tally"
#define READ_AT_ONCE 1000

static const struct journal_filter verdicts = {
	.type = SHADOW_VERDICT_TYPE,
};

/* ---- sums ---- */

static void
on_sum(void *arg, const char *key, struct span value)
{
	shadow_tally_load(arg, key, value);
}

static bool
on_verdict(void *arg, const struct journal_row *row)
{
	struct shadow_verdict v;
	char correlation[ID_TEXT_SIZE];

	if (shadow_verdict_read(row->data, &v) != 0)
		return true;
	v.time_us = row->time_us;
	snprintf(correlation, sizeof(correlation), "%.*s",
		 (int)row->correlation.len, row->correlation.at);
	shadow_tally_add(arg, &v, correlation, row->sequence);
	return true;
}

/* All verdicts after a sequence; fn returns false to stop. */
static int
read_verdicts(struct journal_reader *r, int64_t after,
	      bool (*fn)(void *arg, const struct journal_row *row), void *arg,
	      struct error *err)
{
	int64_t last;

	if (journal_read_last_sequence(r, &last) != 0)
		return error_set(err, "the journal cannot be read");
	while (after < last) {
		int64_t scanned = after;

		if (journal_read(r, after, &verdicts, READ_AT_ONCE,
				 READ_AT_ONCE, fn, arg, &scanned) < 0)
			return error_set(err, "verdicts cannot be read");
		if (scanned <= after)
			break;
		after = scanned;
	}
	return 0;
}

int
shadow_report_read(struct journal_reader *r, struct shadow_tally *t,
		   struct error *err)
{
	if (journal_read_state(r, TALLY_SPACE, on_sum, t) != 0)
		return error_set(err, "the shadow's sums cannot be read");
	return read_verdicts(r, shadow_tally_sequence(t), on_verdict, t, err);
}

static void
on_noise(void *arg, const char *key, struct span value)
{
	shadow_noise_load(arg, key, value);
}

int
shadow_report_noise(struct journal_reader *r, struct shadow_noise *n,
		    struct error *err)
{
	if (journal_read_state(r, SHADOW_NOISE_SPACE, on_noise, n) != 0)
		return error_set(err, "what was learned of noise cannot be "
				 "read");
	return 0;
}

/* ---- one verdict ---- */

static void
read_answer(struct shadow_case *c)
{
	const struct cJSON *answer = payload_member(c->data, "answer");

	if (!payload_is_object(answer))
		return;
	c->status = (int)payload_int(payload_member(answer, "status"), 0);
	c->has_answer = shadow_side_decode(answer, &c->answer, NULL) == 0;
}

static bool
take_verdict(void *arg, const struct journal_row *row)
{
	struct shadow_case *c = arg;

	shadow_case_fini(c);
	c->data = payload_parse(row->data, NULL);
	if (!c->data || shadow_verdict_read(row->data, &c->v) != 0)
		return true;
	c->sequence = row->sequence;
	c->v.time_us = row->time_us;
	snprintf(c->correlation, sizeof(c->correlation), "%.*s",
		 (int)row->correlation.len, row->correlation.at);
	read_answer(c);
	return true;
}

static bool
take_exchange(void *arg, const struct journal_row *row)
{
	struct shadow_case *c = arg;

	c->x = shadow_exchange_decode(row, NULL);
	return false;
}

int
shadow_case_at(struct journal_reader *r, int64_t sequence,
	       struct shadow_case *c, struct error *err)
{
	memset(c, 0, sizeof(*c));
	if (journal_read_one(r, sequence, take_verdict, c) < 0)
		return error_set(err, "the journal cannot be read");
	if (!c->sequence)
		return error_set(err, "event %lld is no verdict (any more)",
				 (long long)sequence);
	if (c->v.exchange_sequence &&
	    journal_read_one(r, c->v.exchange_sequence, take_exchange, c) < 0)
		return error_set(err, "the journal cannot be read");
	return 0;
}

struct search {
	const char *exchange;
	int64_t found;
};

static bool
on_candidate(void *arg, const struct journal_row *row)
{
	struct search *s = arg;

	if (span_is(row->correlation, s->exchange))
		s->found = row->sequence;
	return true;
}

int
shadow_case_find(struct journal_reader *r, const char *exchange,
		 struct shadow_case *c, struct error *err)
{
	struct search s = { .exchange = exchange };

	memset(c, 0, sizeof(*c));
	if (read_verdicts(r, 0, on_candidate, &s, err) != 0)
		return -1;
	if (!s.found)
		return error_set(err, "there is no verdict on exchange %s",
				 exchange);
	return shadow_case_at(r, s.found, c, err);
}

void
shadow_case_fini(struct shadow_case *c)
{
	shadow_exchange_free(&c->x);
	shadow_side_fini(&c->answer);
	payload_free(&c->data);
	memset(c, 0, sizeof(*c));
}
