/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of rules and groups, made from a /status object. */
#include "console/metrics.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "payload/payload.h"

struct row {
	const char *name, *kind, *list, *label, *more, *value, *help;
};

static const struct row rows[] = {
#define METRIC(name, kind, list, label, more, value, help)                     \
	{ "matapalo_" name, kind, list, label, more, value, help },
#include "console/metrics.def"
#undef METRIC
};

struct series {
	struct buf *out;
	size_t count, left_out;
};

static void
write_head(struct buf *out, const char *name, const char *kind,
	   const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
		   kind);
}

/* A group's name is whatever its consumer sent. */
static void
write_label(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n') {
			buf_adds(out, "\\n");
			continue;
		}
		if (*text == '\\' || *text == '"')
			buf_addc(out, '\\');
		buf_addc(out, *text);
	}
}

/* "/ramp/pairs" of a rule whose "ramp" is null. */
static bool
is_without(const struct cJSON *element, const char *pointer)
{
	const char *end = strchr(pointer + 1, '/');
	const struct cJSON *member;
	char name[32];

	if (!end)
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)(end - pointer - 1),
		 pointer + 1);
	member = payload_member(element, name);
	return member && !payload_is_object(member);
}

static void
write_one(struct series *s, const struct row *r, const struct cJSON *element)
{
	const char *name = payload_string(payload_member(element, "name"), "");
	const struct cJSON *value = payload_at(element, r->value);

	if (!value && is_without(element, r->value))
		return;
	if (s->count >= METRICS_SERIES_MAX) {
		s->left_out++;
		return;
	}
	s->count++;
	buf_printf(s->out, "%s{%s=\"", r->name, r->label);
	write_label(s->out, name);
	buf_printf(s->out, "\"%s} %.15g\n", r->more,
		   payload_number(value, payload_bool(value, false)));
}

void
metrics_write(const struct cJSON *status, struct buf *out)
{
	struct series s = { .out = out };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		const struct cJSON *at = payload_at(status, r->list);

		if (i == 0 || strcmp(r->name, rows[i - 1].name) != 0)
			write_head(out, r->name, r->kind, r->help);
		for (at = at ? payload_first(at) : NULL; at;
		     at = payload_next(at))
			write_one(&s, r, at);
	}
	write_head(out, "matapalo_series_left_out", "gauge",
		   "Series of rules and groups beyond the most there may be.");
	buf_printf(out, "matapalo_series_left_out %zu\n", s.left_out);
}
