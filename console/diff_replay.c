/* SPDX-License-Identifier: Apache-2.0 */
/* `diff --replay`: one recorded request once more, to a mended candidate. */
#include <string.h>

#include "console/diff.h"
#include "console/diff_why.h"
#include "journal/find.h"
#include "shadow/candidate.h"

#define EVENTS_MOST 1000
#define WAIT_MS 100u

struct replayed {
	struct diff_rules r;
	struct shadow_exchange *x;
	struct shadow_rule rule;
	struct outbound_tls tls;
	struct outbound *outbound;
	struct buf *out;
	bool is_equal;
	struct error err;		/* of the candidate */
};

static void
replayed_fini(struct replayed *p)
{
	outbound_close(&p->outbound);
	shadow_exchange_free(&p->x);
	diff_rules_fini(&p->r);
}

static bool
on_event(void *arg, const struct journal_row *row)
{
	struct replayed *p = arg;

	if (span_is(row->type, "matapalo.exchange.v1"))
		p->x = shadow_exchange_decode(row, &p->err);
	return !p->x;
}

static int
read_exchange(struct replayed *p, struct journal_reader *reader,
	      const char *id, struct error *err)
{
	if (journal_read_correlated(reader, id, EVENTS_MOST, on_event, p) < 0)
		return error_set(err, "the journal cannot be read");
	if (p->x)
		return 0;
	if (p->err.text[0])
		return error_set(err, "%s", p->err.text);
	return error_set(err, "there is no recorded exchange %s", id);
}

static const struct rules_target *
target_of(const struct replayed *p, const struct rules_rule *u)
{
	const struct rules *rules = p->r.rules;

	for (size_t i = 0; i < rules->target_count && *p->x->candidate; i++)
		if (strcmp(rules->targets[i].name, p->x->candidate) == 0)
			return &rules->targets[i];
	return u ? u->target : NULL;
}

static int
find_candidate(struct replayed *p, const struct rules_rule *u, const char *url,
	       struct error *err)
{
	const struct rules_target *t = url ? NULL : target_of(p, u);

	if (url && strncmp(url, "http://", 7) && strncmp(url, "https://", 8))
		return error_set(err, "--target `%s' is no URL: write "
				 "http://HOST:PORT", url);
	if (url) {
		p->rule.target = p->rule.url = url;
		return 0;
	}
	if (!t)
		return error_set(err, "rule \"%s\" has no target: say who is "
				 "to be asked by --target URL", p->x->rule);
	shadowed_target(&p->rule, t, &p->tls);
	if (p->rule.command)
		return error_set(err, "target \"%s\" is a command on the bus, "
				 "whose caller does not wait any more: give "
				 "--target URL", t->name);
	return 0;
}

/* What the live shadow would not copy is not sent again either. */
static int
check_exchange(const struct replayed *p, struct error *err)
{
	if (!p->x->answered)
		return error_set(err, "nobody but matapalo answered it: there "
				 "is nothing to compare with");
	if (!shadow_exchange_is_complete(p->x))
		return error_set(err, "it was not recorded whole");
	if (!p->rule.unsafe_allowed && !shadow_exchange_is_safe(p->x))
		return error_set(err, "%s is not safe, and rule \"%s\" does "
				 "not have \"shadow_unsafe\": true",
				 p->x->method, p->x->rule);
	return 0;
}

static int
prepare(struct replayed *p, const struct command_call *call,
	struct journal_reader *reader, struct error *err)
{
	const struct rules_rule *u;

	if (read_exchange(p, reader, call->values[OPTION_REPLAY], err))
		return -1;
	diff_find_rule(&p->r, p->x->rule, &p->rule, &u, p->out);
	if (find_candidate(p, u, call->values[OPTION_TARGET], err) ||
	    check_exchange(p, err))
		return -1;
	p->outbound = outbound_open(1, err);
	return p->outbound ? 0 : -1;
}

static void
compare(struct replayed *p, const struct outbound_answer *a)
{
	struct shadow_why w CLEANUP(shadow_why_fini) = { 0 };
	struct shadow_noise_row noise;
	char endpoint[SHADOW_ENDPOINT_MAX];
	const struct shadow_answer legacy = diff_legacy_of(p->x);
	const struct shadow_answer candidate = {
		.status = a->status,
		.fields = { a->fields, a->field_count },
		.body = a->body.len ? buf_span(&a->body) : SPAN_LITERAL(""),
	};

	shadow_fold_endpoint(p->x->method, p->x->path, p->x->target,
			     p->x->status, endpoint);
	diff_why_pair(&p->r, &p->r.plan, &p->rule, endpoint, &legacy,
		      &candidate, &noise, &w);
	p->is_equal = !w.failed && shadow_why_counting(&w) == 0;
	buf_printf(p->out, "latency    legacy %.1f ms, candidate %.1f ms\n\n",
		   (double)p->x->total_us / 1000, (double)a->total_us / 1000);
	diff_write_reasons(&p->r, &p->rule, &w, &noise, p->out);
	buf_adds(p->out, p->is_equal ? "equal\n" : "differs\n");
}

static void
on_answer(void *arg, struct outbound_answer *a)
{
	struct replayed *p = arg;

	if (a->status)
		compare(p, a);
	else
		p->err = a->error;
}

static int
send_again(struct replayed *p, struct error *err)
{
	struct shadow_copy copy;
	int failed = shadow_copy_init(&copy, p->x, &p->rule, err);
	size_t from = p->out->len;

	buf_printf(p->out, "exchange   %s\nrequest    %s %s\n"
		   "rule       %s, candidate %s\n", p->x->correlation,
		   p->x->method, p->x->target, p->x->rule, p->rule.target);
	diff_blank_controls(p->out, from);
	if (!failed)
		failed = outbound_start(p->outbound, &copy.request, on_answer,
					p, err);
	shadow_copy_fini(&copy);
	if (failed)
		return -1;
	while (outbound_active(p->outbound))
		outbound_run(p->outbound, WAIT_MS);
	if (p->err.text[0])
		return error_set(err, "the candidate did not answer: %s",
				 p->err.text);
	return 0;
}

int
diff_replay(const struct command_call *call, struct journal_reader *reader,
	    struct buf *out)
{
	struct replayed p CLEANUP(replayed_fini) = { .out = out };
	struct error err = { 0 };
	int status = diff_rules_open(&p.r, call, reader);

	if (status != COMMAND_OK)
		return status;
	if (prepare(&p, call, reader, &err)) {
		error_context(&err, "diff: --replay");
		return command_fail(COMMAND_USAGE, NULL, &err);
	}
	if (send_again(&p, &err)) {
		error_context(&err, "diff: --replay");
		return command_fail(COMMAND_FAILED, NULL, &err);
	}
	status = command_print(out);
	return p.is_equal ? status : COMMAND_FAILED;
}
