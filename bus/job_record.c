/* SPDX-License-Identifier: Apache-2.0 */
/* A job as JSON: the same text on disk and in answers. */
#include "base/clock.h"
#include "bus/job.h"
#include "payload/payload.h"

static const char *const verbs[] = {
#define JOB(sym, name, sentence) [JOB_##sym] = name,
#include "bus/jobs.def"
#undef JOB
};
static const char *const states[] = {
	[JOB_RUNNING] = "running",
	[JOB_DONE] = "done",
	[JOB_CANCELLED] = "cancelled",
};

/* ---- writing ---- */

static void
write_positive(struct json *j, const char *name, double v)
{
	if (v <= 0)
		return;
	json_key(j, name);
	json_double(j, v);
}

static void
write_filter(const struct job_record *r, struct json *j)
{
	json_key(j, "filter");
	json_object_begin(j);
	json_given_str(j, "type", r->type);
	json_given_str(j, "subject", r->subject);
	json_given_str(j, "reason", r->reason);
	json_given_time(j, "since", r->since_us);
	json_given_time(j, "until", r->until_us);
	json_object_end(j);
}

void
job_record_write(const struct job_record *r, struct json *j)
{
	json_object_begin(j);
	json_member_i64(j, "id", r->id);
	json_given_str(j, "verb", verbs[r->verb]);
	json_given_str(j, "state", states[r->state]);
	json_given_str(j, "request", r->request);
	json_given_str(j, "group", r->group);
	write_filter(r, j);
	json_member_i64(j, "after", r->after);
	json_member_i64(j, "upto", r->upto);
	if (r->total >= 0)
		json_member_i64(j, "total", r->total);
	json_member_i64(j, "moved", r->moved);
	json_member_i64(j, "skipped", r->skipped);
	write_positive(j, "rate", r->rate);
	write_positive(j, "speed", r->speed);
	json_given_time(j, "began", r->began_us);
	json_given_time(j, "ended", r->ended_us);
	json_object_end(j);
}

/* ---- reading ---- */

static void
read_into(const struct cJSON *o, const char *name, char *out, size_t size)
{
	const char *text = payload_string(payload_member(o, name), "");
	size_t n = strnlen(text, size - 1);

	memcpy(out, text, n);
	memset(out + n, 0, size - n);
}

static int64_t
time_in(const struct cJSON *o, const char *name)
{
	int64_t us = 0;

	if (clock_parse_rfc3339(payload_string(payload_member(o, name), ""),
				&us) < 0)
		return 0;
	return us;
}

static int64_t
number_in(const struct cJSON *o, const char *name, int64_t fallback)
{
	return payload_int(payload_member(o, name), fallback);
}

static int
word_in(const struct cJSON *o, const char *name, const char *const *words,
	size_t count)
{
	const char *text = payload_string(payload_member(o, name), "");

	for (size_t i = 0; i < count; i++)
		if (strcmp(words[i], text) == 0)
			return (int)i;
	return -1;
}

static void
read_filter(const struct cJSON *f, struct job_record *r)
{
	read_into(f, "type", r->type, sizeof(r->type));
	read_into(f, "subject", r->subject, sizeof(r->subject));
	read_into(f, "reason", r->reason, sizeof(r->reason));
	r->since_us = time_in(f, "since");
	r->until_us = time_in(f, "until");
}

int
job_record_read(const struct cJSON *o, struct job_record *r)
{
	int verb = word_in(o, "verb", verbs, ARRAY_SIZE(verbs));
	int state = word_in(o, "state", states, ARRAY_SIZE(states));

	*r = (struct job_record){ .id = number_in(o, "id", 0) };
	if (verb < 0 || state < 0 || r->id <= 0)
		return -1;
	r->verb = (enum job_verb)verb;
	r->state = (enum job_state)state;
	read_into(o, "request", r->request, sizeof(r->request));
	read_into(o, "group", r->group, sizeof(r->group));
	read_filter(payload_member(o, "filter"), r);
	r->after = number_in(o, "after", 0);
	r->upto = number_in(o, "upto", 0);
	r->total = number_in(o, "total", -1);
	r->moved = number_in(o, "moved", 0);
	r->skipped = number_in(o, "skipped", 0);
	r->rate = payload_number(payload_member(o, "rate"), 0);
	r->speed = payload_number(payload_member(o, "speed"), 0);
	r->began_us = time_in(o, "began");
	r->ended_us = time_in(o, "ended");
	return 0;
}
