/* SPDX-License-Identifier: Apache-2.0 */
/* `check --against recorded`: which calls of the past would be answered by
 * somebody else, grouped by rule and endpoint. */
#include "console/against.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/recorded.h"
#include "console/table.h"
#include "router/router.h"
#include "shadow/fold.h"

#define BATCH 500
#define NAME_MAX_BYTES 96
/* Endpoints beyond them are counted together. */
#define GROUPS_MAX 500
#define OTHER "other"

struct change {
	struct change *next;
	char rule[NAME_MAX_BYTES], endpoint[SHADOW_ENDPOINT_MAX];
	char from[NAME_MAX_BYTES], to[NAME_MAX_BYTES];
	char example[ID_TEXT_SIZE];
	uint64_t count;
};

struct against {
	const struct rules *rules;
	struct change *list;
	size_t groups;
	uint64_t calls, changed;
	bool no_memory;
};

static void
against_fini(struct against *a)
{
	while (a->list) {
		struct change *next = a->list->next;

		free(a->list);
		a->list = next;
	}
}

/* ---- who answers ---- */

static const char *
destination(const struct router_decision *d)
{
	switch (d->action) {
	case ROUTER_FORWARD:
	case ROUTER_COMMAND:
		return d->target ? d->target->name : "matapalo";
	case ROUTER_GONE:
		return "matapalo (410)";
	case ROUTER_AMBIGUOUS:
		return "matapalo (400)";
	}
	return "matapalo";
}

/* A call that no rule's target was chosen for was refused by us. */
static const char *
was_destination(const struct shadow_exchange *x)
{
	const char *target = payload_string(
		payload_at(x->tree, "/route/target"), "");

	if (*target)
		return target;
	return x->status == 410 ? "matapalo (410)"
				: x->status == 400 ? "matapalo (400)"
						   : "matapalo";
}

/* ---- groups ---- */

static struct change *
find(const struct against *a, const struct change *like)
{
	struct change *c = a->list;

	while (c && (strcmp(c->rule, like->rule) ||
		     strcmp(c->endpoint, like->endpoint) ||
		     strcmp(c->from, like->from) || strcmp(c->to, like->to)))
		c = c->next;
	return c;
}

static struct change *
find_or_add(struct against *a, struct change *like)
{
	struct change *c;

	if (a->groups >= GROUPS_MAX && !find(a, like))
		memcpy(like->endpoint, OTHER, sizeof(OTHER));
	c = find(a, like);
	if (c)
		return c;
	c = malloc(sizeof(*c));
	if (!c) {
		a->no_memory = true;
		return NULL;
	}
	*c = *like;
	c->next = a->list;
	a->list = c;
	a->groups++;
	return c;
}

static void
note(struct against *a, const struct shadow_exchange *x,
     const struct router_decision *d)
{
	struct change like = { 0 };
	struct change *c;

	snprintf(like.rule, sizeof(like.rule), "%s", d->rule->name);
	snprintf(like.from, sizeof(like.from), "%s", was_destination(x));
	snprintf(like.to, sizeof(like.to), "%s", destination(d));
	shadow_fold_endpoint(x->method, d->rule->path_template, x->target,
			     x->status, like.endpoint);
	memcpy(like.example, x->correlation, sizeof(like.example));
	c = find_or_add(a, &like);
	if (c)
		c->count++;
}

static void
on_exchange(void *arg, struct shadow_exchange *x)
{
	struct against *a = arg;
	struct router_decision d;
	struct message_request req;

	recorded_request(x, &req);
	router_decide(a->rules, &req, 0, &d);
	a->calls++;
	if (strcmp(was_destination(x), destination(&d))) {
		a->changed++;
		note(a, x, &d);
	}
	shadow_exchange_free(&x);
}

/* ---- the report ---- */

static int
most_first(const void *a, const void *b)
{
	const struct change *x = *(struct change *const *)a;
	const struct change *y = *(struct change *const *)b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->endpoint, y->endpoint);
}

static void
write_changes(const struct against *a, struct change **sorted,
	      struct buf *out)
{
	static const char *const heads[] = { ">CALLS", "<RULE", "<ENDPOINT",
					     "<FROM", "<TO", "<EXAMPLE" };
	struct table t CLEANUP(table_fini) = { 0 };
	size_t n = 0;

	for (struct change *c = a->list; c; c = c->next)
		sorted[n++] = c;
	qsort(sorted, n, sizeof(struct change *), most_first);
	table_init(&t, heads, ARRAY_SIZE(heads));
	for (size_t i = 0; i < n; i++) {
		table_cell(&t, "%llu", (unsigned long long)sorted[i]->count);
		table_cell(&t, "%s", sorted[i]->rule);
		table_cell(&t, "%s", sorted[i]->endpoint);
		table_cell(&t, "%s", sorted[i]->from);
		table_cell(&t, "%s", sorted[i]->to);
		table_cell(&t, "%s", sorted[i]->example);
	}
	table_write(&t, out);
}

static int
write_report(const struct against *a, struct buf *out, struct error *err)
{
	struct change **sorted = calloc(a->groups + 1, sizeof(*sorted));

	if (!sorted || a->no_memory) {
		free(sorted);
		return error_set(err, "no memory for the changes");
	}
	buf_printf(out, "%s: %llu of %llu recorded calls would go "
		   "elsewhere\n", a->rules->path ? a->rules->path : "rules",
		   (unsigned long long)a->changed,
		   (unsigned long long)a->calls);
	if (a->groups)
		write_changes(a, sorted, out);
	free(sorted);
	return 0;
}

int
against_recorded(const struct command_call *call, const struct rules *rules,
		 struct buf *out, struct error *err)
{
	struct recorded r CLEANUP(recorded_close) = { 0 };
	struct against a CLEANUP(against_fini) = { .rules = rules };
	int more = 1;

	if (recorded_open(&r, call, err))
		return -1;
	while (more > 0)
		more = recorded_next(&r, BATCH, on_exchange, &a, err);
	return more < 0 ? -1 : write_report(&a, out, err);
}
