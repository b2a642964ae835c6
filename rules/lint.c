/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings about rules that load but may not mean what they say. */
#include <stdlib.h>
#include <string.h>

#include "rules/index.h"

#define LINT_OVERLAPS_MAX 100

/* An overlap is worth a word when neither rule is inside the other: then the
 * winner is decided by precedence that a reader may not expect. */
static bool
surprises(const struct index_entry *a, const struct index_entry *b)
{
	bool a_in_b = template_covers(&b->path, &a->path);
	bool b_in_a = template_covers(&a->path, &b->path);

	if (!index_can_meet(a, b))
		return false;
	if (!a_in_b && !b_in_a)
		return true;
	/* The entries are sorted: a wins. With its path inside b's path, a
	 * request that a takes from b meets at least a's own conditions. */
	return a_in_b && b->conditions.count > a->conditions.count &&
	       a->conditions.count > 0;
}

static size_t
lint_overlaps(const struct rules_index *index, struct buf *out)
{
	size_t found = 0;

	for (size_t i = 0; i < index->entry_count; i++) {
		const struct index_entry *a = &index->entries[i];

		for (size_t j = i + 1; j < index->entry_count; j++) {
			const struct index_entry *b = &index->entries[j];

			if (!surprises(a, b))
				continue;
			buf_printf(out, "line %d: rule \"%s\" overlaps with "
				   "\"%s\" (line %d), which wins where both "
				   "match\n", b->rule->line, b->rule->name,
				   a->rule->name, a->rule->line);
			if (++found == LINT_OVERLAPS_MAX)
				return found;
		}
	}
	return found;
}

static const struct condition *
method_condition(const struct index_entry *e)
{
	for (size_t i = 0; i < e->conditions.count; i++)
		if (e->conditions.at[i].kind == CONDITION_METHOD)
			return &e->conditions.at[i];
	return NULL;
}

static bool
only_unsafe_methods(const struct index_entry *e)
{
	const struct condition *c = method_condition(e);

	if (!c)
		return false;
	for (size_t i = 0; i < c->method_count; i++)
		if (rules_method_is_safe(span_of(c->methods[i])))
			return false;
	return true;
}

static size_t
lint_shadow(const struct index_entry *e, struct buf *out)
{
	const struct rules_rule *r = e->rule;

	if (!rules_shadow_at(r, rules_place(r)))
		return 0;
	if (r->sample_ppm == 0) {
		buf_printf(out, "line %d: rule \"%s\" samples 0%%: nothing "
			   "is compared\n", r->line, r->name);
		return 1;
	}
	if (r->shadow_unsafe || !only_unsafe_methods(e))
		return 0;
	buf_printf(out, "line %d: rule \"%s\" has unsafe methods only, which "
		   "are not copied to a shadow without \"shadow_unsafe\": "
		   "nothing is compared\n", r->line, r->name);
	return 1;
}

/* Pairs of answers are what a ramp goes by. */
static size_t
lint_ramp(const struct index_entry *e, struct buf *out)
{
	const struct rules_rule *r = e->rule;

	if (!r->ramp || (r->stage != RULES_STAGE_SHADOW &&
			 r->stage != RULES_STAGE_CANARY)) {
		if (r->ramp && r->stage != RULES_STAGE_MIGRATED)
			buf_printf(out, "line %d: rule \"%s\" has a ramp, "
				   "which does nothing at stage %s\n", r->line,
				   r->name, rules_stage_name(r->stage));
		return r->ramp && r->stage != RULES_STAGE_MIGRATED;
	}
	if (r->ramp->match_ppm)
		return 0;
	buf_printf(out, "line %d: rule \"%s\" has a ramp without \"match\": "
		   "it goes up whatever the target answers, as long as it "
		   "does not fail\n", r->line, r->name);
	return 1;
}

static size_t
lint_share(const struct index_entry *e, struct buf *out)
{
	const struct rules_rule *r = e->rule;

	if (r->stage != RULES_STAGE_CANARY ||
	    (r->share_ppm > 0 && r->share_ppm < RULES_SHARE_ALL))
		return 0;
	buf_printf(out, "line %d: rule \"%s\" is a canary with a share of "
		   "%s\n", r->line, r->name,
		   r->share_ppm ? "100%: stage \"migrated\" says the same"
				: "0%: nobody moves");
	return 1;
}

