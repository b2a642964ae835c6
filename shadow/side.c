/* SPDX-License-Identifier: Apache-2.0 */
/* One side of an exchange as events hold it: fields and body. */
#include "shadow/side.h"

#include <stdlib.h>

#include "base/base64.h"

static size_t
count_fields(const struct cJSON *headers)
{
	size_t n = 0;

	for (const struct cJSON *h = payload_first(headers); h;
	     h = payload_next(h)) {
		n++;
		if (!payload_is_array(h))
			continue;
		for (const struct cJSON *v = payload_first(h); v;
		     v = payload_next(v))
			n++;
	}
	return n;
}

static void
add_field(struct shadow_side *side, const struct cJSON *header,
	  const struct cJSON *value)
{
	const char *text = payload_string(value, NULL);

	if (!text)
		return;
	side->fields[side->field_count++] = (struct message_field){
		span_of(payload_name(header)), span_of(text)
	};
}

static int
decode_fields(const struct cJSON *headers, struct shadow_side *side)
{
	side->fields = calloc(count_fields(headers) + 1,
			      sizeof(*side->fields));
	if (!side->fields)
		return -1;
	if (!payload_is_object(headers))
		return 0;
	for (const struct cJSON *h = payload_first(headers); h;
	     h = payload_next(h)) {
		if (!payload_is_array(h)) {
			add_field(side, h, h);
			continue;
		}
		for (const struct cJSON *v = payload_first(h); v;
		     v = payload_next(v))
			add_field(side, h, v);
	}
	return 0;
}

static int
take_base64(const char *text, struct shadow_side *side, struct error *err)
{
	long n;

	side->decoded = malloc(strlen(text) + 1);
	if (!side->decoded)
		return error_no_memory(err, "no memory for a body");
	n = base64_decode(span_of(text), side->decoded);
	if (n < 0)
		return error_set(err, "body_base64 is not base64");
	side->body = (struct span){ side->decoded, (size_t)n };
	return 0;
}

static int
take_json(const struct cJSON *value, struct shadow_side *side,
	  struct error *err)
{
	struct buf text = { 0 };
	size_t len;

	payload_write(value, &text);
	side->decoded = text.failed ? NULL : buf_steal(&text, &len);
	if (!side->decoded) {
		buf_fini(&text);
		return error_no_memory(err, "no memory for a body");
	}
	side->body = (struct span){ side->decoded, len };
	return 0;
}

static int
decode_body(const struct cJSON *object, struct shadow_side *side,
	    struct error *err)
{
	const struct cJSON *json = payload_member(object, "json");
	const char *text = payload_string(payload_member(object, "body"),
					  NULL);
	const char *base64 = payload_string(
		payload_member(object, "body_base64"), NULL);

	if (base64)
		return take_base64(base64, side, err);
	if (text)
		side->body = span_of(text);
	else if (json)
		return take_json(json, side, err);
	return 0;
}

int
shadow_side_decode(const struct cJSON *object, struct shadow_side *side,
		   struct error *err)
{
	side->complete =
		!payload_bool(payload_member(object, "truncated"), false) &&
		!payload_bool(payload_member(object, "withheld"), false);
	side->body = SPAN_LITERAL("");
	if (decode_fields(payload_member(object, "headers"), side) != 0)
		return error_no_memory(err, "no memory for header fields");
	return decode_body(object, side, err);
}

void
shadow_side_fini(struct shadow_side *side)
{
	free(side->fields);
	free(side->decoded);
	memset(side, 0, sizeof(*side));
}
