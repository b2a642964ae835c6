/* SPDX-License-Identifier: Apache-2.0 */
/* What a shadow found, for a terminal. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "console/diff.h"
#include "console/table.h"

#define LINES_MOST 500
#define CELL_MOST 60

static int64_t
number(const struct cJSON *object, const char *pointer)
{
	return payload_int(payload_at(object, pointer), 0);
}

static const char *
text(const struct cJSON *object, const char *name)
{
	return payload_string(payload_member(object, name), "");
}

/* ---- rules and endpoints ---- */

static void
percent_cell(struct table *t, const struct cJSON *value)
{
	double x = payload_number(value, -1);

	if (x < 0)
		table_cell(t, "-");
	else
		table_cell(t, "%.2f %%", 100 * x);
}

/* "5.2 -> 1.8" */
static void
latency_cell(struct table *t, const struct cJSON *sums, const char *which)
{
	char legacy[64], candidate[64];

	snprintf(legacy, sizeof(legacy), "/latency/legacy/%s", which);
	snprintf(candidate, sizeof(candidate), "/latency/candidate/%s", which);
	if (!number(sums, "/latency/pairs"))
		table_cell(t, "-");
	else
		table_cell(t, "%.1f > %.1f",
			   (double)number(sums, legacy) / 1000,
			   (double)number(sums, candidate) / 1000);
}

static void
sums_row(struct table *t, const char *rule, const char *name,
	 const struct cJSON *sums)
{
	table_cell(t, "%s", rule);
	table_cell(t, "%s", name);
	table_cell(t, "%" PRId64, number(sums, "/samples"));
	percent_cell(t, payload_member(sums, "match_rate"));
	percent_cell(t, payload_member(sums, "lower_bound"));
	table_cell(t, "%" PRId64, number(sums, "/differences"));
	table_cell(t, "%" PRId64, number(sums, "/failures"));
	latency_cell(t, sums, "p50_us");
	latency_cell(t, sums, "p99_us");
}

static void
rule_rows(struct table *t, const struct cJSON *rule,
	  const struct diff_filter *f)
{
	const struct cJSON *list = payload_member(rule, "endpoints");
	char name[SHADOW_NAME_MAX + 8];

	snprintf(name, sizeof(name), "(to %s)", text(rule, "candidate"));
	sums_row(t, text(rule, "rule"), name, rule);
	for (const struct cJSON *e = payload_first(list); e;
	     e = payload_next(e))
		if (diff_takes_endpoint(f, e))
			sums_row(t, "", text(e, "endpoint"), e);
}

static void
write_sums(const struct cJSON *rules, const struct diff_filter *f,
	   struct buf *out)
{
	static const char *const heads[] = {
		"<RULE", "<ENDPOINT", ">SAMPLES", ">MATCH", ">AT LEAST",
		">DIFFER", ">FAILED", ">P50 ms", ">P99 ms",
	};
	struct table t CLEANUP(table_fini) = { 0 };

	table_init(&t, heads, ARRAY_SIZE(heads));
	for (const struct cJSON *r = payload_first(rules); r;
	     r = payload_next(r))
		if (diff_takes_rule(f, r))
			rule_rows(&t, r, f);
	table_write(&t, out);
}

/* ---- clusters ---- */

static void
time_cell(struct table *t, int64_t us)
{
	char when[CLOCK_RFC3339_SIZE];

	table_cell(t, "%.19sZ", clock_rfc3339(us, when));
}

/* The newest example. */
static const char *
example_of(const struct cJSON *cluster)
{
	const struct cJSON *list = payload_member(cluster, "examples");
	const char *id = "-";

	for (const struct cJSON *x = payload_first(list); x;
	     x = payload_next(x))
		id = text(x, "exchange");
	return id;
}

static size_t
cluster_rows(struct table *t, const struct cJSON *rule,
	     const struct cJSON *endpoint)
{
	const struct cJSON *list = payload_member(endpoint, "clusters");
	size_t n = 0;

	for (const struct cJSON *c = payload_first(list); c;
	     c = payload_next(c), n++) {
		table_cell(t, "%s", text(rule, "rule"));
		table_cell(t, "%s", text(endpoint, "endpoint"));
		table_cell(t, "%s", *text(c, "pointer") ? text(c, "pointer")
							: "(whole body)");
		table_cell(t, "%s", text(c, "kind"));
		table_cell(t, "%" PRId64, number(c, "/count"));
		time_cell(t, number(c, "/first_us"));
		time_cell(t, number(c, "/last_us"));
		table_cell(t, "%s", example_of(c));
	}
	return n;
}

static void
write_clusters(const struct cJSON *rules, const struct diff_filter *f,
	       struct buf *out)
{
	static const char *const heads[] = {
		"<RULE", "<ENDPOINT", "<AT", "<KIND", ">VERDICTS", "<FIRST",
		"<LAST", "<EXAMPLE",
	};
	struct table t CLEANUP(table_fini) = { 0 };
	size_t n = 0;

