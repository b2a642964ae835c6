/* SPDX-License-Identifier: Apache-2.0 */
/* What operators order: checked, on disk, in force, and only then answered.
 *
 * Towards the legacy it is in force before it is on disk: a full disk must
 * not keep anybody on a service that fails. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "proxy/promotion_internal.h"
#include "proxy/run.h"

#define OK 200
#define BAD 400
#define UNKNOWN 404
#define CONFLICT 409
#define UNAVAILABLE 503

/* One order about one rule. */
struct change {
	const struct console_order *order;
	const struct rules_rule *rule;
	const struct promotion_row *row;
	struct rules_place now;			/* in force */
	struct promotion_state old, next;
};

static int
conflict(struct error *err, const char *what)
{
	error_set(err, "%s", what);
	return CONFLICT;
}

/* ---- verbs ---- */

static int
go_to(struct change *c, struct rules_place to)
{
	c->next.placed = true;
	c->next.place = to;
	c->next.by = PROMOTION_BY_OPERATOR;
	promotion_words(c->rule, c->next.words);
	return OK;
}

static int
check_movable(const struct change *c, struct error *err)
{
	if (!c->rule->target) {
		error_set(err, "rule \"%s\" has no \"target\" in the file: "
			  "there is nothing to move it to", c->rule->name);
		return CONFLICT;
	}
	if (c->next.killed) {
		error_set(err, "rule \"%s\" is on the legacy by the "
			  "kill-switch: release it first", c->rule->name);
		return CONFLICT;
	}
	return OK;
}

static int
order_promote(struct change *c, struct error *err)
{
	struct rules_place to;
	int status = check_movable(c, err);
	char text[PLACE_TEXT_SIZE];

	if (status != OK)
		return status;
	if (c->order->to && place_parse(c->order->to, &to, err))
		return BAD;
	if (!c->order->to && place_up(c->rule, c->now, &to, err))
		return CONFLICT;
	if (place_compare(c->now, to) >= 0) {
		error_set(err, "rule \"%s\" is at %s already: to go back say "
			  "`rollback'", c->rule->name,
			  place_text(c->now, text));
		return CONFLICT;
	}
	return go_to(c, to);
}

static struct rules_place
back_from(struct rules_place now)
{
	return (struct rules_place){ now.stage > RULES_STAGE_SHADOW ?
					     RULES_STAGE_SHADOW :
					     RULES_STAGE_MIRROR, 0 };
}

/* Is the legacy fit to have them back? It may have been forgotten, or have
 * lost the data that the target got. */
static int
check_ready(const struct change *c, struct error *err)
{
	const struct promotion_evidence *e = &c->row->evidence;
	bool known = e->begun && e->at.stage == RULES_STAGE_MIGRATED;
	const struct ramp_count none = { .pairs = 0 };
	const struct ramp_count *n = known ? &e->window.step : &none;

	if (c->now.stage != RULES_STAGE_MIGRATED ||
	    c->order->force == CONSOLE_FORCES)
		return OK;
	if (!c->rule->shadow) {
		error_set(err, "nobody knows whether the legacy still answers "
			  "rule \"%s\" as the target does: it has no "
			  "\"shadow\"; --force if it must be",
			  c->rule->name);
		return CONFLICT;
	}
	if (promotion_ready(e) >= promotion_ready_from(c->rule))
		return OK;
	error_set(err, "\"%s\" answers rule \"%s\" as the target does for "
		  "at least %.2f %% only (%llu of %llu pairs), required "
		  "%.2f %%; --force if it must be", c->rule->shadow->name,
		  c->rule->name, 100 * promotion_ready(e),
		  (unsigned long long)n->matches,
		  (unsigned long long)n->pairs,
		  100 * promotion_ready_from(c->rule));
	return CONFLICT;
}

