/* SPDX-License-Identifier: Apache-2.0 */
/* Where in the text of a JSON file a value stands. */
#ifndef RULES_POSITION_H
#define RULES_POSITION_H

#include <stddef.h>

#include <jansson.h>

/* A value and the way to it. Nodes live on the stack of the loader and
 * borrow the tree; the root has no `up`. */
struct rules_node {
	const struct rules_node *up;
	json_t *value;
	const char *key;	/* in an object, else NULL */
	size_t index;		/* in an array */
};

struct rules_text {
	const char *at;
	size_t len;
};

struct rules_position {
	int line, column;	/* 1-based; a column is a character */
};

/* The text must be the one that jansson made the tree of: nothing is
 * validated again, but no read goes past its end. */
struct rules_position rules_position_of(struct rules_text text,
					const struct rules_node *node);
/* rules_position_of_key: where the key of an object's member stands. */
struct rules_position rules_position_of_key(struct rules_text text,
					    const struct rules_node *node);
/* rules_position_lines fills lines[0..count-1] with the line of each element
 * or member of the container, in one pass. */
void rules_position_lines(struct rules_text text,
			  const struct rules_node *container, int *lines,
			  size_t count);
/* rules_position_deepest returns 0 when the text nests at most `limit`
 * deep, else -1 and where it goes deeper. Any text. */
int rules_position_deepest(struct rules_text text, int limit,
			   struct rules_position *where);
/* rules_position_path writes the way as "rules[3].match.path". */
void rules_position_path(const struct rules_node *node, char *out,
			 size_t size);

#endif
