/* SPDX-License-Identifier: Apache-2.0 */
/* Differences of one kind at one place, counted, with a few examples. */
#include "shadow/cluster.h"

#include <stdio.h>
#include <stdlib.h>

#include "shadow/fold.h"

/* What a difference or a failure is counted as. */
struct place {
	char pointer[SHADOW_VALUE_MAX + 1];
	char kind[16];
};

static size_t
place_count(const struct shadow_verdict *v)
{
	return v->outcome == SHADOW_FAILED ? 1 : v->count;
}

static void
place_at(const struct shadow_verdict *v, size_t i, struct place *p)
{
	if (v->outcome == SHADOW_FAILED) {
		shadow_fold_reason(v->reason, p->pointer, sizeof(p->pointer));
		snprintf(p->kind, sizeof(p->kind), SHADOW_KIND_FAILED);
		return;
	}
	shadow_fold_pointer(v->at[i].pointer, p->pointer, sizeof(p->pointer));
	snprintf(p->kind, sizeof(p->kind), "%s", v->at[i].kind);
}

static struct shadow_cluster *
find(const struct shadow_clusters *c, const struct place *p)
{
	struct shadow_cluster *at = c->list;

	while (at && (strcmp(at->pointer, p->pointer) != 0 ||
		      strcmp(at->kind, p->kind) != 0))
		at = at->next;
	return at;
}

static void
drop_oldest(struct shadow_clusters *c)
{
	struct shadow_cluster **oldest = &c->list, *gone;

	for (struct shadow_cluster **at = &c->list; *at; at = &(*at)->next)
		if ((*at)->sequence < (*oldest)->sequence)
			oldest = at;
	gone = *oldest;
	*oldest = gone->next;
	c->other += gone->count;
	c->count--;
	free(gone);
}

/* NULL without memory. */
static struct shadow_cluster *
append(struct shadow_clusters *c, const char *pointer, const char *kind)
{
	struct shadow_cluster **at = &c->list;

	if (c->count == SHADOW_CLUSTERS_MAX)
		drop_oldest(c);
	while (*at)
		at = &(*at)->next;
	*at = calloc(1, sizeof(**at));
	if (!*at)
		return NULL;
	snprintf((*at)->pointer, sizeof((*at)->pointer), "%s", pointer);
	snprintf((*at)->kind, sizeof((*at)->kind), "%s", kind);
	c->count++;
	return *at;
}

/* The first ones stay; behind them the oldest gives way. */
static void
keep_example(struct shadow_cluster *k, const struct shadow_example *seen)
{
	struct shadow_example *from = &k->examples[SHADOW_EXAMPLES_FIRST];

	if (k->example_count == SHADOW_EXAMPLES_MAX)
		memmove(from, from + 1, (--k->example_count -
					 SHADOW_EXAMPLES_FIRST) *
						sizeof(*from));
	k->examples[k->example_count++] = *seen;
}

static void
note(struct shadow_clusters *c, const struct place *p,
     const struct shadow_verdict *v, const struct shadow_example *seen)
{
	struct shadow_cluster *k = find(c, p);

	if (!k) {
		k = append(c, p->pointer, p->kind);
		if (!k) {
			c->other++;
			return;
		}
		k->first_us = seen->time_us;
	}
	if (k->sequence == seen->sequence)
		return;		/* the same place of another element */
	k->count++;
	k->last_us = seen->time_us;
	k->sequence = seen->sequence;
	if (v->has_answer)
		keep_example(k, seen);
}

void
shadow_clusters_note(struct shadow_clusters *c, const struct shadow_verdict *v,
		     const struct shadow_example *seen)
{
	struct place p;

	for (size_t i = 0; i < place_count(v); i++) {
		place_at(v, i, &p);
		note(c, &p, v, seen);
	}
}

static bool
is_power_of_two(uint64_t n)
{
	return (n & (n - 1)) == 0;
}

bool
shadow_clusters_wants(const struct shadow_clusters *c,
		      const struct shadow_verdict *v)
{
	const struct shadow_cluster *k;
	struct place p;

	for (size_t i = 0; i < place_count(v); i++) {
		place_at(v, i, &p);
		k = find(c, &p);
		if (!k || k->example_count < SHADOW_EXAMPLES_FIRST ||
		    is_power_of_two(k->count + 1))
			return true;
	}
	return false;
}

/* ---- as text, and back ---- */

static void
write_example(const struct shadow_example *x, struct json *out)
{
	json_object_begin(out);
	json_key(out, "exchange");
	json_str(out, x->correlation);
	json_key(out, "verdict_sequence");
	json_i64(out, x->sequence);
	json_key(out, "time_us");
	json_i64(out, x->time_us);
	json_object_end(out);
}

static void
write_cluster(const struct shadow_cluster *k, struct json *out)
{
	json_object_begin(out);
	json_key(out, "pointer");
	json_str(out, k->pointer);
	json_key(out, "kind");
	json_str(out, k->kind);
	json_key(out, "count");
	json_u64(out, k->count);
	json_key(out, "first_us");
	json_i64(out, k->first_us);
	json_key(out, "last_us");
	json_i64(out, k->last_us);
	json_key(out, "newest_sequence");
	json_i64(out, k->sequence);
	json_key(out, "examples");
	json_array_begin(out);
	for (size_t i = 0; i < k->example_count; i++)
		write_example(&k->examples[i], out);
	json_array_end(out);
	json_object_end(out);
}

void
shadow_clusters_write(const struct shadow_clusters *c, struct json *out)
{
	json_array_begin(out);
	for (const struct shadow_cluster *k = c->list; k; k = k->next)
		write_cluster(k, out);
	json_array_end(out);
}

static int64_t
number(const struct cJSON *tree, const char *name)
{
	return payload_int(payload_member(tree, name), 0);
}

static const char *
text(const struct cJSON *tree, const char *name)
{
	return payload_string(payload_member(tree, name), "");
}

static void
read_examples(struct shadow_cluster *k, const struct cJSON *list)
{
	for (const struct cJSON *x = payload_first(list);
	     x && k->example_count < SHADOW_EXAMPLES_MAX;
	     x = payload_next(x)) {
		struct shadow_example *e = &k->examples[k->example_count++];

		snprintf(e->correlation, sizeof(e->correlation), "%s",
			 text(x, "exchange"));
		e->sequence = number(x, "verdict_sequence");
		e->time_us = number(x, "time_us");
	}
}

void
shadow_clusters_read(struct shadow_clusters *c, const struct cJSON *list)
{
	for (const struct cJSON *at = payload_first(list); at;
	     at = payload_next(at)) {
		struct shadow_cluster *k = append(c, text(at, "pointer"),
						  text(at, "kind"));

		if (!k) {
			c->other += (uint64_t)number(at, "count");
			continue;
		}
		k->count = (uint64_t)number(at, "count");
		k->first_us = number(at, "first_us");
		k->last_us = number(at, "last_us");
		k->sequence = number(at, "newest_sequence");
		read_examples(k, payload_member(at, "examples"));
	}
}

void
shadow_clusters_free(struct shadow_clusters *c)
{
	while (c->list) {
		struct shadow_cluster *k = c->list;

		c->list = k->next;
		free(k);
	}
	*c = (struct shadow_clusters){ 0 };
}