static int
order_rollback(struct change *c, struct error *err)
{
	struct rules_place to = back_from(c->now);
	int status = check_movable(c, err);
	char text[PLACE_TEXT_SIZE];

	if (status != OK)
		return status;
	if (c->order->to && place_parse(c->order->to, &to, err))
		return BAD;
	if (place_compare(to, c->now) >= 0) {
		error_set(err, "rule \"%s\" is at %s: that is no way back",
			  c->rule->name, place_text(c->now, text));
		return CONFLICT;
	}
	status = check_ready(c, err);
	if (status != OK)
		return status;
	/* Else the ramp would go up again at its next look. */
	c->next.held = c->rule->ramp != NULL;
	return go_to(c, to);
}

static int
check_ramp(const struct change *c, struct error *err)
{
	if (c->rule->ramp)
		return OK;
	error_set(err, "rule \"%s\" has no \"ramp\": nothing moves it but "
		  "`promote' and `rollback'", c->rule->name);
	return CONFLICT;
}

static int
order_hold(struct change *c, struct error *err)
{
	c->next.held = true;
	return check_ramp(c, err);
}

static int
order_resume(struct change *c, struct error *err)
{
	c->next.held = false;
	return check_ramp(c, err);
}

static int
order_kill(struct change *c, struct error *err)
{
	(void)err;
	c->next.killed = true;
	return OK;
}

static int
order_release(struct change *c, struct error *err)
{
	if (!c->next.killed)
		return conflict(err, "the kill-switch of that rule is not on");
	c->next.killed = false;
	return OK;
}

static int
take_order(struct change *c, struct error *err)
{
	static int (*const verbs[])(struct change *, struct error *) = {
		[CONSOLE_PROMOTE] = order_promote,
		[CONSOLE_ROLLBACK] = order_rollback,
		[CONSOLE_HOLD] = order_hold,
		[CONSOLE_RESUME] = order_resume,
		[CONSOLE_KILL] = order_kill,
		[CONSOLE_RELEASE] = order_release,
	};
	const struct console_order *o = c->order;
	int status;

	c->next = c->old;
	status = verbs[o->verb](c, err);
	c->next.since_us = clock_wall_us();
	snprintf(c->next.operator, sizeof(c->next.operator), "%s",
		 o->operator ? o->operator : "");
	snprintf(c->next.reason, sizeof(c->next.reason), "%s",
		 o->reason ? o->reason : "");
	return status;
}

/* ---- in force and on disk ---- */

static int
unsaved(struct error *err, const char *what)
{
	error_set(err, "the journal cannot be written: %s", what);
	return UNAVAILABLE;
}

#define IN_FORCE "it is in force, but a restart before the disk has room " \
		 "undoes it"
#define NOT_IN_FORCE "nothing was changed"

/* An operator has looked at it: the ramp begins to count anew. */
static void
forget_falls(struct promotion *p, struct promotion_row *row,
	     enum console_verb verb)
{
	if (verb == CONSOLE_KILL || verb == CONSOLE_RELEASE)
		return;
	pthread_mutex_lock(&p->lock);
	row->evidence.falls = 0;
	row->evidence.fell_from = 0;
	pthread_mutex_unlock(&p->lock);
}

static int
carry_out(struct promotion *p, struct promotion_row *row, struct change *c,
	  struct error *err)
{
	struct promotion_event e = {
		.action = console_verb_word(c->order->verb),
		.rule = row->name,
		.operator = c->order->operator,
		.reason = c->order->reason,
		.moved = true,
		.old = c->now,
	};
	bool back;
	int failed;

	promotion_effect(p, &c->next, c->rule, &e.fresh);
	back = place_compare(e.fresh, c->now) < 0;
	forget_falls(p, row, c->order->verb);
	if (back)
		promotion_set(p, row, &c->next);
	failed = promotion_store(p, row, &c->next, &e);
	if (failed && !back) {
		promotion_set_saved(p, row);
		return unsaved(err, NOT_IN_FORCE);
	}
	if (!back)
		promotion_set(p, row, &c->next);
	counter_inc(back ? COUNTER_PLACE_BACK : COUNTER_PLACE_UP);
	return failed ? unsaved(err, IN_FORCE) : OK;
}

