/* SPDX-License-Identifier: Apache-2.0 */
/* JSON payloads: parse, look up, redact, compare. Sole home of cJSON. */
#ifndef PAYLOAD_PAYLOAD_H
#define PAYLOAD_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/span.h"

struct cJSON;	/* an owned tree, or a value lent from one */

/* payload_parse: whole text must be one JSON value (RFC 8259), at most
 * 1000 deep. NULL with err otherwise, whose no_memory says that it may be
 * one. Any thread. */
MUST_CHECK struct cJSON *payload_parse(struct span text, struct error *err);
/* payload_parse_lifted does so, at most depth_max deep, but for values of
 * members called `name`, in the top object or three deep: if payload_write
 * would write such a value just as it stands, its place in the tree is taken
 * by something of which payload_lifted finds the text. *count: of them; 0:
 * the tree is an ordinary one. A byte order mark is refused. Any thread. */
MUST_CHECK struct cJSON *payload_parse_lifted(struct span text,
					      unsigned depth_max,
					      const char *name, size_t *count,
					      struct error *err);
/* payload_lifted lends the part of `text` (that was parsed, with a count above
 * 0) for which the member `name` stands; empty: it stands for itself. */
struct span payload_lifted(const struct cJSON *p, struct span text);
/* payload_tree_cost: about the bytes of memory, and never less than half of
 * them, that the tree of a text takes. */
size_t payload_tree_cost(struct span text);
void payload_free(struct cJSON **p);
/* payload_check: would payload_parse take it, at most depth_max deep? 0 or
 * -1 with err (line and column). Allocates nothing. A byte order mark, which
 * payload_parse skips, is refused. Any thread. */
MUST_CHECK int payload_check(struct span text, unsigned depth_max,
			     struct error *err);
/* payload_at: RFC 6901 pointer ("" is the whole); NULL when absent. */
const struct cJSON *payload_at(const struct cJSON *p, const char *pointer);
const struct cJSON *payload_member(const struct cJSON *object,
				   const char *name);
const struct cJSON *payload_first(const struct cJSON *container);
const struct cJSON *payload_next(const struct cJSON *item);
const char *payload_name(const struct cJSON *member);
bool payload_is_object(const struct cJSON *p);
bool payload_is_array(const struct cJSON *p);
/* Getters are total: the fallback when p is NULL or of another type. */
const char *payload_string(const struct cJSON *p, const char *fallback);
int64_t payload_int(const struct cJSON *p, int64_t fallback);
double payload_number(const struct cJSON *p, double fallback);
bool payload_bool(const struct cJSON *p, bool fallback);
/* payload_write appends compact JSON text. */
void payload_write(const struct cJSON *p, struct buf *out);

/* payload_redact appends text with the values at the pointers (a segment `*`
 * matches every member or element) replaced by their keyed digest. Returns
 * -1 when text is not JSON (nothing is appended). */
MUST_CHECK int payload_redact(struct span text, const char *const *pointers,
			      size_t count, const struct digest_key *key,
			      struct buf *out);

/* Structural comparison. In pointers a segment `*` stands for any one, and one
 * `**` for any number of them. */
enum payload_tolerance_kind {
	PAYLOAD_TOLERANCE_NUMBER,	/* by: how far apart */
	PAYLOAD_TOLERANCE_SHARE,	/* by: part of what is expected */
	PAYLOAD_TOLERANCE_TIME		/* by: milliseconds, between times */
};
struct payload_tolerance {
	const char *pointer;
	double by;
	enum payload_tolerance_kind kind;
};
struct payload_unordered { const char *pointer, *key; };
/* pattern: whatever `rewrite` below knows what to do with. */
struct payload_rewrite { const char *pointer; const void *pattern; };
struct payload_compare {
	const char *const *ignore;
	size_t ignore_count;
	const struct payload_tolerance *tolerance;
	size_t tolerance_count;
	const struct payload_unordered *unordered;
	size_t unordered_count;
	/* Strings there are compared as rewrite() writes them; false: it does
	 * not, and they are compared as they are. */
	const struct payload_rewrite *rewrites;
	size_t rewrite_count;
	bool (*rewrite)(void *arg, const void *pattern, struct span in,
			struct buf *out);
	void *rewrite_arg;
};
enum payload_difference_kind { PAYLOAD_MISSING, PAYLOAD_EXTRA, PAYLOAD_TYPE,
			       PAYLOAD_VALUE, PAYLOAD_LENGTH };
/* payload_compare_json calls fn for each difference (pointer, kind, both
 * values as JSON text, "" when absent) and returns their number; stops
 * calling (not counting) after max_reported. */
size_t payload_compare_json(const struct cJSON *expected,
			    const struct cJSON *actual,
			    const struct payload_compare *how,
			    size_t max_reported,
			    void (*fn)(void *arg, const char *pointer,
				       enum payload_difference_kind kind,
				       const char *expected,
				       const char *actual),
			    void *arg);
const char *payload_difference_name(enum payload_difference_kind k);

/* payload_time: a text as RFC 3339 or as HTTP (IMF-fixdate, RFC 9110 5.6.7)
 * writes times, in microseconds since 1970; *local: it names no zone. */
MUST_CHECK int payload_time(struct span text, int64_t *us, bool *local);
/* payload_texts_near: two times, or two numbers, as close as t allows. */
bool payload_texts_near(struct span expected, struct span actual,
			const struct payload_tolerance *t);

#endif
