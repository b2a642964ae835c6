/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator means by a request: which dead letters, which events. */
#include "bus/select.h"

#include <stdio.h>

#include "base/clock.h"
#include "payload/payload.h"

#define SCAN_ROWS 2000
#define RATE_MAX 1e6
#define SPEED_MAX 1e6

/* ---- filter ---- */

static int
read_member(const struct cJSON *f, const char *name, char *out, size_t size,
	    struct error *err)
{
	const struct cJSON *m = payload_member(f, name);
	const char *text = payload_string(m, m ? NULL : "");

	if (!text)
		return error_set(err, "filter.%s must be a string", name);
	if (strlen(text) >= size)
		return error_set(err, "filter.%s is longer than %zu "
				 "characters", name, size - 1);
	memset(out, 0, size);
	memcpy(out, text, strlen(text));
	return 0;
}

static int
read_time(const struct cJSON *f, const char *name, int64_t *us,
	  struct error *err)
{
	const struct cJSON *m = payload_member(f, name);
	const char *text = payload_string(m, "");

	*us = 0;
	if (!m || clock_parse_rfc3339(text, us) == 0)
		return 0;
	return error_set(err, "filter.%s must be a time as in RFC 3339 "
			 "(\"2026-01-05T10:00:00Z\")", name);
}

int
select_read_filter(const struct cJSON *in, struct job_record *r,
		   struct error *err)
{
	const struct cJSON *f = payload_member(in, "filter");

	if (f && !payload_is_object(f))
		return error_set(err, "filter must be an object with some of "
				 "the members type, subject, reason, since "
				 "and until");
	if (read_member(f, "type", r->type, sizeof(r->type), err) < 0 ||
	    read_member(f, "subject", r->subject, sizeof(r->subject), err) ||
	    read_member(f, "reason", r->reason, sizeof(r->reason), err) < 0 ||
	    read_time(f, "since", &r->since_us, err) < 0)
		return -1;
	return read_time(f, "until", &r->until_us, err);
}

static const char *
or_null(const char *text)
{
	return *text ? text : NULL;
}

void
select_filter(const struct job_record *r, struct journal_dead_filter *f)
{
	*f = (struct journal_dead_filter){
		.group = or_null(r->group), .type = or_null(r->type),
		.subject = or_null(r->subject), .reason = or_null(r->reason),
		.since_us = r->since_us, .until_us = r->until_us };
}

/* ---- dead letters ---- */

static void
on_letter(void *arg, const struct journal_letter *l)
{
	struct job_record *r = arg;

	r->total++;
	if (r->upto == r->after + 1)	/* one, by its id */
		snprintf(r->group, sizeof(r->group), "%s", l->dead.group);
}

static int
count_letters(struct journal_reader *reader, struct job_record *r,
	      struct error *err)
{
	struct journal_dead_page page = { .after = r->after, .upto = r->upto,
					  .max = SCAN_ROWS,
					  .scan_limit = SCAN_ROWS,
					  .more = true };
	char group[GROUPS_NAME_SIZE];
	struct journal_dead_filter f;

	select_filter(r, &f);
	memcpy(group, r->group, sizeof(group));
	f.group = or_null(group);
	r->total = 0;
	while (page.more && page.after < r->upto)
		if (journal_read_letters(reader, &f, &page, on_letter, r) < 0)
			return error_set(err, "the dead letters cannot be "
					 "read; the log of matapalo says why");
	return 0;
}

int
select_letters(const struct cJSON *in, struct journal_reader *reader,
	       struct job_record *r, struct error *err)
{
	const struct cJSON *id = payload_member(in, "id");
	bool all = payload_bool(payload_member(in, "all"), false);
	bool some = payload_member(in, "filter") != NULL;

	if ((payload_int(id, 0) > 0) + all + some != 1)
		return error_set(err, "either id (from dlq_list), \"all\": "
				 "true or filter must say which dead letters");
	if (select_read_filter(in, r, err) < 0)
		return -1;
	if (id) {
		r->upto = payload_int(id, 0);
		r->after = r->upto - 1;
	} else if (journal_read_newest_letter(reader, &r->upto) < 0) {
		return error_set(err, "the dead letters cannot be read; the "
				 "log of matapalo says why");
	}
	return count_letters(reader, r, err);
}

/* ---- events ---- */

/* A place in the log: a sequence, "oldest" or "newest", or a time. */
static int
read_place(const struct cJSON *in, const char *name, int64_t last,
	   int64_t *sequence, int64_t *time_us, struct error *err)
{
	const struct cJSON *m = payload_member(in, name);
	const char *text = payload_string(m, "");

	*sequence = payload_int(m, 0);
	if (*sequence > 0)
		return 0;
	if (strcmp(text, "oldest") == 0)
		*sequence = 1;
	else if (strcmp(text, "newest") == 0)
		*sequence = last;
	else if (clock_parse_rfc3339(text, time_us) < 0)
		return error_set(err, "%s must be a sequence, \"oldest\", "
				 "\"newest\" or a time as in RFC 3339 "
				 "(\"2026-01-05T10:00:00Z\")", name);
	return 0;
}

int
select_events(const struct cJSON *in, struct journal_reader *reader,
	      int64_t last, struct job_record *r, struct error *err)
{
	int64_t from = 0, to = last;

	if (select_read_filter(in, r, err) < 0)
		return -1;
	if (!payload_member(in, "from"))
		return error_set(err, "from is missing: a sequence, "
				 "\"oldest\" or a time");
	if (read_place(in, "from", last, &from, &r->since_us, err) < 0)
		return -1;
	if (payload_member(in, "to") &&
	    read_place(in, "to", last, &to, &r->until_us, err) < 0)
		return -1;
	if (r->since_us && journal_find_time(reader, r->since_us, &from) < 0)
		return error_set(err, "the journal cannot be read; the log "
				 "of matapalo says why");
	r->after = from - 1;
	r->upto = to && to < last ? to : last;
	r->total = -1;
	return 0;
}

static int
read_positive(const struct cJSON *in, const char *name, double most,
	      double *out, struct error *err)
{
	const struct cJSON *m = payload_member(in, name);

	*out = payload_number(m, 0);
	if (!m || (*out > 0 && *out <= most))
		return 0;
	return error_set(err, "%s must be a number above 0, at most %.0f",
			 name, most);
}

int
select_pace(const struct cJSON *in, struct job_record *r, struct error *err)
{
	if (read_positive(in, "rate", RATE_MAX, &r->rate, err) < 0)
		return -1;
	return read_positive(in, "speed", SPEED_MAX, &r->speed, err);
}
