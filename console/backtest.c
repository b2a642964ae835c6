/* SPDX-License-Identifier: Apache-2.0 */
/* The command `backtest`: a candidate's answers to recorded requests, scored
 * as a shadow's are, before it is asked anything live. */
#include "console/backtest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "console/command.h"
#include "console/diff.h"
#include "console/shadowed.h"
#include "payload/payload.h"
#include "rules/rules.h"
#include "rules/units.h"
#include "shadow/wilson.h"

#define RATE_MAX 100000u
#define RATE_DEFAULT 50u
#define PARALLEL_DEFAULT 4u
#define TIMEOUT_DEFAULT_MS 10000u
#define ALL_PPM 1000000u

/* ---- options ---- */

static int
read_target(struct backtest *b, const struct command_call *call,
	    struct error *err)
{
	b->target = call->values[OPTION_TARGET];
	if (!b->target)
		return error_set(err, "--target URL is needed");
	if (strncmp(b->target, "http://", 7) &&
	    strncmp(b->target, "https://", 8))
		return error_set(err, "--target `%s' is no URL: write "
				 "http://HOST:PORT", b->target);
	return 0;
}

static int
read_options(struct backtest *b, const struct command_call *call,
	     struct error *err)
{
	if (read_target(b, call, err) ||
	    command_number(call, OPTION_BACKTEST_RATE, RATE_MAX, RATE_DEFAULT,
			   &b->rate, err) ||
	    command_number(call, OPTION_BACKTEST_PARALLEL,
			   BACKTEST_PARALLEL_MAX, PARALLEL_DEFAULT,
			   &b->parallel, err) ||
	    command_duration(call, OPTION_BACKTEST_TIMEOUT,
			     TIMEOUT_DEFAULT_MS, &b->timeout_ms, err))
		return -1;
	b->parallel = b->parallel ? b->parallel : 1;
	b->only_rule = call->values[OPTION_RULE];
	b->takes_unsafe = call->values[OPTION_UNSAFE] != NULL;
	if (call->values[OPTION_RULES]) {
		b->rules = rules_load_file(call->values[OPTION_RULES], err);
		if (!b->rules)
			return error_context(err, "%s",
					     call->values[OPTION_RULES]);
	}
	if (!b->rules)
		return 0;
	b->plan.redact = &b->rules->redact;
	return shadowed_secrets(&b->plan, &b->key, command_data(call), err);
}

static int
read_required(const struct command_call *call, uint32_t *ppm,
	      struct error *err)
{
	const char *text = call->values[OPTION_REQUIRE];
	const char *wrong = text ? units_percent(text, ppm) : NULL;

	return wrong ? error_set(err, "--require: \"%s\" %s", text, wrong)
		     : 0;
}

/* ---- the report ---- */

struct score {
	uint64_t samples, matches;
	uint32_t required_ppm;
	bool passed;
};

static void
add_up(const struct cJSON *report, struct score *s)
{
	const struct cJSON *rule = payload_first(
		payload_member(report, "rules"));

	for (; rule; rule = payload_next(rule)) {
		s->samples += (uint64_t)payload_int(
			payload_member(rule, "samples"), 0);
		s->matches += (uint64_t)payload_int(
			payload_member(rule, "matches"), 0);
	}
	s->passed = !s->required_ppm ||
		    (s->samples && s->matches * ALL_PPM >=
					   s->samples * s->required_ppm);
}

static void
put(struct json *j, const char *name, uint64_t n)
{
	json_key_span(j, span_of(name));
	json_u64(j, n);
}

