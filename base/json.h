/* SPDX-License-Identifier: Apache-2.0 */
/* The one JSON writer of the hot side: events, logs, metrics, bus frames. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/span.h"

/* Streaming writer: commas are its own business. Errors are the buf's
 * sticky flag. Depth at most 31 (an invariant). One thread at a time. */
struct json {
	struct buf *out;
	uint32_t has_item;	/* bit per depth: a comma is due */
	int depth;
	bool after_key;
};

void json_init(struct json *j, struct buf *out);
void json_object_begin(struct json *j);
void json_object_end(struct json *j);
void json_array_begin(struct json *j);
void json_array_end(struct json *j);
/* json_comma is what goes before any value or key; the writers call it. */
static inline void
json_comma(struct json *j)
{
	uint32_t bit = UINT32_C(1) << j->depth;

	if (j->after_key) {
		j->after_key = false;
		return;
	}
	if (j->has_item & bit)
		buf_addc(j->out, ',');
	j->has_item |= bit;
}
/* json_key writes a member name that needs no escaping (a literal). Inline,
 * so that its length is known when compiling. */
static inline void
json_key(struct json *j, const char *literal)
{
	size_t n = strlen(literal);
	char *to;

	json_comma(j);
	j->after_key = true;
	to = buf_room(j->out, n + 3);
	if (!to)
		return;
	to[0] = '"';
	memcpy(to + 1, literal, n);
	to[n + 1] = '"';
	to[n + 2] = ':';
	j->out->len += n + 3;
}
/* json_key_span escapes, and folds ASCII to lower case when lower is set. */
void json_key_span(struct json *j, struct span name);
void json_key_span_lower(struct json *j, struct span name);
/* json_span writes any bytes: control characters escaped, invalid UTF-8
 * replaced by U+FFFD (RFC 8259 8.1). The names keep clear of jansson, which
 * exports json_string and json_null. */
void json_span(struct json *j, struct span s);
void json_str(struct json *j, const char *s);	/* NULL becomes null */
void json_u64(struct json *j, uint64_t v);
void json_i64(struct json *j, int64_t v);
void json_double(struct json *j, double v);	/* not finite: null */
void json_bool(struct json *j, bool v);
void json_none(struct json *j);
/* json_base64 writes a string of RFC 4648 section 4 base64. */
void json_base64(struct json *j, struct span bytes);
/* json_raw copies text that is JSON already. */
void json_raw(struct json *j, struct span json_text);

/* json_member_ writes a member: a name that is a literal, and its value.
 * json_given_ writes nothing for NULL, "", 0 or false. A time is wall time in
 * microseconds, written as RFC 3339. */
void json_member_str(struct json *j, const char *literal, const char *s);
void json_member_i64(struct json *j, const char *literal, int64_t v);
void json_member_bool(struct json *j, const char *literal, bool v);
void json_member_time(struct json *j, const char *literal, int64_t us);
void json_given_str(struct json *j, const char *literal, const char *s);
void json_given_i64(struct json *j, const char *literal, int64_t v);
void json_given_bool(struct json *j, const char *literal, bool v);
void json_given_time(struct json *j, const char *literal, int64_t us);

/* json_text_member writes the member and returns true when text is valid UTF-8
 * without NUL bytes, so that it is kept exactly; else it writes nothing. */
bool json_text_member(struct json *j, const char *literal, struct span text);
/* json_is_utf8 is that question alone. */
bool json_is_utf8(struct span s);

#endif
