/* SPDX-License-Identifier: Apache-2.0 */
/* `diff --why`: what of the rules that are in the file now keeps a difference
 * from counting. */
#include "console/diff_why.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "console/diff.h"
#include "console/file.h"
#include "console/table.h"

#define RULES_FILE_MOST ((size_t)4 << 20)

/* ---- the rules ---- */

int
diff_rules_open(struct diff_rules *r, const struct command_call *call,
		struct journal_reader *reader)
{
	struct error err = { 0 };

	r->rules = command_load_rules(call, "diff");
	if (!r->rules)
		return COMMAND_USAGE;
	if (r->rules->path &&
	    file_read(r->rules->path, RULES_FILE_MOST, &r->text, &err))
		buf_clear(&r->text);	/* no lines, then */
	r->plan.redact = &r->rules->redact;
	r->noise = shadow_noise_new();
	if (!r->noise)
		error_set(&err, "no memory");
	else if (shadow_report_noise(reader, r->noise, &err) == 0 &&
		 shadowed_secrets(&r->plan, &r->key, command_data(call),
				  &err) == 0)
		return COMMAND_OK;
	error_context(&err, "diff");
	return command_fail(COMMAND_FAILED, NULL, &err);
}

void
diff_rules_fini(struct diff_rules *r)
{
	rules_unref(&r->rules);
	shadow_noise_free(&r->noise);
	buf_fini(&r->text);
}

bool
diff_find_rule(const struct diff_rules *r, const char *name,
	       struct shadow_rule *out, const struct rules_rule **found,
	       struct buf *note)
{
	const struct rules_rule *u = rules_find(r->rules, name);

	*out = (struct shadow_rule){ .name = name };
	if (u)
		*out = shadowed_rule(u);
	else
		buf_printf(note, "the file has no rule \"%s\": status and "
			   "bodies are compared, exactly\n", name);
	if (found)
		*found = u;
	return u != NULL;
}

/* ---- what takes a difference away ---- */

static void
place_text(const struct diff_rules *r, const char *rule, const char *key,
	   const char *entry, struct buf *out)
{
	int line = rules_entry_line(buf_span(&r->text), rule, key, entry);

	if (line && r->rules->path)
		buf_printf(out, " (%s:%d)", r->rules->path, line);
}

static void
tolerance_text(const struct payload_tolerance *t, struct buf *out)
{
	switch (t->kind) {
	case PAYLOAD_TOLERANCE_NUMBER:
		buf_printf(out, " of %g", t->by);
		break;
	case PAYLOAD_TOLERANCE_SHARE:
		buf_printf(out, " of %g %%", 100 * t->by);
		break;
	case PAYLOAD_TOLERANCE_TIME:
		buf_printf(out, " of %g ms", t->by);
		break;
	}
}

static void
detail_text(const struct shadow_rule *rule, const struct shadow_reason *why,
	    struct buf *out)
{
	for (size_t i = 0; i < rule->tolerance_count; i++)
		if (strcmp(why->key, "tolerance") == 0 &&
		    strcmp(rule->tolerance[i].pointer, why->entry) == 0)
			tolerance_text(&rule->tolerance[i], out);
}

static void
noise_cell(struct table *t, const struct shadow_noise_place *p,
	   const struct shadow_noise_row *row)
{
	uint64_t own = p->disagreed + p->permuted;

	table_cell(t, "no: noise: the legacy disagrees with itself in %" PRIu64
		   " of %" PRIu64 " pairs%s", own, row->pairs,
		   p->disagreed ? "" : ", in their order only");
}

static void
reason_cell(struct table *t, const struct diff_rules *r,
	    const struct shadow_rule *rule, const struct shadow_reason *why,
	    const struct shadow_noise_row *noise)
{
	struct buf text CLEANUP(buf_fini) = { 0 };

	if (!why->key) {
		table_cell(t, "yes");
	} else if (why->noise) {
		noise_cell(t, why->noise, noise);
	} else if (!why->entry) {
		table_cell(t, "no: not in \"%s\"", why->key);
	} else {
		buf_printf(&text, "no: \"%s\" \"%s\"", why->key, why->entry);
		detail_text(rule, why, &text);
		place_text(r, rule->name, why->key, why->entry, &text);
		table_cell(t, "%s", buf_str(&text));
	}
}

