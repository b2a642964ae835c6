/* SPDX-License-Identifier: Apache-2.0 */
/* The decision in words, for `matapalo explain`. */
#include "router/router.h"

static void
add_percent(struct buf *out, uint32_t ppm)
{
	uint32_t decimals = ppm % 10000;
	int digits = 4;

	buf_printf(out, "%u", (unsigned)(ppm / 10000));
	while (decimals > 0 && decimals % 10 == 0) {
		decimals /= 10;
		digits--;
	}
	if (decimals > 0)
		buf_printf(out, ".%0*u", digits, (unsigned)decimals);
	buf_addc(out, '%');
}

static void
add_span(struct buf *out, struct span s)
{
	buf_add(out, s.at, s.len);
}

static void
add_target(struct buf *out, const struct rules_target *t)
{
	switch (t->kind) {
	case RULES_TARGET_HTTP:
		buf_printf(out, "%s (%s%s)", t->name, t->url,
			   t->address_count > 1 ? " and others" : "");
		break;
	case RULES_TARGET_COMMAND:
		buf_printf(out, "%s (command %s, reply within %u ms)",
			   t->name, t->command, t->reply_within_ms);
		break;
	}
}

static void
explain_rule(const struct rules *rules, const struct message_request *req,
	     struct buf *out)
{
	struct buf why = { 0 };
	const struct rules_rule *rule = rules_match_explain(rules, req, &why);

	buf_printf(out, "rule        %s", rule->name);
	if (rule->line > 0)
		buf_printf(out, " (line %d)", rule->line);
	else
		buf_adds(out, " (built in)");
	buf_printf(out, "\n%s", buf_str(&why));
	buf_fini(&why);
}

static const char *
stage_help(enum rules_stage stage)
{
	static const char *const help[] = {
#define STAGE(sym, text, sentence) sentence,
#include "rules/stages.def"
#undef STAGE
	};

	return help[stage];
}

static void
add_breaker(const struct rules_breaker *b, struct buf *out)
{
	buf_printf(out, "; not asked for %u ms when ", b->open_ms);
	add_percent(out, b->errors_ppm);
	buf_printf(out, " of at least %u requests in %u ms failed",
		   b->requests, b->window_ms);
}

static void
explain_answer(const struct router_decision *d, struct buf *out)
{
	buf_adds(out, "answered by ");
	if (d->target)
		add_target(out, d->target);
	else if (d->action == ROUTER_AMBIGUOUS)
		buf_adds(out, "matapalo itself: 400 Bad Request, since "
			 "servers that read the path in another way would "
			 "follow another rule");
	else
		buf_adds(out, "matapalo itself: 410 Gone");
	if (d->target && d->target->breaker.requests)
		add_breaker(&d->target->breaker, out);
	buf_adds(out, "\nfallback    ");
	if (d->fallback)
		add_target(out, d->fallback);
	else
		buf_adds(out, "none: a failure is the caller's answer");
	buf_addc(out, '\n');
}

static void
explain_stick(const struct rules_rule *rule, struct buf *out)
{
	switch (rule->stick) {
	case RULES_STICK_CLIENT:
		buf_adds(out, "client address");
		break;
	case RULES_STICK_HEADER:
		buf_printf(out, "header %s", rule->stick_name);
		break;
	case RULES_STICK_COOKIE:
		buf_printf(out, "cookie %s", rule->stick_name);
		break;
	case RULES_STICK_QUERY:
		buf_printf(out, "query parameter %s", rule->stick_name);
		break;
	}
}

/* A caller in place n moves as soon as the share is n + 1 millionths. */
static void
explain_share(const struct router_decision *d, struct buf *out)
{
	if (d->place.stage != RULES_STAGE_CANARY)
		return;
	buf_adds(out, "share       ");
	add_percent(out, d->place.share_ppm);
	buf_adds(out, " of callers, by ");
	explain_stick(d->rule, out);
	buf_adds(out, "; this caller moves at ");
	add_percent(out, d->bucket_ppm + 1);
	buf_addc(out, '\n');
}

static void
explain_record(const struct router_decision *d, struct buf *out)
{
	if (!d->record) {
		buf_adds(out, "recorded    no\n");
		return;
	}
	buf_printf(out, "recorded    yes, %s, up to %zu bytes of each body\n",
		   d->strict ? "strict: on disk before the answer ends"
			     : "bounded: on disk soon after the answer",
		   d->rule->record_body_bytes);
}

static void
explain_shadow(const struct router_decision *d,
	       const struct message_request *req, struct buf *out)
{
	const struct rules_rule *rule = d->rule;
	const struct rules_target *to = rules_shadow_at(rule, d->place);

	buf_adds(out, "shadow      ");
	if (!to || d->action == ROUTER_AMBIGUOUS) {
		buf_adds(out, "none\n");
	} else if (!rule->shadow_unsafe &&
		   !rules_method_is_safe(req->method)) {
		buf_adds(out, "none: ");
		add_span(out, req->method);
		buf_adds(out, " is not safe and the rule does not say "
			 "\"shadow_unsafe\"\n");
	} else {
		add_target(out, to);
		buf_adds(out, " gets a copy of ");
		add_percent(out, rule->sample_ppm);
		buf_adds(out, " of the requests\n");
	}
}

static void
explain_emits(const struct router_decision *d, struct buf *out)
{
	const struct emit_list *l = &d->rule->emits;

	if (!d->record || d->place.stage == RULES_STAGE_RETIRED)
		return;
	for (size_t i = 0; i < l->count; i++) {
		const struct emit *e = &l->at[i];

		buf_printf(out, "emits       %s on status", e->type);
		for (size_t k = 0; k < e->range_count; k++) {
			buf_printf(out, "%s%u", k ? "," : " ",
				   e->statuses[k].from);
			if (e->statuses[k].to != e->statuses[k].from)
				buf_printf(out, "-%u", e->statuses[k].to);
		}
		if (e->condition_count)
			buf_printf(out, ", if %zu more hold",
				   e->condition_count);
		buf_addc(out, '\n');
	}
}

void
router_explain(const struct rules *rules, const struct message_request *req,
	       struct buf *out)
{
	struct router_decision d;

	router_decide(rules, req, 0, &d);
	add_span(out, req->method);
	buf_addc(out, ' ');
	add_span(out, req->target);
	buf_addc(out, '\n');
	explain_rule(rules, req, out);
	buf_printf(out, "stage       %s: %s\n", rules_stage_name(d.place.stage),
		   stage_help(d.place.stage));
	explain_answer(&d, out);
	explain_share(&d, out);
	explain_record(&d, out);
	explain_shadow(&d, req, out);
	explain_emits(&d, out);
}
