/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of payload/ share and nobody else sees. */
#ifndef PAYLOAD_INTERNAL_H
#define PAYLOAD_INTERNAL_H

#include <cjson/cJSON.h>

#include "payload/payload.h"

#define PAYLOAD_DEPTH_MAX 1000	/* cJSON's own limit, too */
#define PAYLOAD_NUMBER_MAX 63	/* cJSON cuts longer number tokens */

/* Values that are left out of the tree, see payload_parse_lifted. */
struct payload_lift {
	struct span name;
	struct span rest;	/* of the text, not copied yet */
	const char *start;	/* of the text */
	struct buf out;		/* the text without them */
	size_t count;
	bool off;		/* not for this text */
};
void payload_lift_add(struct payload_lift *l, struct span value);
/* payload_scan is payload_check that tells `lift` (or NULL) what it finds. */
MUST_CHECK int payload_scan(struct span text, unsigned depth_max,
			    struct payload_lift *lift, struct error *err);
/* payload_tree makes the tree of a text that was scanned before. */
struct cJSON *payload_tree(struct span text, struct error *err);

/* payload_scan_number cuts the next number token of a text that was checked
 * before; false at the end. */
bool payload_scan_number(struct span *rest, struct span *token);

/* A number node keeps its text in valuestring when a double could lose
 * something of it; payload_number_text writes it in either case. */
void payload_number_write(const cJSON *number, struct buf *out);
/* Exact: 1.0 equals 1 and 10e-1, 2^53 does not equal 2^53 + 1. */
bool payload_number_equal(const cJSON *a, const cJSON *b);
/* payload_number_near: how far b may be from a. */
bool payload_number_near(const cJSON *a, const cJSON *b,
			 const struct payload_tolerance *t);
/* Equal numbers have equal hashes. */
uint64_t payload_number_hash(const cJSON *number);

/* Where a walk through a value is. It knows where each segment begins: names
 * are a stranger's and may be long, and every value below such a one is
 * compared with every pattern. */
struct payload_path {
	struct buf text;		/* escaped; `failed` is sticky */
	size_t depth;
	size_t starts[PAYLOAD_DEPTH_MAX + 8];	/* of each segment's "/" */
};

/* payload_path_push appends "/" and the escaped segment. */
void payload_path_push(struct payload_path *path, const char *segment);
void payload_path_push_index(struct payload_path *path, size_t index);
void payload_path_pop(struct payload_path *path);
/* payload_path_matches compares segment by segment, in a time that depends on
 * the pattern alone; `*` in the pattern matches any one segment, the first
 * `**` any number of them. */
bool payload_path_matches(const char *pattern,
			  const struct payload_path *path);

uint64_t payload_hash_bytes(uint64_t seed, const void *data, size_t n);

#endif
