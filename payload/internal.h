/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of payload/ share and nobody else sees. */
#ifndef PAYLOAD_INTERNAL_H
#define PAYLOAD_INTERNAL_H

#include <cjson/cJSON.h>

#include "payload/payload.h"

#define PAYLOAD_DEPTH_MAX 1000	/* cJSON's own limit, too */
#define PAYLOAD_NUMBER_MAX 63	/* cJSON cuts longer number tokens */

/* payload_scan_number cuts the next number token of a text that was checked
 * before; false at the end. */
bool payload_scan_number(struct span *rest, struct span *token);

/* A number node keeps its text in valuestring when a double could lose
 * something of it; payload_number_text writes it in either case. */
void payload_number_write(const cJSON *number, struct buf *out);
/* Exact: 1.0 equals 1 and 10e-1, 2^53 does not equal 2^53 + 1. */
bool payload_number_equal(const cJSON *a, const cJSON *b);
bool payload_number_near(const cJSON *a, const cJSON *b, double by);
/* Equal numbers have equal hashes. */
uint64_t payload_number_hash(const cJSON *number);

/* payload_pointer_push appends "/" and the escaped segment. */
void payload_pointer_push(struct buf *pointer, const char *segment);
void payload_pointer_push_index(struct buf *pointer, size_t index);
/* payload_pointer_matches compares two pointers segment by segment; `*` in
 * the pattern matches any one segment. */
bool payload_pointer_matches(const char *pattern, struct span pointer);

uint64_t payload_hash_bytes(uint64_t seed, const void *data, size_t n);

#endif
