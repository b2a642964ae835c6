/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of verdicts per rule and candidate; they outlive the process. */
#include "shadow/tally.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/counter.h"
#include "base/id.h"
#include "shadow/endpoint.h"

#define KEY_SEQUENCE "sequence"
#define KEY_ROW "row:"
#define KEY_ENDPOINT "endpoint:"
#define ROWS_MAX 500
#define NEWEST 5

/* One kind of difference: the same pointer and kind count together. */
struct newest {
	char pointer[SHADOW_VALUE_MAX + 1];
	char kind[16];
	char correlation[ID_TEXT_SIZE];
	uint64_t count;
};

struct row {
	struct row *next;
	char rule[SHADOW_NAME_MAX], candidate[SHADOW_NAME_MAX];
	uint64_t samples, matches, differences, failures;
	struct shadow_latency latency;
	struct shadow_endpoints endpoints;
	struct newest newest[NEWEST];		/* newest first */
	size_t newest_count;
	char last_failure[SHADOW_VALUE_MAX + 1];
	bool changed;
};

struct shadow_tally {
	struct row *rows;
	size_t row_count, endpoint_count;	/* of all rows */
	int64_t sequence;
	size_t unsaved;
	bool is_short;			/* of memory, while it was loaded */
};

struct shadow_tally *
shadow_tally_new(void)
{
	return calloc(1, sizeof(struct shadow_tally));
}

void
shadow_tally_free(struct shadow_tally **tp)
{
	struct shadow_tally *t = *tp;

	*tp = NULL;
	if (!t)
		return;
	while (t->rows) {
		struct row *r = t->rows;

		t->rows = r->next;
		shadow_endpoints_free(&r->endpoints);
		free(r);
	}
	free(t);
}

int64_t
shadow_tally_sequence(const struct shadow_tally *t)
{
	return t->sequence;
}

size_t
shadow_tally_unsaved(const struct shadow_tally *t)
{
	return t->unsaved;
}

static struct row **
row_link(struct shadow_tally *t, const char *rule, const char *candidate)
{
	struct row **at = &t->rows;

	while (*at && (strcmp((*at)->rule, rule) != 0 ||
		       strcmp((*at)->candidate, candidate) != 0))
		at = &(*at)->next;
	return at;
}

/* In order of first appearance: a status that reads the same each time.
 * Years of renamed rules end in one row. NULL without memory. */
static struct row *
row_for(struct shadow_tally *t, const char *rule, const char *candidate)
{
	struct row **at = row_link(t, rule, candidate);

	if (!*at && t->row_count >= ROWS_MAX) {
		rule = candidate = SHADOW_OTHER;
		at = row_link(t, rule, candidate);
	}
	if (*at)
		return *at;
	*at = calloc(1, sizeof(**at));
	if (!*at)
		return NULL;
	t->row_count++;
	snprintf((*at)->rule, sizeof((*at)->rule), "%s", rule);
	snprintf((*at)->candidate, sizeof((*at)->candidate), "%s", candidate);
	return *at;
}

/* The place of this kind of difference, moved to the front; the oldest
 * kind gives way. */
static struct newest *
newest_front(struct row *r, const char *pointer, const char *kind)
{
	struct newest found = { 0 };
	size_t i = 0;

	while (i < r->newest_count &&
	       (strcmp(r->newest[i].pointer, pointer) != 0 ||
		strcmp(r->newest[i].kind, kind) != 0))
		i++;
	if (i < r->newest_count)
		found = r->newest[i];
	else if (r->newest_count < NEWEST)
		r->newest_count++;
	else
		i = NEWEST - 1;
	memmove(&r->newest[1], &r->newest[0], i * sizeof(r->newest[0]));
	r->newest[0] = found;
	return &r->newest[0];
}

static void
note_difference(struct row *r, const char *pointer, const char *kind,
		const char *correlation, uint64_t count)
{
	struct newest *n = newest_front(r, pointer, kind);

	snprintf(n->pointer, sizeof(n->pointer), "%s", pointer);
	snprintf(n->kind, sizeof(n->kind), "%s", kind);
	snprintf(n->correlation, sizeof(n->correlation), "%s", correlation);
	n->count += count;
}

