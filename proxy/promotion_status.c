/* SPDX-License-Identifier: Apache-2.0 */
/* Where rules are, and why, for the status. */
#include "base/clock.h"
#include "base/wilson.h"
#include "proxy/promotion_internal.h"

#define READY_FROM 0.99		/* where no ramp says better */

/* ---- numbers ---- */

static void
write_side(struct json *out, const char *key, const struct ramp_side *s)
{
	json_key_span(out, span_of(key));
	json_object_begin(out);
	json_key(out, "requests");
	json_u64(out, s->requests);
	json_key(out, "failures");
	json_u64(out, s->failures);
	json_key(out, "error_rate");
	json_double(out, ramp_error_rate(s));
	json_key(out, "typical_us");
	json_u64(out, (uint64_t)ramp_typical_us(s));
	json_object_end(out);
}

static void
write_pairs(struct json *out, const struct ramp_count *c)
{
	json_key(out, "pairs");
	json_u64(out, c->pairs);
	json_key(out, "matches");
	json_u64(out, c->matches);
	json_key(out, "match_rate");
	if (c->pairs)
		json_double(out, (double)c->matches / (double)c->pairs);
	else
		json_none(out);
	json_key(out, "lower_bound");
	json_double(out, wilson_lower(c->matches, c->pairs));
}

void
promotion_write_count(struct json *out, const struct ramp_count *c)
{
	write_pairs(out, c);
	write_side(out, "target", &c->target);
	write_side(out, "legacy", &c->legacy);
	json_key(out, "latency_ratio");
	if (ramp_latency_ratio(c) > 0)
		json_double(out, ramp_latency_ratio(c));
	else
		json_none(out);
}

static void
write_require(struct json *out, const struct rules_ramp *r)
{
	json_key(out, "require");
	json_object_begin(out);
	json_key(out, "every_s");
	json_double(out, r->every_ms / 1000.0);
	json_key(out, "samples");
	json_u64(out, r->samples);
	json_key(out, "match");
	if (r->match_ppm)
		json_double(out, (double)r->match_ppm / RULES_SHARE_ALL);
	else
		json_none(out);
	json_key(out, "errors");
	json_double(out, (double)r->errors_ppm / RULES_SHARE_ALL);
	json_key(out, "latency_ratio");
	if (r->latency_ratio > 0)
		json_double(out, r->latency_ratio);
	else
		json_none(out);
	json_object_end(out);
}

static void
write_steps(struct json *out, const struct rules_ramp *r)
{
	json_key(out, "steps");
	json_array_begin(out);
	for (size_t i = 0; i < r->step_count; i++)
		json_double(out, (double)r->steps[i] / RULES_SHARE_ALL);
	json_array_end(out);
}

/* Before the first look nothing is known. */
static void
write_ramp(struct json *out, const struct rules_rule *rule,
	   const struct promotion_evidence *e)
{
	json_key(out, "ramp");
	if (!rule->ramp) {
		json_none(out);
		return;
	}
	json_object_begin(out);
	write_steps(out, rule->ramp);
	write_require(out, rule->ramp);
	if (e && e->begun) {
		json_key(out, "waits_for");
		json_str(out, e->verdict.words);
		json_key(out, "in_step_s");
		json_double(out, (double)e->there_ms / 1000.0);
		json_key(out, "falls");
		json_u64(out, e->falls);
		promotion_write_count(out, &e->window.step);
	}
	json_object_end(out);
}

double
promotion_ready(const struct promotion_evidence *e)
{
	if (!e->begun || e->at.stage != RULES_STAGE_MIGRATED)
		return 0;
	return wilson_lower(e->window.step.matches, e->window.step.pairs);
}

double
promotion_ready_from(const struct rules_rule *rule)
{
	if (!rule->ramp || !rule->ramp->match_ppm)
		return READY_FROM;
	return (double)rule->ramp->match_ppm / RULES_SHARE_ALL;
}

/* Would the legacy answer as the target does? */
static void
write_rollback(struct json *out, const struct rules_rule *rule,
	       const struct promotion_evidence *e)
{
	json_key(out, "rollback");
	if (rules_place(rule).stage != RULES_STAGE_MIGRATED ||
	    !rule->shadow || !e) {
		json_none(out);
		return;
	}
	json_object_begin(out);
	json_key(out, "candidate");
	json_str(out, rule->shadow->name);
	write_pairs(out, &e->window.step);
	json_key(out, "required");
	json_double(out, promotion_ready_from(rule));
	json_key(out, "ready");
	json_bool(out, promotion_ready(e) >= promotion_ready_from(rule));
	json_object_end(out);
}

/* ---- places ---- */

static void
write_who(const struct promotion_state *s, struct json *out)
{
	char time[CLOCK_RFC3339_SIZE];

	json_key(out, "moved_by");
	json_str(out, s && s->placed ? promotion_by_word(s->by) : NULL);
	json_key(out, "moved_at");
	json_str(out, s && s->since_us ? clock_rfc3339(s->since_us, time) :
					 NULL);
	json_key(out, "operator");
	json_str(out, s && *s->operator ? s->operator : NULL);
	json_key(out, "reason");
	json_str(out, s && *s->reason ? s->reason : NULL);
}

void
promotion_status_rule(struct promotion *p, const struct rules_rule *rule,
		      struct json *out)
{
	const struct promotion_row *row;
	const struct promotion_state *s;
	struct rules_place file = { rule->stage, rule->share_ppm };

	json_key(out, "target_share");
	json_double(out, (double)place_share(rules_place(rule)) /
				 RULES_SHARE_ALL);
	json_key(out, "file");
	promotion_write_place(out, file);
	pthread_mutex_lock(&p->lock);
	row = promotion_find(p, rule->name);
	s = row ? &row->state : NULL;
	write_who(s, out);
	json_key(out, "held");
	json_bool(out, s && s->held);
	json_key(out, "killed");
	json_bool(out, p->all_killed || (s && s->killed));
	json_key(out, "unsaved");
	json_bool(out, row && row->unsaved);
	write_ramp(out, rule, row ? &row->evidence : NULL);
	write_rollback(out, rule, row ? &row->evidence : NULL);
	pthread_mutex_unlock(&p->lock);
}

bool
promotion_all_killed(struct promotion *p)
{
	bool killed;

	pthread_mutex_lock(&p->lock);
	killed = p->all_killed;
	pthread_mutex_unlock(&p->lock);
	return killed;
}

const char *
promotion_warns(struct promotion *p)
{
	const struct promotion_row *row;
	const char *words = NULL;

	pthread_mutex_lock(&p->lock);
	for (row = p->rows; row; row = row->next)
		if (row->state.killed)
			words = "the kill-switch has rules on the legacy";
	if (p->all_killed)
		words = "the kill-switch has everything on the legacy";
	pthread_mutex_unlock(&p->lock);
	return words;
}