static void
write_json(const struct backtest *b, const struct score *s,
	   struct span report, struct buf *out)
{
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "target");
	json_str(&j, b->target);
	put(&j, "samples", s->samples);
	put(&j, "matches", s->matches);
	json_key(&j, "match_rate");
	json_double(&j, s->samples ? (double)s->matches / (double)s->samples
				   : 0);
	json_key(&j, "lower_bound");
	json_double(&j, shadow_wilson_lower(s->matches, s->samples));
	json_key(&j, "passed");
	json_bool(&j, s->passed);
	put(&j, "skipped_unsafe", b->skipped_unsafe);
	put(&j, "skipped_incomplete", b->skipped_incomplete);
	put(&j, "skipped_unanswered", b->skipped_unanswered);
	put(&j, "skipped_unreadable", b->recorded.unreadable);
	json_key(&j, "report");
	json_raw(&j, report);
	json_object_end(&j);
	buf_addc(out, '\n');
}

static void
write_text(const struct backtest *b, const struct score *s,
	   const struct cJSON *report, struct buf *out)
{
	static const struct diff_filter all = { NULL, NULL };

	diff_write_table(report, &all, out);
	buf_printf(out, "\n%" PRIu64 " of %" PRIu64 " recorded calls match, "
		   "%.3f%%, at least %.3f%% (95 %% Wilson)\n", s->matches,
		   s->samples, s->samples ? 100.0 * (double)s->matches /
						    (double)s->samples : 0.0,
		   100 * shadow_wilson_lower(s->matches, s->samples));
	buf_printf(out, "not asked: %" PRIu64 " unsafe, %" PRIu64
		   " not recorded whole, %" PRIu64 " without an answer to "
		   "compare with\n", b->skipped_unsafe, b->skipped_incomplete,
		   b->skipped_unanswered);
	if (!s->passed)
		buf_printf(out, "REFUSED: %g%% is required\n",
			   s->required_ppm / 10000.0);
}

static int
report(const struct backtest *b, const struct command_call *call,
       struct score *s, struct error *err)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	struct buf out CLEANUP(buf_fini) = { 0 };
	struct cJSON *tree CLEANUP(payload_free) = NULL;
	struct json j;

	json_init(&j, &text);
	shadow_tally_report(b->tally, &j);
	tree = text.failed ? NULL : payload_parse(buf_span(&text), err);
	if (!tree)
		return error_set(err, "no memory for the report");
	add_up(tree, s);
	if (call->values[OPTION_JSON])
		write_json(b, s, buf_span(&text), &out);
	else
		write_text(b, s, tree, &out);
	return command_print(&out) ? error_set(err, "nobody takes the output")
				   : 0;
}

/* ---- the command ---- */

static void
backtest_fini(struct backtest *b)
{
	outbound_close(&b->outbound);
	if (b->end)
		backtest_calls_free(b);
	shadow_tally_free(&b->tally);
	shadow_noise_free(&b->noise);
	recorded_close(&b->recorded);
	rules_unref(&b->rules);
}

static int
prepare(struct backtest *b, const struct command_call *call,
	struct error *err)
{
	if (recorded_open(&b->recorded, call, err))
		return -1;
	b->tally = shadow_tally_new();
	b->noise = shadow_noise_new();
	if (!b->tally || !b->noise)
		return error_set(err, "no memory");
	if (shadow_report_noise(b->recorded.reader, b->noise, err))
		return -1;
	b->outbound = outbound_open(b->parallel, err);
	return b->outbound ? 0 : -1;
}

int
command_backtest(const struct command_call *call)
{
	struct backtest b CLEANUP(backtest_fini) = { 0 };
	struct score s = { 0 };
	struct error err = { 0 };

	if (read_options(&b, call, &err) ||
	    read_required(call, &s.required_ppm, &err) ||
	    prepare(&b, call, &err)) {
		error_context(&err, "backtest");
		return command_fail(COMMAND_USAGE, NULL, &err);
	}
	if (backtest_run(&b, &err) || report(&b, call, &s, &err)) {
		error_context(&err, "backtest");
		return command_fail(COMMAND_FAILED, NULL, &err);
	}
	return s.passed ? COMMAND_OK : COMMAND_FAILED;
}
