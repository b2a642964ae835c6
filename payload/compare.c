/* SPDX-License-Identifier: Apache-2.0 */
/* Structural comparison of two JSON values.
 *
 * Members are paired by name, whatever their order; of several members of
 * one name the first goes with the first, the second with the second, so
 * that a duplicate key can never hide a difference. */
#include "payload/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct members {
	const cJSON **at;
	size_t count;
};

bool
compare_is_ignored(const struct compare *c)
{
	for (size_t i = 0; i < c->how->ignore_count; i++)
		if (payload_path_matches(c->how->ignore[i], &c->path))
			return true;
	return false;
}

const struct payload_tolerance *
compare_tolerance(const struct compare *c)
{
	for (size_t i = 0; i < c->how->tolerance_count; i++)
		if (payload_path_matches(c->how->tolerance[i].pointer,
					 &c->path))
			return &c->how->tolerance[i];
	return NULL;
}

static void
report_text(struct compare *c, enum payload_difference_kind kind,
	    const char *expected, const char *actual)
{
	c->count++;
	if (!c->quiet && c->count <= c->max_reported)
		c->fn(c->arg, buf_str(&c->path.text), kind, expected, actual);
}

void
compare_report(struct compare *c, enum payload_difference_kind kind,
	       const cJSON *a, const cJSON *b)
{
	struct buf ta = { 0 }, tb = { 0 };

	if (!c->quiet && c->count < c->max_reported) {
		if (a)
			payload_write(a, &ta);
		if (b)
			payload_write(b, &tb);
	}
	report_text(c, kind, buf_str(&ta), buf_str(&tb));
	buf_fini(&ta);
	buf_fini(&tb);
}

static void
report_length(struct compare *c, const cJSON *expected, const cJSON *actual)
{
	char a[24] = "", b[24] = "";

	if (!c->quiet) {
		snprintf(a, sizeof(a), "%d", cJSON_GetArraySize(expected));
		snprintf(b, sizeof(b), "%d", cJSON_GetArraySize(actual));
	}
	report_text(c, PAYLOAD_LENGTH, a, b);
}

bool
compare_is_decided(const struct compare *c)
{
	return c->quiet && c->count > 0;
}

/* ---- objects ---- */

static int
by_name(const void *a, const void *b)
{
	return strcmp((*(const cJSON *const *)a)->string,
		      (*(const cJSON *const *)b)->string);
}

/* A merge sort keeps equal names in their order; n log n against documents
 * of a million keys. */
static void
merge(const cJSON **at, const cJSON **spare, size_t mid, size_t n)
{
	size_t i = 0, j = mid;

	for (size_t k = 0; k < n; k++) {
		bool left = i < mid &&
			    (j == n || by_name(&at[i], &at[j]) <= 0);

		spare[k] = left ? at[i++] : at[j++];
	}
	memcpy(at, spare, n * sizeof(*at));
}

static void
sort_members(const cJSON **at, const cJSON **spare, size_t n)
{
	if (n < 2)
		return;
	sort_members(at, spare, n / 2);
	sort_members(at + n / 2, spare, n - n / 2);
	merge(at, spare, n / 2, n);
}

static struct members
members_of(const cJSON *object)
{
	struct members m = { 0 };
	size_t n = (size_t)cJSON_GetArraySize(object);

	m.at = malloc((2 * n + 1) * sizeof(*m.at));
	if (!m.at)
		return m;
	for (const cJSON *i = object->child; i; i = i->next)
		m.at[m.count++] = i;
	sort_members(m.at, m.at + n, n);
	return m;
}

static void
compare_member(struct compare *c, const cJSON *a, const cJSON *b)
{
	payload_path_push(&c->path, a ? a->string : b->string);
	if (!compare_is_ignored(c)) {
		if (a && b)
			compare_values(c, a, b);
		else if (a)
			compare_report(c, PAYLOAD_MISSING, a, NULL);
		else
			compare_report(c, PAYLOAD_EXTRA, NULL, b);
	}
	payload_path_pop(&c->path);
}

static void
compare_objects(struct compare *c, const cJSON *a, const cJSON *b)
{
	struct members ma = members_of(a), mb = members_of(b);
	size_t i = 0, j = 0;

	c->work += ma.count + mb.count;
	if (!ma.at || !mb.at)	/* without memory nothing may look equal */
		compare_report(c, PAYLOAD_VALUE, NULL, NULL);
	while ((i < ma.count || j < mb.count) && !compare_is_decided(c)) {
		int order = i == ma.count   ? 1
			    : j == mb.count ? -1
					    : by_name(&ma.at[i], &mb.at[j]);

		compare_member(c, order <= 0 ? ma.at[i] : NULL,
			       order >= 0 ? mb.at[j] : NULL);
		i += order <= 0;
		j += order >= 0;
	}
	free(ma.at);
	free(mb.at);
}

/* ---- arrays ---- */

void
compare_lone(struct compare *c, size_t index, const cJSON *a, const cJSON *b)
{
	payload_path_push_index(&c->path, index);
	if (!compare_is_ignored(c))
		compare_report(c, a ? PAYLOAD_MISSING : PAYLOAD_EXTRA, a, b);
	payload_path_pop(&c->path);
}

