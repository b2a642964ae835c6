/* SPDX-License-Identifier: Apache-2.0 */
/* Inside rules/: what the steps of one load share. */
#ifndef RULES_LOAD_H
#define RULES_LOAD_H

#include "base/arena.h"
#include "base/error.h"
#include "rules/position.h"
#include "rules/rules.h"

#define LOAD_TEXT_MAX ((size_t)4 << 20)
#define LOAD_DEPTH_MAX 32
#define LOAD_RULES_MAX 10000
#define LOAD_TARGETS_MAX 1000
#define LOAD_MEMORY_MAX ((size_t)256 << 20)

/* A set's memory: one arena, freed as a whole. */
struct rules_memory {
	struct arena arena;
	char first[8192];
};

/* One load, on one thread. `rules` is being filled. */
struct rules_load {
	struct rules *rules;
	struct rules_text text;
	struct error *err;
};

/* load_fail sets an error at the value (load_fail_key: at its key) and
 * prepends the way to it: "targets.catalog.timeout: ...". Returns -1. */
int load_fail(struct rules_load *l, const struct rules_node *at,
	      const char *fmt, ...) PRINTF_LIKE(3, 4);
int load_fail_key(struct rules_load *l, const struct rules_node *at,
		  const char *fmt, ...) PRINTF_LIKE(3, 4);
/* load_alloc returns zeroed memory of the set; NULL with the error set. */
MUST_CHECK void *load_alloc(struct rules_load *l, size_t count, size_t size);
MUST_CHECK const char *load_copy(struct rules_load *l, const char *s);
MUST_CHECK const char *load_copy_n(struct rules_load *l, const char *s,
				   size_t n);

/* The steps, in their order; 0, or -1 with the error set. */
int load_targets(struct rules_load *l, const struct rules_node *root);
int load_protection(struct rules_load *l, const struct rules_node *node,
		    struct rules_target *t);	/* of one target */
int load_rules(struct rules_load *l, const struct rules_node *root);
int load_events(struct rules_load *l, const struct rules_node *root);
int load_redact(struct rules_load *l, const struct rules_node *root);
int load_adapters(struct rules_load *l, const struct rules_node *root);
int load_index(struct rules_load *l, const struct rules_node *root);
int load_expects(struct rules_load *l, const struct rules_node *root);

#endif
