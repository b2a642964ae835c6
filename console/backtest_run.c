/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded requests once more, to a candidate: those of one caller one after
 * another, of several callers side by side, and no faster than asked for. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "console/backtest.h"
#include "console/shadowed.h"
#include "rules/rules.h"
#include "shadow/candidate.h"
#include "shadow/compare.h"
#include "shadow/fold.h"
#include "shadow/sieve.h"

#define WAIT_MS 20u
#define US_PER_S 1000000u

/* ---- one call ---- */

static void
call_free(struct backtest_call **cp)
{
	struct backtest_call *c = *cp;

	*cp = NULL;
	if (!c)
		return;
	shadow_exchange_free(&c->x);
	free(c);
}

static void
call_end(struct backtest_call *c)
{
	struct backtest *b = c->b;
	struct backtest_call **at = &b->first;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	if (b->end == &c->next)
		b->end = at;
	b->waiting -= !c->is_under_way;
	b->under_way -= c->is_under_way;
	call_free(&c);
}

void
backtest_calls_free(struct backtest *b)
{
	while (b->first)
		call_end(b->first);
}

/* How the rule's answers are compared; a rule that is not there any more, or
 * no rules file: status and bodies. */
static struct shadow_rule
rule_of(const struct backtest *b, const struct shadow_exchange *x)
{
	const struct rules_rule *u =
		b->rules ? rules_find(b->rules, x->rule) : NULL;
	struct shadow_rule rule = { 0 };

	if (u)
		rule = shadowed_rule(u);
	rule.name = *x->rule ? x->rule : "default";
	rule.target = "backtest";
	rule.url = b->target;
	rule.timeout_ms = b->timeout_ms;
	return rule;
}

static void
compare(struct backtest *b, const struct backtest_call *c,
	const struct outbound_answer *a, struct shadow_verdict *v)
{
	const struct shadow_rule rule = rule_of(b, c->x);
	const struct shadow_answer legacy = {
		.status = c->x->status,
		.fields = shadow_side_fields(&c->x->response),
		.body = c->x->response.body,
		.redacted = true,
	};
	const struct shadow_answer candidate = {
		.status = a->status,
		.fields = { a->fields, a->field_count },
		.body = a->body.len ? buf_span(&a->body) : SPAN_LITERAL(""),
	};

	struct shadow_noise_row *row = rule.noise_ppm ? malloc(sizeof(*row))
						      : NULL;
	struct shadow_noise_seen seen;
	bool noisy = row && shadow_noise_get(b->noise, rule.name,
					     rule.fingerprint, v->endpoint,
					     row);

	shadow_sieve_compare(&b->plan, &rule, &legacy, &candidate,
			     noisy ? row : NULL, v, &seen);
	free(row);
}

/* reason NULL: the answer is compared. */
static void
judge(struct backtest_call *c, const struct outbound_answer *a,
      const char *reason)
{
	struct backtest *b = c->b;
	const struct shadow_exchange *x = c->x;
	struct shadow_verdict *v = calloc(1, sizeof(*v));

	if (!v) {
		b->no_memory = true;
		return;
	}
	snprintf(v->rule, sizeof(v->rule), "%s",
		 *x->rule ? x->rule : "default");
	snprintf(v->candidate, sizeof(v->candidate), "%s", b->target);
	shadow_fold_endpoint(x->method, x->path, x->target, x->status,
			     v->endpoint);
	v->exchange_sequence = x->sequence;
	v->time_us = clock_wall_us();
	v->legacy_us = x->total_us;
	v->candidate_us = a ? a->total_us : 0;
	if (reason)
		shadow_verdict_fail(v, reason);
	else
		compare(b, c, a, v);
	/* An example is the exchange; the answer is not kept. */
	v->has_answer = shadow_tally_wants(b->tally, v);
	shadow_tally_add(b->tally, v, x->correlation, (int64_t)++b->judged);
	free(v);
}

static void
on_answer(void *arg, struct outbound_answer *a)
{
	struct backtest_call *c = arg;

	judge(c, a, a->status ? NULL : a->error.text);
	call_end(c);
}

