/* SPDX-License-Identifier: Apache-2.0 */
/* Compiles the rules' templates into a trie and refuses ties. */
#include "rules/index.h"

#include <stdlib.h>

#include "rules/keys.h"

bool
index_same_strength(const struct index_entry *a, const struct index_entry *b)
{
	return a->conditions.count == b->conditions.count &&
	       template_compare(&a->path, &b->path) == 0;
}

bool
index_can_meet(const struct index_entry *a, const struct index_entry *b)
{
	return template_overlap(&a->path, &b->path) &&
	       !conditions_exclude(&a->conditions, &b->conditions);
}

void
index_describe(const struct index_entry *e, struct buf *out)
{
	const char *comma = "";

	if (e->rule->path_template) {
		buf_printf(out, "path %s", e->rule->path_template);
		comma = ", ";
	}
	for (size_t i = 0; i < e->conditions.count; i++) {
		buf_adds(out, comma);
		condition_describe(&e->conditions.at[i], out);
		comma = ", ";
	}
}

static int
compare_entries(const void *pa, const void *pb)
{
	const struct index_entry *a = pa, *b = pb;
	int c = template_compare(&a->path, &b->path);

	if (c)
		return c;
	if (a->conditions.count != b->conditions.count)
		return a->conditions.count > b->conditions.count ? -1 : 1;
	return a->rule->index < b->rule->index ? -1 : 1;
}

/* Splits the front of `rest` off whose segment at `depth` is of that kind. */
static struct index_list
take_kind(struct index_list *rest, size_t depth, enum template_kind kind)
{
	struct index_list part = { rest->at, 0 };

	while (rest->count > 0 &&
	       template_kind_at(&rest->at->path, depth) == kind) {
		part.count++;
		rest->at++;
		rest->count--;
	}
	return part;
}

static struct index_list
take_literal(struct index_list *rest, size_t depth)
{
	struct span first = rest->at->path.segments[depth].text;
	struct index_list part = { rest->at, 0 };

	while (rest->count > 0 &&
	       span_equal(rest->at->path.segments[depth].text, first)) {
		part.count++;
		rest->at++;
		rest->count--;
	}
	return part;
}

static size_t
count_literals(struct index_list list, size_t depth)
{
	size_t n = 0;

	for (; list.count > 0; n++)
		take_literal(&list, depth);
	return n;
}

static unsigned
list_cost(const struct index_list *list)
{
	unsigned cost = 0;

	for (size_t i = 0; i < list->count; i++)
		cost += 1 + conditions_cost(&list->at[i].conditions);
	return cost;
}

static int build(struct rules_load *l, struct index_node *node,
		 struct index_list list, size_t depth);

static int
build_literals(struct rules_load *l, struct index_node *node,
	       struct index_list list, size_t depth)
{
	unsigned worst = 0;

	node->child_count = count_literals(list, depth);
	node->children =
		load_alloc(l, node->child_count, sizeof(*node->children));
	if (!node->children)
		return -1;
	for (size_t i = 0; i < node->child_count; i++) {
		struct index_node *child = &node->children[i];

		child->literal = list.at->path.segments[depth].text;
		if (build(l, child, take_literal(&list, depth), depth + 1) < 0)
			return -1;
		if (child->cost > worst)
			worst = child->cost;
	}
	node->cost += worst;
	return 0;
}

static int
build_parameter(struct rules_load *l, struct index_node *node,
		struct index_list list, size_t depth)
{
	node->parameter = load_alloc(l, 1, sizeof(*node->parameter));
	if (!node->parameter ||
	    build(l, node->parameter, list, depth + 1) < 0)
		return -1;
	node->cost += node->parameter->cost;
	return 0;
}

/* The list is sorted, so each group is a run of it. Depth is bounded by the
 * segments that a template may have. */
static int
build(struct rules_load *l, struct index_node *node, struct index_list list,
      size_t depth)
{
	struct index_list literals, parameters;

	node->here = take_kind(&list, depth, TEMPLATE_END);
	literals = take_kind(&list, depth, TEMPLATE_LITERAL);
	parameters = take_kind(&list, depth, TEMPLATE_PARAMETER);
	node->tail = take_kind(&list, depth, TEMPLATE_TAIL);
	node->cost = 1 + list_cost(&node->here) + list_cost(&node->tail);
	if (literals.count > 0 &&
	    build_literals(l, node, literals, depth) < 0)
		return -1;
	if (parameters.count > 0 &&
	    build_parameter(l, node, parameters, depth) < 0)
		return -1;
	return 0;
}

static int
fail_tie(struct rules_load *l, const struct rules_node *rules,
	 const struct index_entry *a, const struct index_entry *b)
{
	struct rules_node at = keys_item(rules, b->rule->index);

	return load_fail(l, &at, "rules \"%s\" (line %d) and \"%s\" (line %d) "
			 "can match the same request and neither is more "
			 "specific: add a condition to one of them",
			 a->rule->name, a->rule->line, b->rule->name,
			 b->rule->line);
}

static int
check_ties(struct rules_load *l, const struct rules_node *rules,
	   const struct rules_index *index)
{
	for (size_t i = 0; i < index->entry_count; i++) {
		const struct index_entry *a = &index->entries[i];

		for (size_t j = i + 1; j < index->entry_count; j++) {
			const struct index_entry *b = &index->entries[j];

			if (!index_same_strength(a, b))
				break;
			if (index_can_meet(a, b))
				return fail_tie(l, rules, a, b);
		}
	}
	return 0;
}

static int
check_cost(struct rules_load *l, const struct rules_node *rules,
	   const struct rules_index *index)
{
	unsigned cost = index->root.cost + list_cost(&index->anywhere);

	if (cost <= INDEX_COST_MAX)
		return 0;
	return load_fail(l, rules, "matching one request could take %u steps, "
			 "more than %u: too many rules share one path (or "
			 "none) or differ only behind parameters", cost,
			 INDEX_COST_MAX);
}

int
load_index(struct rules_load *l, const struct rules_node *root)
{
	struct rules_index *index = l->rules->index;
	struct index_list all = { index->entries, index->entry_count };
	struct rules_node rules;

	if (!keys_get(root, KEY_ROOT_RULES, &rules) || all.count == 0)
		return 0;
	qsort(index->entries, index->entry_count, sizeof(*index->entries),
	      compare_entries);
	for (size_t i = 0; i < index->entry_count; i++) {
		if (index->entries[i].path.rest == TEMPLATE_NONE) {
			all.count = i;
			index->anywhere = (struct index_list){
				&index->entries[i], index->entry_count - i
			};
			break;
		}
	}
	if (build(l, &index->root, all, 0) < 0 ||
	    check_cost(l, &rules, index) < 0)
		return -1;
	return check_ties(l, &rules, index);
}