/* A longer array is one difference, unless all that is surplus is ignored. */
static bool
is_surplus_ignored(struct compare *c, const cJSON *rest, size_t index)
{
	bool ignored = true;

	for (; rest && ignored; rest = rest->next, index++) {
		c->work++;
		payload_path_push_index(&c->path, index);
		ignored = compare_is_ignored(c);
		payload_path_pop(&c->path);
	}
	return ignored;
}

static void
compare_arrays(struct compare *c, const cJSON *a, const cJSON *b)
{
	const cJSON *i = a->child, *j = b->child;
	size_t index = 0;

	for (; i && j && !compare_is_decided(c);
	     i = i->next, j = j->next, index++) {
		payload_path_push_index(&c->path, index);
		compare_values(c, i, j);
		payload_path_pop(&c->path);
	}
	if ((i || j) && !is_surplus_ignored(c, i ? i : j, index))
		report_length(c, a, b);
}

/* ---- any value ---- */

#define TYPE_MASK 0xff
#define STRING_BYTES_A_STEP 64

static int
type_of(const cJSON *p)
{
	return cJSON_IsBool(p) ? cJSON_True : p->type & TYPE_MASK;
}

static bool
numbers_agree(const struct compare *c, const cJSON *a, const cJSON *b)
{
	const struct payload_tolerance *t;

	if (payload_number_equal(a, b))
		return true;
	t = compare_tolerance(c);
	return t && payload_number_near(a, b, t);
}

bool
compare_rewrite(const struct compare *c, const char *s, struct buf *out)
{
	const struct payload_compare *how = c->how;
	bool done = false;

	for (size_t i = 0; i < how->rewrite_count; i++) {
		struct span in = done ? buf_span(out) : span_of(s);
		struct buf next = { 0 };

		if (!payload_path_matches(how->rewrites[i].pointer, &c->path))
			continue;
		if (!how->rewrite(how->rewrite_arg, how->rewrites[i].pattern,
				  in, &next)) {
			buf_fini(&next);
			return false;
		}
		buf_fini(out);
		*out = next;
		done = true;
	}
	return done;
}

static bool
rewritten_agree(const struct compare *c, const char *a, const char *b)
{
	struct buf x = { 0 }, y = { 0 };
	bool agree = compare_rewrite(c, a, &x) && compare_rewrite(c, b, &y) &&
		     span_equal(buf_span(&x), buf_span(&y));

	buf_fini(&x);
	buf_fini(&y);
	return agree;
}

static bool
strings_agree(struct compare *c, const char *a, const char *b)
{
	const struct payload_tolerance *t;

	if (c->quiet)
		c->work += strlen(a) / STRING_BYTES_A_STEP;
	if (strcmp(a, b) == 0)
		return true;
	t = compare_tolerance(c);
	if (t && t->kind == PAYLOAD_TOLERANCE_TIME &&
	    payload_texts_near(span_of(a), span_of(b), t))
		return true;
	return c->how->rewrite_count > 0 && rewritten_agree(c, a, b);
}

static bool
scalars_agree(struct compare *c, const cJSON *a, const cJSON *b)
{
	if (cJSON_IsNumber(a))
		return numbers_agree(c, a, b);
	if (cJSON_IsString(a))
		return strings_agree(c, a->valuestring, b->valuestring);
	return cJSON_IsNull(a) || cJSON_IsTrue(a) == cJSON_IsTrue(b);
}

void
compare_values(struct compare *c, const cJSON *a, const cJSON *b)
{
	if (compare_is_decided(c))
		return;
	c->work++;
	if (compare_is_ignored(c))
		return;
	if (type_of(a) != type_of(b))
		compare_report(c, PAYLOAD_TYPE, a, b);
	else if (cJSON_IsObject(a))
		compare_objects(c, a, b);
	else if (!cJSON_IsArray(a)) {
		if (!scalars_agree(c, a, b))
			compare_report(c, PAYLOAD_VALUE, a, b);
	} else if (!compare_unordered(c, a, b))
		compare_arrays(c, a, b);
}

size_t
payload_compare_json(const struct cJSON *expected, const struct cJSON *actual,
		     const struct payload_compare *how, size_t max_reported,
		     void (*fn)(void *arg, const char *pointer,
				enum payload_difference_kind kind,
				const char *expected, const char *actual),
		     void *arg)
{
	struct compare c = { .how = how, .max_reported = max_reported,
			     .fn = fn, .arg = arg,
			     .budget = COMPARE_BUDGET };

	compare_values(&c, expected, actual);
	if (c.path.text.failed && c.count == 0)
		c.count = 1;
	buf_fini(&c.path.text);
	return c.count;
}

const char *
payload_difference_name(enum payload_difference_kind k)
{
	switch (k) {
	case PAYLOAD_MISSING:
		return "missing";
	case PAYLOAD_EXTRA:
		return "extra";
	case PAYLOAD_TYPE:
		return "type";
	case PAYLOAD_VALUE:
		return "value";
	case PAYLOAD_LENGTH:
		return "length";
	}
	return "unknown";
}
