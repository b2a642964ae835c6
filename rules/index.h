/* SPDX-License-Identifier: Apache-2.0 */
/* Inside rules/: the compiled matcher and what lint and expect need. */
#ifndef RULES_INDEX_H
#define RULES_INDEX_H

#include "rules/condition.h"
#include "rules/template.h"

/* Steps that matching one request may take in the worst case. */
#define INDEX_COST_MAX 2000u

/* A rule as the matcher sees it. */
struct index_entry {
	const struct rules_rule *rule;
	struct template path;
	struct conditions conditions;
};

/* Entries of one template, most conditions first. */
struct index_list {
	const struct index_entry *at;
	size_t count;
};

/* A node has its own depth, so one request visits it at most once. */
struct index_node {
	struct span literal;
	struct index_list here, tail;
	struct index_node *children;	/* literals, sorted */
	size_t child_count;
	struct index_node *parameter;
	unsigned cost;
};

struct index_expect {
	const char *request;	/* "GET /products/7" */
	struct message_request parsed;
	const char *rule, *answers;	/* answers NULL: any */
	const char *const *emits;	/* NULL: any */
	size_t emit_count;
	int status;			/* of the answer */
	int line;
};

struct rules_index {
	struct index_entry *entries;	/* sorted by strength */
	size_t entry_count;
	struct index_node root;
	struct index_list anywhere;	/* rules without a path */
	int *target_lines;
	struct index_expect *expects;
	size_t expect_count;
};

/* index_same_strength: neither entry is preferred to the other. */
bool index_same_strength(const struct index_entry *a,
			 const struct index_entry *b);
/* index_can_meet: some request satisfies both. */
bool index_can_meet(const struct index_entry *a, const struct index_entry *b);
/* index_describe appends "path /products/{id}, method GET". */
void index_describe(const struct index_entry *e, struct buf *out);

#endif