static size_t
lint_targets(const struct rules *r, struct buf *out)
{
	bool *used = calloc(r->target_count, sizeof(*used));
	size_t found = 0;

	if (!used)
		return 0;
	used[r->legacy->index] = true;
	for (size_t i = 0; i < r->rule_count; i++) {
		if (r->rules[i].target)
			used[r->rules[i].target->index] = true;
		if (r->rules[i].shadow)
			used[r->rules[i].shadow->index] = true;
		if (r->rules[i].compare.noise_target)
			used[r->rules[i].compare.noise_target->index] = true;
		if (r->rules[i].later.hook)
			used[r->rules[i].later.hook->index] = true;
	}
	for (size_t i = 0; i < r->target_count; i++) {
		if (used[i])
			continue;
		buf_printf(out, "line %d: no rule uses the target \"%s\"\n",
			   r->index->target_lines[i], r->targets[i].name);
		found++;
	}
	free(used);
	return found;
}

static size_t
lint_tls(const struct rules *r, struct buf *out)
{
	size_t found = 0;

	for (size_t i = 0; i < r->target_count; i++) {
		const struct rules_target *t = &r->targets[i];

		if (!t->tls || t->tls->verify)
			continue;
		buf_printf(out, "line %d: target \"%s\" has \"verify\": "
			   "false: whoever answers there is believed, and may "
			   "read and change everything\n",
			   r->index->target_lines[i], t->name);
		found++;
	}
	return found;
}

/* A receiver either expects the header or refuses it. */
static bool
is_told_apart(const struct rules_target *a, const struct rules_target *b)
{
	return a->url && b->url && strcmp(a->url, b->url) == 0 &&
	       (a->proxy_protocol == RULES_PROXY_NONE) !=
		       (b->proxy_protocol == RULES_PROXY_NONE);
}

static size_t
lint_proxy_protocol(const struct rules *r, struct buf *out)
{
	size_t found = 0;

	for (size_t i = 0; i < r->target_count; i++) {
		for (size_t k = 0; k < i; k++) {
			if (!is_told_apart(&r->targets[i], &r->targets[k]))
				continue;
			buf_printf(out, "line %d: targets \"%s\" and \"%s\" "
				   "are the same service, and only one has "
				   "\"proxy_protocol\"\n",
				   r->index->target_lines[i],
				   r->targets[k].name, r->targets[i].name);
			found++;
		}
	}
	return found;
}

static size_t
lint_hosts(const struct rules *r, struct buf *out)
{
	size_t found = 0;

	for (size_t i = 0; i < r->target_count; i++) {
		const struct rules_target *t = &r->targets[i];

		for (size_t k = 0; k < t->host_count; k++) {
			if (!t->hosts[k].error)
				continue;
			buf_printf(out, "line %d: the host \"%s\" of target "
				   "\"%s\" cannot be found now: %s\n",
				   r->index->target_lines[i],
				   t->hosts[k].name, t->name,
				   t->hosts[k].error);
			found++;
		}
	}
	return found;
}

/* What the status resources take away from the legacy is said each time: a
 * rule there is never reached. */
static size_t
lint_status_path(const struct rules *r, const struct index_entry *e,
		 struct buf *out)
{
	const char *prefix = r->status_path, *path = e->rule->path_template;

	if (!prefix || !path || strncmp(path, prefix, strlen(prefix)) != 0)
		return 0;
	buf_printf(out, "line %d: rule \"%s\" is never reached: paths that "
		   "begin with \"%s\" are answered by matapalo; change "
		   "\"status_path\"\n", e->rule->line, e->rule->name, prefix);
	return 1;
}

size_t
rules_lint(const struct rules *r, struct buf *out)
{
	size_t found = lint_targets(r, out) + lint_tls(r, out) +
		       lint_proxy_protocol(r, out) + lint_hosts(r, out);

	for (size_t i = 0; i < r->index->entry_count; i++) {
		found += lint_share(&r->index->entries[i], out) +
			 lint_ramp(&r->index->entries[i], out);
		found += lint_shadow(&r->index->entries[i], out);
		found += lint_status_path(r, &r->index->entries[i], out);
	}
	return found + lint_overlaps(r->index, out);
}