static void
count_verdict(struct row *r, const struct shadow_verdict *v,
	      const char *correlation)
{
	r->samples++;
	r->changed = true;
	switch (v->outcome) {
	case SHADOW_MATCH:
		r->matches++;
		shadow_latency_add(&r->latency, v->legacy_us,
				   v->candidate_us);
		break;
	case SHADOW_DIFFERENCE:
		r->differences++;
		shadow_latency_add(&r->latency, v->legacy_us,
				   v->candidate_us);
		for (size_t i = v->count; i-- > 0;)
			note_difference(r, v->at[i].pointer, v->at[i].kind,
					correlation, 1);
		break;
	case SHADOW_FAILED:
		r->failures++;
		snprintf(r->last_failure, sizeof(r->last_failure), "%s",
			 v->reason);
		break;
	}
}

static void
count_endpoint(struct shadow_tally *t, struct row *r,
	       const struct shadow_verdict *v, const char *correlation,
	       int64_t sequence)
{
	struct shadow_example seen = { .sequence = sequence,
				       .time_us = v->time_us };
	struct shadow_endpoint *p = NULL;

	if (v->endpoint[0])
		p = shadow_endpoints_get(&r->endpoints, v->endpoint,
					 &t->endpoint_count);
	if (!p)
		return;
	snprintf(seen.correlation, sizeof(seen.correlation), "%s",
		 correlation);
	shadow_endpoint_count(p, v, &seen);
}

void
shadow_tally_add(struct shadow_tally *t, const struct shadow_verdict *v,
		 const char *correlation, int64_t sequence)
{
	struct row *r;

	if (sequence <= t->sequence)
		return;
	r = row_for(t, v->rule, v->candidate);
	if (r) {
		count_verdict(r, v, correlation);
		count_endpoint(t, r, v, correlation, sequence);
	} else {
		counter_inc(COUNTER_SHADOW_UNCOUNTED);
	}
	t->sequence = sequence;
	t->unsaved++;
}

bool
shadow_tally_wants(struct shadow_tally *t, const struct shadow_verdict *v)
{
	struct row *r = *row_link(t, v->rule, v->candidate);
	const struct shadow_endpoint *p = NULL;

	if (r)
		p = shadow_endpoints_find(&r->endpoints, v->endpoint);
	if (r && !p)	/* beyond the limit */
		p = shadow_endpoints_find(&r->endpoints, SHADOW_OTHER);
	return !p || shadow_clusters_wants(&p->clusters, v);
}

bool
shadow_tally_sums(struct shadow_tally *t, const char *rule,
		  const char *candidate, struct shadow_sums *out)
{
	const struct row *r = *row_link(t, rule, candidate);

	memset(out, 0, sizeof(*out));
	if (!r)
		return false;
	out->samples = r->samples;
	out->matches = r->matches;
	out->differences = r->differences;
	out->failures = r->failures;
	out->latency = r->latency;
	return true;
}

/* ---- as text, and back ---- */

static void
write_names(const struct row *r, struct json *out)
{
	json_key(out, "rule");
	json_str(out, r->rule);
	json_key(out, "candidate");
	json_str(out, r->candidate);
}

static void
write_sums(const struct row *r, struct json *out)
{
	write_names(r, out);
	json_key(out, "samples");
	json_u64(out, r->samples);
	json_key(out, "matches");
	json_u64(out, r->matches);
	json_key(out, "differences");
	json_u64(out, r->differences);
	json_key(out, "failures");
	json_u64(out, r->failures);
}

static void
write_newest(const struct row *r, struct json *out)
{
	json_key(out, "newest_differences");
	json_array_begin(out);
	for (size_t i = 0; i < r->newest_count; i++) {
		json_object_begin(out);
		json_key(out, "pointer");
		json_str(out, r->newest[i].pointer);
		json_key(out, "kind");
		json_str(out, r->newest[i].kind);
		json_key(out, "correlationid");
		json_str(out, r->newest[i].correlation);
		json_key(out, "count");
		json_u64(out, r->newest[i].count);
		json_object_end(out);
	}
	json_array_end(out);
	json_key(out, "last_failure");
	json_str(out, r->last_failure[0] ? r->last_failure : NULL);
}

