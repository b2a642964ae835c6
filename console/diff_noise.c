/* SPDX-License-Identifier: Apache-2.0 */
/* What the legacy disagrees with itself about, for a terminal. */
#include <inttypes.h>
#include <stdio.h>

#include "console/diff.h"
#include "console/table.h"

static const char *
text(const struct cJSON *object, const char *name)
{
	return payload_string(payload_member(object, name), "");
}

static int64_t
number(const struct cJSON *object, const char *name)
{
	return payload_int(payload_member(object, name), 0);
}

static size_t
row_cells(struct table *t, const struct cJSON *row)
{
	const struct cJSON *p = payload_first(payload_member(row, "places"));
	size_t n = 0;

	for (; p; p = payload_next(p), n++) {
		table_cell(t, "%s", text(row, "rule"));
		table_cell(t, "%s", text(row, "endpoint"));
		table_cell(t, "%s", text(p, "pointer"));
		table_cell(t, "%s", text(p, "kind"));
		table_cell(t, "%" PRId64 " of %" PRId64,
			   number(p, "disagreed") + number(p, "permuted"),
			   number(row, "pairs"));
		table_cell(t, "%" PRId64, number(p, "suppressed"));
		table_cell(t, "%s", text(p, "state"));
	}
	return n;
}

struct cJSON *
diff_noise_rows(const struct shadow_noise *n)
{
	struct buf json CLEANUP(buf_fini) = { 0 };
	struct json j;

	json_init(&j, &json);
	shadow_noise_report(n, &j);
	return json.failed ? NULL : payload_parse(buf_span(&json), NULL);
}

void
diff_write_noise(const struct shadow_noise *n, const struct diff_filter *f,
		 struct buf *out)
{
	static const char *const heads[] = {
		"<RULE", "<ENDPOINT", "<NOISE AT", "<KIND", ">PAIRS",
		">SUPPRESSED", "<STATE",
	};
	struct cJSON *rows CLEANUP(payload_free) = diff_noise_rows(n);
	struct table t CLEANUP(table_fini) = { 0 };
	size_t places = 0;

	table_init(&t, heads, ARRAY_SIZE(heads));
	for (const struct cJSON *r = payload_first(rows); r;
	     r = payload_next(r))
		if (diff_takes_rule(f, r) && diff_takes_endpoint(f, r))
			places += row_cells(&t, r);
	if (!places)
		return;
	buf_adds(out, "\nsuppressed as noise: the legacy, asked twice, "
		 "disagrees with itself\n");
	table_write(&t, out);
}
