/* SPDX-License-Identifier: Apache-2.0 */
/* Comparisons that know of noise. */
#include "shadow/sieve.h"

#include <stdio.h>
#include <stdlib.h>

#include "shadow/columns.h"

static bool
column_agrees(struct shadow_sieve *s, const char *folded)
{
	struct shadow_column *c;

	for (size_t i = 0; i < s->column_count; i++)
		if (strcmp(s->columns[i].folded, folded) == 0)
			return s->columns[i].agrees;
	if (s->column_count == SHADOW_SIEVE_COLUMNS)
		return false;
	c = &s->columns[s->column_count++];
	snprintf(c->folded, sizeof(c->folded), "%s", folded);
	c->agrees = shadow_columns_agree(s->v->bodies[0], s->v->bodies[1],
					 folded);
	return c->agrees;
}

/* A place that does not fit as a whole is another place. */
static bool
fold(const struct shadow_difference *d, char out[SHADOW_VALUE_MAX + 1])
{
	shadow_fold_pointer(d->pointer, out, SHADOW_VALUE_MAX + 1);
	return strlen(d->pointer) < SHADOW_VALUE_MAX;
}

static struct shadow_noise_sight *
sight_of(struct shadow_noise_seen *seen, const char *pointer,
	 const char *kind)
{
	for (size_t i = 0; i < seen->count; i++)
		if (strcmp(seen->at[i].pointer, pointer) == 0 &&
		    strcmp(seen->at[i].kind, kind) == 0)
			return &seen->at[i];
	return NULL;
}

const struct shadow_noise_place *
shadow_sieve_take(struct shadow_sieve *s, const struct shadow_difference *d)
{
	const struct shadow_noise_place *p;
	struct shadow_noise_sight *sight;
	char folded[SHADOW_VALUE_MAX + 1];
	bool permuted;

	if (!fold(d, folded))
		return NULL;
	permuted = column_agrees(s, folded);
	shadow_noise_see(&s->seen, folded, d->kind, permuted);
	if (!s->row)
		return NULL;
	p = shadow_noise_takes(s->row, folded, d->kind, permuted);
	sight = p ? sight_of(&s->seen, folded, d->kind) : NULL;
	s->repeats = sight && sight->suppressed;
	if (sight)
		sight->suppressed = true;
	return p;
}

static bool
on_difference(void *arg, const struct shadow_difference *d)
{
	struct shadow_sieve *s = arg;
	const struct shadow_noise_place *p = shadow_sieve_take(s, d);

	if (p && s->repeats)
		s->v->suppressed_total++;
	else if (p)
		shadow_verdict_suppress(s->v, d, p->disagreed + p->permuted,
					s->row->pairs);
	return p || !s->row;
}

void
shadow_sieve_put(struct shadow_sieve *s, const struct shadow_noise_row *row,
		 struct shadow_verdict *v)
{
	memset(s, 0, sizeof(*s));
	s->row = row;
	s->v = v;
	v->sieve = on_difference;
	v->sieve_arg = s;
}

bool
shadow_sieve_compare(const struct shadow_plan *plan,
		     const struct shadow_rule *rule,
		     const struct shadow_answer *legacy,
		     const struct shadow_answer *candidate,
		     const struct shadow_noise_row *row,
		     struct shadow_verdict *v, struct shadow_noise_seen *seen)
{
	struct shadow_sieve *s = row ? malloc(sizeof(*s)) : NULL;
	bool sieved = s != NULL;

	if (s)
		shadow_sieve_put(s, row, v);
	shadow_compare(plan, rule, legacy, candidate, v);
	v->sieve = NULL;
	v->sieve_arg = NULL;
	if (s)
		*seen = s->seen;
	free(s);
	return sieved;
}

bool
shadow_sieve_learn(const struct shadow_plan *plan,
		   const struct shadow_rule *rule,
		   const struct shadow_answer *first,
		   const struct shadow_answer *second,
		   struct shadow_noise_seen *seen)
{
	struct shadow_verdict *v = calloc(1, sizeof(*v));
	struct shadow_sieve *s = calloc(1, sizeof(*s));
	bool usable = v && s && first->status == second->status;

	if (usable) {
		shadow_sieve_put(s, NULL, v);
		shadow_compare(plan, rule, first, second, v);
		*seen = s->seen;
	}
	free(v);
	free(s);
	return usable;
}