/* Marked as a copy, and as one of the past. */
static int
start(struct backtest_call *c, struct shadow_copy *copy, struct error *err)
{
	struct message_fields own = copy->request.fields;
	struct message_field *fields = calloc(own.count + 1, sizeof(*fields));
	int rc;

	if (!fields)
		return error_set(err, "no memory for header fields");
	memcpy(fields, own.at, own.count * sizeof(*fields));
	fields[own.count] = (struct message_field){
		SPAN_LITERAL("Matapalo-Backtest"), SPAN_LITERAL("1")
	};
	copy->request.fields =
		(struct message_fields){ fields, own.count + 1 };
	rc = outbound_start(c->b->outbound, &copy->request, on_answer, c,
			    err);
	copy->request.fields = own;
	free(fields);
	return rc;
}

static void
launch(struct backtest_call *c)
{
	const struct shadow_rule rule = rule_of(c->b, c->x);
	struct error err = { 0 };
	struct shadow_copy copy;
	int failed = shadow_copy_init(&copy, c->x, &rule, &err);

	c->is_under_way = true;
	c->b->waiting--;
	c->b->under_way++;
	c->b->sent++;
	if (!failed)
		failed = start(c, &copy, &err);
	shadow_copy_fini(&copy);
	if (!failed)
		return;
	judge(c, NULL, err.text);
	call_end(c);
}

/* ---- what may go ---- */

static bool
is_wanted(struct backtest *b, const struct shadow_exchange *x)
{
	uint64_t *skipped = NULL;

	if (b->only_rule && strcmp(x->rule, b->only_rule))
		skipped = &b->skipped_rule;
	else if (!x->answered)
		skipped = &b->skipped_unanswered;
	else if (!b->takes_unsafe && !shadow_exchange_is_safe(x))
		skipped = &b->skipped_unsafe;
	else if (!shadow_exchange_is_complete(x))
		skipped = &b->skipped_incomplete;
	if (skipped)
		++*skipped;
	return !skipped;
}

static void
on_exchange(void *arg, struct shadow_exchange *x)
{
	struct backtest *b = arg;
	struct backtest_call *c;

	if (!is_wanted(b, x)) {
		shadow_exchange_free(&x);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		b->no_memory = true;
		shadow_exchange_free(&x);
		return;
	}
	c->b = b;
	c->x = x;
	*b->end = c;
	b->end = &c->next;
	b->waiting++;
}

/* Whom the recorded service took for one: its partition key, which rules may
 * say, else the address. */
static const char *
caller_of(const struct backtest_call *c)
{
	return *c->x->partition_key ? c->x->partition_key : c->x->client;
}

static bool
is_next_of_caller(const struct backtest *b, const struct backtest_call *c)
{
	for (const struct backtest_call *e = b->first; e != c; e = e->next)
		if (strcmp(caller_of(e), caller_of(c)) == 0)
			return false;
	return true;
}

static struct backtest_call *
find_next(const struct backtest *b)
{
	for (struct backtest_call *c = b->first; c; c = c->next)
		if (!c->is_under_way && is_next_of_caller(b, c))
			return c;
	return NULL;
}

static bool
may_send(const struct backtest *b)
{
	return b->under_way < b->parallel &&
	       (!b->rate || (clock_mono_us() - b->begun_us) * b->rate >=
				    b->sent * US_PER_S);
}

static void
send_some(struct backtest *b)
{
	struct backtest_call *c;

	while (b->waiting && may_send(b)) {
		c = find_next(b);
		if (!c)
			return;
		launch(c);
	}
}

int
backtest_run(struct backtest *b, struct error *err)
{
	int more = 1;

	b->end = &b->first;
	b->begun_us = clock_mono_us();
	while (more > 0 || b->first) {
		if (more > 0 && b->waiting < BACKTEST_WINDOW / 2)
			more = recorded_next(&b->recorded,
					     BACKTEST_WINDOW - b->waiting,
					     on_exchange, b, err);
		if (more < 0)
			return -1;
		if (b->no_memory)
			return error_set(err, "no memory");
		send_some(b);
		if (b->under_way)
			outbound_run(b->outbound, WAIT_MS);
		else if (b->waiting)
			poll(NULL, 0, 1);
	}
	return 0;
}
