/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the most specific rule for a request.
 *
 * The trie is walked literal first, then parameter, then tail: the first rule
 * whose conditions hold is the answer. Each node is visited at most once per
 * request, and load_index bounds how many can be. */
#include "base/message.h"
#include "rules/index.h"
#include "rules/reading.h"

#define MATCH_PATH_MAX 16384

/* Returns true to stop the walk. */
typedef bool match_visit(void *arg, const struct index_list *list);

struct walk {
	const char *end;	/* of the path */
	match_visit *visit;
	void *arg;
};

static int
compare_literal(struct span a, struct span b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.at, b.at, n) : 0;

	return c ? c : (a.len > b.len) - (a.len < b.len);
}

static const struct index_node *
find_child(const struct index_node *node, struct span segment)
{
	size_t lo = 0, hi = node->child_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct index_node *child = &node->children[mid];
		int c = compare_literal(segment, child->literal);

		if (c == 0)
			return child;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static bool
visit(const struct walk *w, const struct index_list *list)
{
	return list->count > 0 && w->visit(w->arg, list);
}

/* `at` is behind a slash, or NULL when the path has ended. */
static bool
walk(const struct walk *w, const struct index_node *node, const char *at)
{
	const struct index_node *child;
	const char *slash, *next;
	struct span segment;

	if (!at)
		return visit(w, &node->here);
	slash = memchr(at, '/', (size_t)(w->end - at));
	segment.at = at;
	segment.len = (size_t)((slash ? slash : w->end) - at);
	next = slash ? slash + 1 : NULL;
	child = find_child(node, segment);
	if (child && walk(w, child, next))
		return true;
	if (node->parameter && segment.len > 0 &&
	    walk(w, node->parameter, next))
		return true;
	return visit(w, &node->tail);
}

/* A path without a normal form (n < 0) matches no template. */
static void
walk_path(const struct rules_index *index, const char *path, long n,
	  struct walk *w)
{
	if (n > 0 && path[0] == '/') {
		w->end = path + n;
		if (walk(w, &index->root, path + 1))
			return;
	}
	visit(w, &index->anywhere);
}

static void
walk_request(const struct rules_index *index,
	     const struct message_request *req, struct walk *w)
{
	char path[MATCH_PATH_MAX];

	walk_path(index, path,
		  message_normal_path(req->path, path, sizeof(path)), w);
}

static const struct rules_rule *
default_rule(const struct rules *r)
{
	return &r->rules[r->rule_count - 1];
}

struct best {
	const struct message_request *req;
	const struct rules_rule *rule;
};

static bool
take_first(void *arg, const struct index_list *list)
{
	struct best *best = arg;

	for (size_t i = 0; i < list->count; i++) {
		if (!conditions_fail(&list->at[i].conditions, best->req)) {
			best->rule = list->at[i].rule;
			return true;
		}
	}
	return false;
}

const struct rules_rule *
rules_match(const struct rules *r, const struct message_request *req)
{
	struct best best = { req, default_rule(r) };
	struct walk w = { .visit = take_first, .arg = &best };

	walk_request(r->index, req, &w);
	return best.rule;
}

static bool
only_legacy_answers(const struct rules_rule *rule)
{
	enum rules_stage stage = rules_place(rule).stage;

	return stage == RULES_STAGE_PASSTHROUGH ||
	       stage == RULES_STAGE_MIRROR || stage == RULES_STAGE_SHADOW;
}

/* Where a path may lead that climbs out of the one it is put behind. */
static bool
has_base_path(const struct rules *r)
{
	for (size_t i = 0; i < r->target_count; i++)
		if (r->targets[i].base_path && r->targets[i].base_path[0])
			return true;
	return false;
}

static bool
has_paths(const struct rules_index *index)
{
	const struct index_node *root = &index->root;

	return root->child_count || root->parameter || root->tail.count ||
	       root->here.count;
}

bool
rules_path_is_ambiguous(const struct rules *r,
			const struct message_request *req,
			const struct rules_rule *rule)
{
	char path[MATCH_PATH_MAX];
	bool climbs = false;

	if (reading_is_plain(req->path) ||
	    (!has_paths(r->index) && !has_base_path(r)))
		return false;
	for (size_t k = 0; k < reading_count(); k++) {
		struct best best = { req, default_rule(r) };
		struct walk w = { .visit = take_first, .arg = &best };

		walk_path(r->index, path,
			  reading_write(k, req->path, path, sizeof(path),
					&climbs), &w);
		if (best.rule != rule && !(only_legacy_answers(best.rule) &&
					   only_legacy_answers(rule)))
			return true;
	}
	return climbs && has_base_path(r);
}

struct story {
	const struct message_request *req;
	const struct index_entry *winner;
	struct buf *out;
};

static void
tell_loser(struct story *s, const struct index_entry *e)
{
	bool same_path = template_compare(&e->path, &s->winner->path) == 0;

	buf_printf(s->out, "  rule \"%s\" (line %d) matches too, but \"%s\" "
		   "has %s\n", e->rule->name, e->rule->line,
		   s->winner->rule->name,
		   same_path ? "more conditions" : "the more specific path");
}

static void
tell_winner(struct story *s, const struct index_entry *e)
{
	s->winner = e;
	buf_printf(s->out, "  rule \"%s\" (line %d) wins: ", e->rule->name,
		   e->rule->line);
	index_describe(e, s->out);
	buf_addc(s->out, '\n');
}

static void
tell_failure(struct story *s, const struct index_entry *e,
	     const struct condition *failed)
{
	buf_printf(s->out, "  rule \"%s\" (line %d) does not match: it wants ",
		   e->rule->name, e->rule->line);
	condition_describe(failed, s->out);
	buf_addc(s->out, '\n');
}

static bool
tell_all(void *arg, const struct index_list *list)
{
	struct story *s = arg;

	for (size_t i = 0; i < list->count; i++) {
		const struct index_entry *e = &list->at[i];
		const struct condition *failed =
			conditions_fail(&e->conditions, s->req);

		if (failed)
			tell_failure(s, e, failed);
		else if (s->winner)
			tell_loser(s, e);
		else
			tell_winner(s, e);
	}
	return false;
}

const struct rules_rule *
rules_match_explain(const struct rules *r, const struct message_request *req,
		    struct buf *why)
{
	struct story s = { req, NULL, why };
	struct walk w = { .visit = tell_all, .arg = &s };

	walk_request(r->index, req, &w);
	/* A walk that is never stopped ends with the pathless rules. */
	if (s.winner)
		return s.winner->rule;
	buf_adds(why, "  the default applies: no rule matches\n");
	return default_rule(r);
}
