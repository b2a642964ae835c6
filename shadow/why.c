/* SPDX-License-Identifier: Apache-2.0 */
/* A comparison laid open, by what each entry of the rule takes away.
 *
 * It asks the comparer itself, so that it cannot say anything else than what
 * the comparer does. */
#include "shadow/why.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shadow/body.h"
#include "shadow/sieve.h"

#define HEADERS "headers"

/* ---- the entries of a rule ---- */

static const char *
entry_text(const void *list, size_t i)
{
	return ((const char *const *)list)[i];
}

static const char *
entry_tolerance(const void *list, size_t i)
{
	return ((const struct payload_tolerance *)list)[i].pointer;
}

static const char *
entry_unordered(const void *list, size_t i)
{
	return ((const struct payload_unordered *)list)[i].pointer;
}

static const char *
entry_status(const void *list, size_t i)
{
	return ((const struct shadow_status *)list)[i].text;
}

static const char *
entry_normalise(const void *list, size_t i)
{
	return ((const struct payload_rewrite *)list)[i].pointer;
}

/* In this order they are put in force: what has another order is paired
 * before it is looked at. */
#define LIST(field, entry) \
	{ #field, offsetof(struct shadow_rule, field), \
	  offsetof(struct shadow_rule, field##_count), entry }
static const struct list {
	const char *key;
	size_t list, count;		/* where in the rule */
	const char *(*entry)(const void *list, size_t i);
} lists[] = {
	LIST(unordered, entry_unordered),
	LIST(ignore, entry_text),
	LIST(tolerance, entry_tolerance),
	LIST(status, entry_status),
	LIST(normalise, entry_normalise),
};

static size_t *
count_in(struct shadow_rule *rule, const struct list *l)
{
	return (size_t *)(void *)((char *)rule + l->count);
}

static const char *
entry_of(const struct shadow_rule *rule, const struct list *l, size_t i)
{
	const void *list;

	memcpy(&list, (const char *)rule + l->list, sizeof(list));
	return l->entry(list, i);
}

void
shadow_why_entries(const struct shadow_rule *rule,
		   void (*fn)(void *arg, const char *key, const char *entry),
		   void *arg)
{
	struct shadow_rule all = *rule;

	for (const struct list *l = lists; l < lists + ARRAY_SIZE(lists); l++)
		for (size_t i = 0; i < *count_in(&all, l); i++)
			fn(arg, l->key, entry_of(rule, l, i));
	for (size_t i = 0; i < rule->header_count; i++)
		fn(arg, HEADERS, rule->headers[i]);
}

/* ---- what was found, and what went ---- */

struct search {
	const struct shadow_plan *plan;
	const struct shadow_answer *legacy, *candidate;
	struct shadow_why *out;
	bool *seen;			/* by the comparison under way */
	struct shadow_sieve *sieve;	/* the last time */
};

static struct shadow_reason *
find(struct shadow_why *w, const struct shadow_difference *d)
{
	for (size_t i = 0; i < w->count; i++)
		if (!w->list[i].key &&
		    strcmp(w->list[i].at.pointer, d->pointer) == 0 &&
		    strcmp(w->list[i].at.kind, d->kind) == 0)
			return &w->list[i];
	return NULL;
}

static void
note(struct search *s, const struct shadow_difference *d)
{
	struct shadow_why *w = s->out;
	struct shadow_reason *r = find(w, d);

	if (!r && w->count == SHADOW_WHY_MAX) {
		w->beyond++;
		return;
	}
	if (!r) {
		r = &w->list[w->count++];
		r->key = r->entry = NULL;
		r->noise = NULL;
	}
	r->at = *d;
	s->seen[r - w->list] = true;
}

static bool
on_difference(void *arg, const struct shadow_difference *d)
{
	struct search *s = arg;
	const struct shadow_noise_place *p =
		s->sieve ? shadow_sieve_take(s->sieve, d) : NULL;
	struct shadow_reason *r = p ? find(s->out, d) : NULL;

	if (r)
		r->noise = p;
	if (!p)
		note(s, d);
	return true;
}

/* Compares, and says of what is gone who took it. */
static void
pass(struct search *s, const struct shadow_rule *rule, const char *key,
     const char *entry)
{
	struct shadow_verdict *v = calloc(1, sizeof(*v));
	struct shadow_why *w = s->out;

	if (!v) {
		w->failed = true;
		return;
	}
	memset(s->seen, 0, SHADOW_WHY_MAX * sizeof(*s->seen));
	w->beyond = 0;
	if (s->sieve)
		shadow_sieve_put(s->sieve, s->sieve->row, v);
	v->sieve = on_difference;
	v->sieve_arg = s;
	shadow_compare(s->plan, rule, s->legacy, s->candidate, v);
	free(v);
	if (s->sieve)
		s->sieve->v = NULL;
	for (size_t i = 0; i < w->count; i++)
		if (!s->seen[i] && !w->list[i].key) {
			w->list[i].key = key;
			w->list[i].entry = entry;
		}
}

/* ---- all headers, each once; the coding is compared anyway ---- */

struct names {
	const char **list;
	size_t count;
	struct buf memory;
};

static void
add_names(struct buf *out, struct message_fields fields)
{
	for (size_t i = 0; i < fields.count; i++) {
		buf_add(out, fields.at[i].name.at, fields.at[i].name.len);
		buf_addc(out, '\0');
	}
}

static bool
has_name(const struct names *n, const char *name)
{
	for (size_t i = 0; i < n->count; i++)
		if (strcasecmp(n->list[i], name) == 0)
			return true;
	return false;
}

static bool
all_names(struct names *n, const struct shadow_rule *rule,
	  struct message_fields a, struct message_fields b)
{
	n->list = calloc(rule->header_count + a.count + b.count + 1,
			 sizeof(*n->list));
	add_names(&n->memory, a);
	add_names(&n->memory, b);
	if (!n->list || n->memory.failed)
		return false;
	for (size_t i = 0; i < rule->header_count; i++)
		n->list[n->count++] = rule->headers[i];
	for (size_t at = 0; at < n->memory.len;
	     at += strlen(n->memory.data + at) + 1)
		if (!has_name(n, n->memory.data + at) &&
		    strcasecmp(n->memory.data + at, SHADOW_CODING) != 0)
			n->list[n->count++] = n->memory.data + at;
	return true;
}

static void
names_fini(struct names *n)
{
	free(n->list);
	buf_fini(&n->memory);
}

/* ---- all of it ---- */

static void
pass_noise(struct search *s, const struct shadow_rule *rule,
	   const struct shadow_noise_row *noise)
{
	s->sieve = calloc(1, sizeof(*s->sieve));
	if (s->sieve) {
		s->sieve->row = noise;
		pass(s, rule, SHADOW_WHY_NOISE, NULL);
	} else {
		s->out->failed = true;
	}
	free(s->sieve);
	s->sieve = NULL;
}

static void
run(struct search *s, const struct shadow_rule *rule,
    const struct shadow_noise_row *noise)
{
	struct names names = { 0 };
	struct shadow_rule now = *rule;

	now.any_coding = false;
	for (const struct list *l = lists; l < lists + ARRAY_SIZE(lists); l++)
		*count_in(&now, l) = 0;
	if (all_names(&names, rule, s->legacy->fields, s->candidate->fields)) {
		now.headers = names.list;
		now.header_count = names.count;
		pass(s, &now, NULL, NULL);
	} else {
		s->out->failed = true;
	}
	now.headers = rule->headers;
	now.header_count = rule->header_count;
	pass(s, &now, HEADERS, NULL);
	now.any_coding = rule->any_coding;
	if (now.any_coding)
		pass(s, &now, "coding", "any");
	names_fini(&names);
	for (const struct list *l = lists; l < lists + ARRAY_SIZE(lists); l++) {
		struct shadow_rule all = *rule;

		for (size_t i = 0; i < *count_in(&all, l); i++) {
			*count_in(&now, l) = i + 1;
			pass(s, &now, l->key, entry_of(rule, l, i));
		}
	}
	if (noise)
		pass_noise(s, rule, noise);
}

void
shadow_why(const struct shadow_plan *plan, const struct shadow_rule *rule,
	   const struct shadow_answer *legacy,
	   const struct shadow_answer *candidate,
	   const struct shadow_noise_row *noise, struct shadow_why *out)
{
	struct search s = { .plan = plan, .legacy = legacy,
			    .candidate = candidate, .out = out };

	*out = (struct shadow_why){ 0 };
	out->list = calloc(SHADOW_WHY_MAX, sizeof(*out->list));
	s.seen = calloc(SHADOW_WHY_MAX, sizeof(*s.seen));
	if (out->list && s.seen)
		run(&s, rule, noise);
	else
		out->failed = true;
	free(s.seen);
}

void
shadow_why_fini(struct shadow_why *w)
{
	free(w->list);
	*w = (struct shadow_why){ 0 };
}

size_t
shadow_why_counting(const struct shadow_why *w)
{
	size_t n = w->beyond;

	for (size_t i = 0; i < w->count; i++)
		n += !w->list[i].key;
	return n;
}
