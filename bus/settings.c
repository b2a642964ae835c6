/* SPDX-License-Identifier: Apache-2.0 */
/* A group's settings: their defaults, their limits, their JSON. */
#include "bus/groups.h"

#include <stddef.h>
#include <stdio.h>

#include "base/clock.h"
#include "payload/payload.h"

static const struct limit {
	const char *name;
	size_t offset;
	unsigned least, most;
} limits[] = {
#define LIMIT(name, least, most) \
	{ #name, offsetof(struct groups_settings, name), least, most }
	LIMIT(lease_ms, 10, 86400000),
	LIMIT(max_in_flight, 1, 100000),
	LIMIT(max_attempts, 1, 1000000),
	LIMIT(rate, 0, 1000000),
#undef LIMIT
};

void
groups_settings_default(struct groups_settings *s)
{
	*s = (struct groups_settings){
		.lease_ms = 30000, .max_in_flight = 1000, .max_attempts = 5,
		.backoff_ms = { 1000, 5000, 30000, 300000 },
		.backoff_count = 4 };
}

int
groups_name_check(const char *name, struct error *err)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == '"' ||
		    name[i] == '\\')
			return error_set(err, "group: a name is made of "
					 "printable ASCII characters without "
					 "space, quote and backslash");
	if (n == 0 || n >= GROUPS_NAME_SIZE)
		return error_set(err, "group: a name has 1 to %d characters, "
				 "this one %zu", GROUPS_NAME_SIZE - 1, n);
	return 0;
}

static int
read_filter_text(const struct cJSON *filter, const char *name, char *out,
		 struct error *err)
{
	const struct cJSON *m = payload_member(filter, name);
	const char *text = payload_string(m, NULL);

	if (!m)
		return 0;
	if (!text)
		return error_set(err, "filter.%s must be a string", name);
	if (strlen(text) >= GROUPS_FILTER_SIZE)
		return error_set(err, "filter.%s is longer than %d characters",
				 name, GROUPS_FILTER_SIZE - 1);
	memset(out, 0, GROUPS_FILTER_SIZE);
	memcpy(out, text, strlen(text));
	return 0;
}

static int
read_filter(const struct cJSON *o, struct groups_settings *s,
	    struct error *err)
{
	const struct cJSON *filter = payload_member(o, "filter");

	if (!filter)
		return 0;
	if (!payload_is_object(filter))
		return error_set(err, "filter must be an object with the "
				 "members type and subject");
	s->shadow_only = payload_bool(payload_member(filter, "shadow"),
				      s->shadow_only);
	if (read_filter_text(filter, "type", s->type, err) < 0)
		return -1;
	return read_filter_text(filter, "subject", s->subject, err);
}

static int
read_limit(const struct cJSON *o, const struct limit *l,
	   struct groups_settings *s, struct error *err)
{
	const struct cJSON *m = payload_member(o, l->name);
	int64_t v = payload_int(m, -1);

	if (!m)
		return 0;
	if (v < l->least || v > l->most)
		return error_set(err, "%s must be a number from %u to %u",
				 l->name, l->least, l->most);
	*(unsigned *)(void *)((char *)s + l->offset) = (unsigned)v;
	return 0;
}

static int
read_backoff(const struct cJSON *o, struct groups_settings *s,
	     struct error *err)
{
	const struct cJSON *list = payload_member(o, "backoff_ms");
	size_t n = 0;

	if (!list)
		return 0;
	if (!payload_is_array(list))
		return error_set(err, "backoff_ms must be a list of numbers");
	for (const struct cJSON *i = payload_first(list); i;
	     i = payload_next(i)) {
		int64_t v = payload_int(i, -1);

		if (n == GROUPS_BACKOFF_MAX || v < 0 || v > 604800000)
			return error_set(err, "backoff_ms holds up to %d "
					 "numbers from 0 to 604800000",
					 GROUPS_BACKOFF_MAX);
		s->backoff_ms[n++] = (unsigned)v;
	}
	s->backoff_count = n;
	return 0;
}

int
groups_place_read(const struct cJSON *m, const char *name,
		  struct groups_place *p, struct error *err)
{
	const char *word = payload_string(m, "");

	*p = (struct groups_place){ .after = payload_int(m, 0) - 1 };
	if (p->after >= GROUPS_SEQUENCE_MAX)
		return error_set(err, "%s: no event can have a sequence above "
				 "%lld", name, GROUPS_SEQUENCE_MAX);
	if (p->after >= 0)
		p->start = GROUPS_AFTER;
	else if (strcmp(word, "oldest") == 0)
		p->start = GROUPS_OLDEST;
	else if (strcmp(word, "newest") == 0)
		p->start = GROUPS_NEWEST;
	else if (clock_parse_rfc3339(word, &p->since_us) == 0)
		p->start = GROUPS_SINCE;
	else
		return error_set(err, "%s must be \"oldest\", \"newest\", the "
				 "sequence of an event, or a time such as "
				 "\"2026-01-05T10:00:00Z\"", name);
	return 0;
}

static int
read_start(const struct cJSON *o, struct groups_settings *s,
	   struct error *err)
{
	const struct cJSON *m = payload_member(o, "start");

	return m ? groups_place_read(m, "start", &s->place, err) : 0;
}

int
groups_settings_read(const struct cJSON *o, struct groups_settings *s,
		     struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (read_limit(o, &limits[i], s, err) < 0)
			return -1;
	if (read_filter(o, s, err) < 0 || read_backoff(o, s, err) < 0)
		return -1;
	return read_start(o, s, err);
}

static unsigned
limit_of(const struct groups_settings *s, const struct limit *l)
{
	const char *at = (const char *)s + l->offset;

	return *(const unsigned *)(const void *)at;
}

static void
write_filter(struct json *j, const struct groups_settings *s)
{
	json_key(j, "filter");
	json_object_begin(j);
	if (s->type[0]) {
		json_key(j, "type");
		json_str(j, s->type);
	}
	if (s->subject[0]) {
		json_key(j, "subject");
		json_str(j, s->subject);
	}
	if (s->shadow_only) {
		json_key(j, "shadow");
		json_bool(j, true);
	}
	json_object_end(j);
}

void
groups_settings_write(struct json *j, const struct groups_settings *s)
{
	json_object_begin(j);
	write_filter(j, s);
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		json_key(j, limits[i].name);
		json_u64(j, limit_of(s, &limits[i]));
	}
	json_key(j, "backoff_ms");
	json_array_begin(j);
	for (size_t i = 0; i < s->backoff_count; i++)
		json_u64(j, s->backoff_ms[i]);
	json_array_end(j);
	json_object_end(j);
}

/* ---- what differs ---- */

bool
groups_filter_differs(const struct groups_settings *s,
		      const struct groups_settings *asked)
{
	return strcmp(s->type, asked->type) != 0 ||
	       strcmp(s->subject, asked->subject) != 0 ||
	       s->shadow_only != asked->shadow_only;
}

static size_t
note(bool differs, const char *name, struct json *j)
{
	if (differs && j)
		json_str(j, name);
	return differs;
}

size_t
groups_settings_differ(const struct groups_settings *s,
		       const struct groups_settings *asked, struct json *j)
{
	size_t n = note(groups_filter_differs(s, asked), "filter", j);

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		n += note(limit_of(s, &limits[i]) !=
				  limit_of(asked, &limits[i]),
			  limits[i].name, j);
	return n + note(s->backoff_count != asked->backoff_count ||
				memcmp(s->backoff_ms, asked->backoff_ms,
				       s->backoff_count *
					       sizeof(*s->backoff_ms)) != 0,
			"backoff_ms", j);
}