static void
write_answer(const struct change *c, struct json *out)
{
	json_object_begin(out);
	json_key(out, "rule");
	json_str(out, c->rule->name);
	json_key(out, "old");
	promotion_write_place(out, c->now);
	json_key(out, "new");
	promotion_write_place(out, rules_place(c->rule));
	json_key(out, "held");
	json_bool(out, c->next.held);
	json_key(out, "killed");
	json_bool(out, c->next.killed);
	json_object_end(out);
}

static int
order_rule(struct promotion *p, const struct console_order *o,
	   const struct rules_rule *rule, struct json *out, struct error *err)
{
	struct promotion_row *row = promotion_row(p, rule->name);
	struct change c = { .order = o, .rule = rule, .row = row,
			    .now = rules_place(rule) };
	int status;

	if (!row) {
		error_set(err, "out of memory");
		return UNAVAILABLE;
	}
	c.old = row->state;
	status = take_order(&c, err);
	if (status == OK)
		status = carry_out(p, row, &c, err);
	if (status == OK)
		write_answer(&c, out);
	return status;
}

/* ---- the switch for everything ---- */

static void
set_all(struct promotion *p, const struct console_order *o, bool killed)
{
	pthread_mutex_lock(&p->lock);
	p->all_killed = killed;
	snprintf(p->all_operator, sizeof(p->all_operator), "%s",
		 o->operator ? o->operator : "");
	snprintf(p->all_reason, sizeof(p->all_reason), "%s",
		 o->reason ? o->reason : "");
	pthread_mutex_unlock(&p->lock);
}

/* Off: on disk first. The rows of the state are the same either way. */
static int
order_all(struct promotion *p, const struct console_order *o,
	  struct json *out, struct error *err)
{
	bool kill = o->verb == CONSOLE_KILL;
	struct promotion_event e = { .action = console_verb_word(o->verb),
				     .operator = o->operator,
				     .reason = o->reason };
	int failed;

	set_all(p, o, kill);
	if (kill)
		promotion_apply(p);
	failed = promotion_store(p, NULL, NULL, &e);
	if (failed && !kill)
		set_all(p, o, true);
	if (failed)
		return unsaved(err, kill ? IN_FORCE : NOT_IN_FORCE);
	promotion_apply(p);
	counter_inc(kill ? COUNTER_PLACE_BACK : COUNTER_PLACE_UP);
	json_object_begin(out);
	json_key(out, "rule");
	json_none(out);
	json_key(out, "killed");
	json_bool(out, kill);
	json_object_end(out);
	return OK;
}

static int
order_any(struct promotion *p, const struct console_order *o,
	  struct json *out, struct error *err)
{
	struct rules *rules;
	const struct rules_rule *rule;
	int status = UNKNOWN;

	if (!o->rule)
		return order_all(p, o, out, err);
	rules = rules_holder_get(&p->run->proxy.rules);
	rule = rules_find(rules, o->rule);
	if (rule)
		status = order_rule(p, o, rule, out, err);
	else
		error_set(err, "there is no rule \"%s\"", o->rule);
	rules_unref(&rules);
	return status;
}

int
promotion_order(struct promotion *p, const struct console_order *o,
		struct json *out, struct error *err)
{
	int status;

	pthread_mutex_lock(&p->orders);
	status = order_any(p, o, out, err);
	pthread_mutex_unlock(&p->orders);
	log_info("rules.order", "%s %s%s%s by %s: %s",
		 console_verb_word(o->verb), o->rule ? o->rule : "everything",
		 o->to ? " to " : "", o->to ? o->to : "",
		 o->operator ? o->operator : "an operator",
		 status == OK ? "done" : err->text);
	return status;
}