void
diff_write_reasons(const struct diff_rules *r, const struct shadow_rule *rule,
		   const struct shadow_why *w,
		   const struct shadow_noise_row *noise, struct buf *out)
{
	static const char *const heads[] = { "<AT", "<KIND", "<LEGACY",
					     "<CANDIDATE", "<COUNTS" };
	struct table t CLEANUP(table_fini) = { 0 };
	size_t counting = shadow_why_counting(w);

	table_init(&t, heads, ARRAY_SIZE(heads));
	for (size_t i = 0; i < w->count; i++) {
		const struct shadow_difference *d = &w->list[i].at;

		table_cell(&t, "%s", *d->pointer ? d->pointer
						 : "(whole body)");
		table_cell(&t, "%s", d->kind);
		diff_value_cell(&t, d->legacy);
		diff_value_cell(&t, d->candidate);
		reason_cell(&t, r, rule, &w->list[i], noise);
	}
	if (w->count)
		table_write(&t, out);
	if (w->failed)
		buf_adds(out, "no memory for all of it\n");
	if (w->beyond)
		buf_printf(out, "%zu more are not shown\n", w->beyond);
	buf_printf(out, "%s%zu looked at, %zu count, %zu suppressed\n",
		   w->count ? "\n" : "", w->count + w->beyond, counting,
		   w->count + w->beyond - counting);
}

/* ---- why: an exchange ---- */

struct shadow_answer
diff_legacy_of(const struct shadow_exchange *x)
{
	return (struct shadow_answer){
		.status = x->status,
		.fields = shadow_side_fields(&x->response),
		.body = x->response.body,
		.redacted = true,
	};
}

static struct shadow_answer
kept_of(const struct shadow_case *c)
{
	return (struct shadow_answer){
		.status = c->status,
		.fields = shadow_side_fields(&c->answer),
		.body = c->answer.body,
		.redacted = true,
	};
}

/* Both answers are there as they were. */
static bool
is_whole(const struct shadow_case *c)
{
	return c->x && c->has_answer && c->answer.complete &&
	       shadow_exchange_is_complete(c->x);
}

void
diff_why_pair(const struct diff_rules *r, const struct shadow_plan *plan,
	      const struct shadow_rule *rule, const char *endpoint,
	      const struct shadow_answer *legacy,
	      const struct shadow_answer *candidate,
	      struct shadow_noise_row *row, struct shadow_why *w)
{
	bool noisy = rule->noise_ppm &&
		     shadow_noise_get(r->noise, rule->name, rule->fingerprint,
				      endpoint, row);

	shadow_why(plan, rule, legacy, candidate, noisy ? row : NULL, w);
}

static void
lay_open(const struct diff_rules *r, const struct shadow_rule *rule,
	 const struct shadow_case *c, struct shadow_noise_row *row,
	 struct shadow_why *w)
{
	const struct shadow_answer legacy = diff_legacy_of(c->x);
	const struct shadow_answer kept = kept_of(c);
	struct shadow_plan plan = r->plan;

	plan.has_decoded = payload_bool(
		payload_at(c->data, "/answer/decoded"), false);
	diff_why_pair(r, &plan, rule, c->v.endpoint, &legacy, &kept, row, w);
}

static void
explain_kept(const struct diff_rules *r, const struct shadow_case *c,
	     struct buf *out)
{
	struct shadow_why w CLEANUP(shadow_why_fini) = { 0 };
	struct shadow_noise_row noise;
	struct shadow_rule rule;

	diff_find_rule(r, c->v.rule, &rule, NULL, out);
	lay_open(r, &rule, c, &noise, &w);
	diff_write_reasons(r, &rule, &w, &noise, out);
	if (shadow_why_counting(&w) != c->v.total)
		buf_printf(out, "the verdict counted %zu: the rules, or what "
			   "was learned of noise, were others then\n",
			   c->v.total);
}