	table_init(&t, heads, ARRAY_SIZE(heads));
	for (const struct cJSON *r = payload_first(rules); r;
	     r = payload_next(r)) {
		const struct cJSON *e = payload_first(
			payload_member(r, "endpoints"));

		for (; e && diff_takes_rule(f, r); e = payload_next(e))
			if (diff_takes_endpoint(f, e))
				n += cluster_rows(&t, r, e);
	}
	buf_addc(out, '\n');
	if (n)
		table_write(&t, out);
	else
		buf_adds(out, "no differences\n");
}

void
diff_write_table(const struct cJSON *report, const struct diff_filter *f,
		 struct buf *out)
{
	const struct cJSON *rules = payload_member(report, "rules");

	if (!payload_first(rules)) {
		buf_adds(out, "nothing was compared yet\n");
		return;
	}
	write_sums(rules, f, out);
	write_clusters(rules, f, out);
}

/* ---- one exchange ---- */

/* One line: what is longer is cut, what is between is a space. */
void
diff_value_cell(struct table *t, const char *value)
{
	char cut[CELL_MOST + 4];
	size_t n = 0;

	if (!value) {
		table_cell(t, "-");
		return;
	}
	for (; value[n] && n < CELL_MOST; n++)
		cut[n] = value[n] == '\n' || value[n] == '\t' ? ' ' : value[n];
	while (value[n] && n > 0 && ((unsigned char)value[n] & 0xc0) == 0x80)
		n--;
	snprintf(cut + n, sizeof(cut) - n, "%s", value[n] ? "..." : "");
	table_cell(t, "%s", cut);
}

static void
on_line(void *arg, const struct shadow_line *l)
{
	static const char *const marks[] = {
		[SHADOW_LINE_SAME] = "", [SHADOW_LINE_DIFFERENT] = "!",
		[SHADOW_LINE_SUPPRESSED] = "~",
	};

	table_cell(arg, "%s", marks[l->kind]);
	table_cell(arg, "%s", l->pointer);
	diff_value_cell(arg, l->legacy);
	diff_value_cell(arg, l->candidate);
}

/* Without both answers: what the verdict itself has. */
static void
differences_rows(struct table *t, const struct shadow_verdict *v)
{
	for (size_t i = 0; i < v->count; i++) {
		table_cell(t, "!");
		table_cell(t, "%s (%s)", v->at[i].pointer, v->at[i].kind);
		diff_value_cell(t, v->at[i].legacy);
		diff_value_cell(t, v->at[i].candidate);
	}
}

void
diff_blank_controls(struct buf *out, size_t from)
{
	for (size_t i = from; i < out->len; i++)
		if ((unsigned char)out->data[i] < ' ' && out->data[i] != '\n')
			out->data[i] = '?';
}

void
diff_write_head(const struct shadow_case *c, struct buf *out)
{
	size_t from = out->len;
	char when[CLOCK_RFC3339_SIZE];

	buf_printf(out, "exchange   %s\n", c->correlation);
	if (c->x)
		buf_printf(out, "request    %s %s\n", c->x->method,
			   c->x->target);
	buf_printf(out, "rule       %s, candidate %s, %s\n", c->v.rule,
		   c->v.candidate, c->v.endpoint);
	buf_printf(out, "verdict    %s%s%s, %s\n",
		   shadow_outcome_name(c->v.outcome),
		   c->v.reason[0] ? ": " : "", c->v.reason,
		   clock_rfc3339(c->v.time_us, when));
	buf_printf(out, "latency    legacy %.1f ms, candidate %.1f ms\n\n",
		   (double)c->v.legacy_us / 1000,
		   (double)c->v.candidate_us / 1000);
	diff_blank_controls(out, from);
}

static const char *const heads[] = { "<", "<AT", "<LEGACY", "<CANDIDATE" };

void
diff_write_differences(const struct shadow_verdict *v, struct buf *out)
{
	struct table t CLEANUP(table_fini) = { 0 };

	table_init(&t, heads, ARRAY_SIZE(heads));
	differences_rows(&t, v);
	table_write(&t, out);
}

void
diff_write_case(const struct shadow_case *c, struct buf *out)
{
	struct table t CLEANUP(table_fini) = { 0 };

	table_init(&t, heads, ARRAY_SIZE(heads));
	diff_write_head(c, out);
	if (c->x && c->has_answer)
		shadow_case_lines(c, LINES_MOST, on_line, &t);
	else
		differences_rows(&t, &c->v);
	table_write(&t, out);
	if (!c->x)
		buf_adds(out, "the exchange itself is not in the journal any "
			 "more\n");
	else if (!c->has_answer)
		buf_adds(out, "the candidate's answer was not kept: it is no "
			 "example of its cluster\n");
	else
		buf_adds(out, "! differs   ~ is unlike, but not compared or "
			 "allowed\n");
}
