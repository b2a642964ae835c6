/* SPDX-License-Identifier: Apache-2.0 */
/* Path templates: "/products/{id}", "/static/{rest...}". */
#ifndef RULES_TEMPLATE_H
#define RULES_TEMPLATE_H

#include "base/span.h"
#include "rules/load.h"

#define TEMPLATE_SEGMENTS_MAX 64
#define TEMPLATE_LENGTH_MAX 2048

/* In the order of their strength: the smaller wins. */
enum template_kind {
	TEMPLATE_END,		/* behind the last segment */
	TEMPLATE_LITERAL,
	TEMPLATE_PARAMETER,	/* one segment, not empty */
	TEMPLATE_TAIL,		/* the rest, also an empty one */
	TEMPLATE_NONE		/* a rule without a path */
};

struct template_segment {
	enum template_kind kind;
	struct span text;	/* literal, or the parameter's name */
};

struct template {
	const struct template_segment *segments;
	size_t count;
	enum template_kind rest;	/* END, or NONE: any path */
};

/* template_parse checks and cuts `s`, which must live as long as the set. */
int template_parse(struct rules_load *l, const struct rules_node *at,
		   const char *s, struct template *out);
/* template_kind_at is the segment's kind, or what comes after the last. */
enum template_kind template_kind_at(const struct template *t, size_t i);
/* template_compare orders by strength, the more specific first; 0 for
 * templates that match the same paths. */
int template_compare(const struct template *a, const struct template *b);
/* template_overlap: some path matches both. */
bool template_overlap(const struct template *a, const struct template *b);
/* template_covers: every path that matches b matches a. */
bool template_covers(const struct template *a, const struct template *b);

#endif