/* Half a text must not replace a whole one: -1 without memory. */
static int
lend(const char *key, struct buf *text, bool *changed,
     void (*fn)(void *, const char *, struct span), void *arg)
{
	int rc = text->failed ? -1 : 0;

	if (!rc)
		fn(arg, key, buf_span(text));
	buf_fini(text);
	*changed &= rc != 0;
	return rc;
}

static int
save_row(struct row *r, void (*fn)(void *, const char *, struct span),
	 void *arg)
{
	char key[sizeof(KEY_ROW) + 2 * SHADOW_NAME_MAX];
	struct buf text = { 0 };
	struct json j;

	json_init(&j, &text);
	json_object_begin(&j);
	write_sums(r, &j);
	json_key(&j, "latency");
	shadow_latency_save(&r->latency, &j);
	write_newest(r, &j);
	json_object_end(&j);
	snprintf(key, sizeof(key), KEY_ROW "%s\t%s", r->rule, r->candidate);
	return lend(key, &text, &r->changed, fn, arg);
}

static int
save_endpoint(const struct row *r, struct shadow_endpoint *p,
	      void (*fn)(void *, const char *, struct span), void *arg)
{
	char key[sizeof(KEY_ENDPOINT) + 2 * SHADOW_NAME_MAX +
		 SHADOW_ENDPOINT_MAX];
	struct buf text = { 0 };
	struct json j;

	json_init(&j, &text);
	json_object_begin(&j);
	json_key(&j, "rule");
	json_str(&j, r->rule);
	json_key(&j, "candidate");
	json_str(&j, r->candidate);
	json_key(&j, "sums");
	shadow_endpoint_save(p, &j);
	json_object_end(&j);
	snprintf(key, sizeof(key), KEY_ENDPOINT "%s\t%s\t%s", r->rule,
		 r->candidate, p->name);
	return lend(key, &text, &p->changed, fn, arg);
}

static int
save_endpoints(const struct row *r,
	       void (*fn)(void *, const char *, struct span), void *arg)
{
	int rc = 0;

	for (struct shadow_endpoint *p = r->endpoints.list; p && !rc;
	     p = p->next)
		if (p->changed)
			rc = save_endpoint(r, p, fn, arg);
	return rc;
}

int
shadow_tally_save(struct shadow_tally *t,
		  void (*fn)(void *arg, const char *key, struct span value),
		  void *arg)
{
	char text[24];

	for (struct row *r = t->rows; r; r = r->next)
		if (r->changed && (save_endpoints(r, fn, arg) ||
				   save_row(r, fn, arg)))
			return -1;
	snprintf(text, sizeof(text), "%lld", (long long)t->sequence);
	fn(arg, KEY_SEQUENCE, span_of(text));
	t->unsaved = 0;
	return 0;
}

void
shadow_tally_unsave(struct shadow_tally *t)
{
	for (struct row *r = t->rows; r; r = r->next) {
		r->changed = true;
		for (struct shadow_endpoint *p = r->endpoints.list; p;
		     p = p->next)
			p->changed = true;
	}
	t->unsaved++;
}

static uint64_t
number(const struct cJSON *tree, const char *name)
{
	int64_t n = payload_int(payload_member(tree, name), 0);

	return n < 0 ? 0 : (uint64_t)n;
}

static const char *
text(const struct cJSON *tree, const char *name)
{
	return payload_string(payload_member(tree, name), "");
}

/* Oldest first, so that the newest is in front again at the end. */
static void
load_newest(struct row *r, const struct cJSON *item)
{
	if (!item)
		return;
	load_newest(r, payload_next(item));
	note_difference(r, text(item, "pointer"), text(item, "kind"),
			text(item, "correlationid"), number(item, "count"));
}

static void
load_row(struct shadow_tally *t, const struct cJSON *tree)
{
	struct row *r = row_for(t, text(tree, "rule"),
				text(tree, "candidate"));

	t->is_short |= !r;
	if (!r)
		return;
	r->samples = number(tree, "samples");
	r->matches = number(tree, "matches");
	r->differences = number(tree, "differences");
	r->failures = number(tree, "failures");
	shadow_latency_load(&r->latency, payload_member(tree, "latency"));
	load_newest(r, payload_first(
			       payload_member(tree, "newest_differences")));
	snprintf(r->last_failure, sizeof(r->last_failure), "%s",
		 text(tree, "last_failure"));
}