static void
write_suppressed(const struct shadow_verdict *v, struct buf *out)
{
	static const char *const heads[] = { "<NOISE AT", "<KIND", "<LEGACY",
					     "<CANDIDATE", ">DISAGREED",
					     ">PAIRS" };
	struct table t CLEANUP(table_fini) = { 0 };

	table_init(&t, heads, ARRAY_SIZE(heads));
	for (size_t i = 0; i < v->suppressed_count; i++) {
		const struct shadow_suppressed *s = &v->suppressed[i];

		table_cell(&t, "%s", s->at.pointer);
		table_cell(&t, "%s", s->at.kind);
		diff_value_cell(&t, s->at.legacy);
		diff_value_cell(&t, s->at.candidate);
		table_cell(&t, "%" PRIu64, s->disagreed);
		table_cell(&t, "%" PRIu64, s->pairs);
	}
	if (v->suppressed_count)
		table_write(&t, out);
	buf_printf(out, "%zu suppressed as noise of the legacy\n",
		   v->suppressed_total);
}

static int
why_exchange(const struct diff_rules *r, struct journal_reader *reader,
	     const char *exchange, struct buf *out)
{
	struct shadow_case c CLEANUP(shadow_case_fini) = { 0 };
	struct error err = { 0 };

	if (shadow_case_find(reader, exchange, &c, &err)) {
		error_context(&err, "diff");
		return command_fail(COMMAND_FAILED, NULL, &err);
	}
	diff_write_head(&c, out);
	if (is_whole(&c)) {
		explain_kept(r, &c, out);
	} else {
		diff_write_differences(&c.v, out);
		write_suppressed(&c.v, out);
		buf_printf(out, "%zu count; the candidate's answer was not "
			   "kept whole, so nobody knows what was suppressed: "
			   "`matapalo diff --replay %s' asks again\n",
			   c.v.total, c.correlation);
	}
	return command_print(out);
}

/* ---- why: a rule ---- */

#define EXAMPLES_MOST 1000

struct entry_sum {
	const char *key, *entry;
	size_t differences, examples;
	bool here;			/* in the example at hand */
};
struct rule_sums {
	const struct diff_rules *r;
	struct shadow_rule rule;
	struct journal_reader *reader;
	struct entry_sum *list;
	size_t count, room;
	size_t examples, counting, unlisted, noise;
	int64_t seen[EXAMPLES_MOST];
};

static void
on_entry(void *arg, const char *key, const char *entry)
{
	struct rule_sums *s = arg;

	if (s->list && s->count < s->room) {
		s->list[s->count].key = key;
		s->list[s->count].entry = entry;
	}
	s->count++;
}

static void
add_reason(struct rule_sums *s, const struct shadow_reason *why)
{
	if (!why->key)
		s->counting++;
	else if (why->noise)
		s->noise++;
	else if (!why->entry)
		s->unlisted++;
	for (size_t i = 0; why->entry && i < s->count; i++) {
		struct entry_sum *e = &s->list[i];

		if (strcmp(e->key, why->key) || strcmp(e->entry, why->entry))
			continue;
		e->differences++;
		e->examples += !e->here;
		e->here = true;
		return;
	}
}

static void
add_example(struct rule_sums *s, int64_t sequence)
{
	struct shadow_case c CLEANUP(shadow_case_fini) = { 0 };
	struct shadow_why w CLEANUP(shadow_why_fini) = { 0 };
	struct shadow_noise_row noise;

	for (size_t i = 0; i < s->examples; i++)
		if (s->seen[i] == sequence)
			return;
	if (s->examples == EXAMPLES_MOST ||
	    shadow_case_at(s->reader, sequence, &c, NULL) || !is_whole(&c))
		return;
	s->seen[s->examples++] = sequence;
	for (size_t i = 0; i < s->count; i++)
		s->list[i].here = false;
	lay_open(s->r, &s->rule, &c, &noise, &w);
	for (size_t i = 0; i < w.count; i++)
		add_reason(s, &w.list[i]);
}

