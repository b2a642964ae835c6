/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions on a request besides its path. */
#ifndef RULES_CONDITION_H
#define RULES_CONDITION_H

#include "rules/load.h"

#define CONDITIONS_MAX 32

enum condition_kind {
	CONDITION_METHOD,
	CONDITION_HOST,
	CONDITION_HEADER,
	CONDITION_QUERY,
	CONDITION_COOKIE
};

enum condition_test { CONDITION_IS, CONDITION_PRESENT, CONDITION_ABSENT };

struct condition {
	enum condition_kind kind;
	enum condition_test test;
	const char *name;			/* header, query, cookie */
	size_t name_len;
	const char *value;			/* CONDITION_IS */
	const char *const *methods;		/* CONDITION_METHOD */
	size_t method_count;
};

struct conditions {
	const struct condition *at;
	size_t count;
};

/* conditions_load reads all members of "match" but the path. */
int conditions_load(struct rules_load *l, const struct rules_node *match,
		    struct conditions *out);
bool condition_holds(const struct condition *c,
		     const struct message_request *req);
/* conditions_fail returns the first that does not hold, NULL: all do. */
const struct condition *conditions_fail(const struct conditions *c,
					const struct message_request *req);
/* conditions_cost: steps of testing all, a header search counts more. */
unsigned conditions_cost(const struct conditions *c);
/* conditions_exclude: no request can satisfy both. */
bool conditions_exclude(const struct conditions *a,
			const struct conditions *b);
/* condition_describe appends "method GET" or "header x-beta = 1". */
void condition_describe(const struct condition *c, struct buf *out);

#endif
