/* SPDX-License-Identifier: Apache-2.0 */
/* A candidate's answer as a verdict keeps it, for people to look at. */
#include "shadow/answer.h"

#include "shadow/body.h"

#define FIELDS_MOST 64
#define VALUE_MOST 1024u

static bool
is_first(const struct shadow_answer *a, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (span_equal_nocase(a->fields.at[i].name,
				      a->fields.at[at].name))
			return false;
	return true;
}

static void
write_value(const struct shadow_plan *plan, const struct shadow_answer *a,
	    const struct message_field *f, struct json *out)
{
	struct buf text = { 0 };
	struct span value;

	shadow_field_write(plan, a, f, &text);
	value = buf_span(&text);
	if (value.len > VALUE_MOST)
		value.len = VALUE_MOST;
	json_span(out, value.len ? value : SPAN_LITERAL(""));
	out->out->failed |= text.failed;
	buf_fini(&text);
}

/* A repeated field is an array, as in exchange events. */
static void
write_field(const struct shadow_plan *plan, const struct shadow_answer *a,
	    size_t at, struct json *out)
{
	struct span name = a->fields.at[at].name;
	size_t count = 0;

	for (size_t i = at; i < a->fields.count; i++)
		count += span_equal_nocase(a->fields.at[i].name, name);
	json_key_span_lower(out, name);
	if (count > 1)
		json_array_begin(out);
	for (size_t i = at; i < a->fields.count; i++)
		if (span_equal_nocase(a->fields.at[i].name, name))
			write_value(plan, a, &a->fields.at[i], out);
	if (count > 1)
		json_array_end(out);
}

static void
write_fields(const struct shadow_plan *plan, const struct shadow_answer *a,
	     struct json *out)
{
	size_t written = 0;

	json_key(out, "headers");
	json_object_begin(out);
	for (size_t i = 0; i < a->fields.count && written < FIELDS_MOST; i++)
		if (is_first(a, i)) {
			write_field(plan, a, i, out);
			written++;
		}
	json_object_end(out);
}

/* Cut before a character that does not fit as a whole. */
static struct span
cut(struct span body)
{
	if (body.len <= SHADOW_ANSWER_BODY_MAX)
		return body;
	body.len = SHADOW_ANSWER_BODY_MAX;
	while (body.len > 0 &&
	       ((unsigned char)body.at[body.len] & 0xc0) == 0x80)
		body.len--;
	return body;
}

static void
write_body(struct span body, struct json *out)
{
	struct span part = cut(body);

	if (body.len == 0)
		return;
	if (!json_text_member(out, "body", part)) {
		json_key(out, "body_base64");
		json_base64(out, part);
	}
	if (part.len < body.len) {
		json_key(out, "truncated");
		json_bool(out, true);
	}
}

static bool
has_named_secrets(const struct shadow_plan *plan)
{
	return plan->redact &&
	       (plan->redact->json_count || plan->redact->query_count);
}

static void
write_secret_body(const struct shadow_plan *plan, struct span body,
		  struct json *out)
{
	struct buf redacted = { 0 };

	if (body.len && plan->key &&
	    payload_redact(body, plan->redact->json, plan->redact->json_count,
			   plan->key, &redacted) == 0 && !redacted.failed) {
		write_body(buf_span(&redacted), out);
	} else if (body.len) {
		json_key(out, "withheld");
		json_bool(out, true);
	}
	buf_fini(&redacted);
}

/* As it is compared: without its codings, where they can be undone. */
static void
write_readable(const struct shadow_plan *plan, const struct shadow_answer *a,
	       struct json *out)
{
	struct shadow_body body;

	shadow_body_open(&body, a->fields, a->body);
	if ((a->redacted && body.coding == PAYLOAD_CODING_NONE) ||
	    !has_named_secrets(plan))
		write_body(body.bytes, out);
	else
		write_secret_body(plan, body.too_dear ? a->body : body.bytes,
				  out);
	if (body.coding == PAYLOAD_CODING_UNDONE) {
		json_key(out, "decoded");
		json_bool(out, true);
	}
	shadow_body_fini(&body);
}

void
shadow_answer_write(const struct shadow_plan *plan,
		    const struct shadow_answer *a, struct json *out)
{
	json_object_begin(out);
	json_key(out, "status");
	json_i64(out, a->status);
	write_fields(plan, a, out);
	write_readable(plan, a, out);
	json_key(out, "body_bytes");
	json_u64(out, a->body.len);
	json_object_end(out);
}