static void
add_examples(struct rule_sums *s, const struct cJSON *rule)
{
	const struct cJSON *e = payload_first(
		payload_member(rule, "endpoints"));

	for (; e; e = payload_next(e)) {
		const struct cJSON *c = payload_first(
			payload_member(e, "clusters"));

		for (; c; c = payload_next(c)) {
			const struct cJSON *x = payload_first(
				payload_member(c, "examples"));

			for (; x; x = payload_next(x))
				add_example(s, payload_int(payload_member(
						x, "verdict_sequence"), 0));
		}
	}
}

static void
write_entries(const struct rule_sums *s, struct buf *out)
{
	static const char *const heads[] = { "<KEY", "<ENTRY", "<WHERE",
					     ">SUPPRESSED", ">EXAMPLES" };
	struct table t CLEANUP(table_fini) = { 0 };

	table_init(&t, heads, ARRAY_SIZE(heads));
	for (size_t i = 0; i < s->count; i++) {
		const struct entry_sum *e = &s->list[i];
		struct buf place CLEANUP(buf_fini) = { 0 };

		place_text(s->r, s->rule.name, e->key, e->entry, &place);
		table_cell(&t, "%s", e->key);
		table_cell(&t, "%s", e->entry);
		table_cell(&t, "%s", place.len ? buf_str(&place) + 1 : "-");
		if (strcmp(e->key, "headers") == 0) {
			table_cell(&t, "(compared)");
			table_cell(&t, "-");
			continue;
		}
		table_cell(&t, "%zu", e->differences);
		table_cell(&t, "%zu", e->examples);
	}
	if (s->count)
		table_write(&t, out);
	buf_printf(out, "%s%zu kept examples: %zu differences count, %zu are "
		   "noise, %zu of headers that are not listed\n",
		   s->count ? "\n" : "", s->examples, s->counting, s->noise,
		   s->unlisted);
}

static int
why_rule(const struct diff_rules *r, struct journal_reader *reader,
	 const struct cJSON *report, const char *name, struct buf *out)
{
	struct rule_sums *s = calloc(1, sizeof(*s));
	struct error err = { 0 };
	int status;

	if (s && diff_find_rule(r, name, &s->rule, NULL, out)) {
		s->r = r;
		s->reader = reader;
		shadow_why_entries(&s->rule, on_entry, s);
		s->room = s->count;
		s->count = 0;
		s->list = calloc(s->room + 1, sizeof(*s->list));
	}
	if (!s || !s->list) {
		error_set(&err, s && !s->r
				       ? "diff: there is no rule `%s' in the "
					 "file, and it is no exchange"
				       : "diff: no memory for rule %s",
			  name);
		free(s);
		return command_fail(COMMAND_FAILED, NULL, &err);
	}
	shadow_why_entries(&s->rule, on_entry, s);
	for (const struct cJSON *u = payload_first(
		     payload_member(report, "rules")); u; u = payload_next(u))
		if (strcmp(payload_string(payload_member(u, "rule"), ""),
			   name) == 0)
			add_examples(s, u);
	buf_printf(out, "rule       %s\n\n", name);
	write_entries(s, out);
	diff_write_noise(r->noise, &(struct diff_filter){ .rule = name }, out);
	status = command_print(out);
	free(s->list);
	free(s);
	return status;
}

int
diff_why(const struct command_call *call, struct journal_reader *reader,
	 const struct cJSON *report, struct buf *out)
{
	struct diff_rules r CLEANUP(diff_rules_fini) = { 0 };
	const char *what = call->values[OPTION_WHY];
	struct id id;
	int status = diff_rules_open(&r, call, reader);

	if (status != COMMAND_OK)
		return status;
	if (id_parse(what, strlen(what), &id) == 0)
		return why_exchange(&r, reader, what, out);
	return why_rule(&r, reader, report, what, out);
}