static void
load_endpoint(struct shadow_tally *t, const struct cJSON *tree)
{
	const struct cJSON *sums = payload_member(tree, "sums");
	struct row *r = row_for(t, text(tree, "rule"),
				text(tree, "candidate"));

	struct shadow_endpoint *p = NULL;

	if (r)
		p = shadow_endpoints_get(&r->endpoints, text(sums, "endpoint"),
					 &t->endpoint_count);
	t->is_short |= !p;
	if (p)
		shadow_endpoint_load(p, sums);
}

void
shadow_tally_load(struct shadow_tally *t, const char *key, struct span value)
{
	struct cJSON *tree = payload_parse(value, NULL);

	if (strcmp(key, KEY_SEQUENCE) == 0)
		t->sequence = payload_int(tree, 0);
	else if (tree && strncmp(key, KEY_ROW, strlen(KEY_ROW)) == 0)
		load_row(t, tree);
	else if (tree && strncmp(key, KEY_ENDPOINT,
				 strlen(KEY_ENDPOINT)) == 0)
		load_endpoint(t, tree);
	payload_free(&tree);
}

bool
shadow_tally_is_short(const struct shadow_tally *t)
{
	return t->is_short;
}

/* ---- for people ---- */

void
shadow_tally_counts(const struct shadow_tally *t, const char *rule,
		    const char *candidate, uint64_t *samples,
		    uint64_t *matches)
{
	const struct row *r = t->rows;

	while (r && (strcmp(r->rule, rule) != 0 ||
		     strcmp(r->candidate, candidate) != 0))
		r = r->next;
	*samples = r ? r->samples : 0;
	*matches = r ? r->matches : 0;
}

static void
write_mean(struct json *out, const char *key, uint64_t sum, uint64_t n)
{
	json_key(out, key);
	if (n)
		json_u64(out, sum / n);
	else
		json_none(out);
}

static void
write_status(const struct row *r, struct json *out)
{
	json_object_begin(out);
	write_names(r, out);
	shadow_sums_report(r->samples, r->matches, r->differences,
			   r->failures, out);
	write_mean(out, "legacy_mean_us", r->latency.legacy_us,
		   r->latency.pairs);
	write_mean(out, "candidate_mean_us", r->latency.candidate_us,
		   r->latency.pairs);
	json_key(out, "latency");
	shadow_latency_report(&r->latency, out);
	json_key(out, "endpoint_count");
	json_u64(out, r->endpoints.count);
	write_newest(r, out);
	json_object_end(out);
}

void
shadow_tally_status(const struct shadow_tally *t, struct json *out)
{
	json_array_begin(out);
	for (const struct row *r = t->rows; r; r = r->next)
		write_status(r, out);
	json_array_end(out);
}

static void
write_report(const struct row *r, struct json *out)
{
	json_object_begin(out);
	write_names(r, out);
	shadow_sums_report(r->samples, r->matches, r->differences,
			   r->failures, out);
	json_key(out, "latency");
	shadow_latency_report(&r->latency, out);
	json_key(out, "last_failure");
	json_str(out, r->last_failure[0] ? r->last_failure : NULL);
	json_key(out, "endpoints");
	json_array_begin(out);
	for (const struct shadow_endpoint *p = r->endpoints.list; p;
	     p = p->next)
		shadow_endpoint_report(p, out);
	json_array_end(out);
	json_object_end(out);
}

void
shadow_tally_report(const struct shadow_tally *t, struct json *out)
{
	json_object_begin(out);
	json_key(out, "schema");
	json_str(out, SHADOW_REPORT_SCHEMA);
	json_key(out, "sequence");
	json_i64(out, t->sequence);
	json_key(out, "rules");
	json_array_begin(out);
	for (const struct row *r = t->rows; r; r = r->next)
		write_report(r, out);
	json_array_end(out);
	json_object_end(out);
}
